"""Which signatures are held against which, wherever they lie: repositories, bundles, stores."""

from __future__ import annotations
