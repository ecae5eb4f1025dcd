"""Read the signature of an AOTInductor package's generated C++ code: the only place where it says what it takes.

`data/aotinductor/NAME/*.wrapper.cpp` keeps the tree specifications of the call, and one function per input that checks
dtype, sizes and bounds. It names no positional argument and states no dtype of an output. The compiled library beside
it is never opened. Written by torch/_inductor/codegen/cpp_wrapper_cpu.py.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.json import Decoder

from trimtab.artifacts.dimensions import BoundedDims
from trimtab.artifacts.formats.pt2.pytree import leaf_paths, read_tree
from trimtab.artifacts.formats.pt2.symbolic import is_readable
from trimtab.artifacts.limits import MAX_VALUES, check_count, check_json
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import dtype_of
from trimtab.signature.model import Input, Output, Overload, Presence, Range
from trimtab.signature.naming import Leaf, input_names, output_names
from trimtab.signature.path import Key
from trimtab.signature.types import Opaque, Tensor

if TYPE_CHECKING:
    from trimtab.artifacts.formats.torch_archive import TorchArchive
    from trimtab.signature.path import Step
    from trimtab.signature.types import Dim, Shape

FOLDER = "data/aotinductor/"

_MAX_METADATA_BYTES = 20 << 20
_MAX_MODELS = 64
_MAX_RANK = 1000
_MAX_SIZE = 1 << 62


def compiled_models(archive: TorchArchive) -> dict[str, str | None]:
    """By the name of each compiled model, the entry that holds its generated code; None where there is none."""
    models: dict[str, str | None] = {}
    for entry in archive.names(FOLDER):
        model, _, file = entry.removeprefix(FOLDER).rpartition("/")
        if model and file.endswith(".wrapper.cpp"):
            if models.get(model):
                raise ArtifactError(
                    where=archive.place(entry), expected="one wrapper for each model", got="a second one"
                )
            models[model] = entry
        elif model and file.endswith((".so", ".o", ".cpp")):
            models.setdefault(model)
        check_count(len(models), _MAX_MODELS, "compiled models", archive.place(FOLDER))
    return models


def document_in_metadata(archive: TorchArchive) -> bytes | None:
    """The document under `module_info` in the metadata of a package's only compiled model, or None.

    The exporter wrote it there: `inductor_configs={"aot_inductor.metadata": {"module_info": …}}`.
    """
    entries = archive.names(FOLDER, ".wrapper_metadata.json")
    if len(entries) != 1:
        return None
    where = archive.place(entries[0])
    data = archive.read(entries[0], limit=_MAX_METADATA_BYTES)
    check_json(data, where)
    try:
        document = _METADATA.decode(data).module_info
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as failure:
        raise ArtifactError(where=where, expected="metadata in JSON, module_info as text", got=str(failure)) from None
    return None if document is None else document.encode()


class _Metadata(Struct):
    module_info: str | None = None


# Made once, when the module is imported: msgspec then evaluates the annotations above, and never while it reads a file.
_METADATA = Decoder(_Metadata)


def compiled_overload(code: str, where: str) -> tuple[Overload, tuple[str, ...]] | None:
    """What the generated code of one model says of its call, and notes on what it leaves open.

    None where the code is not of the form that is known.
    """
    takes, gives = _IN_SPEC.search(code), _OUT_SPEC.search(code)
    arguments = [name for _, name in sorted((int(index), name) for index, name in _INPUT.findall(code))]
    if takes is None or gives is None or len(_INPUT_COUNT.findall(code)) != len(arguments):
        return None
    check_count(len(arguments), MAX_VALUES, "inputs", where)
    paths = list(leaf_paths(read_tree(takes.group(1), f"{where} at in_spec_"), {}, f"{where} at in_spec_"))
    if any(len(path) < 2 for path in paths):
        raise ArtifactError(where=f"{where} at in_spec_", expected="positional and keyword arguments", got="a tree")
    notes = ["read from generated code, which names no positional argument and states no dtype of an output"]
    places = _places(arguments, len(paths))
    if places is None:
        notes.append("arguments that are no tensors are compiled in, and the code does not say which they are")
    checks = _Checks(code, where)
    inputs = _inputs(arguments, places, [_leaf(path) for path in paths], checks)
    outputs = _outputs(code, gives.group(1), f"{where} at out_spec_")
    return Overload(inputs=inputs, outputs=outputs, dimensions=checks.dimensions), tuple(notes)


_IN_SPEC = re.compile(r'^ *in_spec_ = R"\((.*)\)";$', re.MULTILINE)
_OUT_SPEC = re.compile(r'^ *out_spec_ = R"\((.*)\)";$', re.MULTILINE)
_INPUT = re.compile(r'^ *inputs_info_\[(\d{1,6})\]\.name = "(\w+)";$', re.MULTILINE)
_INPUT_COUNT = re.compile(r"^ *inputs_info_\[", re.MULTILINE)
_OUTPUT = re.compile(r"^ *outputs_info_\[\d{1,6}\]\.name", re.MULTILINE)


def _places(arguments: list[str], leaves: int) -> list[int] | None:
    """Which leaf of the call each argument is; None where the code does not settle it.

    What is no tensor is compiled in and takes no argument. But the arguments are numbered (`arg4_1`) before that, after
    an unknown number of weights, so they settle it unless they could be shifted.
    """
    if len(arguments) == leaves:
        return list(range(leaves))
    numbers = [int(match.group(1)) for match in map(_NUMBERED.fullmatch, arguments) if match]
    if not arguments or len(numbers) != len(arguments) or numbers != sorted(set(numbers)):
        return None
    return [number - numbers[0] for number in numbers] if numbers[-1] - numbers[0] + 1 == leaves else None


_NUMBERED = re.compile(r"arg(\d{1,6})_\d+")


def _leaf(path: tuple[Step, ...]) -> Leaf:
    (side, argument), steps = path[:2], path[2:]
    if side == Key(1) and isinstance(argument, Key):
        return Leaf(str(argument.value), steps)
    return Leaf("args", (argument, *steps))


def _inputs(arguments: list[str], places: list[int] | None, leaves: list[Leaf], checks: _Checks) -> tuple[Input, ...]:
    if places is None:
        return tuple(
            Input(name=f"input_{index}", type=checks.type_of(it), path=f"tensors[{index}]")
            for index, it in enumerate(arguments)
        )
    by_place = dict(zip(places, arguments, strict=True))
    inputs = []
    for index, (leaf, own_name) in enumerate(zip(leaves, input_names(leaves), strict=True)):
        name = f"input_{index}" if own_name == leaf.path and leaf.root == "args" else own_name
        path = leaf.path if leaf.path != name else None
        if index in by_place:
            inputs.append(Input(name=name, type=checks.type_of(by_place[index]), path=path))
        else:
            inputs.append(Input(name=name, type=Opaque("constant"), path=path, presence=Presence.DEFAULT))
    return tuple(inputs)


def _outputs(code: str, spec: str, where: str) -> tuple[Output, ...]:
    count = len(_OUTPUT.findall(code))
    check_count(count, MAX_VALUES, "outputs", where)
    paths = list(leaf_paths(read_tree(spec, where), {}, where))
    leaves = (
        [Leaf("", path) for path in paths] if len(paths) == count else [Leaf("", (Key(it),)) for it in range(count)]
    )
    return tuple(
        Output(name=name, type=Tensor(), path=leaf.path)
        for leaf, name in zip(leaves, output_names(leaves), strict=True)
    )


class _Checks:
    """What the code checks of each argument."""

    def __init__(self, code: str, where: str) -> None:
        self._where = where
        self._dtypes = dict(_DTYPE.findall(code))
        self._sizes: dict[str, dict[int, list[tuple[str, int]]]] = {}
        for value, name, index in _SIZE.findall(code):
            self._note(name, index, "=", value)
        for name, index, sign, value in _BOUND.findall(code):
            self._note(name, index, sign, value)
        self._strides: dict[str, int] = {}
        for name, index in _STRIDE.findall(code):
            self._strides[name] = max(int(index), self._strides.get(name, 0))
        self._shapes = dict(_SHAPE.findall(code))
        self._unnamed = BoundedDims()
        self._symbols: dict[str, Range] = {}

    @property
    def dimensions(self) -> dict[str, Range]:
        """The bounds of the symbols that the shapes use."""
        return {**self._symbols, **self._unnamed.ranges}

    def _note(self, name: str, index: str, sign: str, value: str) -> None:
        self._sizes.setdefault(name, {}).setdefault(int(index), []).append((sign, int(value)))

    def type_of(self, name: str) -> Tensor:
        """The type of the argument that the code calls `name`."""
        spelled = self._dtypes.get(name)
        dtype = dtype_of("torch", spelled) if spelled else None
        if spelled and dtype is None:
            raise ArtifactError(where=self._where, expected=f"a dtype of torch for {name}", got=repr(spelled[:40]))
        return Tensor(dtype, self._shape(name))

    def _shape(self, name: str) -> Shape | None:
        checked = self._sizes.get(name, {})
        if name in self._shapes:
            sizes = _split(self._shapes[name])
            check_count(len(sizes), _MAX_RANK, "dimensions", self._where)
            return tuple(self._dim(_LONG.sub(r"\1", size), checked.get(at, [])) for at, size in enumerate(sizes))
        last = max(checked, default=-1)
        if last > self._strides.get(name, -1) or last >= _MAX_RANK or name not in self._strides:
            return None  # there may be more dimensions, about which nothing is checked
        return tuple(self._dim("", checked.get(at, [])) for at in range(self._strides[name] + 1))

    def _dim(self, text: str, checks: list[tuple[str, int]]) -> Dim:
        fixed = [value for sign, value in checks if sign == "="]
        if fixed or text.isdecimal():
            return fixed[0] if fixed else int(text)
        minimum = max((value for sign, value in checks if sign == "<"), default=0)
        maximum = min((value for sign, value in checks if sign == ">" and value < _MAX_SIZE), default=None)
        if not text or not is_readable(text):
            return self._unnamed.dim(minimum, maximum)
        if checks:
            self._symbols[text] = Range(minimum=minimum, maximum=maximum)
        return text


def _split(sizes: str) -> list[str]:
    """The items of a list in C++; the last may have a comma after it."""
    items, depth = [""], 0
    for character in sizes:
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            items.append("")
        else:
            items[-1] += character
    return [item.strip() for item in items if item.strip()]


_DTYPE = re.compile(r"^ *int32_t (\w+)_expected_dtype = aoti_torch_dtype_(\w+)\(\);$", re.MULTILINE)
_SIZE = re.compile(r"^ *if \((\d{1,18}) != (\w+)_size\[(\d{1,4})\]\) \{$", re.MULTILINE)
_BOUND = re.compile(r"^ *if \((\w+)_size\[(\d{1,4})\] ([<>]) (\d{1,18})\) \{$", re.MULTILINE)
_STRIDE = re.compile(r"^ *if \(\d{1,18} != (\w+)_stride\[(\d{1,4})\]\) \{$", re.MULTILINE)
_SHAPE = re.compile(r"assert_size_stride\((\w+), \{([^{}\n]{0,4000})\}, \{")
_LONG = re.compile(r"\b(\d+)L\b")
