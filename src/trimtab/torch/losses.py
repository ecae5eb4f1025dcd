"""Warn of what a file will not keep, at the line of the caller's own code that saves."""

from __future__ import annotations

import os
import sys
import warnings

from trimtab.errors import LossyExportWarning

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def warn_of_loss(message: str) -> None:
    """Warn, as from the innermost caller that is not this package."""
    level, frame = 1, sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        if frame.f_back is None:
            break
        level, frame = level + 1, frame.f_back
    warnings.warn(message, LossyExportWarning, stacklevel=level)
