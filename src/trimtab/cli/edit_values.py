"""How values are written on the command line of `trimtab edit`: `old=new`, `name=JSON`, `name='float32[?,2]'`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.savedmodel.editing.plan import Plan


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """`old=new` as an entry of a dict. UsageError for another form, or a name that comes twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise click.UsageError(f"{text!r} is not of the form NAME=VALUE.")
        if name in found:
            raise click.UsageError(f"{name!r} is given twice.")
        found[name] = value
    return found


def json_value(text: str) -> Any:
    """A value in JSON. UsageError for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise click.UsageError(f"{text!r} is not JSON. Text wants its quotes: '\"{text}\"'.") from None


def shape_of(text: str, name: str) -> tuple[int | None, ...] | None:
    """`float32[?,2]`, with or without the dtype; a dtype is noted, to be held against the input `name` later."""
    dtype, bracket, sizes = text.partition("[")
    inside = sizes.removesuffix("]").strip()
    if not bracket or not sizes.endswith("]"):
        raise click.UsageError(f"{text!r} is not a shape such as 'float32[?,2]'.")
    if dtype.strip():
        click.get_current_context().meta.setdefault(_DTYPES, {})[name] = dtype.strip()
    if inside == "...":
        return None
    shape: list[int | None] = []
    for size in inside.split(",") if inside else []:
        unknown = size.strip() in ("?", "None", "-1")
        if not unknown and not (size.strip().isdecimal() and len(size.strip()) < 16):
            raise click.UsageError(f"{size.strip()!r} is not a size: a number, or ? for any.")
        shape.append(None if unknown else int(size))
    return tuple(shape)


_DTYPES = "trimtab.cli.edit.dtypes"


def check_dtypes(plan: Plan) -> None:
    """ArtifactError where the dtype that was written before a shape is not the input's."""
    from trimtab.errors import ArtifactError
    from trimtab.savedmodel.dtypes import dtype_name
    from trimtab.savedmodel.graph_protos import SignatureDef
    from trimtab.savedmodel.message import decode

    for change in plan.changes:
        if change.place != "signature_def" or change.after is None:
            continue
        inputs = decode(SignatureDef, change.after, f"signature_def[{change.key!r}]").inputs
        for name, dtype in click.get_current_context().meta.get(_DTYPES, {}).items():
            if name in inputs and dtype_name(inputs[name].dtype) != dtype:
                raise ArtifactError(
                    "an edit does not change dtypes",
                    where=f"signature {change.key!r}, input {name!r}",
                    expected=f"its own dtype {dtype_name(inputs[name].dtype)}",
                    got=dtype,
                )
