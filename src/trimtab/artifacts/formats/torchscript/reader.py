"""Read the signature of a TorchScript archive (`.pt`, `.ptl`) without torch.

The archive is a zip. `data.pkl` begins with the name of the root class; `code/` holds that class as text, with every
method's arguments, types and defaults. Traced archives also keep what their example inputs looked like. Weights and
module state are never touched. TorchScript states no dtype and no shape for a tensor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.artifacts.formats.torchscript.code import ClassCode, Method, returned_keys
from trimtab.artifacts.formats.torchscript.defaults import read_default
from trimtab.artifacts.formats.torchscript.examples import Example, read_examples
from trimtab.artifacts.formats.torchscript.types import CodeFiles, Part, admits_none
from trimtab.artifacts.formats.torchscript.uses import MAX_BODY_CHARACTERS, BodyReader, Use, behind_hooks
from trimtab.errors import ArtifactError
from trimtab.signature.model import (
    Constraints,
    EntryPoint,
    Feature,
    Input,
    Learned,
    Output,
    Overload,
    Presence,
    Provenance,
    Signature,
)
from trimtab.signature.naming import Leaf, input_names, output_names
from trimtab.signature.path import Key
from trimtab.signature.types import Literal, Mapping, Tensor
from trimtab.source.pickle import pickled_names, read_pickle

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimtab.artifacts.formats.torch_archive import TorchArchive

MAX_PICKLE_BYTES = 16 << 20
_ROOT_CLASS_BYTES = 4096


def read_archive(archive: TorchArchive) -> Signature:
    """One entry point per method of the root class; `forward` first."""
    try:
        return _signature(archive)
    except ArtifactError as failure:
        placed = failure.where.startswith(archive.directory.source.name)
        raise failure if placed else failure.within(archive.place("code")) from None


def _signature(archive: TorchArchive) -> Signature:
    code = CodeFiles(archive)
    root = _root_class(archive, code)
    constants = _Constants(archive)
    examples = _examples(archive)
    methods = _entry_methods(root)
    if not methods:
        raise ArtifactError(
            where=archive.place("data.pkl"),
            expected="a module with a forward method",
            got=f"the class {root.name} without methods",
        )
    uses = _uses(methods, bool(root.hooks))
    return Signature(
        entry_points=tuple(
            EntryPoint(
                name=method.name,
                overloads=(
                    Overload(
                        inputs=_inputs(method, code, constants, examples.get(method.name, ()), uses[method.name]),
                        outputs=_outputs(method, code),
                    ),
                ),
            )
            for method in methods
        ),
        default_entry_point=methods[0].name,
        provenance=Provenance(
            format="torchscript",
            producer=_producer(archive),
            learned=Learned.DERIVED,
            notes=_notes(methods, bool(root.hooks)),
        ),
    )


def _uses(methods: list[Method], hooked: bool) -> dict[str, dict[str, Use]]:
    """What each method does with its arguments, by its name and theirs."""
    reader = BodyReader()
    uses = {
        method.name: reader.uses(method.body, [(argument.name, argument.type) for argument in method.arguments])
        for method in methods
    }
    if hooked and "forward" in uses:
        uses["forward"] = behind_hooks(uses["forward"])
    return uses


def _notes(methods: list[Method], hooked: bool) -> tuple[str, ...]:
    notes = []
    if hooked:
        notes.append("the module has hooks, which see all arguments of forward: what forward does not use may be live")
    long = [method.name for method in methods if len(method.body) > MAX_BODY_CHARACTERS]
    if long:
        notes.append(f"the code of {', '.join(long[:5])} is too long to look for unused arguments")
    return tuple(notes)


def _producer(archive: TorchArchive) -> str:
    if "version" not in archive:
        return "torch"
    version = archive.read("version", limit=64).decode("ascii", "replace").strip()
    return f"torch (file format {version})"


def _root_class(archive: TorchArchive, code: CodeFiles) -> ClassCode:
    names = pickled_names(archive.read_prefix("data.pkl", _ROOT_CLASS_BYTES), limit=1)
    where = archive.place("data.pkl")
    if not names:
        raise ArtifactError(where=where, expected="the name of the root class", got="none")
    root = code.find(str(names[0]))
    if root is None:
        raise ArtifactError(where=where, expected=f"the code of the root class {names[0]}", got="none in code/")
    return root


def _entry_methods(root: ClassCode) -> list[Method]:
    """The callable methods: neither hooks nor what the compiler makes of properties."""
    methods = [
        method
        for method in root.methods.values()
        if method.name not in root.hooks
        and not (method.name.startswith("__") and method.name.endswith(("_getter", "_setter")))
    ]
    return sorted(methods, key=lambda method: method.name != "forward")


def _examples(archive: TorchArchive) -> dict[str, list[Any]]:
    """The example calls of a traced module, by method."""
    if "traced_inputs.pkl" not in archive:
        return {}
    data = archive.read("traced_inputs.pkl", limit=MAX_PICKLE_BYTES)
    return read_examples(data, archive.place("traced_inputs.pkl"))


class _Constants:
    """The tuple CONSTANTS.c0, c1, … that code refers to; read only when it does."""

    def __init__(self, archive: TorchArchive) -> None:
        self._archive = archive
        self._values: tuple[Any, ...] | None = None

    def __call__(self, index: int) -> Any:
        where = self._archive.place("constants.pkl")
        if self._values is None:
            values = read_pickle(self._archive.read("constants.pkl", limit=MAX_PICKLE_BYTES), where)
            self._values = values if isinstance(values, tuple) else ()
        if index >= len(self._values):
            raise ArtifactError(where=where, expected=f"a constant c{index}", got=f"{len(self._values)} constants")
        return self._values[index]


def _inputs(
    method: Method,
    code: CodeFiles,
    constants: Callable[[int], Any],
    examples: tuple[Any, ...] | list[Any],
    uses: dict[str, Use],
) -> tuple[Input, ...]:
    parts: list[tuple[Part, Literal | None, Example, Use]] = []
    for index, argument in enumerate(method.arguments):
        default = None if argument.default is None else read_default(argument.default, constants)
        example = Example(examples[index]) if len(examples) == len(method.arguments) else Example()
        parts.extend(
            (part, _at(default, part.indices), example.at(part.indices), uses[argument.name])
            for part in code.parts(argument.type, argument.name)
        )
    names = input_names([Leaf(part.root, part.steps) for part, *_ in parts])
    return tuple(
        _input(input_name, part, default, example, use)
        for input_name, (part, default, example, use) in zip(names, parts, strict=True)
    )


_ONLY_IN_CODE = Literal(None, of="code")


def _at(default: Literal | None, indices: tuple[int, ...]) -> Literal | None:
    """The part of a tuple's default that belongs to one of its elements."""
    for index in indices:
        if default is None:
            return None
        if not isinstance(default.value, tuple) or index >= len(default.value):
            return _ONLY_IN_CODE  # there is a default, of which only torch knows the parts
        default = default.value[index]
    return default


def _input(input_name: str, part: Part, default: Literal | None, example: Example, use: Use) -> Input:
    type_ = part.type
    learned: dict[str, Learned] = {}
    seen = example.tensor()
    if isinstance(type_, Tensor) and seen is not None:
        type_, learned = seen, {"type": Learned.EXAMPLE}
    features: tuple[Feature, ...] = ()
    if isinstance(type_, Mapping) and isinstance(type_.value, Tensor):
        features = tuple(Feature(name=key, type=tensor) for key, tensor in example.tensors())
        learned = {"features": Learned.EXAMPLE} if features else {}
    if isinstance(type_, Mapping) and not part.steps and not features and use.keys:
        features = tuple(Feature(name=key, type=type_.value) for key in use.keys)
    path = Leaf(part.root, part.steps).path
    return Input(
        name=input_name,
        type=type_,
        path=path if path != input_name else None,
        presence=Presence.REQUIRED if default is None else Presence.DEFAULT,
        default=None if default == _ONLY_IN_CODE else default,
        nullable=admits_none(part.text),
        constraints=Constraints(categories=part.categories) if part.categories else None,
        live=use.part(part.indices),
        features=features,
        learned=learned,
    )


def _outputs(method: Method, code: CodeFiles) -> tuple[Output, ...]:
    parts = list(code.parts(method.returns, ""))
    whole = parts[0].type if len(parts) == 1 and not parts[0].steps else None
    if isinstance(whole, Mapping) and (keys := returned_keys(method.body)):
        leaves = [Leaf("", (Key(key),)) for key in keys]
        types = [whole.value] * len(keys)
    else:
        leaves = [Leaf("", part.steps) for part in parts]
        types = [part.type for part in parts]
    return tuple(
        Output(name=output_name, type=type_, path=leaf.path)
        for output_name, type_, leaf in zip(output_names(leaves), types, leaves, strict=True)
    )
