"""Bundles: what the models of a leaf need, built from a model repository, loaded and looked up by a root.

Knows signatures and artifacts; knows no payload format and no network.
"""
