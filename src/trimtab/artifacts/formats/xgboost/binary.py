"""Read an XGBoost model in UBJSON around its trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimtab.artifacts.formats.xgboost.model_file import USAGE_BELOW, ModelFile, model_file
from trimtab.artifacts.formats.xgboost.usage import Usage
from trimtab.errors import ArtifactError
from trimtab.source.ubjson import UbjsonWalk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.source.bytes import ByteSource

_MAX_TAIL_BYTES = 1 << 20
_AFTER_TREES = b"L\0\0\0\0\0\0\0\x13learner_model_param{"
"""The member of the learner that follows its booster."""


def read_binary(source: ByteSource) -> ModelFile:
    """The model's description from UBJSON. ArtifactError where it is damaged."""
    reader = _Reader(source)
    value = reader.model()
    if reader.walk.position != source.size:
        raise ArtifactError(
            where=f"{source.name} at offset {reader.walk.position}",
            expected="the end of the file",
            got=f"{source.size - reader.walk.position} more bytes",
            hint="Was something appended to the file, or is it damaged? Save the model again with XGBoost.",
        )
    return model_file(source, value, reader.categories, reader.split_on)


def attribute_places(source: ByteSource) -> Iterator[tuple[str, int, int]]:
    """Where the attributes lie, under the key "", and then where each of them does, from its key to its value's end.

    ArtifactError where the learner has no attributes before its booster.
    """
    walk = UbjsonWalk(source)
    for key in walk.members():
        if key != "learner":
            walk.skip()
            continue
        for part in walk.members():
            if part == "gradient_booster":
                break
            start = walk.position
            walk.skip()
            if part == "attributes":
                yield "", start, walk.position
                yield from _members(source, start)
                return
        break
    raise ArtifactError(where=source.name, expected="the attributes of the learner before its trees", got="none")


def _members(source: ByteSource, start: int) -> Iterator[tuple[str, int, int]]:
    if source.read(start, 2) in (b"{#", b"{$"):
        raise ArtifactError(
            where=f"{source.name} at offset {start}",
            expected="attributes as XGBoost writes them",
            got="a counted object",
        )
    walk = UbjsonWalk(source, start)
    before = start + 1
    for key in walk.members():
        walk.skip()
        yield key, before, walk.position
        before = walk.position


class _Reader:
    """One pass over the file. split_on: as of ModelFile; known once a small file was walked."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self.walk = UbjsonWalk(source)
        self.categories: Any = None
        self.split_on: frozenset[int] | None = None
        self._jumped = False
        self._has_model = False

    def model(self) -> dict[str, Any]:
        model: dict[str, Any] = {}
        for key in self.walk.members():
            self._once(key, model)
            model[key] = self._learner() if key == "learner" else self.walk.value()
        return model

    def _learner(self) -> dict[str, Any]:
        learner: dict[str, Any] = {}
        for key in self.walk.members():
            self._once(key, learner)
            if key == "gradient_booster":
                kind = self._booster("learner_model_param" not in learner)
                learner[key] = {"name": kind, **({"model": None} if self._has_model else {})}
            else:
                learner[key] = self.walk.value()
        return learner

    def _booster(self, before_parameters: bool) -> str:
        """The booster's name, with the walk behind the booster."""
        kind = ""
        for key in self.walk.members():
            if key == "gbtree":
                self._booster(before_parameters)
                kind = "dart"
            elif key == "model":
                self._tree_model(before_parameters)
                kind = "gbtree"
            elif key == "name":
                kind = str(self.walk.value())
            else:
                self.walk.skip()
            if self._jumped:
                break
        return kind

    def _tree_model(self, before_parameters: bool) -> None:
        self._has_model = True
        for key in self.walk.members():
            if key == "cats":
                self.categories = self.walk.value()
            elif key == "trees" and self._jump(before_parameters):
                return
            elif key == "trees" and self.source.size <= USAGE_BELOW:
                self.split_on = self._trees()
            else:
                self.walk.skip()

    def _jump(self, before_parameters: bool) -> bool:
        """Go on behind the trees of a large file: what follows is found from the file's end."""
        if not before_parameters or self.source.size <= USAGE_BELOW:
            return False
        length = min(_MAX_TAIL_BYTES, self.source.size - self.walk.position)
        at = self.source.read(self.source.size - length, length).rfind(_AFTER_TREES)
        if at < 0:
            return False
        self.walk.position = self.source.size - length + at
        self._jumped = True
        return True

    def _trees(self) -> frozenset[int] | None:
        usage = Usage()
        for _ in self.walk.elements():
            parts: dict[str, Any] = {}
            for key in self.walk.members():
                if key in ("split_indices", "left_children"):
                    parts[key] = self.walk.value()
                else:
                    self.walk.skip()
            usage.add(parts.get("split_indices"), parts.get("left_children"))
        return usage.split_on

    def _once(self, key: str, seen: dict[str, Any]) -> None:
        if key in seen:
            raise ArtifactError(
                where=f"{self.source.name} at offset {self.walk.position}",
                expected="each key once",
                got=f"{key!r} twice in one object",
            )
