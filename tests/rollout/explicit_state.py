"""Walk every state that a model can reach, breadth first, until none is left or one is wrong: then the shortest way.

A model has `initial` states, `steps` from a state (what happens, and the state after it), and `wrong`, which says what
is wrong with a state or nothing. States are hashable values; equal ones are visited once.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

State = TypeVar("State", bound=Hashable)


class Model(Protocol[State]):
    """What can be walked."""

    def initial(self) -> Iterable[State]: ...

    def steps(self, state: State) -> Iterator[tuple[str, State]]: ...

    def wrong(self, state: State) -> str: ...


class Walked(NamedTuple, Generic[State]):
    """What a walk found. wrong: empty when no state is wrong. trace: what happens on the shortest way to it."""

    states: int
    steps: int
    wrong: str
    trace: list[str]

    def __str__(self) -> str:
        lines = [f"{number:3}  {what}" for number, what in enumerate(self.trace, 1)]
        return "\n".join([*lines, f"     {self.wrong or 'nothing is wrong'}"])


def walk(model: Model[State], at_most: int = 5_000_000) -> Walked[State]:
    """Walk a model. Raises OverflowError rather than stopping unnoticed after `at_most` states."""
    came: dict[State, tuple[State, str] | None] = {}
    level: list[State] = []
    steps = 0
    for state in model.initial():
        came[state] = None
        level.append(state)
    while level:
        following: list[State] = []
        for state in level:
            if wrong := model.wrong(state):
                return Walked(len(came), steps, wrong, _trace(came, state))
            for what, reached in model.steps(state):
                steps += 1
                if reached not in came:
                    came[reached] = (state, what)
                    following.append(reached)
        if len(came) > at_most:
            raise OverflowError(f"more than {at_most} states")
        level = following
    return Walked(len(came), steps, "", [])


def _trace(came: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    trace: list[str] = []
    while (step := came[state]) is not None:
        state, what = step
        trace.append(what)
    return trace[::-1]
