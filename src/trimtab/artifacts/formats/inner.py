"""The model file inside of a folder that describes it: read where its format is known, and compared.

Triton's and MLflow's folders state a signature apart from the model itself, written by hand or by an exporter that
never looked at the file. Where the file can be read too, the two must agree.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError
from trimtab.signature.dtypes import DType
from trimtab.signature.types import Optional, Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trimtab.signature.model import Signature
    from trimtab.signature.types import Shape, Type

DESCRIBING = ("mlflow", "triton", "document")
"""Formats that describe a model and are none: a description inside of another is not followed."""


class Inner(NamedTuple):
    """A model file inside: its signature, or None and a note that says why there is none."""

    path: str
    signature: Signature | None
    note: str = ""


def read_inner(folder: str, relative: str) -> Inner | None:
    """The model at a path below a folder, or None where nothing lies there.

    ArtifactError for a path that leads out of the folder, and for a model that is damaged inside.
    """
    if os.path.isabs(relative) or ".." in relative.replace("\\", "/").split("/") or "\0" in relative:
        raise ArtifactError(
            where=folder,
            expected="a model file below the folder",
            got=repr(relative[:80]),
            hint="A description that points out of its folder is refused. Copy the model file into the folder.",
        )
    path = os.path.join(folder, relative)
    if not os.path.exists(path):
        return None
    from trimtab.artifacts.read import read_from  # which imports the formats
    from trimtab.artifacts.registry import open_artifact

    try:
        format_, source = open_artifact(path)
    except ArtifactError as failure:
        return Inner(path, None, f"{relative} is not read: {_reason(failure)}")
    with source:
        if format_.name in DESCRIBING:
            return Inner(path, None, f"{relative} is a description itself and is not followed")
        try:
            return Inner(path, read_from(format_, source))
        except RefusedArtifactError as refusal:
            return Inner(path, None, f"{relative} does not say its inputs: {_reason(refusal)}")


def raise_first(found: Iterable[ContradictionError]) -> None:
    """Raise the first contradiction, if there is one, with the others in it."""
    every = tuple(islice(found, MAX_CONTRADICTIONS))
    if every:
        every[0].others = every[1:]
        raise every[0]


MAX_CONTRADICTIONS = 1_000
"""How many are found: who has so many needs no more."""


def _reason(failure: ArtifactError) -> str:
    sides = f"expected {failure.expected}, got {failure.got}" if failure.expected else failure.got
    return (failure.problem or sides)[:_LONGEST_REASON]


_LONGEST_REASON = 200


def clash(stated: Type, actual: Type, *, casts: frozenset[DType] = frozenset()) -> bool:
    """Whether no tensor can be of both types. What either side leaves open, and what is no tensor, does not clash.

    casts: dtypes that whoever calls the model turns into one another.
    """
    stated = stated.element if isinstance(stated, Optional) else stated
    actual = actual.element if isinstance(actual, Optional) else actual
    if not isinstance(stated, Tensor) or not isinstance(actual, Tensor):
        return False
    return _dtypes_clash(stated.dtype, actual.dtype, casts) or shapes_clash(stated.shape, actual.shape)


def shapes_clash(stated: Shape | None, actual: Shape | None) -> bool:
    """Whether no tensor can have both shapes: another rank, or another size of a dimension that both fix."""
    if stated is None or actual is None:
        return False
    return len(stated) != len(actual) or any(
        isinstance(one, int) and isinstance(other, int) and one != other
        for one, other in zip(stated, actual, strict=True)
    )


_TEXT = frozenset((DType.STRING, DType.BYTES))


def _dtypes_clash(stated: DType | None, actual: DType | None, casts: frozenset[DType]) -> bool:
    if stated is None or actual is None or stated is actual:
        return False
    return not any({stated, actual} <= same for same in (_TEXT, casts))
