"""The conformance kit for formats: what a reader of model artifacts must hold to, as checks that its tests run.

A distribution that adds a format to trimtab (an entry point in the group `trimtab.formats`) tests it with one class:

    from trimtab.testing import FormatConformance

    class TestMyFormat(FormatConformance):
        format = my_format
        samples = (HERE / "small.mymodel", HERE / "unicode.mymodel")

or, outside of pytest, with `check_format(my_format, samples=[...])`. Every built-in format passes the same checks.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimtab.testing.checking import CHECKS, FormatConformance, check_format, conformance
    from trimtab.testing.damage import damaged
    from trimtab.testing.foreign import foreign_samples
    from trimtab.testing.watch import Watch

__all__ = ["CHECKS", "FormatConformance", "Watch", "check_format", "conformance", "damaged", "foreign_samples"]

_HOMES = {
    "CHECKS": "checking",
    "FormatConformance": "checking",
    "Watch": "watch",
    "check_format": "checking",
    "conformance": "checking",
    "damaged": "damage",
    "foreign_samples": "foreign",
}


def __getattr__(name: str) -> Any:
    """Each name is imported when first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
