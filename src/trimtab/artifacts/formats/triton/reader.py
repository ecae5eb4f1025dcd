"""Read the signature of a model in Triton's repository: what `config.pbtxt` states, and what its model file says.

Triton completes what a configuration leaves out from the model file of a version, and so does this, where that file is
of a format that is read. Where both state a fact, they must agree: Triton would refuse to load the model.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trimtab.artifacts.formats.triton.config import (
    BATCH,
    Config,
    TensorConfig,
    document_entry,
    looks_like_config,
    read_config,
    read_tree,
)
from trimtab.artifacts.formats.triton.repository import ModelFile, check_against, find_model, has_model
from trimtab.errors import RefusedArtifactError
from trimtab.signature.model import (
    EntryPoint,
    Input,
    Learned,
    Output,
    Overload,
    Presence,
    Provenance,
    Range,
    Signature,
)
from trimtab.signature.types import Tensor
from trimtab.source.bytes import LocalFile, MemorySource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.signature.types import Shape, Type
    from trimtab.source.bytes import ByteSource

name = "triton"

ENTRY_POINT = "main"
CONFIG = "config.pbtxt"

_FOLDER = "triton: folder"


def open_folder(path: str) -> ByteSource | None:
    """The configuration in a model's folder, or nothing in its place where Triton would make it up from the model."""
    config = os.path.join(path, CONFIG)
    if os.path.isfile(config):
        source: ByteSource = LocalFile(config)
    elif has_model(path):
        source = MemorySource(b"", config)
    else:
        return None
    source.memo[_FOLDER] = path
    return source


def match(source: ByteSource) -> bool:
    """Whether this is the text of a model configuration."""
    return looks_like_config(source)


def derive(source: ByteSource) -> Signature:
    """One entry point, `main`, as clients of the server see it."""
    config = read_config(source)
    folder = _folder(source)
    model = None if folder is None or config.is_ensemble else find_model(config, folder)
    inner = model.signature if model else None
    if inner is not None:
        check_against(config, inner, source.name)
    inputs, outputs = _inputs(config, inner), _outputs(config, inner)
    if not inputs and not outputs:
        raise RefusedArtifactError(
            "this configuration states no inputs and outputs, and leaves them to the server",
            where=source.name,
            hint=(model.note + ". " if model and model.note else "")
            + "Write its input and output sections, or embed a signature: trimtab embed MODEL --signature FILE",
        )
    dimensions = {BATCH: Range(minimum=1, maximum=config.max_batch_size)} if config.batched else {}
    stated = config.inputs or config.outputs
    return Signature(
        entry_points=(
            EntryPoint(name=ENTRY_POINT, overloads=(Overload(inputs=inputs, outputs=outputs, dimensions=dimensions),)),
        ),
        default_entry_point=ENTRY_POINT,
        provenance=Provenance(
            format=name,
            producer=config.runs_on,
            learned=Learned.DECLARED if stated else Learned.DERIVED,
            notes=tuple(_notes(config, model)),
        ),
    )


def declared(source: ByteSource) -> bytes | None:
    """The string of the parameter `module_info`."""
    entry = document_entry(read_tree(source))
    value = entry.message("value") if entry else None
    text = value.text("string_value") if value else None
    return None if text is None else text.encode()


def _folder(source: ByteSource) -> str | None:
    """The model's folder: the one that was opened, or the one that a file of the usual name lies in."""
    opened = source.memo.get(_FOLDER)
    if isinstance(opened, str):
        return opened
    if isinstance(source, LocalFile) and os.path.basename(source.name) == CONFIG:
        return os.path.dirname(source.name) or "."
    return None


def _inputs(config: Config, inner: Signature | None) -> tuple[Input, ...]:
    """The inputs as stated, completed by the model's; all of the model's where none is stated."""
    known = {it.name: it for it in inner.inputs} if inner else {}
    if not config.inputs:
        return tuple(
            replace(it, type=_as_batched(it.type, config)) for it in known.values() if it.name not in config.made
        )
    return tuple(_input(each, known.get(each.name), config) for each in config.inputs)


def _input(tensor: TensorConfig, known: Input | None, config: Config) -> Input:
    value = Input(
        name=tensor.name,
        type=tensor.type(batched=config.batched),
        presence=Presence.OPTIONAL if tensor.optional else Presence.REQUIRED,
    )
    if known is None:
        return value
    learned = {}
    type_ = _completed(tensor, known.type, config)
    if type_ != value.type:
        learned["type"] = Learned.DERIVED
    if known.live is not value.live:
        learned["live"] = Learned.DERIVED
    return replace(value, type=type_, live=known.live, learned=learned)


def _outputs(config: Config, inner: Signature | None) -> tuple[Output, ...]:
    known = {it.name: it for it in inner.outputs} if inner else {}
    if not config.outputs:
        return tuple(replace(it, type=_as_batched(it.type, config)) for it in known.values())
    outputs = []
    for tensor in config.outputs:
        stated = tensor.type(batched=config.batched)
        type_ = _completed(tensor, known[tensor.name].type, config) if tensor.name in known else stated
        learned = {} if type_ == stated else {"type": Learned.DERIVED}
        outputs.append(Output(name=tensor.name, type=type_, learned=learned))
    return tuple(outputs)


def _completed(tensor: TensorConfig, known: Type, config: Config) -> Tensor:
    """The stated type, with what it leaves open from the model's."""
    stated = tensor.type(batched=config.batched)
    if not isinstance(known, Tensor):
        return stated
    takes_shape = stated.shape is None and tensor.reshape is None and not tensor.ragged
    shape = _batched_shape(known.shape, config) if takes_shape else stated.shape
    return Tensor(stated.dtype or known.dtype, shape)


def _as_batched(type_: Type, config: Config) -> Type:
    """A value of the model as clients see it."""
    return Tensor(type_.dtype, _batched_shape(type_.shape, config)) if isinstance(type_, Tensor) else type_


def _batched_shape(shape: Shape | None, config: Config) -> Shape | None:
    """A shape of the model with the batch as its first dimension, where there are batches and it varies."""
    if config.batched and shape and not isinstance(shape[0], int):
        return (BATCH, *shape[1:])
    return shape


def _notes(config: Config, model: ModelFile | None) -> Sequence[str]:
    notes = [f"model {config.name!r}"] if config.name else []
    if config.batched:
        notes.append(f"batches of up to {config.max_batch_size}")
    if config.is_ensemble:
        notes.append("an ensemble: its steps are other models")
    for tensor in (*config.inputs, *config.outputs):
        if tensor.reshape is not None:
            sizes = ", ".join("?" if size is None else str(size) for size in tensor.reshape)
            notes.append(f"the model behind the server sees {tensor.name!r} as [{sizes}] (reshape)")
        if tensor.ragged:
            notes.append(f"requests in one batch may differ in the size of {tensor.name!r} (allow_ragged_batch)")
    if config.made:
        notes.append(f"made by the server, not sent: {', '.join(sorted(config.made))}"[:_LONGEST_NOTE])
    if model is not None:
        notes.extend(filter(None, (model.versions_note, model.note)))
    return notes


_LONGEST_NOTE = 300
