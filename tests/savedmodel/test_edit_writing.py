"""Writing an edited SavedModel: only the changed bytes change, and whenever it is cut short, an old model is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.errors import ArtifactError, RefusedArtifactError, TrimtabError
from trimtab.savedmodel import editing, load
from trimtab.savedmodel.editing import output as output_module
from trimtab.savedmodel.editing import splice as splice_module
from trimtab.savedmodel.editing.draft import Change, Draft
from trimtab.savedmodel.editing.output import Written, write_saved_model
from trimtab.savedmodel.editing.splice import splice
from trimtab.savedmodel.file import BINARY, TEXT
from trimtab.savedmodel.index import Span
from trimtab.savedmodel.messages import classes, serialize
from trimtab.savedmodel.model import SavedModel
from trimtab.source.bytes import ByteSource, MemorySource

BINARY_MODELS = ["captures", "composites", "example", "keras3_export", "multi_sigs", "nested", "tf1_style"]
MAPS = ("signature_def", "concrete_functions", "collection_def")


def proto(corpus: Path, name: str) -> bytes:
    return (corpus / "savedmodel" / name / "model" / BINARY).read_bytes()


def opened(data: bytes) -> SavedModel:
    return SavedModel(MemorySource(data))


def parse(data: bytes) -> Any:
    return classes()["SavedModel"].FromString(data)


def repeated(graph: Any, place: str) -> Any:
    """The field of a parsed MetaGraphDef that a place is."""
    return {
        "function": lambda: graph.graph_def.library.function,
        "node": lambda: graph.graph_def.node,
        "nodes": lambda: graph.object_graph_def.nodes,
        "concrete_functions": lambda: graph.object_graph_def.concrete_functions,
        "signature_def": lambda: graph.signature_def,
        "collection_def": lambda: graph.collection_def,
    }[place]()


def part(draft: Draft, place: str) -> Any:
    return getattr(draft, {"function": "functions", "node": "nodes", "nodes": "objects"}.get(place, place))


def name_of(message: Any, place: str) -> str:
    return str(message.signature.name if place == "function" else message.name)


def spliced(model: SavedModel, changes: tuple[Change, ...], graph: int = 0) -> bytes:
    done = splice(model.source, model.meta_graphs[graph].index, changes)
    data = b"".join(done.chunks())
    assert len(data) == done.size
    return data


def changed_name(message: Any, place: str, name: str) -> None:
    """Make a message visibly another, of about any size."""
    match place:
        case "function":
            message.signature.description = name
        case "node":
            message.device = name
        case "nodes":
            message.registered_name = name
        case "signature_def":
            message.method_name = name
        case "concrete_functions":
            message.output_signature.string_value = name
        case "collection_def":
            message.node_list.value.append(name)


@st.composite
def operations(draw: st.DrawFn) -> list[tuple[str, str, int, str]]:
    """What to do where: to which part, by a number that is taken modulo their count, and with what text."""
    place = st.sampled_from(["function", "node", "nodes", *MAPS])
    verb = st.sampled_from(["add", "change", "remove"])
    text = st.one_of(st.text(max_size=9), st.integers(1, 20_000).map(lambda length: "x" * length))
    return draw(st.lists(st.tuples(place, verb, st.integers(0, 10_000), text), max_size=8))


def apply(draft: Draft, graph: Any, operation: tuple[str, str, int, str], number: int) -> None:
    """One operation on the draft and on the parsed proto."""
    place, verb, at, text = operation
    parts, field = part(draft, place), repeated(graph, place)
    keys = list(parts)
    is_tf2 = draft.meta_graph.is_tf2
    if place in ("nodes", "concrete_functions") and not is_tf2 and verb != "add":
        return
    if verb == "add":
        message = parts._class()
        changed_name(message, place, text)
        if place in MAPS:
            key: Any = f"{text[:5]}{number}"
            field[key].CopyFrom(message)
        elif place == "nodes":
            key = len(parts)
            field.add().CopyFrom(message)
        else:
            key = f"added{number}"
            (message.signature if place == "function" else message).name = key
            field.add().CopyFrom(message)
        parts.put(key, message, "add")
        return
    if not keys:
        return
    key = keys[at % len(keys)]
    if verb == "remove":
        parts.remove(key, "remove")
        if place == "nodes":
            field[key].CopyFrom(parts[key])
        elif place in MAPS:
            del field[key]
        else:
            del field[next(at for at, each in enumerate(field) if name_of(each, place) == key)]
        return
    message = parts[key]
    changed_name(message, place, text)
    parts.put(key, message, "change")
    if place in MAPS or place == "nodes":
        field[key].CopyFrom(message)
    else:
        field[next(at for at, each in enumerate(field) if name_of(each, place) == key)].CopyFrom(message)


@pytest.mark.parametrize("name", BINARY_MODELS)
@settings(max_examples=60)
@given(operations=operations())
def test_splicing_is_parsing_changing_and_serializing(corpus: Path, name: str, operations: Any) -> None:
    """Byte for byte what protobuf writes of the changed message: TensorFlow wrote the rest deterministically too."""
    data = _proto(corpus, name)
    model, mirror = opened(data), parse(data)
    draft = Draft(model, model.meta_graphs[0])
    for number, operation in enumerate(operations):
        apply(draft, mirror.meta_graphs[0], operation, number)
    without_empty_messages(mirror.meta_graphs[0])
    assert spliced(model, draft.changes()) == serialize(mirror)


def without_empty_messages(graph: Any) -> None:
    """Take out messages that were made for a part, and then lost it."""
    for outer, inner in ((graph.graph_def, "library"), (graph, "graph_def"), (graph, "object_graph_def")):
        if outer.HasField(inner) and not getattr(outer, inner).ByteSize():
            outer.ClearField(inner)


@cache
def _proto(corpus: Path, name: str) -> bytes:
    return proto(corpus, name)


@pytest.mark.parametrize("name", BINARY_MODELS)
def test_without_changes_the_proto_is_the_same(corpus: Path, name: str) -> None:
    data = proto(corpus, name)
    assert spliced(opened(data), ()) == data


@settings(max_examples=60)
@given(operations=operations(), graph=st.integers(0, 2), empty=st.sampled_from(["", "graph", "objects", "both", "all"]))
def test_several_graphs_and_graphs_with_nothing_in_them(corpus: Path, operations: Any, graph: int, empty: str) -> None:
    """Messages around a part are made where the proto lacks them, and only the lengths of one graph are mended."""
    one = parse(_proto(corpus, "example"))
    mirror = classes()["SavedModel"](saved_model_schema_version=1)
    for at in range(3):
        mirror.meta_graphs.add().CopyFrom(one.meta_graphs[0])
        mirror.meta_graphs[at].meta_info_def.tags.append(str(at))
    target = mirror.meta_graphs[graph]
    if empty in ("graph", "both", "all"):
        target.ClearField("graph_def")
        target.ClearField("signature_def")
    if empty in ("objects", "both", "all"):
        target.ClearField("object_graph_def")
    if empty == "all":
        target.ClearField("meta_info_def")
        target.ClearField("saver_def")
    model = opened(serialize(mirror))
    draft = Draft(model, model.meta_graphs[graph])
    for number, operation in enumerate(operations):
        apply(draft, target, operation, number)
    without_empty_messages(target)
    assert parse(spliced(model, draft.changes(), graph)) == mirror


def test_bytes_outside_a_change_stay_as_they_are_even_where_no_serializer_writes_them_so(corpus: Path) -> None:
    """An overlong length and fields in an unusual order are kept: only what a change encloses is written anew."""
    mirror = parse(proto(corpus, "example"))
    graph = mirror.meta_graphs[0]
    info = serialize(graph.meta_info_def)
    graph.ClearField("meta_info_def")
    inner = serialize(graph) + b"\x0a" + bytes([len(info) & 0x7F | 0x80, len(info) >> 7 | 0x80, 0x80, 0x00]) + info
    data = (
        b"\x12"
        + bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7 & 0x7F | 0x80, len(inner) >> 14])
        + inner
        + b"\x08\x01"
    )
    model = opened(data)
    draft = Draft(model, model.meta_graphs[0])
    signature = draft.signature_def["capture_fn"]
    signature.method_name = "another"
    draft.signature_def.put("capture_fn", signature, "")
    after = spliced(model, draft.changes())
    assert after.endswith(data[-len(info) - 7 :])
    assert parse(after).meta_graphs[0].signature_def["capture_fn"] == signature
    assert opened(after).meta_graph.tags == ("serve",)


class Endless(ByteSource):
    """A proto of 200 MB that is never in memory: zeros, but for its head."""

    def __init__(self, head: bytes, size: int) -> None:
        super().__init__("large", size)
        self.head_bytes = head
        self.longest = 0

    def _read(self, offset: int, length: int) -> bytes:
        self.longest = max(self.longest, length)
        return self.head_bytes[offset : offset + length].ljust(length, b"\0")


def test_a_large_proto_is_copied_in_small_pieces(corpus: Path) -> None:
    data = proto(corpus, "example")
    model = opened(data)
    draft = Draft(model, model.meta_graphs[0])
    draft.signature_def.remove("capture_fn", "")
    source = Endless(data, 200 << 20)
    done = splice(source, model.meta_graphs[0].index, draft.changes())
    assert sum(map(len, done.chunks())) == done.size
    assert source.longest <= 1 << 20


def test_a_proto_that_would_grow_over_protobufs_limit_is_refused(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = proto(corpus, "example")
    monkeypatch.setattr(splice_module, "MAX_BINARY_BYTES", len(data) + 40)
    model = opened(data)
    change = Change("signature_def", "new", None, b"\x1a\x64" + b"m" * 100, None, "")
    with pytest.raises(RefusedArtifactError, match="2 GiB"):
        splice(model.source, model.meta_graphs[0].index, [change])


# Directories


OLD = "tensorflow/serving/predict"


@pytest.fixture
def model(corpus: Path, tmp_path: Path) -> Path:
    """A copy of a model with assets, variables, a fingerprint and files that TensorFlow does not know."""
    copy = Path(shutil.copytree(corpus / "savedmodel" / "captures" / "model", tmp_path / "model"))
    for folder in (copy, *copy.rglob("*")):
        folder.chmod(0o755 if folder.is_dir() else 0o640)
    (copy / "assets.extra").mkdir()
    (copy / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"warm")
    (copy / "keras_metadata.pb").write_bytes(b"keras")
    return copy


def key_of(loaded: SavedModel) -> str:
    return next(key for key in loaded.meta_graph.signature_def if not key.startswith("__"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, destination: Path | None, *, link: bool = False, method_name: str = "another") -> Written:
    """Change one SignatureDef and write."""
    with load(folder) as loaded:
        draft = Draft(loaded, loaded.meta_graph)
        signature = draft.signature_def[key_of(loaded)]
        signature.method_name = method_name
        draft.signature_def.put(key_of(loaded), signature, "")
        return write_saved_model(loaded, loaded.meta_graph, draft.changes(), destination, link=link)


def method_name(folder: Path) -> str:
    with load(folder) as loaded:
        return loaded.meta_graph.signature_def[key_of(loaded)].method_name


def test_a_new_directory_holds_everything_but_the_fingerprint(model: Path, tmp_path: Path) -> None:
    before = files(model)
    written = write(model, tmp_path / "made" / "dst")
    after = files(tmp_path / "made" / "dst")
    assert files(model) == before
    assert before.keys() - after.keys() == {"fingerprint.pb"} == set(written.left_out)
    assert {name for name in after if after[name] != before[name]} == {BINARY}
    assert after.keys() <= before.keys()
    assert written.size == len(after[BINARY])
    assert method_name(tmp_path / "made" / "dst") == "another"
    assert os.listdir(tmp_path / "made") == ["dst"]
    assert (tmp_path / "made" / "dst" / BINARY).stat().st_mode & 0o777 == 0o640


def test_links_share_the_weights_and_never_the_proto(model: Path, tmp_path: Path) -> None:
    write(model, tmp_path / "dst", link=True)
    for name in files(tmp_path / "dst"):
        assert (tmp_path / "dst" / name).samefile(model / name) == (name != BINARY)
    write(tmp_path / "dst", None, method_name="third")
    assert [method_name(tmp_path / "dst"), method_name(model)] == ["third", OLD]


def test_symbolic_links_are_followed(model: Path, tmp_path: Path) -> None:
    (model / "variables").rename(tmp_path / "elsewhere")
    (model / "variables").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "link").symlink_to(model)
    write(tmp_path / "link", tmp_path / "dst")
    write(tmp_path / "link", tmp_path / "linked", link=True)
    for made in (tmp_path / "dst", tmp_path / "linked"):
        assert not any(path.is_symlink() for path in (made, *made.rglob("*")))
        assert files(made / "variables") == files(tmp_path / "elsewhere")


def test_in_place_the_old_proto_is_kept_each_time(model: Path) -> None:
    before = files(model)
    first = write(model, None)
    second = write(model, None, method_name="third")
    after = files(model)
    assert method_name(model) == "third"
    assert [Path(first.backup).name, Path(second.backup).name] == [f"{BINARY}.bak-1", f"{BINARY}.bak-2"]
    assert after[f"{BINARY}.bak-1"] == before[BINARY]
    assert after["fingerprint.pb.bak-1"] == before["fingerprint.pb"]
    assert first.left_out == ("fingerprint.pb",)
    kept = before.keys() - {BINARY, "fingerprint.pb"}
    assert all(after[name] == before[name] for name in kept)
    assert len(after) == len(before) + 2
    assert (model / BINARY).stat().st_mode & 0o777 == 0o640


def test_a_linked_proto_is_edited_where_it_lies(model: Path, tmp_path: Path) -> None:
    (model / BINARY).rename(tmp_path / "shared.pb")
    (model / BINARY).symlink_to(tmp_path / "shared.pb")
    old = (tmp_path / "shared.pb").read_bytes()
    written = write(model, None)
    assert (model / BINARY).is_symlink()
    assert method_name(model) == "another"
    assert Path(written.backup).read_bytes() == old


def test_backups_are_not_copied(model: Path, tmp_path: Path) -> None:
    write(model, None)
    write(model, tmp_path / "dst")
    assert not [name for name in files(tmp_path / "dst") if "bak" in name]


def test_without_changes_nothing_is_written_in_place(model: Path, tmp_path: Path) -> None:
    before = files(model)
    with load(model) as loaded:
        assert not write_saved_model(loaded, loaded.meta_graph, (), None).backup
        assert files(model) == before
        write_saved_model(loaded, loaded.meta_graph, (), tmp_path / "dst")
    assert (tmp_path / "dst" / BINARY).read_bytes() == before[BINARY]


def test_text_stays_text(corpus: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(corpus / "savedmodel" / "pbtxt" / "model", tmp_path / "model"))
    for destination in (tmp_path / "dst", None):
        write(copy, destination)
    for made in (tmp_path / "dst", copy):
        assert (made / TEXT).read_bytes().startswith(b"saved_model_schema_version")
        assert not (made / BINARY).exists()
        assert method_name(made) == "another"


# What is refused


def dangling(model: Path) -> Path:
    (model.parent / "dangling").symlink_to(model.parent / "nowhere")
    return model.parent / "dangling"


REFUSALS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "an existing directory": (lambda model: model.parent, "does not exist yet"),
    "an existing file": (lambda model: model / BINARY, "does not exist yet"),
    "a dangling link": (dangling, "does not exist yet"),
    "inside the model": (lambda model: model / "variables" / "dst", "outside the model"),
    "below a file": (lambda model: model.parent / "file" / "dst", "room and permission"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_destination_is_refused(model: Path, case: str) -> None:
    (model.parent / "file").write_bytes(b"")
    make, message = REFUSALS[case]
    destination = make(model)
    before = files(model.parent)
    with pytest.raises(ArtifactError, match=message):
        write(model, destination)
    assert files(model.parent) == before


def test_a_folder_within_itself_and_a_pipe_are_refused(model: Path, tmp_path: Path) -> None:
    (model / "loop").symlink_to(model)
    with pytest.raises(ArtifactError, match="contains itself"):
        write(model, tmp_path / "dst")
    (model / "loop").unlink()
    os.mkfifo(model / "pipe")
    with pytest.raises(ArtifactError, match="regular file"):
        write(model, tmp_path / "dst")
    (model / "pipe").unlink()
    (model / "missing").symlink_to(model / "nowhere")
    with pytest.raises(ArtifactError, match="missing"):
        write(model, tmp_path / "dst")
    assert sorted(os.listdir(tmp_path)) == ["model"]


def test_a_proto_outside_a_model_is_not_written(model: Path, tmp_path: Path) -> None:
    shutil.copy(model / BINARY, tmp_path / "alone.pb")
    with pytest.raises(ArtifactError, match=r"alone\.pb"):
        write(tmp_path / "alone.pb", tmp_path / "dst")


def test_what_does_not_read_back_is_not_kept(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(model)
    with load(model) as loaded:
        graph = loaded.meta_graph
        at = graph.index.span.end
        lies = [
            Change("function", "another_name", None, b"\x0a\x03\x0a\x01x", None, ""),
            Change("node", "no_such_node", b"", None, Span(at, at, at), ""),
            Change("signature_def", "no_such_key", b"", None, Span(at, at, at), ""),
        ]
        for lie in lies:
            for destination in (tmp_path / "dst", None):
                with pytest.raises(ArtifactError, match="not what was drafted"):
                    write_saved_model(loaded, graph, [lie], destination)
    assert files(model) == before
    assert sorted(os.listdir(tmp_path)) == ["model"]


def test_a_part_that_the_proto_holds_twice_is_noticed(corpus: Path, model: Path) -> None:
    """Taking the last copy of a map's entry away would bring the first to light."""
    twice = parse(proto(corpus, "example"))
    again = classes()["SavedModel"]()
    again.meta_graphs.add().signature_def["capture_fn"].method_name = "first"
    entry = serialize(again)[2:]
    inner = entry + serialize(twice.meta_graphs[0])
    data = b"\x12" + bytes([len(inner) & 0x7F | 0x80, len(inner) >> 7 & 0x7F | 0x80, len(inner) >> 14]) + inner
    (model / BINARY).write_bytes(data)
    with load(model) as loaded:
        draft = Draft(loaded, loaded.meta_graph)
        draft.signature_def.remove("capture_fn", "")
        with pytest.raises(ArtifactError, match="twice"):
            write_saved_model(loaded, loaded.meta_graph, draft.changes(), None)
    assert (model / BINARY).read_bytes() == data


# Crashes and full disks


class Crash(BaseException):
    """The machine stops: nothing after it happens, no clean-up either."""


STEPS = ["open", "mkdir", "link", "rename", "replace", "fsync", "chmod", "fchmod", "copy_file_range", "unlink", "rmdir"]


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """From the given step on, nothing reaches the disk."""
    done = 0
    real: dict[str, Any] = {name: getattr(os, name) for name in STEPS}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal done
            writes = name != "open" or (len(arguments) > 1 and arguments[1] & (os.O_WRONLY | os.O_RDWR))
            done += bool(writes)
            if writes and done > step:
                raise Crash
            return real[name](*arguments, **options)

        return call

    for name in STEPS:
        monkeypatch.setattr(os, name, wrapped(name))


@pytest.mark.parametrize("in_place", [True, False])
def test_a_crash_at_any_step_leaves_the_old_model_or_the_new_one(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_place: bool
) -> None:
    before = files(model)
    step = 0
    finished = False
    while not finished:
        with monkeypatch.context() as patch:
            crash_at(patch, step)
            try:
                write(model, None if in_place else tmp_path / "dst")
                finished = True
            except Crash:
                step += 1
        assert method_name(model) in (("another", OLD) if in_place else (OLD,))
        after = files(model)
        assert all(after[name] == before[name] for name in before if name not in (BINARY, "fingerprint.pb"))
        if in_place:
            protos = [data for name, data in after.items() if Path(name).name.startswith(BINARY)]
            assert before[BINARY] in protos
            shutil.rmtree(model)
            for name, data in before.items():
                (model / name).parent.mkdir(parents=True, exist_ok=True)
                (model / name).write_bytes(data)
        elif (tmp_path / "dst").exists():
            assert method_name(tmp_path / "dst") == "another"
            assert files(tmp_path / "dst").keys() == before.keys() - {"fingerprint.pb"}
            shutil.rmtree(tmp_path / "dst")
    assert step > 5


FULL = """
import resource, signal, sys
sys.path.insert(0, sys.argv[3])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from trimtab.errors import ArtifactError
from trimtab.savedmodel import load
from trimtab.savedmodel.editing.draft import Draft
from trimtab.savedmodel.editing.output import write_saved_model
with load(sys.argv[1]) as loaded:
    draft = Draft(loaded, loaded.meta_graph)
    draft.signature_def.remove(next(iter(draft.signature_def)), "")
    changes = draft.changes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    try:
        write_saved_model(loaded, loaded.meta_graph, changes, sys.argv[2] or None)
    except ArtifactError as refused:
        print(refused)
        raise SystemExit(7)
"""


@pytest.mark.parametrize("destination", ["dst", ""])
def test_when_the_disk_takes_no_more_the_old_model_stays(model: Path, root: Path, destination: str) -> None:
    """A limit of the process on the size of a file stands for a full disk: writes fail in the middle."""
    before = files(model.parent)
    target = str(model.parent / destination) if destination else ""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(model), target, str(root / "src")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (7, "")
    assert "cannot be written" in done.stdout
    assert files(model.parent) == before


@pytest.mark.parametrize("failing", ["link", "replace", "fsync", "chmod", "rename"])
def test_a_step_that_fails_is_taken_back(model: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    before = files(model.parent)

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fails)
    if failing == "link":
        monkeypatch.setattr(output_module, "_copy_file", fails)
    with pytest.raises(ArtifactError, match="no space left"):
        write(model, model.parent / "dst" if failing == "rename" else None)
    monkeypatch.undo()
    assert files(model.parent) == before


def test_where_there_are_no_hard_links_the_backup_is_a_copy(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = (model / BINARY).read_bytes()

    def fails(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", fails)
    written = write(model, None)
    assert Path(written.backup).read_bytes() == old
    with pytest.raises(ArtifactError, match="leave --link out"):
        write(model, model.parent / "dst", link=True)


@pytest.mark.parametrize("name", ["example", "multi_sigs", "tf1_style"])
@settings(max_examples=60)
@given(at=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6), cut=st.booleans())
def test_damaged_protos_give_errors_of_ours_only(corpus: Path, name: str, at: Any, cut: bool) -> None:
    data = bytearray(_proto(corpus, name))
    for place, byte in at:
        data[int(place * (len(data) - 1))] = byte
    if cut:
        del data[int(at[0][0] * len(data)) :]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, BINARY).write_bytes(data)
        for ask in HOSTILE:
            with suppress(TrimtabError), editing.edit(folder) as editor:
                key = next(iter(editor.meta_graph.signatures), "x")
                ask(editor, key).save(in_place=True)


HOSTILE: list[Callable[[editing.Editor, str], editing.Editor]] = [
    lambda editor, key: editor.alias_signature(key, "other").rename_signature(key, "another"),
    lambda editor, key: editor.remove_signature(key),
    lambda editor, key: editor.drop_trace("polymorphic_fn", 0),
    lambda editor, key: editor.add_signature("new", key).rename_outputs("new", {"output_0": "y"}),
    lambda editor, key: editor.add_signature("new", inputs={"x": "x:0"}, fetches={"y": "y:0"}),
]


def test_the_public_face_writes_too(model: Path, tmp_path: Path) -> None:
    with editing.edit(model) as editor:
        editor.save(tmp_path / "dst")
    assert (tmp_path / "dst" / BINARY).read_bytes() == (model / BINARY).read_bytes()
