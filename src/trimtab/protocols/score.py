"""The root's own protocol: score these candidates with these models.

The same table gives the message classes and `score.proto`, which ships beside this module for other languages.
`python -m trimtab.protocols.score` prints it.
"""

from __future__ import annotations

import sys

from trimtab.source.descriptors import message_classes, method_paths, proto_text
from trimtab.source.proto import Field, Method, ProtoFile

SCORE = ProtoFile(
    name="trimtab/protocols/score.proto",
    package="trimtab.score.v1",
    messages={
        "ScoreRequest": (
            Field(1, "id", "string"),
            Field(2, "models", "ModelRef", repeated=True),
            Field(3, "candidates", "string", repeated=True),
            Field(4, "entities", "map<string, string>"),
            Field(5, "features", "FeatureValue", repeated=True),
            Field(6, "deadline_ms", "uint32"),
        ),
        "ScoreResponse": (
            Field(1, "id", "string"),
            Field(2, "results", "ModelResult", repeated=True),
            Field(3, "unknown_candidates", "string", repeated=True),
        ),
        "ModelRef": (Field(1, "name", "string"), Field(2, "version", "string")),
        "FeatureValue": (
            Field(1, "name", "string"),
            Field(2, "datatype", "string"),
            Field(3, "shape", "int64", repeated=True),
            Field(4, "raw", "bytes"),
        ),
        "ModelResult": (
            Field(1, "model_name", "string"),
            Field(2, "model_version", "string"),
            Field(3, "outputs", "FeatureValue", repeated=True),
            Field(4, "error", "Error"),
            Field(5, "signature_digest", "string"),
            Field(6, "outcome", "string"),
            Field(7, "bytes_sent", "uint64"),
            Field(8, "latency_us", "uint64"),
        ),
        "Error": (Field(1, "code", "string"), Field(2, "message", "string")),
    },
    service="Root",
    methods=(Method("Score", "ScoreRequest", "ScoreResponse"),),
)

SERVICE = f"{SCORE.package}.{SCORE.service}"
METHODS = method_paths(SCORE)

_CLASSES = message_classes(SCORE, __name__)
ScoreRequest = _CLASSES["ScoreRequest"]
ScoreResponse = _CLASSES["ScoreResponse"]
ModelRef = _CLASSES["ModelRef"]
FeatureValue = _CLASSES["FeatureValue"]
ModelResult = _CLASSES["ModelResult"]
Error = _CLASSES["Error"]


def score_proto() -> str:
    """The text of `score.proto`."""
    return proto_text(SCORE, _COMMENT)


_COMMENT = """\
Scoring through a trimtab root. Generated: python -m trimtab.protocols.score

ScoreRequest.candidates: keys of the candidate view; one row of every output each, in order, unknown ones left out.
ScoreRequest.entities: view to key, for features of the request as a whole, for example user to u42.
ScoreRequest.features: features of the request as a whole, given inline.
ScoreRequest.deadline_ms: 0 means the server's own deadline.
FeatureValue: a tensor as the Open Inference Protocol writes it (datatype, shape, raw contents).
ModelResult.outcome: how the model's allowlist was found. Either outputs or error is set."""


if __name__ == "__main__":
    sys.stdout.write(score_proto())
