"""The model signature: value model, document, canonical form, digests. Knows no file, network or framework."""
