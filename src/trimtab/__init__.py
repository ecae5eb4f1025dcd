"""The model's signature, read from the artifact, as the one source of truth of every serving tier."""
