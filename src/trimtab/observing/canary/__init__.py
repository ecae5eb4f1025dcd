"""Automated canary analysis: whether the canary is worse than the baseline beside it by more than is allowed.

Each metric is a sample of values on both sides, out of Prometheus or out of files. A rank test says of each whether the
canary is worse than the baseline by more than a margin (high, low), is not (pass), or whether nobody can tell yet
(inconclusive). Together they make one verdict: pass, fail or inconclusive.
"""

from __future__ import annotations
