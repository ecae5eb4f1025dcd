"""Write an edited SavedModel: to a new directory, or in place with a backup; and read it back before it counts.

Variables, assets and whatever else lies in the directory are copied, or linked, and never opened for writing.
`fingerprint.pb` is left out: it holds hashes of the proto that only TensorFlow's C++ computes, would be wrong after an
edit, and no loader asks for it. In place it is kept beside the proto's backup.

Until the last step, a rename, readers find the old model or none. A crash leaves at most a hidden folder behind.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing.draft import Draft
from trimtab.savedmodel.editing.splice import splice
from trimtab.savedmodel.file import BINARY, SPLIT, TEXT
from trimtab.savedmodel.model import load
from trimtab.source.replace import copy_range, replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.savedmodel.editing.draft import Change
    from trimtab.savedmodel.editing.splice import Splice
    from trimtab.savedmodel.model import MetaGraph, SavedModel

FINGERPRINT = "fingerprint.pb"

_NOT_COPIED = re.compile(rf"(\.?({re.escape(BINARY)}|{re.escape(TEXT)}|{re.escape(SPLIT)}|{re.escape(FINGERPRINT)}))")
"""Protos, fingerprints, their backups and what an interrupted edit left behind: by how their names begin."""

_MAX_FILES = 100_000


class Written(Struct, frozen=True):
    """What was written.

    directory: of the edited model. proto: its `saved_model.pb` or `saved_model.pbtxt`, of `size` bytes.
    backup: where the old proto is kept after an edit in place; empty when there is none.
    left_out: files of the old model that the new one has not.
    """

    directory: str
    proto: str
    size: int
    backup: str = ""
    left_out: tuple[str, ...] = ()


def write_saved_model(
    saved_model: SavedModel,
    meta_graph: MetaGraph,
    changes: Sequence[Change],
    destination: str | os.PathLike[str] | None,
    *,
    link: bool = False,
) -> Written:
    """Write the model with changes made to one of its MetaGraphs.

    destination: a directory that does not exist yet. None replaces the proto of the model itself; the old one stays
    beside it as `saved_model.pb.bak-1`, or with the next free number, and nothing is written when nothing changes.
    link: variables and all other files become hard links to those of the old model, so that they take no room.
    ArtifactError, and nothing changed, when the model cannot be written, or does not read back as it was drafted.
    """
    path = os.path.abspath(saved_model.name)
    if os.path.basename(path) not in (BINARY, TEXT):
        raise ArtifactError(
            where=path,
            expected=f"a model to edit in a directory of its own, as {BINARY} or {TEXT}",
            got=f"a proto named {os.path.basename(path)!r}",
        )
    edit = _Edit(saved_model, meta_graph, changes, splice(saved_model.source, meta_graph.index, changes))
    if destination is None:
        return _in_place(edit, path)
    return _anew(edit, path, os.path.abspath(destination), link=link)


class _Edit(NamedTuple):
    saved_model: SavedModel
    meta_graph: MetaGraph
    changes: Sequence[Change]
    spliced: Splice


def _anew(edit: _Edit, path: str, output: str, *, link: bool) -> Written:
    directory, name = os.path.split(path)
    if os.path.lexists(output):
        raise ArtifactError(
            where=output,
            expected="a directory that does not exist yet",
            got="one that does",
            hint="Nothing is overwritten. Name another, or edit in place: a backup of the proto is kept.",
        )
    if _inside(output, directory):
        raise ArtifactError(where=output, expected="a directory outside the model's own", got="one inside it")
    with _errors(output):
        parent = os.path.dirname(output)
        os.makedirs(parent, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=f".{os.path.basename(output)}.", dir=parent)
        try:
            left_out = _copy_tree(directory, temporary, link=link)
            proto = os.path.join(temporary, name)
            size = _write(edit.spliced, proto)
            os.chmod(proto, _mode(path))
            _read_back(edit, proto)
            os.chmod(temporary, _mode(directory))
            _sync(temporary)
            os.rename(temporary, output)
            _sync(parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return Written(output, os.path.join(output, name), size, left_out=left_out)


def _in_place(edit: _Edit, path: str) -> Written:
    directory = os.path.dirname(path)
    if not edit.changes:
        return Written(directory, path, os.path.getsize(path))
    backup = ""
    with _errors(path):
        target = os.path.realpath(path)
        try:
            with replacing(target) as temporary:
                size = _write(edit.spliced, temporary)
                _read_back(edit, temporary)
                backup = _keep(target)
        except BaseException:
            with suppress(OSError):
                if backup and os.path.samefile(backup, target):
                    os.unlink(backup)
            raise
    fingerprint = os.path.join(directory, FINGERPRINT)
    if not os.path.lexists(fingerprint):
        return Written(directory, path, size, backup)
    with suppress(OSError):  # where it stays, it is out of date, and nothing reads it
        os.rename(fingerprint, _free(fingerprint))
    return Written(directory, path, size, backup, (FINGERPRINT,))


def _write(spliced: Splice, path: str) -> int:
    """Write the proto, in the form that its name asks for; its size."""
    with open(path, "xb") as file:
        if path.endswith(".pbtxt"):
            from trimtab.savedmodel.messages import format_text

            file.write(format_text(b"".join(spliced.chunks())))
        else:
            for chunk in spliced.chunks():
                file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def _read_back(edit: _Edit, path: str) -> None:
    """Hold the written proto against the draft: each change is in it, and all else has kept its size."""
    position = next(at for at, each in enumerate(edit.saved_model.meta_graphs) if each is edit.meta_graph)
    with load(path) as written:
        graph = written.meta_graphs[position]
        found = Draft(written, graph)
        nodes: Any = found.nodes if any(change.place == "node" for change in edit.changes) else {}
        places: dict[str, Any] = {
            "function": found.functions,
            "node": nodes,
            "signature_def": found.signature_def,
            "concrete_functions": found.concrete_functions,
            "collection_def": found.collection_def,
            "nodes": found.objects,
        }
        growth = dict.fromkeys(places, 0)
        for change in edit.changes:
            place = places[change.place]
            if (place.content(change.key) if change.key in place else None) != change.after:
                raise _not_as_drafted(path, f"{change.place}[{change.key!r}]")
            growth[change.place] += (change.after is not None) - (change.before is not None)
        for name, count_ in growth.items():
            if len(getattr(graph.index, name)) != len(getattr(edit.meta_graph.index, name)) + count_:
                raise _not_as_drafted(path, name)
        others = zip(written.index.meta_graphs, edit.saved_model.index.meta_graphs, strict=True)
        for at, (new, old) in enumerate(others):
            if at != position and new.span.end - new.span.start != old.span.end - old.span.start:
                raise _not_as_drafted(path, f"meta_graphs[{at}]")


def _not_as_drafted(path: str, part: str) -> ArtifactError:
    return ArtifactError(
        "what was written is not what was drafted",
        where=f"{path}: {part}",
        expected="the part as drafted",
        got="another",
        hint="The model is left as it was. Does the proto hold this part twice, or is the disk failing?",
    )


def _copy_tree(source: str, target: str, *, link: bool) -> tuple[str, ...]:
    """Copy or link what lies beside the proto; the names of what is left out on purpose.

    Symbolic links are followed: the copy stands alone.
    """
    left_out = []
    files = 0
    waiting = [(source, target, frozenset({_identity(source)}))]
    made = []
    while waiting:
        folder, copy, above = waiting.pop()
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            files += 1
            if files > _MAX_FILES:
                raise ArtifactError(where=source, expected=f"at most {_MAX_FILES} files in a model", got="more")
            if folder == source and _NOT_COPIED.match(entry.name):
                left_out += [entry.name] if entry.name == FINGERPRINT else []
            elif entry.is_dir():
                identity = _identity(entry.path)
                if identity in above:
                    raise ArtifactError(where=entry.path, expected="a tree of folders", got="one that contains itself")
                inner = os.path.join(copy, entry.name)
                os.mkdir(inner)
                made.append((entry.path, inner))
                waiting.append((entry.path, inner, above | {identity}))
            else:
                _copy_file(entry.path, os.path.join(copy, entry.name), link=link)
    for folder, copy in reversed(made):
        os.chmod(copy, _mode(folder))
        _sync(copy)
    return tuple(left_out)


def _copy_file(source: str, target: str, *, link: bool) -> None:
    status = os.stat(source)
    if not stat.S_ISREG(status.st_mode):
        raise ArtifactError(where=source, expected="a regular file in a model's directory", got="a device or pipe")
    if link:
        os.link(os.path.realpath(source), target)
        return
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_range(reading, writing, 0, status.st_size)
            os.fchmod(writing, status.st_mode & 0o7777)
            os.fsync(writing)
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _keep(path: str) -> str:
    """Give the file a second name, `.bak-1` or the next free number. Where there are no hard links, a copy."""
    for number in count(1):
        backup = f"{path}.bak-{number}"
        try:
            os.link(path, backup)
        except FileExistsError:
            continue
        except OSError:
            if os.path.lexists(backup):
                continue
            _copy_file(path, backup, link=False)
        return backup
    raise AssertionError("numbers do not end")


def _free(path: str) -> str:
    return next(name for name in (f"{path}.bak-{number}" for number in count(1)) if not os.path.lexists(name))


@contextmanager
def _errors(where: str) -> Iterator[None]:
    """Errors of the file system as ours."""
    try:
        yield
    except OSError as failure:
        raise ArtifactError(
            "the model cannot be written",
            where=os.fspath(failure.filename) if isinstance(failure.filename, str) else where,
            expected="room and permission",
            got=(failure.strerror or str(failure)).lower(),
            hint=_HINTS.get(failure.errno or 0, "The old model is as it was."),
        ) from None


_HINTS = {
    errno.ENOSPC: "The disk is full; the old model is as it was. Hard links take no room: --link.",
    errno.EXDEV: "Hard links do not cross file systems: write to the model's own, or leave --link out.",
    errno.EPERM: "This file system has no hard links, or forbids them: leave --link out.",
}


def _inside(path: str, folder: str) -> bool:
    real, outer = os.path.realpath(path), os.path.realpath(folder)
    return real == outer or real.startswith(outer.rstrip(os.sep) + os.sep)


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
