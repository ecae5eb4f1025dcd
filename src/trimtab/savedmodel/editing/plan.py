"""The steps of an edit, and the plan that says what they change before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins
from msgspec.structs import replace

from trimtab.errors import TrimtabError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.savedmodel.editing.draft import Change, Draft, Edit

_PROTOS = ("FunctionDef", "SignatureDef", "SavedFunction", "SavedBareConcreteFunction", "SavedConcreteFunction")
"""The five places that declare signatures, in the order in which they are told; other parts follow."""


class Step(Struct, frozen=True, forbid_unknown_fields=True, tag_field="step"):
    """One thing that an edit does. Its fields are those of the object that names it in a plan's JSON."""

    def describe(self) -> str:
        """What it does, as one line for a person."""
        raise NotImplementedError

    def apply(self, draft: Draft) -> None:
        """Do it to the draft. ArtifactError when it cannot be done, and then the draft is of no more use."""
        raise NotImplementedError


class PlannedStep(Struct, frozen=True):
    """A step and what it did to the draft."""

    step: Step
    title: str
    edits: tuple[Edit, ...]

    def as_dict(self) -> dict[str, Any]:
        """The step as `--json` prints it."""
        return {"title": self.title, "edits": [to_builtins(edit) for edit in self.edits]}


class Plan(Struct, frozen=True):
    """What an edit will change: step by step, and as the parts that will differ from the file."""

    steps: tuple[PlannedStep, ...]
    changes: tuple[Change, ...]

    def __str__(self) -> str:
        lines = []
        for number, planned in enumerate(self.steps, 1):
            lines.append(f"{number}. {planned.title}")
            edits = sorted(planned.edits, key=_rank)
            lines += [f"   {edit.proto:26} {edit.verb:6} {edit.key}: {edit.note}" for edit in edits]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The plan as `--json` prints it."""
        return {
            "steps": [planned.as_dict() for planned in self.steps],
            "changes": [
                {
                    "place": change.place,
                    "key": change.key,
                    "verb": change.verb,
                    "bytes_before": None if change.before is None else len(change.before),
                    "bytes_after": None if change.after is None else len(change.after),
                    "note": change.note,
                }
                for change in self.changes
            ],
        }


def make_plan(draft: Draft, steps: tuple[Step, ...]) -> Plan:
    """Apply the steps to the draft, one after the other. Errors say which step they come from."""
    planned = []
    for number, step in enumerate(steps, 1):
        done = len(draft.log)
        title = step.describe()
        try:
            step.apply(draft)
        except TrimtabError as error:
            raise error.within(f"step {number}, {title}") from None
        planned.append(PlannedStep(step, title, _in_sum(draft.log[done:])))
    return Plan(tuple(planned), draft.changes())


def _rank(edit: Edit) -> int:
    return _PROTOS.index(edit.proto) if edit.proto in _PROTOS else len(_PROTOS)


def _in_sum(log: Sequence[Edit]) -> tuple[Edit, ...]:
    """What a step did to each part in the end, however often it touched it."""
    touched: dict[tuple[str, str | int], list[Edit]] = {}
    for edit in log:
        touched.setdefault((edit.place, edit.key), []).append(edit)
    summed = []
    for edits in touched.values():
        first, last = edits[0], edits[-1]
        if first.verb == "add" and last.verb == "remove":
            continue
        verb = "add" if first.verb == "add" else "remove" if last.verb == "remove" else "change"
        summed.append(replace(last, verb=verb))
    return tuple(summed)
