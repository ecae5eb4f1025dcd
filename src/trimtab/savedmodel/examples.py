"""Which features a SavedModel takes out of serialized `tf.Example` strings.

A signature's input is followed forwards, through what hands strings on unchanged and into called functions, to the
operations that parse examples. Their keys are constants beside them, in a calling function or in the graph. Shapes are
those of the feature in one example, without the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trimtab.savedmodel.graph import TensorName
from trimtab.savedmodel.parse_ops import PARSE_OPS, merged, parsed_features

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trimtab.savedmodel.graph import FunctionDef, NodeDef
    from trimtab.savedmodel.graph_protos import TensorProto
    from trimtab.savedmodel.links import ConcreteFunction
    from trimtab.signature.model import Feature

MAX_CALLS = 2000
"""How many calls one input is followed into."""

MAX_STEPS = 50_000
"""How many nodes one input is followed through."""

MAX_DEPTH = 64
"""How deep calls nest that are followed, and how far a key is looked for."""


class Examples(Struct, frozen=True):
    """What is done with the strings of one input.

    features: what is parsed out of them; empty when nothing is.
    others: what else reads them (operations, `returned`), so that the features are not all that counts. `?` stands for
      what is not known: keys that are computed, or too many calls.
    """

    features: tuple[Feature, ...] = ()
    others: tuple[str, ...] = ()

    def notes(self, where: str) -> list[str]:
        """What a reader of the features should know, in a sentence that begins with the input's place."""
        if "?" in self.others and not self.features:
            return [f"{where}: examples are parsed under keys that cannot be found, so the features are not known"]
        if not self.features or not self.others:
            return []
        readers = ", ".join("what cannot be followed" if each == "?" else each for each in self.others)
        return [f"{where}: the examples are not only parsed ({readers}), so the features may not be all that counts"]


class Body(NamedTuple):
    """A function or graph whose tensors are followed.

    arguments: the names of the function's arguments. results: the tensors that it returns.
    """

    nodes: Mapping[str, NodeDef]
    arguments: tuple[str, ...] = ()
    results: tuple[str, ...] = ()

    @classmethod
    def of(cls, function: FunctionDef) -> Body:
        """The body of a function of a library."""
        signature = function.signature
        return cls(
            function.node_def,
            tuple(argument.name for argument in signature.input_arg),
            tuple(function.ret.get(result.name, "") for result in signature.output_arg),
        )


def examples_of(function: ConcreteFunction, position: int) -> Examples:
    """What is done with the strings in one of the flat arguments of a concrete function."""
    definition = function.function_def
    if definition is None or position >= len(definition.signature.input_arg):
        return Examples()
    meta_graph = function.meta_graph
    constants = {}
    for capture in function.captures:
        node = meta_graph.graph_def.node.get(capture.name) if capture.kind == "constant" else None
        value = node.attr("value") if node is not None and node.op == "Const" else None
        if value is not None and value.tensor is not None:
            constants[capture.argument] = value.tensor
    argument = definition.signature.input_arg[position].name
    return examples(meta_graph.library, Body.of(definition), [argument], constants)


def examples(
    library: Mapping[str, FunctionDef],
    body: Body,
    starts: Iterable[str],
    constants: Mapping[str, TensorProto] | None = None,
) -> Examples:
    """What is done with the strings in the tensors `starts` of a function or graph (`x`, `x:0`).

    constants: arguments of the function that are captured constants, with their values.
    """
    walk = _Walk(library)
    carriers = {_tensor(TensorName.parse(start)) for start in starts}
    returned = walk.follow(_Frame(body, constants or {}), carriers)
    others = [*walk.others, *(["returned"] if returned else [])]
    return Examples(merged(walk.features), tuple(dict.fromkeys(others)))


_CARRYING_NAMES = """
    Identity IdentityN StopGradient PreventGradient Snapshot EnsureShape PlaceholderWithDefault Reshape
    ExpandDims Squeeze Gather GatherV2 GatherNd Slice StridedSlice Pack Unpack Concat ConcatV2 Split
    SplitV Tile BroadcastTo Transpose Reverse ReverseV2 Select SelectV2 DynamicPartition DynamicStitch
    Unique UniqueV2 RandomShuffle Switch RefSwitch Merge RefMerge Enter RefEnter Exit RefExit
    NextIteration RefNextIteration TensorListFromTensor TensorListGetItem TensorListStack
    TensorListSetItem TensorListPushBack TensorListPopBack TensorListConcatV2 TensorListGather
    TensorListScatterV2 TensorListSplit TensorListResize TensorArrayV3 TensorArrayScatterV3
    TensorArrayReadV3 TensorArrayWriteV3 TensorArrayGatherV3 TensorArrayConcatV3 RaggedGather
    RaggedTensorToVariant RaggedTensorFromVariant RaggedTensorToTensor DecodeBase64 DecodeCompressed
    StringStrip Copy CopyHost DebugIdentity
"""
_CARRYING = frozenset(_CARRYING_NAMES.split())
"""Operations whose outputs hold the strings, or parts of them, that come in."""

_INDIFFERENT = frozenset({"Shape", "ShapeN", "Size", "Rank", "NoOp", "Assert", "ZerosLike", "OnesLike"})
"""Operations that only ask how many there are."""

_CALLS = {"PartitionedCall": 0, "StatefulPartitionedCall": 0, "BatchFunction": 0, "If": 1, "StatelessIf": 1}
_CALLS |= {"Case": 1, "StatelessCase": 1, "While": 0, "StatelessWhile": 0}
"""Operations that call functions with their inputs, and how many inputs come before those."""


class _Frame(NamedTuple):
    """A body under one call.

    constants: the values of arguments that are constants. caller: the frame of the call, and the tensor that each
    argument is there.
    """

    body: Body
    constants: Mapping[str, TensorProto]
    caller: _Frame | None = None
    given: Mapping[str, str] = {}
    depth: int = 0


class _Tensor(NamedTuple):
    node: str
    position: int


def _tensor(name: TensorName) -> _Tensor:
    return _Tensor(name.node, name.position)


class _Walk:
    """One walk from one input: what it has met so far."""

    def __init__(self, library: Mapping[str, FunctionDef]) -> None:
        self._library = library
        self._calls_left = MAX_CALLS
        self._steps_left = MAX_STEPS
        self._bodies: dict[str, Body] = {}
        self._readers: dict[int, dict[str, list[NodeDef]]] = {}
        self.features: list[Feature] = []
        self.others: list[str] = []

    def follow(self, frame: _Frame, carriers: set[_Tensor]) -> set[int]:
        """Follow the strings in these tensors of a frame; gives the positions of the results that hold them."""
        readers = self._readers.setdefault(id(frame.body), {}) or _readers(frame.body)
        self._readers[id(frame.body)] = readers
        handled: dict[str, frozenset[int]] = {}
        waiting = list(carriers)
        while waiting:
            for node in readers.get(waiting.pop().node, ()):
                self._steps_left -= 1
                if self._steps_left < 0:
                    self.others.append("?")
                    return set()
                data = [TensorName.parse(each) for each in node.input if not each.startswith("^")]
                places = frozenset(at for at, each in enumerate(data) if _holds(carriers, each, frame.body, self))
                if not places or handled.get(node.name) == places:
                    continue
                handled[node.name] = places
                new = self._through(frame, node, places) - carriers
                carriers |= new
                waiting += new
        results = enumerate(map(TensorName.parse, frame.body.results))
        return {at for at, each in results if _holds(carriers, each, frame.body, self)}

    def _through(self, frame: _Frame, node: NodeDef, places: frozenset[int]) -> set[_Tensor]:
        """What holds the strings after a node that is given them at these places."""
        if node.op in PARSE_OPS:
            self._parse(frame, node, places)
            return set()
        callees = self._callees(node)
        if callees:
            return {_Tensor(node.name, at) for at in self._call(frame, node, callees, places)}
        if node.op in _CARRYING:
            if node.op == "IdentityN":
                return {_Tensor(node.name, at) for at in places}
            return {_Tensor(node.name, _ANY)}
        if node.op not in _INDIFFERENT:
            self.others.append(node.op)
        return set()

    def _parse(self, frame: _Frame, node: NodeDef, places: frozenset[int]) -> None:
        if 0 not in places:
            self.others.append(node.op)  # the strings are keys or defaults
            return
        data = [each for each in node.input if not each.startswith("^")]
        found = parsed_features(node, lambda at: _constant(frame, data[at]) if at < len(data) else None)
        if found is None:
            self.others.append("?")
        else:
            self.features += found

    def _call(self, frame: _Frame, node: NodeDef, callees: Sequence[str], places: frozenset[int]) -> set[int]:
        skipped = _CALLS.get(node.op, 0)
        given = [each for each in node.input if not each.startswith("^")][skipped:]
        inside = {at - skipped for at in places if at >= skipped}
        loop = node.op in ("While", "StatelessWhile")
        if frame.depth >= MAX_DEPTH:
            self.others.append("?")
            return set()
        returned: set[int] = set()
        while True:
            for name in callees:
                self._calls_left -= 1
                if self._calls_left < 0:
                    self.others.append("?")
                    return set()
                body = self._body(name)
                by_argument = dict(zip(body.arguments, given, strict=False))
                callee = _Frame(body, {}, frame, by_argument, frame.depth + 1)
                start = {_Tensor(body.arguments[at], 0) for at in inside if at < len(body.arguments)}
                returned |= self.follow(callee, start) if start else set()
            if not loop:
                return returned
            if returned <= inside:
                return inside
            inside |= returned

    def _callees(self, node: NodeDef) -> Sequence[str]:
        if node.op in _CALLS:
            return [name for name in node.callees if name in self._library]
        return [node.op] if node.op in self._library else []

    def _body(self, name: str) -> Body:
        if name not in self._bodies:
            self._bodies[name] = Body.of(self._library[name])
        return self._bodies[name]

    def output(self, node: NodeDef, tensor: TensorName) -> int:
        """Which output of its node, counted through, a tensor in a function is."""
        if tensor.output and node.op in self._library:
            names = [result.name for result in self._library[node.op].signature.output_arg]
            return names.index(tensor.output) if tensor.output in names else tensor.position
        return tensor.position


_ANY = -1
"""In place of an output's position: all of them."""


def _holds(carriers: set[_Tensor], tensor: TensorName, body: Body, walk: _Walk) -> bool:
    if tensor.control:
        return False
    node = body.nodes.get(tensor.node)
    position = tensor.position if node is None else walk.output(node, tensor)
    return (tensor.node, _ANY) in carriers or (tensor.node, position) in carriers


def _readers(body: Body) -> dict[str, list[NodeDef]]:
    """The nodes that read each node or argument."""
    readers: dict[str, list[NodeDef]] = {}
    for node in body.nodes.values():
        for name in {TensorName.parse(each).node for each in node.input if not each.startswith("^")}:
            readers.setdefault(name, []).append(node)
    return readers


_SAME_VALUES = frozenset({"Identity", "Enter", "StopGradient", "PlaceholderWithDefault", "Reshape", "ExpandDims"})


def _constant(frame: _Frame, name: str) -> TensorProto | None:
    """The constant whose values a tensor has, looked for up the calls; its shape may have been changed on the way."""
    place: _Frame | None = frame
    for _ in range(MAX_DEPTH):
        if place is None:
            return None
        tensor = TensorName.parse(name)
        node = place.body.nodes.get(tensor.node)
        if node is None:
            if tensor.node in place.constants:
                return place.constants[tensor.node]
            name, place = place.given.get(tensor.node, ""), place.caller
        elif node.op == "Const":
            value = node.attr("value")
            return None if value is None else value.tensor
        elif node.op in _SAME_VALUES and node.input:
            name = node.input[0]
        else:
            return None
    return None
