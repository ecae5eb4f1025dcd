"""A model configuration of Triton (`config.pbtxt`), as far as it speaks of inputs and outputs.

Fields: model_config.proto of Triton's common repository. Clients see `dims` with the batch before them where
`max_batch_size` is above zero, except of shape tensors; `reshape` is between Triton and the model. What a sequence
batcher or a batch input adds is made by the server, not sent by clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import dtype_of
from trimtab.signature.types import Tensor
from trimtab.source.text_proto import MAX_TEXT_BYTES, TextMessage, decode_text, parse_part

if TYPE_CHECKING:
    from trimtab.signature.dtypes import DType
    from trimtab.signature.types import Dim, Shape
    from trimtab.source.bytes import ByteSource

BATCH = "batch"
DOCUMENT_KEY = "module_info"
"""The parameter that holds a signature document."""

SOME_FIELDS = (
    "platform", "backend", "max_batch_size", "input", "output", "instance_group", "dynamic_batching",
    "sequence_batching", "ensemble_scheduling", "version_policy", "default_model_filename", "model_warmup",
    "batch_input", "batch_output", "model_transaction_policy", "cc_model_filenames", "response_cache",
)  # fmt: skip
"""Fields of which at least one is in any configuration that says something."""

FIELDS = frozenset((
    *SOME_FIELDS, "name", "runtime", "optimization", "metric_tags", "parameters", "model_operations",
    "model_repository_agents", "model_metrics",
))  # fmt: skip
_INPUT_FIELDS = frozenset((
    "name", "data_type", "format", "dims", "reshape", "is_shape_tensor", "allow_ragged_batch", "optional",
    "is_non_linear_format_io",
))  # fmt: skip
_OUTPUT_FIELDS = frozenset((
    "name", "data_type", "dims", "reshape", "label_filename", "is_shape_tensor", "is_non_linear_format_io",
))  # fmt: skip
_NEWER = "Misspelled? Triton refuses fields that it does not know. Of a newer Triton? Then upgrade trimtab."

_DATA_TYPES = (
    "TYPE_INVALID", "TYPE_BOOL", "TYPE_UINT8", "TYPE_UINT16", "TYPE_UINT32", "TYPE_UINT64", "TYPE_INT8", "TYPE_INT16",
    "TYPE_INT32", "TYPE_INT64", "TYPE_FP16", "TYPE_FP32", "TYPE_FP64", "TYPE_STRING", "TYPE_BF16",
)  # fmt: skip
"""By number, which the text format allows in place of the name."""


class TensorConfig(NamedTuple):
    """One input or output. dtype, dims: None where the configuration leaves them to the server to find out."""

    name: str
    dtype: DType | None
    dims: Shape | None
    reshape: Shape | None
    optional: bool
    ragged: bool
    shape_tensor: bool

    def type(self, *, batched: bool) -> Tensor:
        """What clients send or receive."""
        leading: tuple[Dim, ...] = (BATCH,) if batched and not self.shape_tensor else ()
        return Tensor(self.dtype, None if self.dims is None else (*leading, *self.dims))

    def model_type(self, *, batched: bool) -> Tensor:
        """What the model itself takes or gives."""
        if self.ragged:
            return Tensor(self.dtype)  # concatenated by the server
        return (self if self.reshape is None else self._replace(dims=self.reshape)).type(batched=batched)


class Config(NamedTuple):
    """A model configuration. made: names of the model's inputs that the server makes, not clients."""

    tree: TextMessage
    name: str
    runs_on: str
    max_batch_size: int
    inputs: tuple[TensorConfig, ...]
    outputs: tuple[TensorConfig, ...]
    made: frozenset[str]
    is_ensemble: bool
    model_file: str
    versions: tuple[int, ...] | None

    @property
    def batched(self) -> bool:
        """Whether requests carry a batch dimension."""
        return self.max_batch_size > 0


def looks_like_config(source: ByteSource) -> bool:
    """Whether this is text whose fields are those of a model configuration, one telling one among them."""
    if source.size > MAX_TEXT_BYTES or not _begins_like_one(source):
        return False
    fields = _parsed(source)[0].fields
    return any(field.name in SOME_FIELDS for field in fields) and all(field.name in FIELDS for field in fields)


def read_tree(source: ByteSource) -> TextMessage:
    """The configuration as fields. ArtifactError where it is no text in protobuf's format."""
    tree, failure = _parsed(source)
    if failure is not None:
        raise failure
    return tree


def _parsed(source: ByteSource) -> tuple[TextMessage, ArtifactError | None]:
    """The fields up to where the text stops being some, and what is wrong there."""
    parsed: tuple[TextMessage, ArtifactError | None] | None = source.memo.get(_PARSED)
    if parsed is None:
        if source.size > MAX_TEXT_BYTES:
            raise ArtifactError(where=source.name, expected=f"at most {MAX_TEXT_BYTES} bytes", got=str(source.size))
        parsed = parse_part(decode_text(source.read(0, source.size), source.name), source.name)
        source.memo[_PARSED] = parsed
    return parsed


_PARSED = "triton: fields"


def read_config(source: ByteSource) -> Config:
    """The configuration. ArtifactError where Triton would refuse it."""
    tree = read_tree(source)
    tree.check_names(FIELDS, "a model configuration", _NEWER)
    size = tree.integer("max_batch_size") or 0
    if not 0 <= size < 1 << 31:
        raise ArtifactError(where=f"{tree.where}: max_batch_size", expected="0 or more", got=str(size))
    sequences = tree.message("sequence_batching")
    policy = tree.message("version_policy")
    specific = policy.message("specific") if policy else None
    return Config(
        tree=tree,
        name=tree.text("name") or "",
        runs_on=tree.text("backend") or tree.text("platform") or "",
        max_batch_size=size,
        inputs=_tensors(tree, "input", _INPUT_FIELDS),
        outputs=_tensors(tree, "output", _OUTPUT_FIELDS),
        made=frozenset((*_batch_inputs(tree), *(_sequence_inputs(sequences) if sequences else ()))),
        is_ensemble=tree.one("ensemble_scheduling") is not None,
        model_file=tree.text("default_model_filename") or "",
        versions=tuple(specific.as_integer(it) for it in specific.all("versions")) if specific else None,
    )


def document_entry(tree: TextMessage) -> TextMessage | None:
    """The parameter that holds a signature document. ArtifactError where there are two."""
    found = [entry for entry in tree.messages("parameters") if entry.text("key") == DOCUMENT_KEY]
    if len(found) > 1:
        raise ArtifactError(where=f"{tree.where}: parameters", expected=f"{DOCUMENT_KEY!r} once", got="twice or more")
    return found[0] if found else None


def _begins_like_one(source: ByteSource) -> bool:
    head = source.head(64 << 10)
    lines = (line.strip() for line in head.removeprefix(b"\xef\xbb\xbf").splitlines())
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    return any(first.startswith(field.encode()) for field in FIELDS)


def _tensors(tree: TextMessage, kind: str, known: frozenset[str]) -> tuple[TensorConfig, ...]:
    check_count(len(tree.all(kind)), MAX_VALUES, f"{kind}s", tree.where)
    found: dict[str, TensorConfig] = {}
    for message in tree.messages(kind):
        message.check_names(known, f"an {kind}", _NEWER)
        tensor = _tensor(message)
        if not tensor.name or tensor.name in found:
            raise ArtifactError(
                where=message.where,
                expected="a name of its own for each",
                got=f"{tensor.name!r} twice" if tensor.name else "none",
            )
        found[tensor.name] = tensor
    return tuple(found.values())


def _tensor(message: TextMessage) -> TensorConfig:
    name = message.text("name") or ""
    reshape = message.message("reshape")
    return TensorConfig(
        name=name,
        dtype=_dtype(message),
        dims=_sizes(message, "dims"),
        reshape=None if reshape is None else _sizes(reshape, "shape") or (),
        optional=message.flag("optional"),
        ragged=message.flag("allow_ragged_batch"),
        shape_tensor=message.flag("is_shape_tensor"),
    )


def _dtype(message: TextMessage) -> DType | None:
    field = message.one("data_type")
    if field is None:
        return None
    word = message.as_word(field)
    if word[:1].isdigit():
        number = message.as_integer(field)
        word = _DATA_TYPES[number] if number < len(_DATA_TYPES) else word
    dtype = dtype_of("triton", word)
    if dtype is None and word != _DATA_TYPES[0]:
        raise ArtifactError(
            where=message.place(field), expected=f"one of {', '.join(_DATA_TYPES[1:])}", got=repr(word[:40])
        )
    return dtype


def _sizes(message: TextMessage, name: str) -> Shape | None:
    """The sizes in a field; None where it is not there."""
    fields = message.all(name)
    if not fields and name not in message.empty:
        return None
    sizes = []
    for field in fields:
        size = message.as_integer(field)
        if size == 0 or size < -1:
            raise ArtifactError(where=message.place(field), expected="-1, or a size of 1 or more", got=str(size))
        sizes.append(None if size == -1 else size)
    return tuple(sizes)


def _batch_inputs(tree: TextMessage) -> list[str]:
    return [each.as_text(name) for each in tree.messages("batch_input") for name in each.all("target_name")]


def _sequence_inputs(sequences: TextMessage) -> list[str]:
    controls = [each.text("name") or "" for each in sequences.messages("control_input")]
    return [*controls, *(each.text("input_name") or "" for each in sequences.messages("state"))]
