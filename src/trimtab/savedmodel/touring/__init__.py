"""The tour: a SavedModel told to a person, from each entry point through the five places down to what is captured."""

from trimtab.savedmodel.touring.story import Tour
from trimtab.savedmodel.touring.telling import tour

__all__ = ["Tour", "tour"]
