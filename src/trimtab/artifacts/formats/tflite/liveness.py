"""Which inputs of a TensorFlow Lite graph its outputs depend on.

An input is dead when no operator reads it and it is no output: interpreters run every operator, and one that fails on
a value is an effect too, so nothing weaker is certain. It is live when what operators read leads on to an output, or
into a variable or table that later calls read; branches and loops are followed into their subgraphs. Converters remove
operators that lead nowhere, so that hardly an input is neither.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from trimtab.signature.model import Live
from trimtab.source.flatbuffer import INT8, INT32, UINT8, UINT32

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trimtab.source.flatbuffer import FlatTable

MAX_OPERATORS = 30_000
"""How many operators of a model are followed; of a larger one no input is known to be live or dead."""

MAX_STEPS = 200_000
"""How many operators are gone over in all; past that, what is not known to be live stays unknown."""

# Model, SubGraph
_OPERATOR_CODES, _SUBGRAPHS = 1, 2
_GRAPH_INPUTS, _GRAPH_OUTPUTS, _OPERATORS = 1, 2, 3
# Operator
_CODE, _READS, _WRITES, _OPTIONS, _MUTATED = 0, 1, 2, 4, 7
# OperatorCode
_NARROW_CODE, _WIDE_CODE = 0, 3

_IF, _WHILE = 118, 119
_FIRST_BODY, _SECOND_BODY = 0, 1
"""Fields of IfOptions (then, else) and WhileOptions (condition, body)."""

_WRITES_STATE = frozenset((138, 144))  # HASHTABLE_IMPORT, ASSIGN_VARIABLE
_MAX_DEPTH = 16


class _Operator(NamedTuple):
    """An operator: what it is, the tensors that it reads and writes, and the subgraphs of a branch or loop."""

    code: int
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    mutates: bool
    bodies: tuple[int, ...]


class _Graph(NamedTuple):
    """A subgraph. used: the tensors that an operator reads, and the outputs."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[_Operator, ...]
    used: frozenset[int]


class Flow:
    """The operators of a model's subgraphs, read when first asked for."""

    def __init__(self, model: FlatTable) -> None:
        self._model = model
        self._codes: tuple[int, ...] | None = None
        self._graphs: dict[int, _Graph] = {}
        self._operators_left = MAX_OPERATORS
        self._steps_left = MAX_STEPS
        self._needed: dict[tuple[int, frozenset[int]], frozenset[int]] = {}

    def liveness(self, index: int, inputs: Sequence[int], outputs: Iterable[int]) -> list[Live]:
        """Of each input of a subgraph, given by its tensor, whether the outputs depend on it."""
        if not inputs:
            return []
        try:
            graph = self._graph(index)
            live = self._reaching(graph, frozenset(outputs), 0)
        except _TooLargeError:
            return [Live.UNKNOWN] * len(inputs)
        return [Live.YES if tensor in live else Live.UNKNOWN if tensor in graph.used else Live.NO for tensor in inputs]

    def _reaching(self, graph: _Graph, wanted: frozenset[int], depth: int) -> set[int]:
        """The tensors that lead to those wanted, or into state, through the operators in whatever order they are."""
        found = set(wanted)
        todo = list(graph.operators)
        progress = True
        while progress:
            progress = False
            rest = []
            # Operators stand in the order in which they run, so going back once is all, unless the file is odd.
            for operator in reversed(todo):
                self._step()
                if operator.code in _WRITES_STATE or operator.mutates or not found.isdisjoint(operator.writes):
                    before = len(found)
                    found.update(self._leading(operator, found, depth))
                    progress = progress or len(found) > before
                    if operator.code not in (_IF, _WHILE):
                        continue
                rest.append(operator)
            todo = rest[::-1]
        return found

    def _leading(self, operator: _Operator, wanted: set[int], depth: int) -> Iterable[int]:
        """What an operator reads that leads to the wanted of what it writes."""
        if not operator.bodies:
            return operator.reads
        outputs = frozenset(at for at, tensor in enumerate(operator.writes) if tensor in wanted)
        if operator.code == _IF:
            condition, *rest = operator.reads
            positions = frozenset().union(*(self._body(body, outputs, depth) for body in operator.bodies))
            return [condition, *(tensor for at, tensor in enumerate(rest) if at in positions)]
        condition_body, loop_body = operator.bodies
        positions = outputs | self._body(condition_body, frozenset((0,)), depth)
        while not (more := self._body(loop_body, positions, depth)) <= positions:
            positions |= more
        return [tensor for at, tensor in enumerate(operator.reads) if at in positions]

    def _body(self, index: int, outputs: frozenset[int], depth: int) -> frozenset[int]:
        """Which of a subgraph's inputs lead to these of its outputs, or into state, all by position."""
        if depth > _MAX_DEPTH:
            raise _TooLargeError
        key = (index, outputs)
        if key not in self._needed:
            graph = self._graph(index)
            wanted = frozenset(tensor for at, tensor in enumerate(graph.outputs) if at in outputs)
            found = self._reaching(graph, wanted, depth + 1)
            self._needed[key] = frozenset(at for at, tensor in enumerate(graph.inputs) if tensor in found)
        return self._needed[key]

    def _step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise _TooLargeError

    def _graph(self, index: int) -> _Graph:
        known = self._graphs.get(index)
        if known is None:
            table = self._model.table_in(_SUBGRAPHS, index)
            self._operators_left -= table.count(_OPERATORS)
            if self._operators_left < 0:
                raise _TooLargeError
            outputs = table.numbers(_GRAPH_OUTPUTS, INT32)
            operators = tuple(map(self._operator, table.tables(_OPERATORS)))
            used = frozenset(chain(outputs, *(operator.reads for operator in operators)))
            known = self._graphs[index] = _Graph(table.numbers(_GRAPH_INPUTS, INT32), outputs, operators, used)
        return known

    def _operator(self, table: FlatTable) -> _Operator:
        code = self._code(table.number(_CODE, UINT32))
        reads = table.numbers(_READS, INT32)
        bodies: tuple[int, ...] = ()
        options = table.table(_OPTIONS) if code in (_IF, _WHILE) else None
        if options is not None and (reads or code == _WHILE):
            bodies = (options.number(_FIRST_BODY, INT32), options.number(_SECOND_BODY, INT32))
        return _Operator(code, reads, table.numbers(_WRITES, INT32), any(table.numbers(_MUTATED, UINT8)), bodies)

    def _code(self, index: int) -> int:
        """What an operator does, as schema.fbs numbers it: in the wide field since there are more than 127."""
        if self._codes is None:
            self._codes = tuple(
                max(code.number(_NARROW_CODE, INT8), code.number(_WIDE_CODE, INT32))
                for code in self._model.tables(_OPERATOR_CODES)
            )
        return self._codes[index] if index < len(self._codes) else -1


class _TooLargeError(Exception):
    """The graph is larger than is followed. Caught before it leaves this module."""
