"""A report's file. Whoever needs a few facts of it, as a rollout does, needs no statistics to read them."""

from __future__ import annotations

import os
from typing import TypeVar

from trimtab.bundles.store.versioned import decode_versioned
from trimtab.errors import StoreError

REPORT_VERSION = 1
"""The form of a report that this code writes, and the one that it reads."""

_MAX_BYTES = 64 << 20

_Form = TypeVar("_Form")


def read_report_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a report's file. StoreError where it cannot be read or is too large to be one."""
    where = os.fspath(path)
    try:
        with open(where, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as failure:
        raise StoreError("the report cannot be read", where=where, got=failure.strerror or str(failure)) from None
    if len(data) > _MAX_BYTES:
        raise StoreError(where=where, expected=f"a report of at most {_MAX_BYTES} bytes", got="more")
    return data


def decode_report(data: bytes, form: type[_Form], *, where: str | os.PathLike[str]) -> _Form:
    """A report's bytes as `form`, which has all or some of its fields. StoreError for anything that is no report."""
    hint = "Make one: trimtab canary analyze CONFIG --report REPORT.json"
    return decode_versioned(data, form, key="report_version", version=REPORT_VERSION, where=os.fspath(where), hint=hint)
