"""From a model repository to a bundle: read what changed, judge it under the gate, put it together."""

from __future__ import annotations
