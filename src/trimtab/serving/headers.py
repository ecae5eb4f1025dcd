"""Names of the metadata that leaf and root exchange beside the Open Inference Protocol, and of their HTTP headers."""

from __future__ import annotations

SIGNATURE_DIGEST = "trimtab-signature-digest"
"""Response: the digest of the signature that the leaf converted by. A root whose map says another is out of step."""

INPUT_DIGEST = "trimtab-input-digest"
"""Response: the digest of that signature's inputs: what trimming depends on."""

MODEL_VERSION = "trimtab-model-version"
"""Response: the version that scored, also when the request named none."""
