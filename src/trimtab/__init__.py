"""The model's signature, read from the artifact, as the one source of truth of every serving tier.

    import trimtab

    signature = trimtab.read_signature("model.onnx")   # no framework, no weights, nothing executed
    signature.input_names, signature.digest

Names are imported when they are first used, so that `import trimtab` costs milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimtab.artifacts import derive_signature, embed_signature, read_signature, verify_artifact
    from trimtab.bundles.building.build import build_bundle
    from trimtab.bundles.bundle import Bundle, read_bundle, write_bundle
    from trimtab.bundles.consolidated import ConsolidatedMap
    from trimtab.bundles.loading.loader import BundleLoader
    from trimtab.bundles.loading.watcher import BundleWatcher
    from trimtab.bundles.outcomes import MissPolicy, Outcome
    from trimtab.bundles.repository import ModelRepository
    from trimtab.converting.converter import Converted, FeatureConverter
    from trimtab.errors import TrimtabError
    from trimtab.signature.document import decode_document, encode_document
    from trimtab.signature.dtypes import DType
    from trimtab.signature.model import EntryPoint, Input, Output, Overload, Presence, Signature
    from trimtab.signature.types import Tensor
    from trimtab.stability import diff
    from trimtab.trimming.trimmer import Trimmed, Trimmer

_HOMES = {
    "Bundle": "trimtab.bundles.bundle",
    "BundleLoader": "trimtab.bundles.loading.loader",
    "BundleWatcher": "trimtab.bundles.loading.watcher",
    "ConsolidatedMap": "trimtab.bundles.consolidated",
    "Converted": "trimtab.converting.converter",
    "DType": "trimtab.signature.dtypes",
    "EntryPoint": "trimtab.signature.model",
    "FeatureConverter": "trimtab.converting.converter",
    "Input": "trimtab.signature.model",
    "MissPolicy": "trimtab.bundles.outcomes",
    "ModelRepository": "trimtab.bundles.repository",
    "Outcome": "trimtab.bundles.outcomes",
    "Output": "trimtab.signature.model",
    "Overload": "trimtab.signature.model",
    "Presence": "trimtab.signature.model",
    "Signature": "trimtab.signature.model",
    "Tensor": "trimtab.signature.types",
    "Trimmed": "trimtab.trimming.trimmer",
    "Trimmer": "trimtab.trimming.trimmer",
    "TrimtabError": "trimtab.errors",
    "build_bundle": "trimtab.bundles.building.build",
    "decode_document": "trimtab.signature.document",
    "derive_signature": "trimtab.artifacts",
    "diff": "trimtab.stability",
    "embed_signature": "trimtab.artifacts",
    "encode_document": "trimtab.signature.document",
    "read_bundle": "trimtab.bundles.bundle",
    "read_signature": "trimtab.artifacts",
    "verify_artifact": "trimtab.artifacts",
    "write_bundle": "trimtab.bundles.bundle",
}

__all__ = [  # sorted as the table is, and held equal to it by a test
    "Bundle",
    "BundleLoader",
    "BundleWatcher",
    "ConsolidatedMap",
    "Converted",
    "DType",
    "EntryPoint",
    "FeatureConverter",
    "Input",
    "MissPolicy",
    "ModelRepository",
    "Outcome",
    "Output",
    "Overload",
    "Presence",
    "Signature",
    "Tensor",
    "Trimmed",
    "Trimmer",
    "TrimtabError",
    "build_bundle",
    "decode_document",
    "derive_signature",
    "diff",
    "embed_signature",
    "encode_document",
    "read_bundle",
    "read_signature",
    "verify_artifact",
    "write_bundle",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'trimtab' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
