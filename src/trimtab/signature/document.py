"""The signature document: how a signature is written into files and printed by `--json`.

It is a superset of `module_info.json`: the first two keys are `input_names` and `output_names`, so a reader that knows
only those two works on our documents, and plain `module_info.json` files are read as names without types.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from trimtab.errors import SignatureError
from trimtab.signature import strict_json
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Feature, Input, Learned, Output, Overload, Provenance, Signature
from trimtab.signature.types import Mapping, Optional, Ragged, Sequence, Tensor, Type

DOCUMENT_VERSION = 2
"""The newest document version that this code reads. It writes the oldest that has room for a signature.

2: inputs and outputs may be quantized, or ragged with row splits of another dtype than int64, and inputs and the
features inside categorical.
"""

MAX_DOCUMENT_BYTES = 16 << 20
"""A larger document is refused before it is parsed."""

FILE_NAME = "module_info.json"
"""The document's name inside artifacts: the one that PyTorch reserves (`MODULE_INFO_PATH`)."""


class ArtifactBinding(Struct, frozen=True, kw_only=True):
    """The one file that a signature document beside it is of: its SHA-256 (`sha256:…`) and its length in bytes."""

    digest: str
    size: int


class SignatureDocument(Struct, frozen=True, kw_only=True):
    """The JSON object, as it is written. Keys that are not listed here belong to others and are kept out of the way."""

    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    document_version: int
    digest: str
    input_digest: str
    default_entry_point: str
    entry_points: tuple[EntryPoint, ...]
    provenance: Provenance = Provenance()
    artifact: ArtifactBinding | UnsetType = UNSET
    """Only in a document beside a file that has no room for it."""


def document_of(signature: Signature, artifact: ArtifactBinding | UnsetType = UNSET) -> SignatureDocument:
    """The document that states a signature; of the file `artifact`, where it is to lie beside one."""
    return SignatureDocument(
        input_names=signature.input_names,
        output_names=signature.output_names,
        document_version=_version_for(signature),
        digest=signature.digest,
        input_digest=signature.input_digest,
        default_entry_point=signature.default_entry_point,
        entry_points=signature.entry_points,
        provenance=signature.provenance,
        artifact=artifact,
    )


def _version_for(signature: Signature) -> int:
    """The oldest version that can state a signature, so that whoever knows no newer one reads all but what it lacks."""
    for entry_point in signature.entry_points:
        for overload in entry_point.overloads:
            if any(map(_is_of_version_2, overload.inputs)):
                return 2
            if any(it.quantization is not None or _has_other_splits(it.type) for it in overload.outputs):
                return 2
    return 1


def _is_of_version_2(value: Input) -> bool:
    values: list[Input | Feature] = [value, *value.features]
    return value.quantization is not None or any(
        (it.constraints is not None and it.constraints.categorical) or _has_other_splits(it.type) for it in values
    )


def _has_other_splits(type_: Type) -> bool:
    while isinstance(type_, Optional | Sequence | Mapping):
        type_ = type_.value if isinstance(type_, Mapping) else type_.element
    return isinstance(type_, Ragged) and type_.row_splits is not DType.INT64


def encode_document(
    signature: Signature, *, indent: int | None = None, artifact: ArtifactBinding | UnsetType = UNSET
) -> bytes:
    """The signature document as UTF-8 JSON; `indent` spaces per level, or one line. `artifact`: as of `document_of`."""
    data = msgspec.json.encode(document_of(signature, artifact))
    return data if indent is None else msgspec.json.format(data, indent=indent)


def decode_document(data: bytes, where: str = "", *, just_encoded: bool = False) -> Signature:
    """Read a signature document, ours or a plain `module_info.json`.

    where: the place to name in errors. just_encoded: it comes from `encode_document`, so what it repeats of itself, its
    digests above all, is not compared. Raises SignatureError for anything malformed, for a document version newer than
    this code knows, and for a document whose digest or name lists do not fit what it declares.
    """
    value = _parse(data, where)
    if not _has_both_keys(value):
        raise SignatureError(
            where=where,
            expected="a JSON object with the keys input_names and output_names",
            got=f"an object with the keys {', '.join(map(repr, value))}"
            if isinstance(value, dict)
            else type(value).__name__,
        )
    return _from_value(value, where, compare=not just_encoded)


def decode_if_document(data: bytes, where: str = "") -> Signature | None:
    """Read JSON that may be a signature document: None where it lacks one of the two keys, and is somebody else's.

    Raises SignatureError as `decode_document` does for everything else.
    """
    value = _parse(data, where)
    return _from_value(value, where) if _has_both_keys(value) else None


class _Bound(Struct):
    artifact: ArtifactBinding | None = None


def binding_of(data: bytes, where: str = "") -> ArtifactBinding | None:
    """The file that a signature document says it is of; None where it names none. SignatureError for other bytes."""
    try:
        return msgspec.json.decode(data, type=_Bound).artifact
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise SignatureError(str(failure), where=where) from None


def _from_value(value: dict[str, Any], where: str, *, compare: bool = True) -> Signature:
    if "document_version" not in value:
        return _from_names(value, where)
    return _from_document(value, where, compare=compare)


def _parse(data: bytes, where: str) -> Any:
    if len(data) > MAX_DOCUMENT_BYTES:
        raise SignatureError(where=where, expected=f"at most {MAX_DOCUMENT_BYTES} bytes", got=f"{len(data)}")
    return strict_json.parse(data, where=where)


def _has_both_keys(value: Any) -> bool:
    return isinstance(value, dict) and "input_names" in value and "output_names" in value


def _from_names(value: dict[str, Any], where: str) -> Signature:
    for key in ("input_names", "output_names"):
        names = value[key]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SignatureError(
                where=f"{where}: {key}" if where else key, expected="a list of strings", got=repr(names)[:80]
            )
    overload = Overload(
        inputs=tuple(Input(name=name, type=Tensor()) for name in value["input_names"]),
        outputs=tuple(Output(name=name, type=Tensor()) for name in value["output_names"]),
    )
    return Signature(
        entry_points=(EntryPoint(name="forward", overloads=(overload,)),),
        default_entry_point="forward",
        provenance=Provenance(format="module_info", learned=Learned.DECLARED),
    )


def _from_document(value: dict[str, Any], where: str, *, compare: bool) -> Signature:
    version = value["document_version"]
    if type(version) is not int or not 1 <= version <= DOCUMENT_VERSION:
        raise SignatureError(
            where=f"{where}: document_version" if where else "document_version",
            expected=f"a version from 1 to {DOCUMENT_VERSION}",
            got=repr(version)[:80],
            hint="Written by a newer trimtab? Upgrade this one: pip install --upgrade trimtab",
        )
    try:
        document = msgspec.convert(value, SignatureDocument)
    except msgspec.ValidationError as failure:
        raise SignatureError(str(failure), where=where) from None
    except RecursionError:
        raise SignatureError(where=where, expected="types nested at most 200 deep", got="deeper nesting") from None
    signature = Signature(
        entry_points=document.entry_points,
        default_entry_point=document.default_entry_point,
        provenance=document.provenance,
    )
    if compare:
        _check_derived_keys(document, signature, where)
    return signature


def _check_derived_keys(document: SignatureDocument, signature: Signature, where: str) -> None:
    """The keys that repeat what the entry points say must say the same."""
    for key in ("input_names", "output_names", "digest", "input_digest"):
        stated, actual = getattr(document, key), getattr(signature, key)
        if stated != actual:
            raise SignatureError(
                "the document contradicts its own entry points",
                where=f"{where}: {key}" if where else key,
                expected=repr(actual)[:200],
                got=repr(stated)[:200],
                hint="Was it edited by hand? Write it again from its entry points with encode_document().",
            )
