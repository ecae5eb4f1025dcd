"""Findings: what a check has against its subject, the rules that find it, and the forms in which others read them."""

from __future__ import annotations

from trimtab.findings.finding import Finding, Level, Problem, Rule, rule, rules_of, worst

__all__ = ["Finding", "Level", "Problem", "Rule", "rule", "rules_of", "worst"]
