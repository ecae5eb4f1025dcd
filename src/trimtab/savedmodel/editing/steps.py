"""Every step by name, so that an edit can be kept as a file: a JSON list of objects, each with its `step`."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from trimtab.errors import ArtifactError
from trimtab.savedmodel.editing.signature_steps import AliasSignature, RemoveSignature, RenameSignature
from trimtab.savedmodel.editing.steps_expose import (
    AddSignature,
    BindInput,
    DropInputs,
    RenameInputs,
    RenameOutputs,
    SubsetOutputs,
    Widen,
)
from trimtab.savedmodel.editing.trace_steps import DropTrace

AnyStep: TypeAlias = (
    AddSignature
    | RenameInputs
    | RenameOutputs
    | DropInputs
    | BindInput
    | SubsetOutputs
    | Widen
    | AliasSignature
    | RenameSignature
    | RemoveSignature
    | DropTrace
)


def decode_steps(data: bytes, where: str) -> list[AnyStep]:
    """The steps of a JSON document such as `[{"step": "alias", "key": "predict", "new_key": "score"}]`.

    ArtifactError, at `where`, for anything else; it says which element and which field.
    """
    try:
        return msgspec.json.decode(data, type=list[AnyStep])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise ArtifactError(
            where=where,
            expected='a JSON list of steps, each an object with its "step"',
            got=str(failure) or "values nested too deep",
            hint='Example: [{"step": "alias", "key": "predict", "new_key": "score"}]',
        ) from None
