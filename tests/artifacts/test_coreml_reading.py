"""CoreML models, read without CoreML, are what coremltools says they are."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.artifacts.formats import coreml as reader
from trimtab.artifacts.formats.coreml import metadata
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import EntryPoint, Presence, Signature
from trimtab.signature.types import Mapping, Scalar, Sequence, Tensor
from trimtab.source.bytes import MemorySource

logging.disable(logging.CRITICAL)
ct = pytest.importorskip("coremltools")
logging.disable(logging.NOTSET)
from coremltools.proto import Model_pb2  # noqa: E402  # only where the distribution is installed

DOCUMENT = b'{"input_names":["x"],"output_names":["y"]}'


def check(path: Path) -> Signature:
    """Compare every fact with coremltools' own reading."""
    signature = derive_signature(path)
    check_spec(signature, ct.utils.load_spec(str(path)).description)
    return signature


def check_spec(signature: Signature, description: Any) -> None:
    if description.functions:
        assert [it.name for it in signature.entry_points] == [it.name for it in description.functions]
        assert signature.default_entry_point == description.defaultFunctionName
        for ours, function in zip(signature.entry_points, description.functions, strict=True):
            check_function(ours, function)
    else:
        check_function(signature.entry_point("main"), description)


def check_function(ours: EntryPoint, stated: Any) -> None:
    (overload,) = ours.overloads
    for values, features in ((overload.inputs, stated.input), (overload.outputs, stated.output)):
        assert [it.name for it in values] == [it.name for it in features]
        for value, feature in zip(values, features, strict=True):
            check_type(value.type, feature.type, overload.dimensions)
            assert feature.shortDescription in value.doc
    for value, feature in zip(overload.inputs, stated.input, strict=True):
        array = feature.type.multiArrayType
        default = array.WhichOneof("defaultOptionalValue")
        if not feature.type.isOptional:
            assert value.presence is Presence.REQUIRED
        elif default is None:
            assert value.presence is Presence.OPTIONAL
        else:
            assert value.presence is Presence.DEFAULT
            assert value.default is not None
            assert value.default.to_python() == getattr(array, default)


def check_type(ours: Any, stated: Any, ranges: dict[str, Any]) -> None:
    match stated.WhichOneof("Type"):
        case "multiArrayType":
            assert isinstance(ours, Tensor)
            assert ours.dtype == dtype_of("coreml", stated.multiArrayType.dataType)
            check_shape(ours.shape, stated.multiArrayType, ranges)
        case "imageType":
            check_image(ours, stated.imageType, ranges)
        case "int64Type":
            assert ours == Scalar(DType.INT64)
        case "doubleType":
            assert ours == Scalar(DType.FLOAT64)
        case "stringType":
            assert ours == Scalar(DType.STRING)
        case "dictionaryType":
            key = DType.INT64 if stated.dictionaryType.WhichOneof("KeyType") == "int64KeyType" else DType.STRING
            assert ours == Mapping(key, Scalar(DType.FLOAT64))
        case "sequenceType":
            of = DType.INT64 if stated.sequenceType.WhichOneof("Type") == "int64Type" else DType.STRING
            assert ours == Sequence(Scalar(of))
        case other:
            raise AssertionError(other)


def check_shape(ours: Any, array: Any, ranges: dict[str, Any]) -> None:
    match array.WhichOneof("ShapeFlexibility"):
        case "shapeRange":
            limits = [(it.lowerBound, it.upperBound) for it in array.shapeRange.sizeRanges]
            assert [bounds(dim, ranges) for dim in ours] == [(low, max(high, -1)) for low, high in limits]
        case "enumeratedShapes":
            shapes = [tuple(it.shape) for it in array.enumeratedShapes.shapes] + [tuple(array.shape)]
            if len({len(it) for it in shapes}) > 1:
                assert ours is None
            else:
                assert [bounds(dim, ranges) for dim in ours] == [(min(it), max(it)) for it in zip(*shapes, strict=True)]
        case None:
            assert ours == (tuple(array.shape) or None)


def check_image(ours: Any, image: Any, ranges: dict[str, Any]) -> None:
    name = image.ColorSpace.Name(image.colorSpace)
    assert ours.dtype == (DType.FLOAT16 if name == "GRAYSCALE_FLOAT16" else DType.UINT8)
    assert ours.shape[2] == (3 if name in {"RGB", "BGR"} else 1)
    height, width = (bounds(dim, ranges) for dim in ours.shape[:2])
    match image.WhichOneof("SizeFlexibility"):
        case "imageSizeRange":
            stated = image.imageSizeRange
            assert height == (stated.heightRange.lowerBound, stated.heightRange.upperBound)
            assert width == (stated.widthRange.lowerBound, stated.widthRange.upperBound)
        case "enumeratedSizes":
            sizes = [(it.height, it.width) for it in image.enumeratedSizes.sizes] + [(image.height, image.width)]
            assert [height, width] == [(min(it), max(it)) for it in zip(*sizes, strict=True)]
        case None:
            assert ours.shape[:2] == (image.height, image.width)


def bounds(dim: int | str | None, ranges: dict[str, Any]) -> tuple[int, int]:
    if isinstance(dim, int):
        return dim, dim
    if dim is None:
        return 0, -1
    maximum = ranges[dim].maximum
    return ranges[dim].minimum, -1 if maximum is None else maximum


def test_the_corpus_agrees(corpus: Path) -> None:
    path = corpus / "formats" / "coreml_nn.mlmodel"
    oracle = json.loads(path.with_name(path.name + ".oracle.json").read_text())
    signature = check(path)
    for values, stated in ((signature.inputs, oracle["inputs"]), (signature.outputs, oracle["outputs"])):
        assert [it.name for it in values] == [it["name"] for it in stated]
        for value, wanted in zip(values, stated, strict=True):
            assert value.type == Tensor(dtype_of("numpy", wanted["dtype"]), tuple(wanted["shape"]))
    optional = [it.name for it in signature.inputs if it.presence is not Presence.REQUIRED]
    assert optional == [it["name"] for it in oracle["inputs"] if it.get("optional")]


# Any description that the protocol allows


SIZES = st.integers(0, 5)
RANGES = st.tuples(SIZES, st.one_of(st.just(-1), st.integers(0, 4))).map(
    lambda it: (it[0], it[1] if it[1] < 0 else it[0] + it[1])
)


@st.composite
def features(draw: st.DrawFn, feature: Any) -> None:
    """Fill in one FeatureDescription."""
    feature.name = draw(st.text(min_size=1, max_size=5))
    feature.shortDescription = draw(st.sampled_from(["", "what it is"]))
    kind = feature.type
    kind.isOptional = draw(st.booleans())
    which = draw(st.sampled_from(["int64", "double", "string", "image", "array", "dictionary", "sequence"]))
    if which in {"int64", "double", "string"}:
        getattr(kind, f"{which}Type").SetInParent()
    elif which == "dictionary":
        getattr(kind.dictionaryType, draw(st.sampled_from(["int64KeyType", "stringKeyType"]))).SetInParent()
    elif which == "sequence":
        getattr(kind.sequenceType, draw(st.sampled_from(["int64Type", "stringType"]))).SetInParent()
    elif which == "image":
        draw(images(kind.imageType))
    else:
        draw(arrays(kind.multiArrayType))


@st.composite
def images(draw: st.DrawFn, image: Any) -> None:
    image.width, image.height = draw(SIZES), draw(SIZES)
    image.colorSpace = draw(st.sampled_from([10, 20, 30, 40]))
    flexible = draw(st.sampled_from(["fixed", "range", "list"]))
    if flexible == "range":
        for part in (image.imageSizeRange.widthRange, image.imageSizeRange.heightRange):
            part.lowerBound, part.upperBound = draw(RANGES)
    elif flexible == "list":
        for _ in range(draw(st.integers(1, 3))):
            image.enumeratedSizes.sizes.add(width=draw(SIZES), height=draw(SIZES))


@st.composite
def arrays(draw: st.DrawFn, array: Any) -> None:
    array.dataType = draw(st.sampled_from([65568, 65600, 131104, 131080, 65552]))
    array.shape.extend(draw(st.lists(SIZES, max_size=3)))
    flexible = draw(st.sampled_from(["fixed", "range", "list"]))
    if flexible == "range":
        for low, high in draw(st.lists(RANGES, min_size=1, max_size=3)):
            array.shapeRange.sizeRanges.add(lowerBound=low, upperBound=high)
    elif flexible == "list":
        for shape in draw(st.lists(st.lists(SIZES, min_size=1, max_size=3), min_size=1, max_size=3)):
            array.enumeratedShapes.shapes.add(shape=shape)
    default = draw(st.sampled_from(["", "intDefaultValue", "floatDefaultValue", "doubleDefaultValue"]))
    if default:
        setattr(array, default, draw(st.sampled_from([0, 1, -3])))


@settings(max_examples=150)
@given(data=st.data())
def test_every_feature_is_read_as_coremltools_has_it(data: st.DataObject) -> None:
    spec = Model_pb2.Model(specificationVersion=data.draw(st.integers(1, 10)))
    spec.identity.SetInParent()
    functions = data.draw(st.integers(0, 2))
    described = [spec.description.functions.add(name=f"f{index}") for index in range(functions)] or [spec.description]
    spec.description.defaultFunctionName = "f0" if functions else ""
    for each in described:
        for _ in range(data.draw(st.integers(0, 3))):
            data.draw(features(each.input.add()))
        data.draw(features(each.output.add()))
    serialized = spec.SerializeToString()
    source = MemorySource(serialized, "model.mlmodel")
    assert reader.match(source)
    check_spec(reader.derive(source), spec.description)
    # Split anywhere in its description and said in two parts, protobuf merges it; so do we.
    parts = spec.description.SerializeToString()
    rest = Model_pb2.Model(specificationVersion=spec.specificationVersion)
    rest.identity.SetInParent()
    twice = Model_pb2.Model(description=Model_pb2.ModelDescription(metadata={"author": "a"})).SerializeToString()
    whole = Model_pb2.Model(description=Model_pb2.ModelDescription.FromString(parts)).SerializeToString()
    merged = rest.SerializeToString() + twice + whole
    assert reader.match(MemorySource(merged))
    check_spec(reader.derive(MemorySource(merged)), Model_pb2.Model.FromString(merged).description)


# Real models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder
    from coremltools.models.pipeline import Pipeline

    folder = tmp_path_factory.mktemp("coreml")

    def network(given: str, made: str) -> Any:
        builder = NeuralNetworkBuilder(
            [(given, datatypes.Array(3))], [(made, datatypes.Array(3))], disable_rank5_shape_mapping=True
        )
        builder.add_activation("a", "RELU", given, made)
        return builder.spec

    ct.models.utils.save_spec(network("ünïcode näme", "y"), str(folder / "network.mlmodel"))
    pipeline = Pipeline(["x"], ["z"])
    pipeline.add_model(network("x", "y"))
    pipeline.add_model(network("y", "z"))
    pipeline.spec.description.input[0].type.multiArrayType.shape.append(3)
    ct.models.utils.save_spec(pipeline.spec, str(folder / "pipeline.mlmodel"))

    @ct.converters.mil.mil.Builder.program(
        input_specs=[ct.converters.mil.mil.Builder.TensorSpec(shape=(2, 3))], opset_version=ct.target.iOS17
    )
    def program(x: Any) -> Any:
        return ct.converters.mil.mil.Builder.relu(x=x)

    converted = ct.convert(
        program, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS17, skip_model_load=True
    )
    converted.save(str(folder / "program.mlpackage"))
    several = ct.utils.MultiFunctionDescriptor()
    for name in ("one", "two"):
        several.add_function(str(folder / "program.mlpackage"), "main", name)
    several.default_function_name = "two"
    ct.utils.save_multifunction(several, str(folder / "functions.mlpackage"))
    return {path.stem: path for path in folder.iterdir() if not path.name.startswith(".")}


MODELS = ["network", "pipeline", "program", "functions"]


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest, models: dict[str, Path], tmp_path: Path) -> Path:
    made = models[request.param]
    copy = tmp_path / made.name
    return Path(shutil.copytree(made, copy) if made.is_dir() else shutil.copy(made, copy))


def test_real_models_agree(model: Path) -> None:
    signature = check(model)
    assert signature.provenance.format == "coreml"
    if model.stem == "program":  # the only one whose writer says who it is
        assert signature.provenance.producer == f"coremltools {ct.__version__}"


def test_coremltools_loads_the_model_and_shows_the_document(model: Path) -> None:
    signature = read_signature(model)
    others = {str(path): path.read_bytes() for path in model.rglob("*") if path.is_file() and path.suffix != ".mlmodel"}
    sizes = []
    for _ in range(3):
        assert embed_signature(model, signature) == str(model)
        shown = ct.models.MLModel(str(model), skip_model_load=True).user_defined_metadata["module_info"]
        assert json.loads(shown)["input_names"] == list(signature.input_names)
        assert read_signature(model).digest == signature.digest
        assert read_signature(model).provenance.learned == "declared"
        sizes.append(sum(path.stat().st_size for path in model.rglob("*")) or model.stat().st_size)
    assert len(set(sizes)) == 1
    assert all(Path(name).read_bytes() == data for name, data in others.items())
    check(model)


def test_a_document_that_coremltools_wrote_is_replaced(models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "m.mlmodel"
    spec = ct.utils.load_spec(str(models["network"]))
    spec.description.metadata.userDefined["module_info.json"] = '{"input_names": [], "output_names": []}'
    ct.models.utils.save_spec(spec, str(path))
    reader.embed(str(path), DOCUMENT)
    assert reader.declared(MemorySource(path.read_bytes())) == DOCUMENT
    assert dict(ct.utils.load_spec(str(path)).description.metadata.userDefined) == {
        "module_info.json": DOCUMENT.decode()
    }


def test_large_models_are_appended_to_in_place(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "COPY_BELOW", 0)
    path = Path(shutil.copy(models["network"], tmp_path))
    old, inode = path.read_bytes(), path.stat().st_ino
    for document in (DOCUMENT, DOCUMENT.replace(b"x", b"z")):
        reader.embed(str(path), document)
        assert ct.utils.load_spec(str(path)).description.metadata.userDefined["module_info"] == document.decode()
        assert reader.declared(MemorySource(path.read_bytes())) == document
    assert path.stat().st_ino == inode
    new = path.read_bytes()
    assert new.startswith(old)
    for cut in range(len(old) + 1, len(old) + 20):
        path.write_bytes(new[:cut])
        with pytest.raises(ArtifactError, match=f"truncate -s {len(old)} "):
            read_signature(path)


def test_a_failed_append_is_taken_back(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "COPY_BELOW", 0)
    path = Path(shutil.copy(models["network"], tmp_path))
    old = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(ArtifactError, match="Input/output error"):
        reader.embed(str(path), DOCUMENT)
    assert path.read_bytes() == old


# What is told apart, and refused


def test_other_protobufs_are_not_taken_for_a_model(corpus: Path) -> None:
    for path in (*(corpus / "formats").glob("*.onnx"), *(corpus / "savedmodel").glob("*/model/saved_model.pb")):
        assert not reader.match(MemorySource(path.read_bytes(), path.name)), path
    for data in (b"", b"\x08", b"\x08\x04", b"\x08\x04\x12\x00", b"\x08\x04\x12\x01\x00"):
        assert not reader.match(MemorySource(data))


def manifest(path: str, root: str = "a") -> str:
    return json.dumps({"rootModelIdentifier": root, "itemInfoEntries": {"a": {"path": path, "name": "m"}}})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (manifest("../../etc/passwd"), "inside of the package"),
        (manifest("/etc/passwd"), "inside of the package"),
        (manifest("com.apple.CoreML/none.mlmodel"), "readable file"),
        (manifest("x", root="b"), "manifest of a CoreML package"),
        ('{"itemInfoEntries": ', "manifest of a CoreML package"),
        ('{"name": "an extension of a browser"}', "a folder that is a model"),
    ],
)
def test_damaged_packages_are_refused(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "Manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=says):
        read_signature(tmp_path)


def test_a_package_without_a_manifest_is_read_from_the_usual_place(models: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "m.mlpackage"
    shutil.copytree(models["program"], copy)
    (copy / "Manifest.json").unlink()
    assert read_signature(copy).digest == read_signature(models["program"]).digest
    assert read_signature(copy / "Data" / "com.apple.CoreML" / "model.mlmodel").input_names == ("x",)


def test_a_compiled_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "coremldata.bin").touch()
    with pytest.raises(ArtifactError, match="compiled CoreML model"):
        read_signature(tmp_path)
