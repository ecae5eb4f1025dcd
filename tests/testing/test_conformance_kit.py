"""The conformance kit: a real plug-in passes all of it, and for every check there is a format that fails it."""

from __future__ import annotations

import json
import mmap
import os
import pickle
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import trimtab.testing
from trimtab.artifacts import embed_signature, known_formats, read_signature
from trimtab.errors import ArtifactError, RefusedArtifactError
from trimtab.signature.document import decode_document
from trimtab.testing import CHECKS, FormatConformance, check_format, conformance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
PLUG_IN = HERE / "rows_format"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The plug-in, installed by pip into a folder of its own, as its users install it."""
    target = tmp_path_factory.mktemp("site")
    copy = tmp_path_factory.mktemp("source") / "rows_format"
    for path in PLUG_IN.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            (copy / path.relative_to(PLUG_IN)).parent.mkdir(parents=True, exist_ok=True)
            (copy / path.relative_to(PLUG_IN)).write_bytes(path.read_bytes())
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-q"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, copy], check=True)
    sys.path.insert(0, str(target))
    try:
        (entry,) = (it for it in metadata.entry_points(group="trimtab.formats") if it.name == "rows")
        yield entry.load()
    finally:
        sys.path.remove(str(target))
        sys.modules.pop("rows_format", None)


def file_of_rows(path: Path, columns: list[object] | None, weights: int = 40) -> Path:
    header = json.dumps({} if columns is None else {"columns": columns}).encode()
    path.write_bytes(b"ROWS %d %d\n" % (len(header), weights) + header + bytes(weights))
    return path


COLUMNS: list[object] = [
    {"name": "user_age", "dtype": "int64", "range": [0, 130]},
    {"name": 'größe "x" \n', "dtype": "float32"},
    {"name": ""},
]


@pytest.fixture
def samples(tmp_path: Path) -> dict[str, list[Path]]:
    return {
        "samples": [
            file_of_rows(tmp_path / "small.rows", COLUMNS),
            file_of_rows(tmp_path / "large.rows", COLUMNS, 3 << 20),
        ],
        "refused": [file_of_rows(tmp_path / "unnamed.rows", None)],
    }


def test_a_plug_in_that_pip_installed_is_found(rows: Any, samples: dict[str, list[Path]]) -> None:
    small = samples["samples"][0]
    assert rows in known_formats()
    assert read_signature(small).input_names == ("user_age", 'größe "x" \n', "")
    embed_signature(small, read_signature(small))
    assert read_signature(small).provenance.learned == "declared"


def test_it_passes_every_check(rows: Any, samples: dict[str, list[Path]]) -> None:
    assert conformance(rows, **samples, damages=100) == ()
    check_format(rows, **samples, damages=5)


def test_the_class_has_a_test_for_every_check() -> None:
    tests = {name.removeprefix("test_").upper() for name in dir(FormatConformance) if name.startswith("test_")}
    assert tests == set(CHECKS)


def test_the_class_runs_under_pytest(rows: Any, samples: dict[str, list[Path]], tmp_path: Path) -> None:
    suite = tmp_path / "test_rows.py"
    suite.write_text(
        "from pathlib import Path\n"
        "import rows_format\n"
        "from trimtab.testing import FormatConformance\n\n"
        "class TestRows(FormatConformance):\n"
        "    format = rows_format\n"
        f"    samples = {[str(path) for path in samples['samples']]!r}\n"
        f"    refused = {[str(path) for path in samples['refused']]!r}\n"
        "    damages = 10\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(suite)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert f"{len(CHECKS)} passed" in done.stdout, done.stdout[-2000:]


# Formats that fail


def nothing(source: Any) -> None:
    """No document inside."""


def leaking(rows: Any, source: Any) -> Any:
    open_files.append(open(source.name, "rb"))  # noqa: SIM115  # the defect under test
    return rows.derive(source)


open_files: list[Any] = []


def writing(rows: Any, source: Any) -> Any:
    with open(source.name, "ab") as file:
        file.write(b"")
        os.utime(source.name, ns=(1, 1))
    return rows.derive(source)


def slow(rows: Any, source: Any) -> Any:
    if source.name == "damaged":
        ends = time.process_time() + 0.15
        while time.process_time() < ends:
            pass
    return rows.derive(source)


def hanging(rows: Any, source: Any) -> Any:
    while source.name == "damaged":
        pass
    return rows.derive(source)


HUNGER = 400 << 20
PAGE = 4096


def hungry(rows: Any, source: Any) -> Any:
    if source.name == "damaged":
        with mmap.mmap(-1, HUNGER) as held:  # from the system itself: an allocator may keep what it was given back
            held[::PAGE] = b"x" * (HUNGER // PAGE)
    return rows.derive(source)


def by_name(rows: Any, source: Any) -> Any:
    if not source.name.endswith(".rows"):
        raise ArtifactError(where=source.name, expected="the suffix .rows")
    return rows.derive(source)


def refusing(source: Any) -> Any:
    raise RefusedArtifactError("no")


def greedy(rows: Any, source: Any) -> Any:
    source.read(0, source.size)
    return rows.derive(source)


def evaluating(rows: Any, source: Any) -> Any:
    eval("1")
    return rows.derive(source)


def unpickling(rows: Any, source: Any) -> Any:
    pickle.loads(pickle.dumps(Path("x")))
    return rows.derive(source)


def importing(rows: Any, source: Any) -> Any:
    import onnx  # noqa: F401

    return rows.derive(source)


def naive(source: Any) -> Any:
    """A header read as everybody writes it first."""
    line, _, rest = source.read(0, source.size).partition(b"\n")
    header = json.loads(rest[: int(line.split()[1])])
    names = [column["name"] for column in header.get("columns", [])]
    return decode_document(json.dumps({"input_names": names, "output_names": []}).encode())


def embedding_nothing(path: str, document: bytes) -> None:
    """Loses the document."""


def embedding_behind(path: str, document: bytes) -> None:
    """Appends, where it should replace."""
    with open(path, "ab") as file:
        file.write(document)


def embedding_refused(path: str, document: bytes) -> None:
    """Says that there is no room, when it has written already."""
    Path(path).write_bytes(Path(path).read_bytes() + b" ")
    raise RefusedArtifactError("no room")


def embedding_over(rows: Any, path: str, document: bytes) -> None:
    """Renames the first column."""
    rows.embed(path, document)
    data = Path(path).read_bytes()
    Path(path).write_bytes(data.replace(b'"user_age"', b'"user_agf"', 1))


def embedding_magic(rows: Any, path: str, document: bytes) -> None:
    rows.embed(path, document)
    Path(path).write_bytes(Path(path).read_bytes().replace(b"ROWS", b"SWOR", 1))


BAD: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "no name": ("OFFERS_FUNCTIONS", lambda rows: {"name": ""}),
    "no derive": ("OFFERS_FUNCTIONS", lambda rows: {"derive": None}),
    "matches nothing": ("MATCHES_SAMPLES", lambda rows: {"match": lambda source: False}),
    "match gives no bool": ("MATCHES_SAMPLES", lambda rows: {"match": lambda source: rows.match(source) and 1}),
    "matches everything": ("LEAVES_FOREIGN", lambda rows: {"match": lambda source: True}),
    "raises at small files": ("LEAVES_FOREIGN", lambda rows: {"match": lambda source: source.read(0, 5) == b"ROWS "}),
    "opens every folder": ("LEAVES_FOREIGN", lambda rows: {"open_folder": lambda path: open(os.devnull)}),  # noqa: SIM115
    "goes by the name": ("IGNORES_NAMES", lambda rows: {"derive": lambda source: by_name(rows, source)}),
    "states nothing": ("STATES_SIGNATURE", lambda rows: {"derive": lambda source: None}),
    "another format's name": ("STATES_SIGNATURE", lambda rows: {"name": "columns"}),
    "refuses without advice": ("STATES_SIGNATURE", lambda rows: {"derive": refusing}),
    "reads the weights": ("READS_LITTLE", lambda rows: {"derive": lambda source: greedy(rows, source)}),
    "closes the source": ("KEEPS_SOURCE", lambda rows: {"declared": lambda source: source.close()}),
    "leaks files": ("KEEPS_SOURCE", lambda rows: {"derive": lambda source: leaking(rows, source)}),
    "touches the file": ("KEEPS_SOURCE", lambda rows: {"derive": lambda source: writing(rows, source)}),
    "declares text": ("READS_DECLARED", lambda rows: {"declared": lambda source: "{}"}),
    "embeds nothing": ("EMBEDS_DOCUMENT", lambda rows: {"embed": embedding_nothing}),
    "embeds behind": ("EMBEDS_DOCUMENT", lambda rows: {"embed": embedding_behind}),
    "refuses to embed, late": ("EMBEDS_DOCUMENT", lambda rows: {"embed": embedding_refused}),
    "embeds over": ("EMBEDDING_KEEPS_MODEL", lambda rows: {"embed": lambda *each: embedding_over(rows, *each)}),
    "embeds into the magic": (
        "EMBEDDING_KEEPS_MODEL",
        lambda rows: {"embed": lambda *each: embedding_magic(rows, *each)},
    ),
    "evaluates": ("EXECUTES_NOTHING", lambda rows: {"derive": lambda source: evaluating(rows, source)}),
    "unpickles": ("EXECUTES_NOTHING", lambda rows: {"derive": lambda source: unpickling(rows, source)}),
    "imports a framework": ("EXECUTES_NOTHING", lambda rows: {"derive": lambda source: importing(rows, source)}),
    "writes": ("EXECUTES_NOTHING", lambda rows: {"derive": lambda source: writing(rows, source)}),
    "is naive": ("SURVIVES_DAMAGE", lambda rows: {"derive": naive}),
    "is slow": ("SURVIVES_DAMAGE", lambda rows: {"derive": lambda source: slow(rows, source)}),
    "hangs": ("SURVIVES_DAMAGE", lambda rows: {"derive": lambda source: hanging(rows, source)}),
    "is hungry": ("SURVIVES_DAMAGE", lambda rows: {"derive": lambda source: hungry(rows, source)}),
    "unpickles what is damaged": ("SURVIVES_DAMAGE", lambda rows: {"derive": lambda source: unpickling(rows, source)}),
}


@pytest.mark.parametrize(("check", "changes"), BAD.values(), ids=list(BAD))
def test_a_bad_format_fails(rows: Any, tmp_path: Path, check: str, changes: Callable[[Any], dict[str, Any]]) -> None:
    functions = {name: getattr(rows, name) for name in ("name", "match", "derive", "declared", "embed")}
    bad = SimpleNamespace(**{**functions, **changes(rows)})
    sample = file_of_rows(tmp_path / "small.rows", COLUMNS, 3 << 20 if check == "READS_LITTLE" else 10)
    seconds = 0.1 if check == "SURVIVES_DAMAGE" else 2
    found = conformance(bad, [sample], only=[check], damages=3, seconds=seconds)
    assert {each.rule for each in found} == {check}
    with pytest.raises(AssertionError, match=rf"^{check}: "):
        check_format(bad, [sample], only=[check], damages=3, seconds=seconds)
    while open_files:
        open_files.pop().close()


def test_every_check_has_a_format_that_fails_it() -> None:
    assert {check for check, _ in BAD.values()} == set(CHECKS)


def test_a_format_without_samples_is_not_tested(rows: Any) -> None:
    assert {each.rule for each in conformance(rows, [])} == {"OFFERS_FUNCTIONS"}


def test_samples_that_should_be_refused(rows: Any, samples: dict[str, list[Path]]) -> None:
    (found,) = conformance(rows, [], refused=samples["samples"][:1], only=["STATES_SIGNATURE"])
    assert found.problem == "not refused"
    (found,) = conformance(rows, samples["refused"], only=["STATES_SIGNATURE"])
    assert found.problem == "no signature"


def test_a_check_says_who_breaks_and_what_to_do() -> None:
    for check in CHECKS.values():
        assert "Who breaks: " in check.page
        assert "Instead: " in check.page


def test_public_names() -> None:
    for name in trimtab.testing.__all__:
        assert getattr(trimtab.testing, name).__doc__
    with pytest.raises(AttributeError):
        trimtab.testing.nothing  # noqa: B018
