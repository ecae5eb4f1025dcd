"""The rules of the gate: every one of them, by name.

A rule is a declaration here; what it looks for is the logic of `trimtab.stability.diff` and the modules beside it.
Sources: the habits of buf's breaking-change rules (names, categories), and the invariant that a model's signature never
changes under its name.
"""

from __future__ import annotations

from trimtab.stability.rule import FORK, Notice, StabilityRule
from trimtab.stability.rules_of_models import ENTRY_POINTS, OUTPUTS, WAIVERS, WHOLE
from trimtab.stability.rules_of_values import INPUTS

__all__ = ["FORK", "RULES", "Notice", "StabilityRule"]

RULES = {rule.name: rule for rule in (*ENTRY_POINTS, *INPUTS, *OUTPUTS, *WHOLE, *WAIVERS)}
"""Every rule, by name."""
