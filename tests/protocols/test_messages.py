"""Our messages: byte-compatible with the stubs of others, and blind to them in one process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from tritonclient.grpc import service_pb2

import trimtab
from trimtab.protocols import oip, score
from trimtab.source.descriptors import message_classes, proto_text
from trimtab.source.proto import Field, ProtoFile

TRITON_THEN_OURS = "import tritonclient.grpc.service_pb2 as theirs; from trimtab.protocols import oip as ours"
OURS_THEN_TRITON = "from trimtab.protocols import oip as ours; import tritonclient.grpc.service_pb2 as theirs"
INTEROPERATE = """
request = theirs.ModelInferRequest(model_name="ctr", model_version="7", id="r")
request.parameters["p"].double_param = 0.5
tensor = request.inputs.add(name="age", datatype="FP32", shape=[2, 1])
tensor.parameters["broadcast"].bool_param = True
tensor.contents.fp32_contents.extend([1.0, 2.0])
request.raw_input_contents.append(b"raw")
request.outputs.add(name="score")
same = ours.ModelInferRequest.FromString(request.SerializeToString())
assert str(same) == str(request), (str(same), str(request))
assert theirs.ModelInferRequest.FromString(same.SerializeToString()) == request
"""


@pytest.mark.parametrize("imports", [TRITON_THEN_OURS, OURS_THEN_TRITON])
def test_shares_a_process_with_tritonclient(imports):
    code = imports.replace("; ", "\n") + INTEROPERATE
    environment = dict(os.environ, PYTHONPATH=str(Path(trimtab.__file__).parents[1]))
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_every_oip_message_equals_tritonclients():
    theirs = service_pb2.DESCRIPTOR.message_types_by_name
    assert set(oip.OPEN_INFERENCE.messages) >= {"ModelInferRequest", "ModelInferResponse"}
    for name in oip.OPEN_INFERENCE.messages:
        if "." not in name:
            assert describe(getattr(oip, name).DESCRIPTOR) == describe(theirs[name])


def describe(message):
    """The facts of a message that decide its bytes and its API."""
    fields = {
        field.number: (
            field.name,
            field.type,
            field.is_repeated,
            field.message_type.name if field.message_type else None,
            field.containing_oneof.name if field.containing_oneof else None,
        )
        for field in message.fields
    }
    nested = {inner.name: (describe(inner), inner.GetOptions().map_entry) for inner in message.nested_types}
    return fields, nested


def test_every_message_is_exported():
    for module, file in ((oip, oip.OPEN_INFERENCE), (score, score.SCORE)):
        for name in file.messages:
            if "." not in name:
                assert getattr(module, name).DESCRIPTOR.full_name == f"{file.package}.{name}"


@pytest.mark.parametrize(
    "message",
    [
        oip.ModelInferRequest(model_name="ctr", inputs=[oip.ModelInferRequest.InferInputTensor(name="age")]),
        score.ScoreRequest(models=[score.ModelRef(name="ctr")], entities={"user": "u42"}),
    ],
)
def test_messages_pickle(message):
    assert pickle.loads(pickle.dumps(message)) == message


def test_methods():
    assert oip.SERVICE == "inference.GRPCInferenceService"
    assert oip.METHODS["ModelInfer"] == "/inference.GRPCInferenceService/ModelInfer"
    assert len(oip.METHODS) == 6
    assert score.METHODS == {"Score": "/trimtab.score.v1.Root/Score"}


def test_shipped_proto_is_the_generated_one():
    shipped = Path(score.__file__).with_name("score.proto")
    assert shipped.read_text() == score.score_proto()


def test_proto_text_writes_nesting_and_oneofs():
    file = ProtoFile(
        name="t.proto",
        package="t",
        messages={
            "Outer": (
                Field(1, "left", "bool", oneof="choice"),
                Field(2, "right", "Outer.Inner", oneof="choice"),
                Field(3, "by_name", "map<string, Outer.Inner>"),
            ),
            "Outer.Inner": (Field(1, "values", "int64", repeated=True),),
        },
    )
    assert proto_text(file) == PROTO
    outer = message_classes(file, __name__)["Outer"]
    message = outer(right=outer.Inner(values=[1]))
    message.by_name["a"].values.append(2)
    assert message.WhichOneof("choice") == "right"


PROTO = """\
syntax = "proto3";

package t;

message Outer {
  message Inner {
    repeated int64 values = 1;
  }
  oneof choice {
    bool left = 1;
    Outer.Inner right = 2;
  }
  map<string, Outer.Inner> by_name = 3;
}
"""
