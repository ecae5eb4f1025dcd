"""Hostile texts: JSON, LightGBM's lines, XML, protobuf's text format and YAML."""

from __future__ import annotations

import json

from hostile_making import PYTHON, SHELL, Hostile, deep


def xgboost(
    attributes: str = "{}",
    names: str = "[]",
    types: str = "[]",
    booster: str = "{}",
    features: str = '"3"',
    objective: str = "reg:squarederror",
) -> bytes:
    parameters = f'{{"num_feature": {features}, "num_class": "0", "num_target": "1", "base_score": "0.5"}}'
    learner = (
        f'"attributes": {attributes}, "feature_names": {names}, "feature_types": {types}, '
        f'"gradient_booster": {booster}, "learner_model_param": {parameters}, "objective": {{"name": "{objective}"}}'
    )
    return f'{{"learner": {{{learner}}}, "version": [3, 2, 0]}}'.encode()


JSON: dict[str, Hostile] = {
    "JSON, lists 100 000 deep": Hostile(lambda: deep("[", "]", 100_000).encode()),
    "JSON, objects 100 000 deep": Hostile(lambda: deep('{"learner":', "}", 100_000, "1").encode()),
    "document, objects 100 000 deep": Hostile(lambda: b'{"input_names": ' + deep("[", "]", 100_000).encode() + b"}"),
    "document, 10 000 000 names": Hostile(
        lambda: b'{"input_names": [' + b'"",' * 5_000_000 + b'""], "output_names": []}'
    ),
    "document, a key twice": Hostile(lambda: b'{"input_names": [], "input_names": ["x"], "output_names": []}'),
    "document, a number of 100 000 digits": Hostile(
        lambda: b'{"input_names": [], "output_names": [], "document_version": ' + b"9" * 100_000 + b"}"
    ),
    "document, a name of 15 MiB": Hostile(
        lambda: b'{"input_names": ["' + b"x" * (15 << 20) + b'"], "output_names": []}', "either"
    ),
    "document, types 150 deep": Hostile(
        lambda: json.dumps(
            {
                "input_names": ["x"],
                "output_names": [],
                "document_version": 1,
                "digest": "",
                "input_digest": "",
                "default_entry_point": "f",
                "entry_points": [
                    {"name": "f", "overloads": [{"inputs": [{"name": "x", "type": json.loads(sequences(60))}]}]}
                ],
            }
        ).encode()
    ),
    "XGBoost, names as a number": Hostile(lambda: xgboost(names="7")),
    "XGBoost, more types than names": Hostile(lambda: xgboost(names='["a"]', types='["int", "float"]'), "either"),
    "XGBoost, 2^31 features": Hostile(lambda: xgboost(features='"2147483647"'), "either"),
    "XGBoost, 10^400 features": Hostile(lambda: xgboost(features='"1' + "0" * 400 + '"'), "either"),
    "XGBoost, features of minus one": Hostile(lambda: xgboost(features='"-1"'), "either"),
    "XGBoost, code as an objective": Hostile(lambda: xgboost(objective=PYTHON.replace("'", "")), "either"),
    "XGBoost, trees without end": Hostile(
        lambda: xgboost(booster=deep('{"model": ', "}", 50_000, "1")),
    ),
    "XGBoost, 30 000 columns": Hostile(
        lambda: xgboost(names=json.dumps([f"f{i}" for i in range(30_000)]), features='"30000"'), "either"
    ),
    "XGBoost, a document that is none": Hostile(lambda: xgboost(attributes='{"module_info": "["}')),
    "XGBoost, 300 000 names": Hostile(
        lambda: xgboost(names=json.dumps([str(i) for i in range(300_000)]), features='"300000"')
    ),
    "CatBoost as JSON, features without end": Hostile(
        lambda: json.dumps(
            {"features_info": {"float_features": [{"flat_feature_index": 2**40}]}, "oblivious_trees": []}
        ).encode(),
        "either",
    ),
    "CatBoost as JSON, metadata that are not in UTF-8": Hostile(
        lambda: (
            b'{"features_info": {"float_features": []}, "model_info": {"catboost_version_info": "\xff"'
            b'}, "oblivious_trees": [], "scale_and_bias": [1, [0]]}'
        )
    ),
    "CatBoost as JSON, deep": Hostile(
        lambda: b'{"features_info": {"float_features": ' + deep("[", "]", 50_000).encode() + b"}}"
    ),
}


def sequences(depth: int) -> str:
    return deep('{"kind": "sequence", "element": ', "}", depth, '{"kind": "tensor"}')


def lightgbm(
    classes: str = "1",
    last: str = "1",
    objective: str = "binary",
    names: str = "a b",
    infos: str = "[0:1] none",
    more: str = "tree_sizes=8",
    tail: str = "pandas_categorical:null\n",
) -> bytes:
    header = (
        f"tree\nversion=v4\nnum_class={classes}\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx={last}\n"
        f"objective={objective}\nfeature_names={names}\nfeature_infos={infos}\n{more}\n\n"
    )
    return f"{header}Tree=0\n\nend of trees\n\n{tail}".encode()


LINES: dict[str, Hostile] = {
    "LightGBM, one line of 30 MiB": Hostile(lambda: b"tree\nfeature_names=" + b"a" * (30 << 20)),
    "LightGBM, 5 000 000 names": Hostile(lambda: lightgbm(names="a " * 5_000_000)),
    "LightGBM, fewer ranges than names": Hostile(lambda: lightgbm(infos="none"), "either"),
    "LightGBM, a range of nothing": Hostile(lambda: lightgbm(infos="[nan:inf] [1e999:-1e999]"), "either"),
    "LightGBM, categories without end": Hostile(lambda: lightgbm(infos="1:" * 300_000 + "2 none"), "either"),
    "LightGBM, a category of 100 000 digits": Hostile(lambda: lightgbm(infos="9" * 100_000 + ":1 none"), "either"),
    "LightGBM, 10^300 classes": Hostile(lambda: lightgbm(classes="1" + "0" * 300), "either"),
    "LightGBM, 30 000 columns": Hostile(
        lambda: lightgbm(
            last="29999", names=" ".join(map("f{}".format, range(30_000))), infos="[0:1] " * 29_999 + "none"
        ),
        "read",
    ),
    "LightGBM, 800 000 categories": Hostile(
        lambda: lightgbm(tail=f"pandas_categorical:{json.dumps([[str(i) for i in range(100_000)]] * 8)}\n")
    ),
    "LightGBM, deep categories": Hostile(lambda: lightgbm(tail="pandas_categorical:" + deep("[", "]", 100_000) + "\n")),
    "LightGBM, categories that are code": Hostile(
        lambda: lightgbm(tail=f'pandas_categorical:[["{PYTHON}"]]\n'), "either"
    ),
    "LightGBM, sizes of trees that lie": Hostile(lambda: lightgbm(more=f"tree_sizes={'9' * 400}"), "either"),
    "LightGBM, not in UTF-8": Hostile(lambda: lightgbm().replace(b"a b", b"\xff \xfe"), "either"),
}


def openvino(doctype: str = "", layers: str = "", edges: str = "") -> bytes:
    net = f'<net name="m" version="11"><layers>{layers}</layers><edges>{edges}</edges></net>'
    return f'<?xml version="1.0"?>{doctype}{net}'.encode()


def parameter(shape: str) -> str:
    return (
        f'<layer id="0" name="x" type="Parameter" version="opset1"><data shape="{shape}" element_type="f32"/>'
        '<output><port id="0" precision="FP32" names="x"/></output></layer>'
    )


LAUGHS = "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))

XML: dict[str, Hostile] = {
    "XML, laughs": Hostile(
        lambda: openvino(f'<!DOCTYPE net [<!ENTITY a "ha">{LAUGHS}]>', layers="<layer name='&j;'/>")
    ),
    "XML, one entity many times": Hostile(
        lambda: openvino(f'<!DOCTYPE net [<!ENTITY a "{"x" * 100_000}">]>', layers="&a;" * 20_000)
    ),
    "XML, an entity of a file": Hostile(
        lambda: openvino('<!DOCTYPE net [<!ENTITY a SYSTEM "file:///etc/passwd">]>', layers="&a;")
    ),
    "XML, an entity of a server": Hostile(
        lambda: openvino('<!DOCTYPE net SYSTEM "http://127.0.0.1:9/x.dtd">', layers="")
    ),
    "XML, elements 100 000 deep": Hostile(lambda: openvino(layers=deep("<a>", "</a>", 100_000))),
    "XML, elements without end": Hostile(lambda: openvino(layers=parameter("1") + "<a>" * 700_000)),
    "XML, a chain of 20 000 layers": Hostile(
        lambda: openvino(
            layers=parameter("1") + "".join(f'<layer id="{i}" name="l{i}" type="ReLU"/>' for i in range(1, 20_000)),
            edges="".join(
                f'<edge from-layer="{i}" from-port="{int(i > 0)}" to-layer="{i + 1}" to-port="0"/>'
                for i in range(19_999)
            ),
        ),
        "either",
    ),
    "XML, 200 000 edges of two layers": Hostile(
        lambda: openvino(
            layers=parameter("1") + '<layer id="1" name="r" type="Result"/>',
            edges='<edge from-layer="0" from-port="0" to-layer="1" to-port="0"/>' * 200_000,
        ),
        "either",
    ),
    "XML, a tag of 200 000 attributes": Hostile(
        lambda: openvino(layers="<layer " + " ".join(f'a{i}="1"' for i in range(200_000)) + "/>"), "either"
    ),
    "XML, a text of 40 MiB": Hostile(lambda: openvino(layers="x" * (40 << 20)), "either"),
    "XML, an attribute of 40 MiB": Hostile(lambda: openvino(layers=f'<layer name="{"x" * (40 << 20)}"/>')),
    "XML, a comment of 30 MiB": Hostile(lambda: openvino(layers=f"<!--{'x' * (30 << 20)}-->"), "either"),
    "XML in UTF-16": Hostile(lambda: b"\xff\xfe" + openvino().decode().encode("utf-16-le")),
    "XML, a size of 10^400": Hostile(lambda: openvino(layers=parameter("1" + "0" * 400)), "either"),
    "XML, a size below zero": Hostile(lambda: openvino(layers=parameter("-5,3")), "either"),
    "XML, a range the wrong way": Hostile(lambda: openvino(layers=parameter("9..2")), "either"),
    "XML, a rank of 300 000": Hostile(lambda: openvino(layers=parameter("1," * 300_000 + "1")), "either"),
    "XML, edges without layers": Hostile(
        lambda: openvino(
            layers=parameter("1"), edges='<edge from-layer="9" from-port="0" to-layer="9" to-port="0"/>' * 1_000
        ),
        "either",
    ),
    "XML, a layer that feeds itself": Hostile(
        lambda: openvino(
            layers=parameter("1") + '<layer id="1" name="r" type="Result"/>',
            edges='<edge from-layer="1" from-port="0" to-layer="1" to-port="0"/>',
        ),
        "either",
    ),
}

TRITON: dict[str, Hostile] = {
    "text proto, messages 100 000 deep": Hostile(lambda: b'name: "m"\n' + deep("input {", "}", 100_000).encode()),
    "text proto, 400 000 inputs": Hostile(lambda: b'name: "m"\n' + b"input {}\n" * 400_000),
    "text proto, one text in 300 000 pieces": Hostile(lambda: b"name: " + b'"a" ' * 300_000, "either"),
    "text proto, a text without end": Hostile(lambda: b'name: "m" platform: "' + b"x" * 1_000_000),
    "text proto, escapes": Hostile(lambda: b'name: "\\777\\xff\\UFFFFFFFF\\u"'),
    "text proto, a number of 100 000 digits": Hostile(lambda: b'name: "m" max_batch_size: ' + b"9" * 100_000),
    "text proto, dims of 2^70": Hostile(
        lambda: b'name: "m" backend: "x" input [{name: "a" data_type: TYPE_FP32 dims: [%d]}]' % 2**70
    ),
    "text proto, a rank of 300 000": Hostile(
        lambda: b'name: "m" backend: "x" input [{name: "a" data_type: TYPE_FP32 dims: [' + b"1," * 300_000 + b"1]}]",
        "either",
    ),
    "text proto, an unknown type": Hostile(
        lambda: b'name: "m" backend: "x" input [{name: "a" data_type: TYPE_EVIL dims: [1]}]'
    ),
    "text proto, an extension": Hostile(lambda: b'name: "m" [type.googleapis.com/x.Y] { a: 1 }', "either"),
    "text proto, brackets without end": Hostile(lambda: b'name: "m" input ' + b"[" * 200_000),
    "text proto, comments": Hostile(lambda: b'name: "m"\n' + b"# x\n" * 400_000, "either"),
}


def mlmodel(loader: str = "mlflow.sklearn", data: str = "model.pkl", inputs: str = "'[]'", more: str = "") -> bytes:
    flavor = f"  python_function:\n    loader_module: {loader}\n    data: {data}\n"
    signature = f"signature:\n  inputs: {inputs}\n  outputs: null\n"
    return f"artifact_path: m\nflavors:\n{flavor}model_uuid: a\n{signature}{more}".encode()


ALIASES = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(24)
)

YAML: dict[str, Hostile] = {
    "YAML, an object of Python": Hostile(lambda: mlmodel(more=f'run: !!python/object/apply:os.system ["{SHELL}"]\n')),
    "YAML, a name of Python": Hostile(lambda: mlmodel(more="run: !!python/name:os.system\n")),
    "YAML, a tag of its own": Hostile(lambda: mlmodel(inputs="!evil x")),
    "YAML, aliases": Hostile(lambda: mlmodel(more=ALIASES)),
    "YAML, an alias as the inputs": Hostile(lambda: mlmodel(more="x: &x '[]'\n", inputs="*x")),
    "YAML, a list that holds itself": Hostile(lambda: mlmodel(more="x: &x [*x]\n")),
    "YAML, merges": Hostile(lambda: mlmodel(more="x: &x {a: 1}\ny: {<<: *x}\n")),
    "YAML, lists 50 000 deep": Hostile(lambda: mlmodel(more="x: " + deep("[", "]", 50_000) + "\n")),
    "YAML, maps 20 000 deep": Hostile(lambda: mlmodel(more="x: " + deep("{a: ", "}", 20_000, "1") + "\n")),
    "YAML, keys of keys": Hostile(lambda: mlmodel(more="? " * 20_000 + "a\n")),
    "YAML, a list that never ends": Hostile(lambda: mlmodel(more="x: [" + '"a" ' * 200_000)),
    "YAML, 60 000 anchors": Hostile(lambda: mlmodel(more="".join(f"k{i}: &a{i} 1\n" for i in range(60_000)))),
    "YAML, 10 000 columns": Hostile(
        lambda: mlmodel(inputs=f"'{json.dumps([{'type': 'double', 'name': f'c{i}'} for i in range(10_000)])}'"), "read"
    ),
    "YAML, 2 000 documents": Hostile(lambda: mlmodel(more="---\na: 1\n" * 2_000)),
    "YAML, a key twice": Hostile(lambda: mlmodel(more="signature: null\n")),
    "YAML, a text of 20 MiB": Hostile(lambda: mlmodel(inputs="'" + "x" * (20 << 20) + "'")),
    "YAML, 300 000 lines": Hostile(lambda: mlmodel(more="".join(f"k{i}: {i}\n" for i in range(300_000)))),
    "YAML, inputs that are code": Hostile(lambda: mlmodel(inputs=f'"{PYTHON}"')),
    "YAML, inputs that are deep": Hostile(lambda: mlmodel(inputs="'" + deep("[", "]", 50_000) + "'")),
    "YAML, a loader of posix": Hostile(
        lambda: mlmodel(loader="posix", inputs="""'[{"name": "a", "type": "long"}]'"""), "read"
    ),
    "YAML, data outside": Hostile(lambda: mlmodel(data="../../../../etc/passwd", inputs="null"), "either"),
    "YAML, types of types": Hostile(
        lambda: mlmodel(inputs="'[" + deep('{"type": "array", "items": ', "}", 5_000, '"long"') + "]'"),
    ),
    "YAML, not in UTF-8": Hostile(lambda: mlmodel(more="x: ") + b"\xff\n"),
    "YAML, a NUL": Hostile(lambda: mlmodel(more="x: \0\n")),
}
