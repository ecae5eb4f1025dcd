"""The bundle: one document with what a root must know of the models that one leaf partition serves.

It is derived from the artifacts, carries their digests, and can be rebuilt from them. Allowlists are stored once per
distinct list, as ascending indices into one sorted table of names, so that 200 models of 500 names stay small.
"""

from __future__ import annotations

import hashlib
import operator
import re
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from trimtab.bundles.atomic import write_atomically
from trimtab.bundles.indices import Indices
from trimtab.errors import BundleError
from trimtab.signature import strict_json

BUNDLE_VERSION = 1
"""The newest document version that this code reads, and the one that it writes."""

MAX_BUNDLE_BYTES = 128 << 20
"""A larger document is refused before it is parsed. 10,000 models of 1,000 names, no list twice, take 50 to 65 MiB: six
bytes for a name in a list, where 100,000 names are in use."""

_Digest = Annotated[str, Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
_VersionText = Annotated[str, Meta(pattern=r"\A[1-9][0-9]{0,18}\Z")]
_NAME = r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z"
_BundleName = Annotated[str, Meta(pattern=_NAME)]
_ModelName = Annotated[str, Meta(min_length=1, max_length=1024)]
_FeatureName = Annotated[str, Meta(max_length=4096)]
_Serial = Annotated[int, Meta(ge=1, le=2**53 - 1)]
_Created = Annotated[str, Meta(pattern=r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z\Z")]


class _Value(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the value objects: frozen, strict about unknown fields."""


class BundledVersion(_Value, frozen=True, gc=False):
    """One version of a model. `allowlist` is an index into the bundle's allowlists; `format` names the reader."""

    digest: _Digest
    input_digest: _Digest
    allowlist: int
    format: str = ""


class BundledModel(_Value, frozen=True, gc=False):
    """One model.

    attested_stable: the build held its inputs under the gate FREEZE, and `published` has one entry.
    versions: by version text ("7"). Empty when the model has left the repository and only its history stays.
    published: every input digest that was ever published under the name, with the first version that had it.
    """

    attested_stable: bool
    versions: dict[_VersionText, BundledVersion]
    published: dict[_Digest, _VersionText]


class Bundle(_Value, frozen=True, dict=True):
    """An immutable bundle. Bundles of equal content have equal digests, whenever they were created.

    serial: rises by one with every build that changed anything; a loader refuses to go back.
    created: RFC 3339, UTC. names: sorted, each once. allowlists: ascending indices into `names`.
    Raises BundleError when the parts contradict each other.
    """

    name: _BundleName
    serial: _Serial
    created: _Created
    names: tuple[_FeatureName, ...]
    allowlists: tuple[Indices, ...]
    models: dict[_ModelName, BundledModel]

    def __post_init__(self) -> None:
        """Refuse indices that point nowhere, orders that are not canonical, and attestations that cannot hold."""
        check_bundle_name(self.name)
        _check_tables(self)
        for name, model in self.models.items():
            _check_model(name, model, len(self.allowlists))

    @cached_property
    def digest(self) -> str:
        """`sha256:…` over the canonical JSON of everything but `created` and the digest itself.

        Canonical: UTF-8, keys sorted, no white space, `bundle_version` included.
        """
        content = {"bundle_version": BUNDLE_VERSION, "serial": self.serial, **self._content()}
        return f"sha256:{hashlib.sha256(_SORTING_ENCODER.encode(content)).hexdigest()}"

    @property
    def created_at(self) -> datetime:
        """`created` as a time."""
        return datetime.fromisoformat(self.created)

    def allowlist_names(self, index: int) -> tuple[str, ...]:
        """The names of one allowlist, sorted."""
        return tuple(map(self.names.__getitem__, self.allowlists[index]))

    def same_content(self, other: Bundle) -> bool:
        """Whether only serial and creation time may differ."""
        return self._content() == other._content()

    def _content(self) -> dict[str, Any]:
        return {"name": self.name, "names": self.names, "allowlists": self.allowlists, "models": self.models}


class BundleDocument(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The JSON object, as it is written."""

    bundle_version: int
    name: _BundleName
    serial: _Serial
    created: _Created
    digest: _Digest
    names: tuple[_FeatureName, ...]
    allowlists: tuple[Indices, ...]
    models: dict[_ModelName, BundledModel]


def check_bundle_name(name: str) -> None:
    """Raise BundleError for a name that no bundle can have."""
    if not re.fullmatch(_NAME, name):
        raise BundleError(
            where="name",
            expected="a bundle's name: at most 128 letters, digits, dots and dashes, a letter or a digit first",
            got=ascii(name)[:160],
            hint="Give it another one: --name NAME",
        )


def encode_bundle(bundle: Bundle) -> bytes:
    """The bundle as one line of UTF-8 JSON."""
    document = BundleDocument(
        bundle_version=BUNDLE_VERSION,
        name=bundle.name,
        serial=bundle.serial,
        created=bundle.created,
        digest=bundle.digest,
        names=bundle.names,
        allowlists=bundle.allowlists,
        models=bundle.models,
    )
    return _ENCODER.encode(document) + b"\n"


def decode_bundle(data: bytes, where: str = "") -> Bundle:
    """Read a bundle document.

    where: the place to name in errors. Raises BundleError for anything malformed, for a document version newer than
    this code knows, and for a document whose digest does not fit its content.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleError(where=where, expected=f"a bundle of at most {MAX_BUNDLE_BYTES} bytes", got=f"{len(data)}")
    _check_amount(data, where)
    document = _as_we_write_it(data) or _document(data, where)
    try:
        bundle = Bundle(
            name=document.name,
            serial=document.serial,
            created=document.created,
            names=document.names,
            allowlists=document.allowlists,
            models=document.models,
        )
    except BundleError as failure:
        raise (failure.within(where) if where else failure) from None
    if bundle.digest != document.digest:
        raise BundleError(
            "the bundle's digest does not fit its content",
            where=f"{where}: digest" if where else "digest",
            expected=bundle.digest,
            got=document.digest,
            hint="Was it cut, damaged or edited by hand? Take a good copy, or build a new file: trimtab bundle build",
        )
    return bundle


def _check_amount(data: bytes, where: str) -> None:
    """Refuse JSON of so many values that to parse it takes gigabytes: an empty list is 3 bytes here, and 64 there."""
    for signs, most in _MOST.items():
        if sum(map(data.count, signs)) > most:
            raise BundleError(
                "more values than a bundle has",
                where=where,
                expected=f"at most {most:,} of {b' '.join(signs).decode()}",
                got="more",
                hint="Was it damaged? Take a good copy, or build a new file: trimtab bundle build",
            )


_MOST = {(b"[", b"{"): 4_000_000, (b'"',): 16_000_000, (b",",): 32_000_000}
"""What the largest bundle cannot have: 128 MiB of versions are 3 million objects and 12 million quotation marks, and of
lists of inputs 22 million commas."""


def _indices_as_list(indices: Any) -> list[int]:
    return list(indices)


def _indices_from_list(_: type, numbers: Any) -> Indices:
    if not isinstance(numbers, list | tuple):
        raise ValueError("expected a list of indices")
    return Indices(numbers)


_ENCODER = msgspec.json.Encoder(enc_hook=_indices_as_list)
_SORTING_ENCODER = msgspec.json.Encoder(enc_hook=_indices_as_list, order="sorted")
_DECODER = msgspec.json.Decoder(BundleDocument, dec_hook=_indices_from_list)


def _as_we_write_it(data: bytes) -> BundleDocument | None:
    """The document, if it is byte for byte what `encode_bundle` writes: then it is strict JSON, for anything that
    readers could disagree on would be written otherwise. It is never held as Python numbers in whole.
    """
    try:
        document = _DECODER.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None  # the strict parser says what is wrong
    if document.bundle_version != BUNDLE_VERSION:
        return None
    written = _ENCODER.encode(document)
    return document if data.startswith(written) and data[len(written) :] in (b"", b"\n") else None


def _document(data: bytes, where: str) -> BundleDocument:
    value = strict_json.parse(data, where=where, error=BundleError)
    _check_version(value, where)
    try:
        return msgspec.convert(value, BundleDocument, dec_hook=_indices_from_list)
    except msgspec.ValidationError as failure:
        raise BundleError(str(failure), where=where) from None


def read_bundle(path: Path | str) -> Bundle:
    """Read a bundle file. Raises BundleError that names the file."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as failure:
        raise BundleError("the bundle cannot be read", where=str(path), got=failure.strerror or str(failure)) from None
    return decode_bundle(data, str(path))


def write_bundle(path: Path | str, bundle: Bundle) -> None:
    """Publish a bundle file in one atomic step. Raises BundleError; the old file then stays.

    What is written was read back from its bytes first: nobody publishes what nobody can load.
    """
    data = encode_bundle(bundle)
    decode_bundle(data, str(path))
    write_atomically(Path(path), data)


def _check_version(value: Any, where: str) -> None:
    version = value.get("bundle_version") if isinstance(value, dict) else None
    if version is None:
        raise BundleError(
            where=where,
            expected="a bundle (a JSON object with the key bundle_version)",
            got=f"an object with the keys {', '.join(map(repr, value))}"[:200]
            if isinstance(value, dict)
            else type(value).__name__,
            hint="Build one from a model repository: trimtab bundle build REPOSITORY -o FILE",
        )
    if not isinstance(version, int) or not 1 <= version <= BUNDLE_VERSION:
        raise BundleError(
            where=f"{where}: bundle_version" if where else "bundle_version",
            expected=f"a version from 1 to {BUNDLE_VERSION}",
            got=repr(version)[:80],
            hint="Written by a newer trimtab? Upgrade this one: pip install --upgrade trimtab",
        )


def _check_tables(bundle: Bundle) -> None:
    try:
        bundle.created_at  # noqa: B018  # parsing is the check
    except ValueError:
        raise BundleError(where="created", expected="a time as RFC 3339 in UTC", got=repr(bundle.created)) from None
    if not _ascending(bundle.names):
        raise BundleError(where="names", expected="names in ascending order, each once", got="another order")
    if not _ascending(bundle.allowlists):
        raise BundleError(where="allowlists", expected="lists in ascending order, each once", got="another order")
    for position, allowlist in enumerate(bundle.allowlists):
        if allowlist.last >= len(bundle.names):
            raise BundleError(
                where=f"allowlists[{position}]",
                expected=f"ascending indices of the {len(bundle.names)} names",
                got=f"the index {allowlist.last}",
            )


def _check_model(name: str, model: BundledModel, allowlists: int) -> None:
    where = f"models.{name}"
    if model.attested_stable and len(model.published) != 1:
        raise BundleError(
            where=f"{where}.attested_stable",
            expected="false, unless one single input digest was ever published",
            got=f"true with {len(model.published)} published",
        )
    by_inputs: dict[str, int] = {}
    for text, version in model.versions.items():
        if not _VERSION.fullmatch(text):
            raise BundleError(where=f"{where}.versions", expected="positive integers", got=repr(text)[:80])
        if not 0 <= version.allowlist < allowlists:
            raise BundleError(
                where=f"{where}.versions.{text}.allowlist",
                expected=f"an index of the {allowlists} allowlists",
                got=str(version.allowlist),
            )
        if version.input_digest not in model.published:
            raise BundleError(
                where=f"{where}.published",
                expected=f"the input digest of version {text} among those published",
                got=", ".join(model.published) or "none",
            )
        if by_inputs.setdefault(version.input_digest, version.allowlist) != version.allowlist:
            raise BundleError(
                where=f"{where}.versions.{text}.allowlist",
                expected="one allowlist for one input digest",
                got="two",
            )


_VERSION = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


def _ascending(values: tuple[Any, ...]) -> bool:
    """Strictly: each once."""
    return all(map(operator.lt, values, values[1:]))
