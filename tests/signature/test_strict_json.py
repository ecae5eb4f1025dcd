"""How deep JSON is nested is seen from its brackets, those in strings left out."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from trimtab.signature.strict_json import _nested_at_most

texts = st.text(st.sampled_from('[]{}"\\a,:\n'), max_size=6)
values = st.recursive(
    st.one_of(st.none(), st.integers(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
)


def depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inside = value if isinstance(value, list) else value.values()
    return 1 + max(map(depth, inside), default=0)


@given(values, st.integers(0, 6))
@example(["]", ["]", [1, "["], "["], 1], 1)
@example(["]", ["]", [1, "["], "["], "\\"], 1)
@example(["[", "", "]"], 1)
def test_depth_is_that_of_the_value(value: Any, limit: int) -> None:
    assert _nested_at_most(msgspec.json.encode(value), limit) == (depth(value) <= limit)
