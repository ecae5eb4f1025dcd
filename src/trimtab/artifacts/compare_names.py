"""Join a plain `module_info.json`, which is names alone, with the signature derived from the graph.

The names must be those of the graph, unless the graph leaves its inputs open: a dict or list argument, whose entries
are then what is named, or a single tensor, whose columns are.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trimtab.artifacts.limits import MAX_VALUES, check_count
from trimtab.artifacts.places import is_nameless
from trimtab.errors import ContradictionError, SignatureError
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Feature, Input, Learned, Output, Overload, Presence, Signature
from trimtab.signature.naming import Leaf
from trimtab.signature.path import Key, Step, format_path, parse_path
from trimtab.signature.types import Mapping, Sequence, Tensor, Type

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as AnyMapping
    from collections.abc import Sequence as AnySequence
    from typing import TypeAlias

    Disagree: TypeAlias = Callable[[ContradictionError], None]
    """What is done with a contradiction: it is raised, or kept for later."""

_MAX_PAIRS = 5_000_000

_HINT = "Which one is right? Correct the names, or embed the derived signature: trimtab embed ARTIFACT --derive"


def join_names(names: Signature, derived: Signature, where: str, disagree: Disagree) -> Signature:
    """The derived signature under the declared names.

    disagree: what to do where the names do not fit the graph; what they name then stays as it was derived.
    """
    default = derived.entry_point()
    graph = default.overloads[0]
    overload = replace(
        graph,
        inputs=_inputs([it.name for it in names.inputs], graph, f"{where}: input_names", disagree),
        outputs=_outputs([it.name for it in names.outputs], graph, f"{where}: output_names", disagree),
    )
    return replace(
        derived,
        entry_points=tuple(
            replace(each, overloads=(overload,)) if each is default else each for each in derived.entry_points
        ),
    )


def _inputs(stated: AnySequence[str], graph: Overload, where: str, disagree: Disagree) -> tuple[Input, ...]:
    names = _each_once(stated, where, disagree)
    by_spelling = {spelling: it for it in graph.inputs for spelling in _spellings(it.name, it.call_path)}
    matched = {name: by_spelling[name] for name in names if name in by_spelling}
    named = {it.call_path for it in matched.values()}
    unnamed = [it for it in graph.inputs if it.call_path not in named]
    others = [name for name in names if name not in matched]
    nameless = [it for it in unnamed if is_nameless(it)]
    if others and len(others) == len(nameless):
        matched.update(zip(others, nameless, strict=True))
        unnamed = [it for it in unnamed if not is_nameless(it)]
        others = []
    if tensor := _tensor_of_columns(unnamed, len(others)):
        features = tuple(Feature(name=name, type=Tensor()) for name in others)
        return (*(_renamed(matched[name], name) for name in matched), replace(tensor, features=features))
    holders = [it for it in unnamed if _is_open(it)]
    check_count(len(holders) * len(others), _MAX_PAIRS, "pairs of a name and a dict argument", where)
    seen = {it.call_path: {feature.name: feature for feature in it.features} for it in holders}
    entries = {name: _entry(name, holders, seen) for name in others}
    entered = {_root(entry) for entry in entries.values() if entry}
    left = [it for it in unnamed if it.call_path not in entered]
    if None in entries.values() or any(it.presence is Presence.REQUIRED and not _is_open(it) for it in left):
        spelled = frozenset(names)
        known = [it.name if it.name in spelled else it.call_path for it in graph.inputs]
        disagree(_contradiction(known, names, where))
        return graph.inputs
    joined = [_renamed(matched[name], name) if name in matched else entries[name] for name in names]
    return (*(it for it in joined if it), *left)


def _tensor_of_columns(inputs: AnySequence[Input], count: int) -> Input | None:
    """The input of which `count` names may be the columns: the only one that is left, if it is a matrix so wide.

    One name is no column: it would be a misspelled input.
    """
    required = [it for it in inputs if it.presence is Presence.REQUIRED]
    if count < 2 or len(required) != 1 or not isinstance(required[0].type, Tensor):
        return None
    shape = required[0].type.shape
    fits = shape is None or (len(shape) > 1 and (shape[-1] == count or not isinstance(shape[-1], int)))
    return required[0] if fits else None


def _entry(name: str, holders: AnySequence[Input], features: AnyMapping[str, AnyMapping[str, Feature]]) -> Input | None:
    """The input that a name stands for inside of a dict argument, or None where no single dict can hold it.

    holders: the dict arguments. features: what code or examples show of their entries, by path and key.
    """
    prefixed = [it for it in holders if name.startswith(f"{it.name}.")]
    holder = prefixed[0] if prefixed else holders[0] if len(holders) == 1 else None
    if holder is None or not isinstance(holder.type, Mapping):
        return None
    key = name.removeprefix(f"{holder.name}.") if prefixed else name
    seen = features[holder.call_path].get(key)
    return Input(
        name=name,
        type=seen.type if seen else holder.type.value,
        path=Leaf(holder.call_path, (Key(key),)).path,
        learned={"type": holder.learned.get("features", Learned.DERIVED) if seen else Learned.DERIVED},
    )


def _is_open(value: Input) -> bool:
    """Whether the graph leaves open which entries the input has."""
    return isinstance(value.type, Mapping) and value.type.key is DType.STRING


def _root(entry: Input) -> str:
    """The path of the dict that an entry lies in."""
    root, steps = parse_path(entry.call_path)
    return format_path(root, steps[:-1])


def _renamed(derived: Input, name: str) -> Input:
    path = derived.call_path if derived.call_path != name else None
    return replace(derived, name=name, path=path, learned={"type": Learned.DERIVED, **derived.learned})


def _outputs(stated: AnySequence[str], graph: Overload, where: str, disagree: Disagree) -> tuple[Output, ...]:
    names = _each_once(stated, where, disagree)
    if not graph.outputs:  # not known, rather than none: every model returns something
        return tuple(Output(name=name, type=Tensor()) for name in names)
    by_spelling = {spelling: it for it in graph.outputs for spelling in _spellings(it.name, it.return_path)}
    if len(names) == len(graph.outputs):
        if all(name in by_spelling for name in names):
            return tuple(_output(by_spelling[name], name) for name in names)
        if all(_is_generic(it) for it in graph.outputs):
            return tuple(_output(it, name) for it, name in zip(graph.outputs, names, strict=True))
    if len(graph.outputs) == 1:
        whole = graph.outputs[0]
        if isinstance(whole.type, Mapping):
            return tuple(_output(whole, name, whole.type.value, Key(name)) for name in names)
        if isinstance(whole.type, Sequence):
            return tuple(_output(whole, name, whole.type.element, Key(index)) for index, name in enumerate(names))
        if isinstance(whole.type, Tensor) and _is_generic(whole):
            return tuple(_output(whole, name) for name in names)  # the columns of one tensor
    disagree(_contradiction([it.return_path or it.name for it in graph.outputs], names, where))
    return graph.outputs


def _is_generic(output: Output) -> bool:
    """Whether the name is one that the reader made up for a value that the graph does not name."""
    if output.path == "":
        return True  # the whole of what is returned has no name in any graph
    return output.name.startswith("output_") and output.path is not None and not output.path.endswith(output.name)


def _output(derived: Output, name: str, type_: Type | None = None, step: Step | None = None) -> Output:
    path = derived.return_path + (str(step) if step else "")
    return replace(
        derived,
        name=name,
        path=path if path != name else None,
        type=type_ or derived.type,
        learned={"type": Learned.DERIVED, **derived.learned},
    )


def _spellings(name: str, path: str) -> tuple[str, ...]:
    """The names by which a document may call a value: its own, its path, and its path with dots."""
    try:
        root, steps = parse_path(path)
    except SignatureError:
        return (name, path)
    words = [str(step.value) if isinstance(step, Key) else step.name for step in steps]
    return (".".join(filter(None, (root, *words))), path, name)


def _each_once(names: AnySequence[str], where: str, disagree: Disagree) -> list[str]:
    check_count(len(names), MAX_VALUES, "names", where)
    for name, count in Counter(names).items():
        if count > 1:
            disagree(ContradictionError(where=where, expected="each name once", got=f"{name!r} {count} times"))
    return list(dict.fromkeys(names))


def _contradiction(graph: AnySequence[str], names: AnySequence[str], where: str) -> ContradictionError:
    stated, actual = frozenset(names), frozenset(graph)
    extra = [name for name in names if name not in actual]
    lacking = [name for name in graph if name not in stated]
    return ContradictionError(
        "the names in the document are not those of the artifact's graph",
        where=where,
        expected=f"{', '.join(graph)[:300] or 'none'}, as in the graph",
        got=f"{', '.join(names)[:300] or 'none'} (not in the graph: {', '.join(extra)[:200] or 'none'}; "
        f"only in the graph: {', '.join(lacking)[:200] or 'none'})",
        hint=_HINT,
    )
