"""The formats that can be read: ours, imported when first needed, and those of plug-ins, asked after ours."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.artifacts.format import Format
    from trimtab.source.bytes import ByteSource

ENTRY_POINT_GROUP = "trimtab.formats"

_BUILT_IN = ("pt2", "torchscript", "onnx", "document")
"""Modules of this package, in the order in which they are asked."""


def formats() -> tuple[Format, ...]:
    """Every format that can be read: the built-in ones, then those of installed plug-ins."""
    return tuple(_all())


def find_format(source: ByteSource) -> Format:
    """The format of the content. ArtifactError that says what the content is when no format wants it."""
    for each in _all():
        if each.match(source):
            return each
    from trimtab.artifacts.refuse import refusal

    raise refusal(source)


def _all() -> Iterator[Format]:
    for module in _BUILT_IN:
        yield cast("Format", import_module(f"trimtab.artifacts.{module}"))
    yield from _plug_ins()


def _plug_ins() -> Iterator[Format]:
    """Readers of other distributions. Looked for only when no built-in format matches: the look-up costs 10 ms."""
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            yield entry.load()
        except Exception as failure:  # a plug-in may fail in any way; the error must name it
            raise ArtifactError(
                f"the format plug-in {entry.name!r} cannot be loaded",
                where=entry.value,
                got=f"{type(failure).__name__}: {failure}",
                hint="Repair or uninstall the distribution that provides it.",
            ) from failure
