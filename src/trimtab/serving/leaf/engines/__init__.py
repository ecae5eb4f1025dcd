"""Engines: what runs a model once its inputs are arrays. One module per framework, imported when an artifact needs it."""
