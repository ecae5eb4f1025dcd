"""The formats that can be read: ours, imported when first needed, and those of plug-ins, asked after ours."""

from __future__ import annotations

import os
import sys
from functools import cache, lru_cache
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, cast

from trimtab.artifacts.kinds import HEAD_BYTES, KINDS, kinds_of
from trimtab.errors import ArtifactError
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.metadata import EntryPoint

    from trimtab.artifacts.format import Format
    from trimtab.artifacts.kinds import Kind
    from trimtab.source.bytes import ByteSource

ENTRY_POINT_GROUP = "trimtab.formats"


def known_formats() -> tuple[Format, ...]:
    """Every format that can be read: the built-in ones, then those of installed plug-ins."""
    return (*map(_built_in, KINDS), *_plug_ins())


def open_artifact(path: str, *, anonymous: bool = False) -> tuple[Format, ByteSource]:
    """The format of a file, folder or object under a URL, and its open source.

    anonymous: of a URL, look for no credentials. ArtifactError that says what it is if no format wants it.
    """
    if "://" in path and not os.path.exists(path):
        source = _open_url(path, anonymous=anonymous)
    elif os.path.isdir(path):
        return _open_folder(path)
    else:
        source = LocalFile(path)
    try:
        return find_format(source), source
    except BaseException:
        source.close()
        raise


def find_format(source: ByteSource) -> Format:
    """The format of the content. ArtifactError that says what the content is when no format wants it."""
    found = match_format(source)
    if found is not None:
        return found
    from trimtab.artifacts.refuse import refusal

    raise refusal(source)


def match_format(source: ByteSource) -> Format | None:
    """The format of the content, or None where no format wants it. ArtifactError for a container that is damaged."""
    head = source.head(HEAD_BYTES)
    for each in chain(map(_built_in, kinds_of(head)), _plug_ins()):
        if each.match(source):
            return each
    return None


def _open_url(url: str, *, anonymous: bool) -> ByteSource:
    from trimtab.source.remote import RemoteObject  # local files do not need it

    return RemoteObject(url, anonymous=anonymous)


def _open_folder(path: str) -> tuple[Format, ByteSource]:
    found = open_folder_artifact(path)
    if found is not None:
        return found
    from trimtab.artifacts.refuse import folder_refusal

    raise folder_refusal(path)


def open_folder_artifact(path: str) -> tuple[Format, ByteSource] | None:
    """The format of a folder that is an artifact itself, and its open source; None for every other folder."""
    kinds = sorted((kind for kind in KINDS if kind.fits_folder(path)), key=lambda kind: not kind.folder)
    for each in chain(map(_built_in, kinds), _plug_ins()):
        open_folder = getattr(each, "open_folder", None)
        source = open_folder(path) if open_folder is not None else None
        if source is not None:
            return each, source
    return None


@cache
def _built_in(kind: Kind) -> Format:
    return cast("Format", import_module(f"trimtab.artifacts.formats.{kind.module}"))


def _plug_ins() -> Iterator[Format]:
    """Readers of other distributions. Looked for only when no built-in format matches: the look-up costs 10 ms."""
    for entry in _entry_points(tuple(sys.path)):
        try:
            yield entry.load()
        except Exception as failure:  # a plug-in may fail in any way; the error must name it
            raise ArtifactError(
                f"the format plug-in {entry.name!r} cannot be loaded",
                where=entry.value,
                got=f"{type(failure).__name__}: {failure}",
                hint="Repair or uninstall the distribution that provides it.",
            ) from failure


@lru_cache(maxsize=1)
def _entry_points(search_path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The plug-ins that are installed in the folders of `sys.path`."""
    from importlib.metadata import entry_points

    del search_path  # it is what the answer depends on
    return tuple(entry_points(group=ENTRY_POINT_GROUP))
