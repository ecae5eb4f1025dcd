"""Bundles: what the models of a leaf need, built from a model repository, delivered by a store, looked up by a root.

Knows signatures, artifacts and the gate; knows no payload format.
"""
