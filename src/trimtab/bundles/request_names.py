"""The names under which a request may carry what a model consumes: what an allowlist holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.errors import BundleError
from trimtab.signature.dtypes import DType
from trimtab.signature.render import printable
from trimtab.signature.types import Mapping, Optional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import Input, Signature
    from trimtab.signature.types import Type


def request_names(signature: Signature) -> frozenset[str]:
    """The signature's own allowlist, and the keys of its maps: `Dict[str, Tensor]` may travel as one input per key.
    Keys that are not text are no names.

    Raises BundleError for a map whose keys the signature does not tell, for then every name might be one of them.
    """
    return signature.allowlist.union(*(_keys(value) for value in _inputs(signature)))


def _inputs(signature: Signature) -> Iterator[Input]:
    for entry_point in signature.entry_points:
        for overload in entry_point.overloads:
            yield from overload.inputs


def _keys(value: Input) -> set[str]:
    if not _is_map_of_names(value.type):
        return set()
    if not value.features:
        raise BundleError(
            f"the input {printable(value.name)!r} is a map, and its keys are not declared",
            expected="the names of all inputs",
            got=str(value.type),
            hint="Name them in a signature document and embed it: trimtab embed ARTIFACT --signature module_info.json",
        )
    return {name for feature in value.features for name in (feature.name, *feature.aliases)}


def _is_map_of_names(type_: Type) -> bool:
    while isinstance(type_, Optional):
        type_ = type_.element
    return isinstance(type_, Mapping) and type_.key is DType.STRING
