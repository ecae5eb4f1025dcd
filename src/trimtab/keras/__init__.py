"""Save Keras models with the signature inside.

import trimtab.keras

trimtab.keras.save(model, "ranker.keras")
"""

from __future__ import annotations

from trimtab.keras.saving import save

__all__ = ["save"]
