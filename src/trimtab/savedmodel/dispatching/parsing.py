"""Whether an operation that takes serialized `tf.Example` strings apart refuses those that it is fed.

An example that holds a feature holds the feature's key as it is. So one without the bytes of a key, be it an example or
not, lacks the feature, and is refused where the model has no default for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.savedmodel.dispatching.op_shapes import Failure
from trimtab.savedmodel.graph import TensorName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trimtab.savedmodel.dispatching.op_shapes import Known
    from trimtab.savedmodel.graph import NodeDef
    from trimtab.savedmodel.graph_protos import TensorProto

PARSING = frozenset({"ParseExample", "ParseExampleV2", "ParseSingleExample"})

_MAX_STEPS = 8


def parse_failure(node: NodeDef, inputs: Sequence[Known], nodes: Mapping[str, NodeDef]) -> Failure | None:
    """How an operation in `PARSING` is certain to fail, or None.

    inputs: what is known of the node's data inputs. nodes: those of the same function or graph.
    """
    from trimtab.savedmodel.parse_ops import parsed_features
    from trimtab.signature.model import Presence

    serialized = [each for each in inputs[0].data or () if isinstance(each, bytes)] if inputs else []
    if not serialized:
        return None
    tensors = [each for each in map(TensorName.parse, node.input) if not each.control]
    features = parsed_features(node, lambda position: _constant(tensors, position, nodes)) or []
    for each in features:
        if each.presence is not Presence.REQUIRED or not each.name or "\\" in each.name:
            continue
        key = each.name.encode("utf-8", "surrogatepass")
        if any(key not in example for example in serialized):
            return Failure(node.name, f"Feature: {each.name} is required but could not be found.")
    return None


def _constant(tensors: Sequence[TensorName], position: int, nodes: Mapping[str, NodeDef]) -> TensorProto | None:
    """The constant that an input is, passed on as it is or not."""
    name = tensors[position].node if position < len(tensors) else ""
    for _ in range(_MAX_STEPS):
        node = nodes.get(name)
        if node is None or (node.op == "Identity" and not node.input):
            return None
        if node.op != "Identity":
            value = node.attr("value") if node.op == "Const" else None
            return None if value is None else value.tensor
        name = TensorName.parse(node.input[0]).node
    return None
