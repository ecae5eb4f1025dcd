"""What a signature that exists does: its wrapper, read back into a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from trimtab.savedmodel.editing.exposing import expose
from trimtab.savedmodel.editing.wrapper import CALLS, FOLDED_BY_NOBODY, Constant, Input, Output, Result, Wrapper
from trimtab.savedmodel.messages import serialize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.savedmodel.editing.draft import Draft
    from trimtab.savedmodel.editing.wrapper import Argument


def unwrap(draft: Draft, name: str, keywords: Sequence[str]) -> Wrapper:
    """The signature whose wrapper is the function `name`. keywords: its inputs' names, in the arguments' order.

    A wrapper that does more than call one function is itself taken for the callee.
    """
    whole = expose(draft, name)
    fed = [each for each in whole.arguments if isinstance(each, Input)]
    if len(keywords) == len(fed):
        names = iter(keywords)
        whole = whole.with_arguments(
            replace(each, name=next(names), alias="") if isinstance(each, Input) else each for each in whole.arguments
        )
    return _flattened(draft, whole) or whole


def _flattened(draft: Draft, whole: Wrapper) -> Wrapper | None:
    """The wrapper without its own body, when that is no more than a call, constants and identities."""
    function = draft.functions[whole.callee]
    nodes = {node.name: node for node in function.node_def}
    calls = [node for node in nodes.values() if node.op in CALLS]
    if len(calls) != 1 or any(
        node.op not in {*CALLS, FOLDED_BY_NOBODY, "Identity", "NoOp", "Const"} for node in nodes.values()
    ):
        return None
    callee = calls[0].attr["f"].func.name
    if callee not in draft.functions:
        return None
    given = {argument.name: each for argument, each in zip(function.signature.input_arg, whole.arguments, strict=True)}
    arguments: list[Argument] = []
    for reference in calls[0].input:
        source = nodes.get(reference.partition(":")[0])
        if source is not None and source.op == FOLDED_BY_NOBODY and source.input:
            source = nodes.get(source.input[0].partition(":")[0])
        if reference.startswith("^"):
            return None
        if source is not None and source.op == "Const":
            arguments.append(Constant(source.attr["dtype"].type, serialize(source.attr["value"].tensor)))
        elif reference in given:
            arguments.append(given[reference])
        else:
            return None
    if not set(given.values()) <= set(arguments):
        return None
    positions = []
    for argument in function.signature.output_arg:
        position = _position(function.ret[argument.name], nodes, calls[0].name)
        if position is None or position >= len(calls[0].attr["Tout"].list.type):
            return None
        positions.append(position)
    outputs = []
    for output in whole.outputs:
        results = tuple(Result(positions[each.position], each.dtype, each.shape) for each in output.results)
        outputs.append(Output(output.key, output.spec, results))
    dtypes = tuple(calls[0].attr["Tout"].list.type)
    return Wrapper(callee, calls[0].op == "StatefulPartitionedCall", tuple(arguments), dtypes, tuple(outputs))


def _position(reference: str, nodes: dict[str, Any], call: str) -> int | None:
    """Which result of the call the tensor is, through identities."""
    for _ in range(len(nodes)):
        name, _, position = reference.partition(":output:")
        if name == call and position.isdecimal() and len(position) < 10:
            return int(position)
        if name not in nodes or nodes[name].op != "Identity" or not nodes[name].input:
            return None
        reference = nodes[name].input[0]
    return None
