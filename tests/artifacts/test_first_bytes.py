"""Which formats a file may be of, by its first bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trimtab.artifacts.kinds import HEAD_BYTES, KINDS, Sign, kinds_of

SIGNS = [sign for kind in KINDS for sign in kind.signs]


def fits(sign: Sign, head: bytes) -> bool:
    if sign.offset is None:
        return head.lstrip(b" \t\r\n").startswith(sign.magic)
    return head[sign.offset :].startswith(sign.magic)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Bytes with the sign of some format where it belongs, or elsewhere."""
    sign = draw(st.sampled_from(SIGNS))
    at = draw(st.sampled_from([0, 1, 4, 8])) if sign.offset is None else sign.offset
    before = draw(st.one_of(st.binary(min_size=at, max_size=at), st.text(" \t\r\n{<", min_size=at, max_size=at)))
    return ((before if isinstance(before, bytes) else before.encode()) + sign.magic + draw(st.binary()))[:HEAD_BYTES]


@given(st.one_of(heads(), st.binary(max_size=HEAD_BYTES)))
def test_they_are_those_one_of_whose_signs_fits_or_that_have_none(head: bytes) -> None:
    expected = [kind for kind in KINDS if not kind.signs or any(fits(sign, head) for sign in kind.signs)]
    assert list(kinds_of(head)) == expected
