"""What a root holds in memory: bundles from files and stores, each in isolation, with its last-known-good."""

from __future__ import annotations
