"""`trimtab inspect` of folders, globs and several files: the table, the lines, and what stops nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from trimtab.artifacts import embed_signature, read_signature
from trimtab.cli.main import main
from trimtab.signature.document import decode_document
from trimtab.signature.model import Learned
from trimtab.signature.render import short

ONNX, TORCHSCRIPT, PICKLE = "onnx_varied_types.onnx", "ts_multi_method.pt", "refuse_sklearn.joblib"


@pytest.fixture
def models(corpus: Path, tmp_path: Path) -> Path:
    """A repository: models in folders, one that cannot be read, one in a folder of its own, and other files."""
    folder = tmp_path / "models"
    for name, place in [(ONNX, "a/1"), (TORCHSCRIPT, "b"), (TORCHSCRIPT, "b/.hidden"), (PICKLE, "c")]:
        (folder / place).mkdir(parents=True, exist_ok=True)
        shutil.copy(corpus / "formats" / name, folder / place)
    shutil.copytree(corpus / "formats" / "mlflow_columns", folder / "d")
    shutil.copy(corpus / "formats" / ONNX, folder / "d")
    (folder / "README.md").write_text("# Models\n")
    (folder / "a" / "empty").write_bytes(b"")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main(["inspect", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_folder_is_a_table_in_the_order_of_paths(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, models)
    rows = out.splitlines()
    assert (code, err) == (1, "")
    assert rows[0].split() == ["path", "format", "inputs", "outputs", "digest", "learned"]
    assert [row.split()[:2] for row in rows[1:-1]] == [
        [f"{models}/a/1/{ONNX}", "onnx"],
        [f"{models}/b/{TORCHSCRIPT}", "torchscript"],
        [f"{models}/c/{PICKLE}", "pickled"],
        [f"{models}/d", "mlflow"],
    ]
    signature = read_signature(models / "a" / "1" / ONNX)
    figures = [str(len(signature.inputs)), str(len(signature.outputs)), short(signature.digest), "derived"]
    assert rows[1].split()[2:] == figures
    assert "error: this is a pickle" in rows[3]
    assert "sklearn.pipeline.Pipeline" in rows[3]
    assert rows[-1] == "3 read, 1 not readable, 2 other files passed over"


def test_all_read_is_success(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(models / "c")
    assert run(capsys, models)[0] == 0


def test_json_is_a_signature_document_a_line(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, models, "--json")
    assert code == 1
    assert err == "3 read, 1 not readable, 2 other files passed over\n"
    found = lines(out)
    assert [list(each)[:2] for each in found] == [
        ["path", "input_names"],
        ["path", "input_names"],
        ["path", "error"],
        ["path", "input_names"],
    ]
    assert found[2]["error"]["kind"] == "RefusedArtifactError"
    for line, each in zip(out.splitlines(), found, strict=True):
        if "error" not in each:
            assert decode_document(line.encode()) == read_signature(str(each["path"]))


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_processes_change_nothing(models: Path, jobs: int, capsys: pytest.CaptureFixture[str]) -> None:
    alone = run(capsys, models, "--json")
    assert run(capsys, models, "--json", "--jobs", str(jobs)) == alone


def test_a_file_that_is_named_must_be_a_model(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, models / "README.md", models / "b" / TORCHSCRIPT)
    assert code == 1
    assert "error: this is no model file" in out
    assert out.endswith("1 read, 1 not readable\n")


def test_a_file_that_is_not_there_stops_nothing(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, models / "none.onnx", models / "none*.pt", models / "b", "--json")
    assert code == 1
    assert ["error" in each for each in lines(out)] == [False, True, True]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*/*.pt", [TORCHSCRIPT]),
        ("**/*.onnx", [ONNX, ONNX]),
        ("**", [ONNX, TORCHSCRIPT, PICKLE, "d"]),
        ("[ab]", [ONNX, TORCHSCRIPT]),
        ("a/?/*", [ONNX]),
    ],
)
def test_globs(models: Path, pattern: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, models / pattern, "--json")
    assert [Path(str(each["path"])).name for each in lines(out)] == names


def test_what_is_named_twice_is_read_once(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, models, models / "b" / "." / TORCHSCRIPT, models / "**" / "*.pt", models / "b", "--json")
    assert [Path(str(each["path"])).name for each in lines(out)] == [ONNX, TORCHSCRIPT, PICKLE, "d"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = models / "a[1]*.onnx"
    shutil.copy(models / "a" / "1" / ONNX, odd)
    code, out, _ = run(capsys, odd)
    assert (code, out) == (0, f"{read_signature(odd)}\n")


def test_one_folder_that_is_a_model_is_shown_whole(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, models / "d") == (0, f"{read_signature(models / 'd')}\n", "")


def test_documents_beside_their_models_are_not_models(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = models / "b" / TORCHSCRIPT
    embed_signature(path, read_signature(path), beside=True)
    code, out, _ = run(capsys, models / "b", "--json")
    assert code == 0
    assert [each["path"] for each in lines(out)] == [str(path)]
    assert decode_document(out.encode()).provenance.learned is Learned.DECLARED


def test_links_to_folders_are_not_followed(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "b" / "loop").symlink_to(models)
    (models / "b" / "link.pt").symlink_to(models / "b" / TORCHSCRIPT)
    (models / "b" / "broken.pt").symlink_to(models / "none")
    os.mkfifo(models / "b" / "pipe")
    _, out, _ = run(capsys, models / "b", "--json")
    assert [Path(str(each["path"])).name for each in lines(out)] == ["link.pt", TORCHSCRIPT]


@pytest.mark.parametrize(
    ("files", "message"), [({}, "an empty directory"), ({"README.md": "text", "x.txt": ""}, "2 files of other kinds")]
)
def test_a_folder_without_models_is_an_error(
    tmp_path: Path, files: dict[str, str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    code, out, err = run(capsys, tmp_path)
    assert (code, out) == (1, "")
    assert str(tmp_path) in err
    assert message in err


def test_names_cannot_act_on_the_terminal(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(models / "b" / TORCHSCRIPT, models / "b" / "\x1b[31mred\n.pt")
    _, out, _ = run(capsys, models / "b")
    assert "\\x1b[31mred\\n.pt" in out
    assert "\x1b" not in out


def test_names_need_not_be_text(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (b"\xff.pt", b"\xfe.joblib"):
        shutil.copy(
            models / "b" / TORCHSCRIPT if name.endswith(b".pt") else models / "c" / PICKLE,
            os.fsencode(models / "b") + b"/" + name,
        )
    _, out, _ = run(capsys, models / "b", "--json")
    assert [os.fsencode(str(each["path"])).rpartition(b"/")[2] for each in lines(out)][1:] == [
        b"\xfe.joblib",
        b"\xff.pt",
    ]
    assert "\\udcff.pt" in run(capsys, models / "b")[1]


def test_verbose_says_what_it_cost(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = models / "b" / TORCHSCRIPT
    code, _, err = run(capsys, path, "-v")
    reads, read, size = (int(word.replace(",", "")) for word in err.split() if word[0].isdigit())
    assert code == 0
    assert 0 < read <= size == path.stat().st_size
    _, _, err = run(capsys, path, path.parent / "." / TORCHSCRIPT, models / "a", "-v", "--json")
    assert reads < int(err.splitlines()[-1].split()[0])


def test_a_file_that_kills_its_reader_stops_nothing(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_killer(tmp_path / "site", monkeypatch)
    folder = tmp_path / "models"
    folder.mkdir()
    document = (corpus / "formats" / ONNX).read_bytes()
    for index in range(300):
        (folder / f"{index:05}.onnx").write_bytes(b"KILL" if index in (7, 250) else document)
    code, out, err = run(capsys, folder, "--json", "--jobs", "2")
    found = lines(out)
    assert (code, err) == (1, "298 read, 2 not readable\n")
    assert [Path(str(each["path"])).name for each in found] == sorted(each.name for each in folder.iterdir())
    assert [index for index, each in enumerate(found) if "error" in each] == [7, 250]
    assert found[7]["error"]["problem"] == "reading it ended its process"


def install_killer(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A format plug-in that takes its process down, as the kernel does when there is no memory."""
    info = site / "killer-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: killer\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[trimtab.formats]\nkiller = killer\n")
    (site / "killer.py").write_text(
        "import os\nname = 'killer'\n\ndef match(source):\n    source.head(4) == b'KILL' and os._exit(9)\n"
    )
    monkeypatch.syspath_prepend(str(site))


INTERRUPTIBLE = """
import signal, sys
from trimtab.cli.main import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell started in the background ignores it
sys.exit(main())
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_interrupt_ends_it_quietly(corpus: Path, tmp_path: Path, jobs: str) -> None:
    document = (corpus / "formats" / ONNX).read_bytes()
    for index in range(3000):
        (tmp_path / f"{index:05}.onnx").write_bytes(document)
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "inspect", str(tmp_path), "--json", "--jobs", jobs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == "interrupted"
    for _ in range(200):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a process is left behind")


def test_one_file_needs_neither_processes_nor_rich(corpus: Path) -> None:
    path = corpus / "formats" / ONNX
    code = (
        f"from trimtab.cli.main import main; main(['inspect', {str(path)!r}]); import sys; print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = done.stdout.splitlines()[-1]
    for name in ("multiprocessing", "concurrent.futures", "rich", "obstore", "glob", "trimtab.artifacts.survey"):
        assert f"'{name}'" not in loaded
