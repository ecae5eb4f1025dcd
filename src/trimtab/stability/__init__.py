"""Compare two signatures: what changed, who breaks by it and how they notice, and what to do.

from trimtab.stability import Category, diff

for change in diff(old, new, category=Category.FEED):
    print(change)
"""

from __future__ import annotations

from trimtab.stability.category import Category
from trimtab.stability.change import Change
from trimtab.stability.diff import diff
from trimtab.stability.rules import RULES, Notice, StabilityRule

__all__ = ["RULES", "Category", "Change", "Notice", "StabilityRule", "diff"]
