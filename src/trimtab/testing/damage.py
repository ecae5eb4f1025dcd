"""Damaged copies of a file: cut, changed byte by byte, and, where it is a zip archive, changed inside of its entries.

Everything depends on the seed alone, so that what fails can be repeated.
"""

from __future__ import annotations

import io
import random
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CUTS = 128
"""How many of its prefixes a file is cut to."""

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
_NUMBERS = (b"-1", b"0", b"1e999", b"99999999999999999999", b"NaN", b"null", b"true", b'""', b"[]", b"{}", b'"\\ud800"')
_TEXTS = (b"", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"../../x", b"\n", b'"', b"<!DOCTYPE a [", b"&a;", b"*a", b"!!x")
_BRACKETS = (b"[", b"{", b"(", b'{"a":', b"<a>", b"[1,")


def damaged(data: bytes, count: int, seed: int = 0, *, cut: bool = True) -> Iterator[tuple[str, bytes]]:
    """Cut and changed copies of a file's bytes, each with words for what was done to it.

    count: how many changed copies; the cut ones, at most MAX_CUTS, come before them where `cut` asks for them.
    """
    for length in _cuts(len(data)) if cut else ():
        yield f"cut to {length} bytes", data[:length]
    archive = _entries(data)
    for number in range(count):
        dice = random.Random(f"{seed} {number}")  # noqa: S311  # for tests, not for secrets
        if archive and dice.random() < 0.6:
            yield f"mutation {seed}.{number} of an entry", _repacked(archive, dice)
        else:
            yield f"mutation {seed}.{number}", mutated(data, dice)


def _cuts(size: int) -> list[int]:
    if size <= MAX_CUTS:
        return [*range(size)]
    ends = {*range(MAX_CUTS // 4), *range(size - MAX_CUTS // 4, size)}
    return sorted(ends | {size * part // (MAX_CUTS // 2) for part in range(MAX_CUTS // 2)})


def mutated(data: bytes, dice: random.Random) -> bytes:
    """A copy with one to eight changes."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        at = dice.randrange(len(changed) + 1)
        end = at + dice.randrange(1, 40)
        match dice.randrange(10):
            case 0 | 1:
                changed[at : at + 1] = bytes(byte ^ 1 << dice.randrange(8) for byte in changed[at : at + 1])
            case 2:
                del changed[at:end]
            case 3:
                changed[at:at] = dice.randbytes(dice.randrange(1, 9))
            case 4:
                changed[at:at] = changed[at:end] * dice.choice((1, 1, 50))
            case 5 | 6:
                width = dice.choice((1, 2, 4, 8))
                value = dice.choice(_EXTREMES) & (1 << 8 * width) - 1
                changed[at : at + width] = value.to_bytes(width, dice.choice(("little", "little", "big")))
            case 7:
                changed[at : dice.choice((at, end))] = dice.choice(_NUMBERS)
            case 8:
                changed[at : dice.choice((at, end))] = dice.choice(_TEXTS)
            case _:
                changed[at:at] = dice.choice(_BRACKETS) * dice.choice((1, 3, 300, 3000))
    return bytes(changed)


_MAX_UNPACKED = 4 << 20


def _entries(data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
    """The entries of a zip archive; none where the bytes are no archive, or a large one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            if sum(each.file_size for each in listed) > _MAX_UNPACKED:
                return []
            return [(each, archive.read(each)) for each in listed]
    except Exception:  # noqa: BLE001  # zipfile raises whatever it meets in damaged archives
        return []


def _repacked(entries: list[tuple[zipfile.ZipInfo, bytes]], dice: random.Random) -> bytes:
    """A sound archive in which one or two entries are changed, left out, doubled or renamed."""
    changed = [(each.filename, content) for each, content in entries]
    for _ in range(dice.choice((1, 1, 2))):
        if not changed:
            break
        at = dice.randrange(len(changed))
        name, content = changed[at]
        match dice.randrange(12):
            case 0:
                del changed[at]
            case 1:
                changed[at] = (name + dice.choice(("x", "/", "/x", "\u202e")), content)
            case 2:
                changed[at] = (name, dice.choice(changed)[1])
            case _:
                changed[at] = (name, mutated(content, dice))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in changed:
            archive.writestr(zipfile.ZipInfo(name), content)
    return target.getvalue()
