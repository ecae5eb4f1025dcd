"""What a rule of the gate declares: what must hold, who breaks by it and how they notice, and what to do."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from trimtab.findings import Level
from trimtab.stability.category import Category


class Notice(StrEnum):
    """How those who break by a change notice it."""

    ERROR = "an error at once"
    """The request or the deployment is refused: loud, and soon."""
    SILENT = "silently wrong scores"
    """Everything answers, and answers wrongly: found by whoever looks at the metrics, if at all."""
    NOTHING = "nothing breaks"
    """Nobody breaks, and the contract is another one all the same."""


class StabilityRule(Struct, frozen=True):
    """A rule's declaration.

    category: the laxest category that includes it. law: what must hold. breaks: who breaks otherwise, as a sentence.
    remedy: what to do instead of forking the model, as a sentence; empty where there is nothing but a fork.
    why: why it has this category and no other, where that is not plain: mostly what the frameworks do.
    forks: whether a new name for the model is a way out.
    """

    name: str
    category: Category
    law: str
    breaks: str
    notice: Notice
    remedy: str = ""
    why: str = ""
    level: Level = Level.ERROR
    forks: bool = True

    @property
    def categories(self) -> tuple[Category, ...]:
        """Every category that includes it."""
        return tuple(each for each in Category if each.includes(self.category))

    @property
    def page(self) -> str:
        """The rule's page of the documentation."""
        parts = [
            self.law,
            f"Categories: {', '.join(each.value for each in self.categories)}.",
            f"Who breaks: {self.breaks} How they notice: {self.notice.value}.",
            f"Instead: {' Or: '.join(filter(None, (self.remedy, FORK if self.forks else '')))}",
        ]
        if self.why:
            parts.append(f"Why in this category: {self.why}")
        return "\n\n".join(parts)


FORK = "Publish it under a new name: trimtab fork REPOSITORY MODEL NEW_NAME."
