# The kernel's targets, included by the Makefile, which sets BIN to the environment's folder of programs.
FUZZ_RUNS ?= 200000
FUZZ_CXX ?= clang++
NATIVE_BUILD = build/native
# The environment's own cmake comes first, then the system's.
CMAKE ?= $(firstword $(wildcard $(abspath $(BIN))/cmake) cmake)

native:
	@$(CMAKE) -S . -B $(NATIVE_BUILD)/module -DPython_EXECUTABLE=$(abspath $(BIN)/python) \
	  -Dnanobind_DIR="$$($(BIN)/python -m nanobind --cmake_dir)" > /dev/null
	@$(CMAKE) --build $(NATIVE_BUILD)/module
	@$(CMAKE) --install $(NATIVE_BUILD)/module --prefix src > /dev/null

SWAPS ?= 300
LOOKUPS ?= 300000

sanitize: ## Run the kernel under sanitizers: over generated and mutated payloads, and with maps swapped under look-ups.
	@$(CMAKE) -S . -B $(NATIVE_BUILD)/sanitize -DTRIMTAB_PYTHON=OFF -DTRIMTAB_SANITIZE=address,undefined > /dev/null
	@$(CMAKE) --build $(NATIVE_BUILD)/sanitize
	@$(CMAKE) -S . -B $(NATIVE_BUILD)/threads -DTRIMTAB_PYTHON=OFF -DTRIMTAB_SANITIZE=thread > /dev/null
	@$(CMAKE) --build $(NATIVE_BUILD)/threads --target kernel_swap
	$(NATIVE_BUILD)/sanitize/kernel_driver $(FUZZ_RUNS)
	$(NATIVE_BUILD)/sanitize/kernel_swap $(SWAPS) $(LOOKUPS)
	$(NATIVE_BUILD)/threads/kernel_swap $(SWAPS) $(LOOKUPS)

fuzz: ## Run the kernel under libFuzzer for FUZZ_RUNS inputs.
	@command -v $(FUZZ_CXX) > /dev/null || { \
	  echo "make fuzz needs clang with libFuzzer: install it with: apt-get install clang" >&2; exit 1; }
	@$(CMAKE) -S . -B $(NATIVE_BUILD)/fuzz -DTRIMTAB_PYTHON=OFF -DTRIMTAB_SANITIZE=address,undefined -DTRIMTAB_FUZZ=ON \
	  -DCMAKE_CXX_COMPILER=$(FUZZ_CXX) > /dev/null
	@$(CMAKE) --build $(NATIVE_BUILD)/fuzz
	@mkdir -p $(NATIVE_BUILD)/seeds
	$(NATIVE_BUILD)/fuzz/kernel_driver --seeds $(NATIVE_BUILD)/seeds
	$(NATIVE_BUILD)/fuzz/fuzz_trim -runs=$(FUZZ_RUNS) -max_len=4096 -artifact_prefix=$(NATIVE_BUILD)/ $(NATIVE_BUILD)/seeds
