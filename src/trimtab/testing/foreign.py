"""Tiny artifacts of many kinds, which no format but their own may take for its own.

They are as small as their kind allows: enough for whoever looks at the first bytes, or at the names in an archive.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile

_PICKLE = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01."


def foreign_samples() -> dict[str, tuple[bytes, ...]]:
    """Files by the name of the built-in format that they are of; under `""` those of no format."""
    return {
        "": (
            b"",
            b"\0",
            b"PK",
            b"{}",
            b"[]",
            b"<",
            b"hello\n",
            bytes(4096),
            bytes(range(256)) * 4,
            b"\x1f\x8b\x08\0" + bytes(32),
            b"\x7fELF\x02\x01\x01" + bytes(64),
            b"PAR1" + bytes(16) + b"PAR1",
            b"<?xml version='1.0'?><html><body/></html>",
            b"%YAML 1.2\n---\na: [1, 2]\n",
            archive({"readme.txt": b"hello"}),
            json.dumps({"model": [1, 2, {"layers": []}]}).encode(),
        ),
        "pt2": (archive({"m/archive_format": b"pt2", "m/models/model.json": b"{}"}),),
        "torchscript": (
            archive(
                {
                    "m/data.pkl": b"\x80\x02c__torch__\nM\nq\x00)\x81}b.",
                    "m/code/__torch__.py": b"class M(Module):\n  def forward(self: M) -> int:\n    return 1\n",
                    "m/constants.pkl": b"\x80\x02).",
                    "m/version": b"3\n",
                }
            ),
        ),
        "pickled": (
            archive({"m/data.pkl": _PICKLE, "m/version": b"3\n"}),
            _PICKLE,
            b"\x80\x04\x95\x05\0\0\0\0\0\0\0}\x94.",
        ),
        "keras": (
            archive({"metadata.json": b'{"keras_version": "3.0.0"}', "config.json": b"{}", "model.weights.h5": b""}),
        ),
        "skops": (archive({"schema.json": b'{"__class__": "Pipeline", "protocol": 2}'}),),
        "tflite": (b"\x1c\0\0\0TFL3" + bytes(56),),
        "executorch": (b"\x1c\0\0\0ET12eh00" + bytes(56),),
        "ort": (b"\x1c\0\0\0ORTM" + bytes(56),),
        "catboost": (b"CBM1" + struct.pack("<I", 8) + bytes(8),),
        "xgboost": (
            b'{"learner": {"attributes": {}, "feature_names": [], "feature_types": [], "learner_model_param": {}}}',
            b"{L\0\0\0\0\0\0\0\x07learner{}}",
        ),
        "lightgbm": (b"tree\nversion=v4\nnum_class=1\nfeature_names=a b\n\nend of trees\n",),
        "openvino": (b'<?xml version="1.0"?><net name="m" version="11"><layers/><edges/></net>',),
        "document": (b'{"input_names": ["a"], "output_names": ["b"]}',),
        "gguf": (b"GGUF" + struct.pack("<IQQ", 3, 0, 0),),
        "safetensors": (struct.pack("<Q", 2) + b"{}",),
        "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(64),),
        "onnx": (b"\x08\x08\x3a\x05\x12\x03abc\x42\x02\x10\x0d",),
        "coreml": (b"\x08\x04\x12\x05\x0a\x03\x0a\x01x\xf2\x1f\x02\x0a\x00",),
        "savedmodel": (b"\x08\x01\x12\x09\x0a\x07\x22\x05serve",),
        "triton": (b'name: "m"\nbackend: "onnxruntime"\ninput [{name: "a" data_type: TYPE_FP32 dims: [1]}]\n',),
        "mlflow": (b"artifact_path: model\nflavors:\n  python_function:\n    loader_module: x\nmodel_uuid: a\n",),
    }


def archive(entries: dict[str, bytes]) -> bytes:
    """A zip archive of stored entries."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name, content in entries.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return target.getvalue()
