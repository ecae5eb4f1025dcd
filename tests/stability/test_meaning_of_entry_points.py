"""The same proof for models with several entry points: clients name one of them, or none.

An allowlist is for all of a model's entry points, and servers of these formats refuse an input that the one which is
called does not take. So a request is sent both to a leaf that converts, and as it is after trimming.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from echo_models import Exported, Field, Model
from echo_models_of_tensorflow import savedmodels, tflites
from request_sending import handed, requests_for, same, send

from trimtab.stability import Category, diff

pytestmark = pytest.mark.filterwarnings(r"ignore:\s+Warning. tf.lite.Interpreter is deprecated:UserWarning")

Models = dict[str, Model]

USER, ITEM, AGE = Field("user", shape=("batch", 3)), Field("item", "int64", ("batch",)), Field("age", shape=("batch",))
RANK = Model((USER, ITEM))
EMBED = Model((USER, AGE))
SERVED: Models = {"serving_default": RANK, "embed": EMBED}
NAMED: Models = {"rank": RANK, "embed": EMBED}

CASES: list[tuple[str, Models, Models, str]] = [
    ("nothing", SERVED, SERVED, ""),
    ("an entry point more", {"serving_default": RANK}, SERVED, ""),
    ("an entry point less", SERVED, {"serving_default": RANK}, "ENTRYPOINT_NO_DELETE"),
    ("the default one gone", SERVED, {"embed": EMBED}, "ENTRYPOINT_NO_DELETE ENTRYPOINT_SAME_DEFAULT"),
    ("another default", NAMED, {**NAMED, "serving_default": Model((ITEM, AGE))}, "ENTRYPOINT_SAME_DEFAULT"),
    (
        "what two names mean exchanged",
        SERVED,
        {"serving_default": EMBED, "embed": RANK},
        "INPUT_NO_ADD_REQUIRED INPUT_NO_DELETE_UNLESS_TRIMMED",
    ),
    ("an input more of another one", SERVED, {**SERVED, "embed": EMBED.plus(ITEM)}, "INPUT_NO_ADD_REQUIRED"),
    ("an input of another dtype", SERVED, {**SERVED, "embed": EMBED.change("age", dtype="int32")}, "INPUT_SAME_DTYPE"),
    ("an input less", SERVED, {**SERVED, "embed": EMBED.without("age")}, ""),
    (
        "an input less that is taken elsewhere",
        SERVED,
        {**SERVED, "embed": EMBED.without("user")},
        "INPUT_NO_DELETE_UNLESS_TRIMMED",
    ),
    ("an output less", SERVED, {**SERVED, "embed": replace(EMBED, muted=("age",))}, ""),
]

BOTH = {"nothing", "an entry point less", "another default", "an input less", "an input less that is taken elsewhere"}
"""The cases that are tried with TensorFlow Lite too, whose converter takes its time."""

PAIRS = [
    pytest.param(framework, *row[1:], id=f"{framework}: {row[0]}")
    for row in CASES
    for framework in (("savedmodel", "tflite") if row[0] in BOTH else ("savedmodel",))
]

Export = Callable[[str, Models], dict[str, Exported]]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Exports each set of models once."""
    made: dict[tuple[str, str], dict[str, Exported]] = {}

    def exported(framework: str, models: Models) -> dict[str, Exported]:
        key = framework, repr(models)
        if key not in made:
            made[key] = {"savedmodel": savedmodels, "tflite": tflites}[framework](
                models, tmp_path_factory.mktemp(framework)
            )
        return made[key]

    return exported


@pytest.mark.parametrize(("framework", "before", "after", "rule"), PAIRS)
def test_a_change_counts_in_feed_exactly_if_a_client_of_some_entry_point_feels_it(
    export: Export, framework: str, before: Models, after: Models, rule: str
) -> None:
    old, new = export(framework, before), export(framework, after)
    was, now = (next(iter(side.values())).signature for side in (old, new))
    found = {change.rule for change in diff(was, now, Category.FEED)}
    felt = any(_felt(old[name], new.get(name), name) for name in old)
    felt |= _felt(old[was.default_entry_point], new[now.default_entry_point], None, called=was.default_entry_point)
    assert found == set(rule.split())
    assert felt == bool(found)


def _felt(old: Exported, new: Exported | None, name: str | None, called: str = "") -> bool:
    """Whether a client that calls `name`, or none, is refused or misread by the leaf or by the framework alone."""
    for arrays in requests_for(old.signature, 4, entry_point=name or called):
        meant = send(arrays, old, entry_point=name)
        assert meant is not None
        if new is None:
            return True
        trimmed = {each: array for each, array in arrays.items() if each in new.signature.allowlist}
        for read in (send(arrays, new, entry_point=name), handed(trimmed, new)):
            if read is None or any(not same(meant[it], read[it]) for it in meant.keys() & read.keys()):
                return True
    return False
