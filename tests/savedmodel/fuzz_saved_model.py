"""Fuzz everything that looks at a SavedModel: mutated protos of the corpus give a result or one of trimtab's errors.

    python tests/savedmodel/fuzz_saved_model.py [--runs 1500] [--seed N]

Input number N depends on N alone: what fails is repeated with `--seed N`, and is kept as build/fuzz/saved_model-N.pb.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from saved_model_faces import FACES
from wire_messages import BYTES, VARINT, varint

from trimtab.errors import TrimtabError
from trimtab.savedmodel.message import fields
from trimtab.savedmodel.schema import SCHEMA

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("TRIMTAB_CORPUS", ROOT.parent / "shared" / "corpus")) / "savedmodel"

SECONDS = 10
"""Of the processor's time for one face on one input, before it counts as hanging."""

EXTREMES = (0, 1, 2, 127, 128, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -1, -2)
TEXTS = (
    b"",
    b"\xff\xfe",
    b"\0",
    b"a" * 5_000,
    b"body",
    b"0",
    b"StatefulPartitionedCall:9999999999999",
    b"^x",
    b":::",
    b"a.b.c",
)

Field = list[Any]
"""Number, wire type, and a value: of a varint the number, of a message its fields, else bytes."""


def parse(data: bytes, start: int, end: int, message: str) -> list[Field]:
    """The fields of a message of the schema, as deep as the schema says."""
    rows = {row.number: row.type for row in SCHEMA.messages.get(message, ())}
    found = []
    for number, wire_type, begin, stop in fields(data, start, end, "seed"):
        inner = rows.get(number, "")
        if wire_type == VARINT:
            found.append([number, wire_type, begin])
        elif wire_type == BYTES and inner.startswith("map<"):
            value = inner[4:-1].partition(", ")[2]
            found.append([number, wire_type, parse_entry(data, begin, stop, value)])
        elif wire_type == BYTES and inner in SCHEMA.messages:
            found.append([number, wire_type, parse(data, begin, stop, inner)])
        else:
            found.append([number, wire_type, data[begin:stop]])
    return found


def parse_entry(data: bytes, start: int, end: int, value: str) -> list[Field]:
    return [
        [number, wire_type, parse(data, begin, stop, value)]
        if number == 2 and value in SCHEMA.messages
        else [number, wire_type, begin if wire_type == VARINT else data[begin:stop]]
        for number, wire_type, begin, stop in fields(data, start, end, "seed")
    ]


def serialize(message: list[Field]) -> bytes:
    parts = []
    for number, wire_type, value in message:
        content = varint(value) if wire_type == VARINT else serialize(value) if isinstance(value, list) else value
        parts.append(varint(number << 3 | wire_type) + (varint(len(content)) if wire_type == BYTES else b"") + content)
    return b"".join(parts)


def messages(message: list[Field]) -> list[list[Field]]:
    """A message and all those inside it."""
    found, waiting = [], [message]
    while waiting:
        found.append(waiting.pop())
        waiting += [value for _, _, value in found[-1] if isinstance(value, list)]
    return found


def mutant(seed: int, models: list[bytes]) -> bytes:
    """Input number `seed`: one of the models, its fields changed, and now and then its bytes."""
    dice = random.Random(seed)
    data = dice.choice(models)
    if dice.random() < 0.75:
        tree = parse(data, 0, len(data), "SavedModel")
        everything = [each for each in messages(tree) if each]
        for _ in range(dice.choice((1, 1, 2, 5, 20))):
            change_field(dice, dice.choice(everything), everything)
        data = serialize(tree) if bounded(tree) else data
    if dice.random() < 0.4:
        data = change_bytes(dice, data)
    return data


def change_field(dice: random.Random, message: list[Field], everything: list[list[Field]]) -> None:
    if not message:
        return
    at = dice.randrange(len(message))
    field = message[at]
    match dice.choice(("remove", "repeat", "value", "value", "value", "swap", "renumber", "empty", "move")):
        case "remove":
            del message[at]
        case "repeat":
            message[at:at] = [list(field)] * dice.choice((1, 1, 2, 50))
        case "value" if field[1] == VARINT:
            field[2] = dice.choice((*EXTREMES, dice.randrange(64), field[2] + 1))
        case "value" if isinstance(field[2], bytes):
            others = [value for other in everything for _, _, value in other if isinstance(value, bytes)]
            field[2] = dice.choice((*TEXTS, *dice.sample(others, min(10, len(others)))))
        case "swap":
            other = dice.choice(message)
            field[2], other[2] = (other[2], field[2]) if other[1] == field[1] else (field[2], other[2])
        case "renumber":
            field[0] = dice.choice((1, 2, 3, 4, 5, 6, 7, 8, 15, 33, 51, 2**28, field[0] + 1))
        case "empty" if field[1] == BYTES:
            field[2] = b""
        case "move":
            other = dice.choice(everything)
            other.append(list(field))


def bounded(tree: list[Field]) -> bool:
    """Whether it is a tree of a sane size: what was moved into itself is not."""
    seen, waiting = 0, [(tree, 0)]
    while waiting:
        message, depth = waiting.pop()
        seen += 1
        if seen > 20_000 or depth > 90:
            return False
        waiting += [(value, depth + 1) for _, _, value in message if isinstance(value, list)]
    return True


def change_bytes(dice: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 3, 10))):
        at = dice.randrange(len(changed) + 1)
        match dice.choice(("flip", "cut", "insert", "repeat", "end")):
            case "flip":
                changed[at : at + 1] = bytes(byte ^ 1 << dice.randrange(8) for byte in changed[at : at + 1])
            case "cut":
                del changed[at : at + dice.randrange(40)]
            case "insert":
                changed[at:at] = dice.randbytes(dice.randrange(8))
            case "repeat":
                changed[at:at] = changed[at : at + dice.randrange(200)]
            case "end" if dice.random() < 0.3:
                del changed[at:]
    return bytes(changed)


class HangError(Exception):
    """A face has used its time."""


def hang(*_: object) -> None:
    raise HangError(f"more than {SECONDS} s")


def survives(seed: int, data: bytes, folder: Path) -> bool:
    """Whether every face took it; tells about the first that did not."""
    (folder / "saved_model.pb").write_bytes(data)
    for name, face in FACES.items():
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            face(str(folder))
        except TrimtabError:
            continue
        except Exception:  # noqa: BLE001  # whatever it is, it is what we look for
            kept = ROOT / "build" / "fuzz" / f"saved_model-{seed}.pb"
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(data)
            traceback.print_exc()
            print(f"{name} fell over input {seed}, kept as {kept}", file=sys.stderr)
            return False
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1_500, help="how many inputs (default 1500)")
    parser.add_argument("--seed", type=int, help="only the input of this number")
    parser.add_argument("--keep-going", action="store_true", help="tell of every input that fails, not of the first")
    arguments = parser.parse_args()
    models = [path.read_bytes() for path in sorted(CORPUS.glob("*/model/saved_model.pb"))]
    if not models:
        print(f"no SavedModels in {CORPUS}: set TRIMTAB_CORPUS to the shared corpus", file=sys.stderr)
        return 0
    signal.signal(signal.SIGVTALRM, hang)
    started = time.perf_counter()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.runs) if arguments.seed is None else (arguments.seed,):
            failed += not survives(seed, mutant(seed, models), Path(folder))
            if failed and not arguments.keep_going:
                return 1
    print(f"{arguments.runs} mutated SavedModels, {failed} failures, {time.perf_counter() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
