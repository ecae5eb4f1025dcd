"""Where a value sits in the call, or in what is returned: what code that calls the model itself goes by."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from trimtab.signature.model import Input
from trimtab.stability.change import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.signature.model import Output


def place_changes(
    kind: str, old: Input | Output, new: Input | Output, subject: str, *, one_format: bool
) -> Iterator[Seen]:
    """The change of place of one pair. kind: `INPUT` or `OUTPUT`. one_format: whether both artifacts are of one."""
    before, after = _place(old), _place(new)
    if before != after and any(it.path not in (None, it.name) for it in (old, new)):
        rule = "NO_MOVE" if one_format and _structure(before) != _structure(after) else "SAME_PATH"
        problem = f"it has another place in {'the call' if kind == 'INPUT' else 'what is returned'}"
        yield Seen(f"{kind}_{rule}", subject, problem, before or "the whole", after or "the whole")


def _place(value: Input | Output) -> str:
    return value.call_path if isinstance(value, Input) else value.return_path


_POSITION = re.compile(r"\[\d+\](?=[\[.]|$)")


def _structure(place: str) -> str:
    """A place without the positions in it: that those changed is what the rules of order say."""
    return _POSITION.sub("[]", place)
