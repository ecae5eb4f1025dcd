# Two commands: `make demo` runs the main job for real, `make test` runs every test. Both set up what they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
SOURCES := pyproject.toml CMakeLists.txt $(shell find src native -type f -not -name '*.so' -not -path '*__pycache__*')
# xgboost comes from the test group, as xgboost-cpu: the extra brings gigabytes for GPUs.
EXTRAS := torch,onnx,onnxruntime,arrow,serve,lz4,keras,sklearn,lightgbm,mlflow,remote,attest,canary

.PHONY: demo test lint types docs bench native sanitize fuzz fuzz-saved-model fuzz-artifacts clean
.DEFAULT_GOAL := help

help: ## Show the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/.demo $(VENV)/.installed ## Train, export, serve and measure: the whole story, for real, in about two minutes.
	@$(BIN)/python -m examples.demo

test: $(VENV)/.test $(VENV)/.installed lint types ## Run every test against the installed package.
	@$(BIN)/python -m pytest

lint: $(VENV)/.test
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --quiet --check .

types: $(VENV)/.test
	@$(BIN)/mypy

docs: $(VENV)/.test $(VENV)/.installed ## Run every snippet of the documentation, and check what is generated.
	@$(BIN)/python -m pytest README.md docs

bench: $(VENV)/.test $(VENV)/.installed ## Measure every ratio that we claim, with the peer in the same run.
	@$(BIN)/python -m benchmarks

SAVED_MODEL_FUZZ_RUNS ?= 1500

fuzz-saved-model: $(VENV)/.test $(VENV)/.installed ## Put mutated SavedModels through everything that looks at one.
	@$(BIN)/python tests/savedmodel/fuzz_saved_model.py --runs $(SAVED_MODEL_FUZZ_RUNS)

ARTIFACT_FUZZ_RUNS ?= 5000

fuzz-artifacts: $(VENV)/.test $(VENV)/.installed ## Fuzz the reader of every format, and every parser below them.
	@$(BIN)/python tests/fuzz/fuzz_artifacts.py --runs $(ARTIFACT_FUZZ_RUNS)

fuzz: fuzz-saved-model fuzz-artifacts

native: $(VENV)/.test ## Build the native module into src/ for work on the sources (PYTHONPATH=src).

include native/native.mk

clean: ## Remove everything that was built or installed here.
	rm -rf $(VENV) build demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis src/trimtab/_kernel*.so

# --- environment ----------------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "trimtab needs Python 3.11 or newer; run: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@command -v $${CXX:-c++} >/dev/null 2>&1 || \
	  { echo "trimtab needs a C++17 compiler (g++ 9 or newer, clang 10 or newer): install one, for example with: apt-get install g++" >&2; exit 1; }
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade 'pip>=25.1'

# Installing the extras installs trimtab itself too, so both stamps are new afterwards.
$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "building trimtab and installing what tests need (torch among it: a few minutes the first time)"
	@$(PIP) install -c constraints.txt '.[$(EXTRAS)]' --group test --group demo --group native
	@touch $@ $(VENV)/.demo $(VENV)/.installed

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "building trimtab and installing what the demo needs (torch among it: a few minutes the first time)"
	@$(PIP) install -c constraints.txt '.[$(EXTRAS)]' --group demo
	@touch $@ $(VENV)/.installed

$(VENV)/.installed: $(SOURCES) | $(VENV)/bin/python
	@echo "building and installing trimtab"
	@$(PIP) install --no-deps --force-reinstall .
	@touch $@
