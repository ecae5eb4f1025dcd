"""Bundles and signatures in one line, for the tests of this folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from hypothesis import strategies as st

from trimtab.bundles.bundle import Bundle, BundledModel, BundledVersion
from trimtab.bundles.indices import Indices
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Overload, Provenance, Signature
from trimtab.signature.types import Tensor


def signature(*inputs: str | Input) -> Signature:
    """A signature with these inputs; a plain name is a required float32 [batch, 1]."""
    values = tuple(
        each if isinstance(each, Input) else Input(name=each, type=Tensor(DType.FLOAT32, ("batch", 1)))
        for each in inputs
    )
    return Signature(
        entry_points=(EntryPoint(name="main", overloads=(Overload(inputs=values),)),),
        default_entry_point="main",
        provenance=Provenance(format="onnx"),
    )


def digest_of(*parts: object) -> str:
    return f"sha256:{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def bundle(
    models: Mapping[str, Mapping[int, Iterable[str]]],
    *,
    name: str = "ads",
    serial: int = 1,
    attested: bool | None = None,
    salt: str = "",
    created: str = "2026-01-02T03:04:05Z",
) -> Bundle:
    """A bundle whose digests follow from the names (and `salt`); attested wherever it can be, unless told otherwise."""
    lists = {frozenset(names) for versions in models.values() for names in versions.values()}
    names = sorted(frozenset().union(*lists))
    indices = {each: Indices(sorted(names.index(name) for name in each)) for each in lists}
    allowlists = sorted(indices.values())
    return Bundle(
        name=name,
        serial=serial,
        created=created,
        names=tuple(names),
        allowlists=tuple(allowlists),
        models={
            model: _model(
                {
                    str(version): BundledVersion(
                        digest=digest_of(sorted(names), salt),
                        input_digest=digest_of(sorted(names)),
                        allowlist=allowlists.index(indices[frozenset(names)]),
                        format="onnx",
                    )
                    for version, names in versions.items()
                },
                attested,
            )
            for model, versions in models.items()
        },
    )


def _model(versions: dict[str, BundledVersion], attested: bool | None) -> BundledModel:
    published: dict[str, str] = {}
    for version, each in versions.items():
        published.setdefault(each.input_digest, version)
    stable = len(published) == 1
    return BundledModel(
        attested_stable=stable if attested is None else attested and stable, versions=versions, published=published
    )


model_names = st.sampled_from(["ctr", "ranker", "naïve", "a:b", " "])
feature_names = st.sampled_from([*"abcdefgh", "", "ü", "x\ny"])
version_numbers = st.sampled_from([1, 2, 7, 8, 10, 9223372036854775807])
contents = st.dictionaries(
    model_names, st.dictionaries(version_numbers, st.frozensets(feature_names, max_size=4), min_size=1), max_size=3
)
bundles = st.builds(
    bundle,
    contents,
    serial=st.integers(1, 5),
    attested=st.sampled_from([None, False]),
    salt=st.sampled_from(["", "other"]),
)
