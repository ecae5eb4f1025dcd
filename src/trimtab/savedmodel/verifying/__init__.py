"""Check that the five places where a SavedModel declares its signatures agree, with each other and with the graph."""

from trimtab.savedmodel.verifying.verify import RULES, verify

__all__ = ["RULES", "verify"]
