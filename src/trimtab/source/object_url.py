"""Addresses of objects: which texts are URLs that can be read, what they name, and how errors may call them.

A presigned URL carries the right to read in its query, and some carry a password. Neither ever reaches an error, a
table or a log: `public_name` is what everything else calls an object.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from trimtab.errors import ArtifactError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)

S3, GCS, AZURE, HTTP = "s3", "gs", "az", "http"

_SCHEMES = {
    "s3": S3,
    "s3a": S3,
    "gs": GCS,
    "az": AZURE,
    "azure": AZURE,
    "abfs": AZURE,
    "abfss": AZURE,
    "http": HTTP,
    "https": HTTP,
}


class ObjectUrl(NamedTuple):
    """An object's address, in parts.

    store: S3, GCS, AZURE or HTTP. bucket: of S3 and GCS; the container of Azure; empty for HTTP. account: of Azure,
    where the URL names it. key: the object's name in the bucket, literally; empty for HTTP. url: for HTTP, all of it.
    """

    store: str
    scheme: str
    bucket: str
    account: str
    key: str
    url: str


def is_url(text: str) -> bool:
    """Whether a text is meant as a URL, and not as a path."""
    return _URL.match(text) is not None


def public_name(text: str) -> str:
    """A URL without user, password, query and fragment; any other text as it is."""
    match = _URL.match(text)
    if match is None or _SCHEMES.get(match[1].lower(), HTTP) != HTTP:
        return text
    rest = re.split(r"[?#]", match[2], maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return f"{match[1]}://{host.rpartition('@')[2]}{slash}{path}"


def parse_url(text: str) -> ObjectUrl:
    """The parts of a URL. ArtifactError for a scheme that is not read, and for a URL that names no object."""
    match = _URL.match(text)
    scheme = match[1].lower() if match else ""
    store = _SCHEMES.get(scheme)
    if match is None or store is None:
        raise ArtifactError(
            where=public_name(text),
            expected="a path, or a URL that begins with s3://, gs://, az://, abfss://, https:// or http://",
            got=f"{scheme}://",
            hint="Give a local file by its path." if scheme == "file" else "",
        )
    if store == HTTP:
        return ObjectUrl(store, scheme, "", "", "", text)
    bucket, _, key = match[2].partition("/")
    account = ""
    if store == AZURE and "@" in bucket:
        bucket, _, host = bucket.partition("@")
        account = host.partition(".")[0]
    if not bucket or not key:
        raise ArtifactError(
            where=text,
            expected=f"{scheme}://{'CONTAINER' if store == AZURE else 'BUCKET'}/KEY",
            got="a URL without a key" if bucket else "a URL without a bucket",
            hint="Folders of an object store are not read: name one object.",
        )
    return ObjectUrl(store, scheme, bucket, account, key, text)


def parse_place(text: str) -> ObjectUrl:
    """The parts of a URL of a place for many objects: `key` is what their keys begin with, and may be empty.

    ArtifactError for a scheme of which no such place is known, and for what is no name of a bucket or of a key; as some
    addresses hold secrets, no part is repeated that was not understood.
    """
    match = _URL.match(text)
    store = _SCHEMES.get(match[1].lower(), HTTP) if match else HTTP
    if match is None or store == HTTP:
        raise ArtifactError(
            where=public_name(text),
            expected="a folder, or a URL that begins with s3://, gs://, az:// or abfss://",
            got=f"{match[1]}://" if match else "another text",
        )
    scheme = match[1].lower()
    found = _PLACE.fullmatch(match[2])
    if found is None:
        raise ArtifactError(
            where=f"{scheme}://…",
            expected=f"{scheme}://{'CONTAINER' if store == AZURE else 'BUCKET'}/PREFIX of plain letters and digits",
            got="another address",
            hint="Credentials and endpoints come from the environment, not from the address.",
        )
    account = (found["host"] or "").partition(".")[0]
    prefix = (found["prefix"] or "").strip("/")
    return ObjectUrl(store, scheme, found["bucket"], account, prefix, text)


_PLACE = re.compile(
    r"(?P<bucket>[A-Za-z0-9._-]+)(@(?P<host>[A-Za-z0-9.-]+))?(?P<prefix>(/[A-Za-z0-9][A-Za-z0-9._=-]*)*/?)"
)
