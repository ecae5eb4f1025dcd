"""Give a version whose signature changed a model name of its own."""

from __future__ import annotations
