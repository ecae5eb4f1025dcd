"""Engines: what runs a model once its inputs are arrays. A module per framework, imported when an artifact needs it."""
