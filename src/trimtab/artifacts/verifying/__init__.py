"""Check any artifact: what its signature document declares against its graph, and what nobody could mean that way."""

from trimtab.artifacts.verifying.verify import ARTIFACT_RULES, Verification, rules, verify_artifact

__all__ = ["ARTIFACT_RULES", "Verification", "rules", "verify_artifact"]
