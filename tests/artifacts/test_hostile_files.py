"""Damaged and malicious files: each is read or refused as the manifest says, and nothing else ever happens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import json, sys, time

watched = []

def watch(event, arguments):
    if event == "import" and watched is not None and arguments[0].partition(".")[0] in FRAMEWORKS:
        watched.append(f"import {arguments[0]}")
    elif event in FORBIDDEN:
        watched.append(f"{event} {arguments!r:.80}")
    elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        watched.append(f"write {arguments[0]}")

FRAMEWORKS = {"torch", "onnx", "onnxruntime", "tensorflow", "numpy", "google", "grpc", "pickle", "sympy"}
FORBIDDEN = {
    "exec", "eval", "compile", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "os.remove", "os.rename",
    "os.mkdir", "os.chmod", "os.truncate", "socket.connect", "pickle.find_class", "shutil.copyfile", "ctypes.dlopen",
}

from trimtab.artifacts import known_formats
known_formats()
import trimtab.artifacts.refuse, trimtab.artifacts.compare, trimtab.signature.canonical
import importlib.metadata
from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError, RefusedArtifactError

# Imports and msgspec's own evaluation of our annotations come before the watch begins.
from trimtab.signature.document import decode_document, encode_document
decode_document(encode_document(decode_document(b'{"input_names": [], "output_names": []}')))
list(importlib.metadata.entry_points(group="trimtab.formats"))
sys.addaudithook(watch)
report = {}
for path in sys.argv[1:]:
    started = time.process_time()
    try:
        signature = read_signature(path)
        outcome, text = "read", signature.digest
    except RefusedArtifactError as error:
        outcome, text = "refused", str(error)
    except ArtifactError as error:
        outcome, text = "error", str(error)
    except BaseException as error:
        outcome, text = f"escaped {type(error).__name__}", str(error)
    report[path] = [outcome, text, time.process_time() - started, list(watched)]
    watched.clear()
# Not getrusage: its peak survives exec, and would be that of the test runner.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
sys.stdout.write(json.dumps({"report": report, "peak": peak}))
"""


def read_all(root: Path, paths: list[Path]) -> dict[str, object]:
    """Read the files in one process of its own that records what it does."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={"PYTHONPATH": str(root / "src")},
    )
    result: dict[str, object] = json.loads(child.stdout)
    return result


def test_hostile_files_behave_as_the_manifest_says(corpus: Path, root: Path) -> None:
    folder = corpus / "hostile"
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    result = read_all(root, [folder / name for name in manifest])
    report = result["report"]
    assert isinstance(report, dict)
    for name, wanted in manifest.items():
        outcome, text, seconds, watched = report[str(folder / name)]
        # A file of a kind that is refused on purpose may be damaged as well: both are errors of one family.
        assert outcome == wanted["expect"] or (outcome, wanted["expect"]) == ("refused", "error"), (name, outcome, text)
        assert watched == [], name
        assert seconds < 2, name
        assert outcome == "read" or "\n" not in text.partition("\n  ")[0], name
    assert isinstance(result["peak"], int)
    assert result["peak"] < 256 << 10  # KiB


def test_reading_real_artifacts_imports_no_framework_and_executes_nothing(corpus: Path, root: Path) -> None:
    paths = [path for path in sorted((corpus / "formats").iterdir()) if path.is_file()]
    report = read_all(root, paths)["report"]
    assert isinstance(report, dict)
    assert {path: watched for path, (_, _, _, watched) in report.items() if watched} == {}
    assert {outcome for outcome, *_ in report.values()} == {"read", "refused", "error"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty file"),
        (b"PK", "no model file of a kind that is read"),
        (b"PK\x05\x06" + bytes(18), "no model file of a kind that is read"),
        (b"{}", "no model file of a kind that is read"),
        (b'{"input_names": [', "expected JSON"),
        (b'{"input_names": ["a"], "output_names": 3}', "expected a list of strings"),
        (b"\x80\x05\x95", "pickle"),
        (b"\x08\x08\x3a\x05ab", "expected field 7 of 5 bytes, got the end after 2"),
    ],
)
def test_small_files_say_what_is_wrong(tmp_path: Path, content: bytes, says: str) -> None:
    from trimtab.artifacts import read_signature
    from trimtab.errors import ArtifactError

    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as error:
        read_signature(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_what_is_no_file_says_so(tmp_path: Path) -> None:
    import os

    from trimtab.artifacts import read_signature
    from trimtab.errors import ArtifactError

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, says in (
        (tmp_path, "a directory"),
        (pipe, "pipe"),
        (tmp_path / "none", "no such file"),
        ("a\0b", "null"),
    ):
        with pytest.raises(ArtifactError, match=says):
            read_signature(path)
