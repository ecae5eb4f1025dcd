"""Walk what is too large for every run of the tests, and print how large it is.

python tests/rollout/larger_walks.py
"""

from __future__ import annotations

import time
from typing import Any

from explicit_state import walk
from protocol_bundles import A, B
from protocol_model import Delivery

from trimtab.bundles.store.pointers import Stage

CANARY, PRODUCTION = Stage.CANARY, Stage.PRODUCTION
LARGER: dict[str, dict[str, Any]] = {
    "one rollout after another, with holds": {"holds": True},
    "one rollout after another, from nothing": {"from_nothing": True},
    "one rollout after another, without acknowledgments": {"acknowledge": False},
    "one rollout after another, production": {"roots": (PRODUCTION,), "leaves": (PRODUCTION,)},
    "two roots and two leaves, one of each may fail": {
        "again": False,
        "faults": 1,
        "roots": (CANARY, PRODUCTION),
        "leaves": (CANARY, PRODUCTION),
    },
    "two roots and two leaves of one stage, one rollout after another": {
        "faults": 0,
        "roots": (CANARY, CANARY),
        "leaves": (CANARY, CANARY),
    },
}

if __name__ == "__main__":
    for what, options in LARGER.items():
        began = time.perf_counter()
        walked = walk(Delivery({"A": A, "B": B}, **options), 20_000_000)
        took = time.perf_counter() - began
        print(f"{what}: {walked.states:,} states, {walked.steps:,} steps, {took:.0f} s: {walked.wrong or 'sound'}")
