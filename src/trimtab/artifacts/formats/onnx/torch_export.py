"""Read the limits of symbolic sizes that torch.onnx.export leaves in a graph's metadata, without evaluating them.

The value is how Python prints torch's dictionary of ranges: `{s73: VR[1, 4096], 2*s17: VR[0, int_oo]}`.
"""

from __future__ import annotations

import re

from trimtab.signature.model import Range

RANGES_KEY = "pkg.torch.export.ExportedProgram.range_constraints"

_ENTRY = r"([^:{}\[\]]{1,400}): VR\[(-?\w{1,40}), (-?\w{1,40})\](?:, |\}$)"
_UNBOUNDED = 1 << 62
"""Where torch's stand-ins for no limit begin."""


def size_limits(text: str, used: set[str]) -> dict[str, Range]:
    """The limits of those sizes that shapes use, by the text that stands in the shapes.

    Entries in any other form than torch's are left out, and so are limits that say nothing of a size. The exporter may
    call its symbols otherwise in the shapes (`dynamic_shapes` with names of the user's); then they have no limits here.
    """
    limits = {}
    for entry in re.finditer(_ENTRY, text.removeprefix("{")):
        size, least, most = entry.groups()
        if size not in used:
            continue
        minimum, maximum = _number(least), _number(most)
        if maximum is not None or (minimum is not None and minimum > 0):
            limits[size] = Range(minimum=minimum, maximum=maximum)
    return limits


def _number(text: str) -> int | None:
    """A limit; None for an infinite one."""
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 20:
        return None
    value = int(text)
    return None if abs(value) >= _UNBOUNDED else value
