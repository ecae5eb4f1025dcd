"""The schema-free parser of protobuf's text format reads what protobuf reads, as protobuf reads it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis_model_config import configs

from trimtab.errors import ArtifactError
from trimtab.source.text_proto import Atom, TextMessage, decode_text, parse_text, quoted

model_config_pb2: Any = pytest.importorskip("tritonclient.grpc.model_config_pb2")


def fill(message: Any, tree: TextMessage) -> Any:
    """The tree as a protobuf message: the schema supplies what the text does not say."""
    for field in tree.fields:
        descriptor = message.DESCRIPTOR.fields_by_name[field.name]
        if descriptor.message_type is not None:
            if descriptor.message_type.GetOptions().map_entry:
                fill_entry(message, descriptor, tree.as_message(field))
            elif descriptor.is_repeated:
                fill(getattr(message, field.name).add(), tree.as_message(field))
            else:
                tree.one(field.name)
                fill(getattr(message, field.name), tree.as_message(field)).SetInParent()
        elif descriptor.is_repeated:
            getattr(message, field.name).append(value_of(descriptor, tree, field))
        else:
            tree.one(field.name)
            setattr(message, field.name, value_of(descriptor, tree, field))
    return message


def fill_entry(message: Any, descriptor: Any, entry: TextMessage) -> None:
    for field in entry.fields:
        descriptor.message_type.fields_by_name[field.name]  # KeyError, as of any message's fields
    entries = getattr(message, descriptor.name)
    key = entry.text("key") or ""
    if descriptor.message_type.fields_by_name["value"].message_type is None:
        entries[key] = entry.text("value") or ""
        return
    entries[key].Clear()
    value = entry.message("value")
    if value is not None:
        fill(entries[key], value)


def value_of(descriptor: Any, tree: TextMessage, field: Any) -> Any:
    if descriptor.type == FieldDescriptor.TYPE_STRING:
        return tree.as_text(field)
    word = tree.as_word(field)
    if descriptor.type == FieldDescriptor.TYPE_ENUM:
        return tree.as_integer(field) if word.isdecimal() else descriptor.enum_type.values_by_name[word].number
    if descriptor.type == FieldDescriptor.TYPE_BOOL:
        single = TextMessage("")
        single.fields.append(field)
        return single.flag(field.name)
    if descriptor.type == FieldDescriptor.TYPE_FLOAT:
        return float(word.rstrip("fF") if word[-1] in "fF" and word.strip("-") != "inf" else word)
    return tree.as_integer(field)


def parsed(text: str) -> Any:
    return fill(model_config_pb2.ModelConfig(), parse_text(text, "config"))


@given(
    configs(model_config_pb2),
    st.fixed_dictionaries(
        {
            "as_one_line": st.booleans(),
            "use_short_repeated_primitives": st.booleans(),
            "pointy_brackets": st.booleans(),
            "as_utf8": st.booleans(),
        }
    ),
)
@settings(max_examples=200)
def test_it_reads_what_protobuf_writes(config: Any, style: dict[str, bool]) -> None:
    text = text_format.MessageToString(config, **style)
    assert parsed(text) == config == text_format.Parse(text, model_config_pb2.ModelConfig())


SPELLINGS = [
    "",
    "# nothing but a comment",
    "name: 'single' platform: \"double\"",
    "name: 'joined' \"with\" # and a comment\n 'others'",
    'name: "\\a\\b\\f\\n\\r\\t\\v\\\\\\\'\\" \\101\\7 \\x41\\x4a"',
    "name: '\\u00e9\\U0001f600 é'",
    "max_batch_size: 0x1F",
    "max_batch_size: 017",
    "max_batch_size: -3,",
    "max_batch_size: 7;",
    "input { name: 'a' } input < name: 'b' >",
    "input: { name: 'a', dims: 1; dims: [2, -1] }",
    "input [ { name: 'a' }, < name: 'b' > ] output [ ]",
    "input { data_type: 11 optional: t } input { data_type: TYPE_BF16 optional: False allow_ragged_batch: 1 }",
    "sequence_batching { control_input { name: 'c' control { fp32_false_true: [0, .5, 1e-3, 2.5E+4, -inf, 1f] } } }",
    "parameters { key: 'k' value { string_value: 'v' } } parameters: { key: 'l' value: { } }",
    "cc_model_filenames { key: '7.5' value: 'model.plan' }",
    "dynamic_batching { } version_policy: { specific: { versions: [1, 3] } }",
    "name:'a'platform:'b'",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_it_reads_every_spelling_as_protobuf_does(text: str) -> None:
    assert parsed(text) == text_format.Parse(text, model_config_pb2.ModelConfig())


REFUSED = [
    "name: 'open",
    "name: 'two\nlines'",
    "name 'no colon'",
    "max_batch_size 5",
    "input { name: 'a'",
    "input { name: 'a' >",
    "input { } }",
    "input { dims: [1, ] }",
    "input { dims: [1 2] }",
    "input { dims: [[1]] }",
    "name: ",
    ": 'a'",
    "name: 'a' platform: 'b' name: 'c'",
    "max_batch_size: '5'",
    "max_batch_size: 5.0",
    "max_batch_size: 5a",
    "max_batch_size: 09",
    "name: TYPE_FP32",
    "name: '\\xff'",
    "input { optional: yes }",
    "input { optional: 2 }",
    "input: 5",
    "name: { }",
    "parameters { key: 'k' valu { } }",
]


@pytest.mark.parametrize("text", REFUSED)
def test_it_refuses_what_protobuf_refuses(text: str) -> None:
    with pytest.raises((text_format.ParseError, UnicodeDecodeError)):
        text_format.Parse(text, model_config_pb2.ModelConfig())
    with pytest.raises((ArtifactError, KeyError)):  # KeyError: a name that the schema does not have
        parsed(text)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # protobuf's own, of escapes that Python does not know
@given(configs(model_config_pb2), st.data())
@settings(max_examples=300)
def test_changed_texts_are_read_as_protobuf_reads_them(config: Any, data: st.DataObject) -> None:
    text = text_format.MessageToString(config)
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 3))
    inserted = data.draw(st.text(st.sampled_from("{}[]<>:,;'\"#\\ \n-01a."), max_size=3))
    text = text[:at] + inserted + text[at + cut :]
    try:
        expected = text_format.Parse(text, model_config_pb2.ModelConfig())
    except (text_format.ParseError, UnicodeError, ValueError):
        expected = None
    try:
        actual = parsed(text)
    except (ArtifactError, KeyError, ValueError):  # KeyError: a name that the schema does not have
        actual = None
    if not PYTHON_ALONE.search(text):
        assert actual == expected


PYTHON_ALONE = re.compile(
    r"""\\(?![abfnrtvxuU0-7'"\\])  # escapes that it leaves as they are, where protobuf in C++ refuses
    | \\x(?![0-9a-fA-F]{2}) | \\[uU]  # escapes that it takes in its own way
    | \\[4-7][0-7]{2}  # bytes above 255
    | \w[+-] | [+.]    # words and numbers with signs inside
    | -\s              # a sign apart from its number
    | \[\s*\]          # an empty list of what is no message, without a colon
    """,
    re.VERBOSE,
)


@given(st.text(max_size=200))
@example('it\'s \\ "quoted" \n\t\x7f é')
def test_quoted_text_comes_back(text: str) -> None:
    written = f"name: {quoted(text)}"
    if text.isprintable() or text.isascii():
        assert text_format.Parse(written, model_config_pb2.ModelConfig()).name == text
    assert parse_text(written, "").text("name") == text


def test_values_know_where_they_stand() -> None:
    text = "a: 1 # one\nb [ { c: 'x' 'y' }, < > ]"
    message = parse_text(text, "file")
    assert [(it.name, text[it.start : it.end], it.line) for it in message.fields] == [
        ("a", "1", 1),
        ("b", "{ c: 'x' 'y' }", 2),
        ("b", "< >", 2),
    ]
    inner = message.as_message(message.fields[1]).fields[0]
    assert (inner.value, text[inner.start : inner.end]) == (b"xy", "'x' 'y'")
    assert message.fields[0].value == Atom("1")


def test_errors_name_the_line() -> None:
    with pytest.raises(ArtifactError, match=r"file at line 3: expected a value, got '\]'"):
        parse_text("a: 1\nb: [1,\n  ]", "file")
    message = parse_text("\n\ninput { dims: 'x' }", "file")
    with pytest.raises(ArtifactError, match=r"file: input: dims \(line 3\): expected a whole number, got 'x'"):
        next(message.messages("input")).integer("dims")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a{" * 100_000, "nested at most 64"),
        ("a:1 " * 200_000, "at most 50000 fields"),
        ("a:[" + "1," * 200_000, "at most 50000 fields"),
        ("a: '" + "\\" * 1_000_000, "a value"),
        ("a: " + "9" * 1_000_000, "whole number"),
        ("#\n" * 1_000_000 + "}", "line 1000001"),
        ("a: '" + "\\\\" * 300_000 + "'", "at most 200000 backslashes"),
        ("a: '" + "\\0" * 300_000 + "'", "at most 200000 escapes"),
        ("a: '" + "\\n" * 3_000_000 + "'", "whole number"),
    ],
)
def test_bombs_are_refused(text: str, says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        parse_text(text, "bomb").integer("a")


def test_too_much_text_is_refused() -> None:
    with pytest.raises(ArtifactError, match="at most 20971520 bytes"):
        decode_text(bytes((20 << 20) + 1), "bomb")
