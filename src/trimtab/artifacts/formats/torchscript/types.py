"""TorchScript's types as ours, with the classes they name looked up in the archive's code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.artifacts.formats.torchscript.code import ClassCode, split_classes, split_items
from trimtab.artifacts.formats.torchscript.defaults import read_default
from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.errors import ArtifactError
from trimtab.signature.dtypes import DType
from trimtab.signature.path import Field, Key, Step
from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Scalar, Sequence, Tensor, Type
from trimtab.source.pickle import Global

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.artifacts.formats.torch_archive import TorchArchive

MAX_CODE_BYTES = 12 << 20
MAX_DEPTH = 32

_SCALARS = {
    "int": DType.INT64,
    "float": DType.FLOAT64,
    "bool": DType.BOOL,
    "str": DType.STRING,
    "complex": DType.COMPLEX128,
}


class Part(Struct, frozen=True):
    """One leaf of an argument's type: tuples and named tuples are taken apart, everything else is one leaf.

    text: the type as the code spells it. categories: the values of an enumeration's members.
    """

    type: Type
    text: str
    root: str
    steps: tuple[Step, ...] = ()
    indices: tuple[int, ...] = ()
    categories: tuple[str | int | float | bool, ...] = ()


class CodeFiles:
    """The classes of an archive, each code file read and split when one of its classes is first asked for."""

    def __init__(self, archive: TorchArchive) -> None:
        self._archive = archive
        self._files: dict[str, dict[str, ClassCode]] = {}
        self._bytes_left = MAX_CODE_BYTES
        self._parts_seen = 0
        self._categories_of: dict[str, tuple[str | int | float | bool, ...]] = {}

    def find(self, qualified_name: str) -> ClassCode | None:
        """The class called `__torch__.a.b.Name`, or None where the archive has no such code."""
        module, _, class_name = qualified_name.rpartition(".")
        path = f"code/{module.replace('.', '/')}.py"
        if path not in self._files:
            self._files[path] = self._split(path) if path in self._archive else {}
        return self._files[path].get(class_name)

    def _split(self, path: str) -> dict[str, ClassCode]:
        data = self._archive.read(path, limit=self._bytes_left)
        self._bytes_left -= len(data)
        where = self._archive.place(path)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise ArtifactError(where=where, expected="code in UTF-8", got="other bytes") from None
        return split_classes(text, where)

    def parts(self, text: str, root: str) -> Iterator[Part]:
        """The leaves of a type."""
        yield from self._parts(Part(Opaque(text), text, root), 0)

    def _parts(self, whole: Part, depth: int) -> Iterator[Part]:
        text = whole.text
        # Counted over all arguments and methods, empty named tuples included: a few lines can name millions.
        self._parts_seen += 1
        check_count(
            self._parts_seen, 2 * MAX_VALUES, "values in arguments and returned values", self._archive.place("code")
        )
        if depth > MAX_DEPTH:
            raise ArtifactError(
                where=self._archive.place("code"), expected=f"types nested at most {MAX_DEPTH} deep", got=text[:60]
            )
        elements: list[tuple[Step, str]] | None = None
        head, arguments = _take_apart(text)
        if head == "Tuple" and arguments != ["()"]:
            elements = [(Key(index), argument) for index, argument in enumerate(arguments)]
        elif not arguments and (code := self._class(head)) and code.base == "NamedTuple":
            elements = [(Field(name), type_) for name, type_ in code.fields.items()]
        if elements is None:
            type_ = self._type(text, depth)
            yield Part(type_, text, whole.root, whole.steps, whole.indices, self._categories(text))
            return
        for index, (step, element) in enumerate(elements):
            inner = Part(whole.type, element, whole.root, (*whole.steps, step), (*whole.indices, index))
            yield from self._parts(inner, depth + 1)

    def _categories(self, text: str) -> tuple[str | int | float | bool, ...]:
        """The values of an enumeration's members, where they are plain values."""
        head, arguments = _take_apart(text)
        name = arguments[0] if head == "Optional" and len(arguments) == 1 else text
        if not name.startswith("__torch__."):
            return ()
        if name not in self._categories_of:
            code = self._class(name)
            members = code.members.values() if code is not None else ()
            values = [read_default(member, _no_constant).value for member in members]
            self._categories_of[name] = tuple(value for value in values if isinstance(value, str | int | float))
        return self._categories_of[name]

    def _type(self, text: str, depth: int) -> Type:
        if depth > MAX_DEPTH:
            return Opaque(text)
        head, arguments = _take_apart(text)
        if head == "Tensor":
            return Tensor()
        if head in _SCALARS:
            return Scalar(_SCALARS[head])
        if head == "NoneType":
            return Literal(None)
        if head == "List" and len(arguments) == 1:
            return Sequence(self._type(arguments[0], depth + 1))
        if head == "Optional" and len(arguments) == 1:
            return Optional(self._type(arguments[0], depth + 1))
        if head == "Dict" and len(arguments) == 2 and arguments[0] in _SCALARS:
            return Mapping(_SCALARS[arguments[0]], self._type(arguments[1], depth + 1))
        return Opaque(text)

    def _class(self, name: str) -> ClassCode | None:
        return self.find(name) if name.startswith("__torch__.") else None


def _no_constant(index: int) -> Global:
    return Global("CONSTANTS", f"c{index}")


def admits_none(text: str) -> bool:
    """Whether None is a value of the type."""
    head, arguments = _take_apart(text)
    return head == "Optional" or (head == "Union" and "NoneType" in arguments)


def _take_apart(text: str) -> tuple[str, list[str]]:
    """`Dict[str, Tensor]` as its head and its arguments."""
    head, bracket, rest = text.partition("[")
    if not bracket or not rest.endswith("]"):
        return text, []
    return head, split_items(rest[:-1])
