"""A tour as a tree of lines: what the terminal and a notebook show, each in its own way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.savedmodel.touring.wording import argument_text, count

if TYPE_CHECKING:
    from trimtab.savedmodel.touring.story import (
        CapturedValue,
        Declared,
        FunctionTour,
        MetaGraphTour,
        SignatureTour,
        Step,
        Tour,
        TraceTour,
        Value,
    )

MAX_LINE = 400
"""Longer texts are cut; the JSON has them whole."""

MAX_ROWS = 40
"""How many inputs and results the table of copies shows, those that disagree first."""


class Branch(Struct, frozen=True):
    """A line and those below it. `where`: its place in the proto. `kind`: how to color it."""

    text: str
    where: str = ""
    kind: str = ""
    below: tuple[Branch, ...] = ()


def outline(tour: Tour) -> Branch:
    """The whole tour. Every text is printable and of bounded length."""
    version = f"schema version {tour.schema_version}"
    graphs = "" if len(tour.meta_graphs) == 1 else f", {count(len(tour.meta_graphs), 'MetaGraph')}"
    title = f"{tour.file} ({_size(tour.size)}, {version}{graphs})"
    return _branch(title, "", "title", [_meta_graph(each) for each in tour.meta_graphs])


def _meta_graph(graph: MetaGraphTour) -> Branch:
    facts = [
        f"tags {', '.join(graph.tags) or '(none)'}",
        f"TensorFlow {graph.tensorflow_version or '(unknown)'}",
        "TF2" if graph.tf2 else "TF1 style: a graph without objects",
        *([graph.made_by] if graph.made_by else []),
    ]
    below = [_inventory(graph)]
    if graph.init_op is not None:
        below.append(_branch(f"init op: {graph.init_op.title}", graph.init_op.where, "step"))
    if graph.assets:
        below.append(_branch(f"assets: {', '.join(graph.assets)}", f"{graph.where}.asset_file_def", "step"))
    below += [_collection(each.name, each.size, each.items, each.where) for each in graph.collections]
    below += [_signature(each) for each in graph.signatures]
    below += _left_out(graph, "signatures", "signature", "--signature KEY")
    if graph.tf2 and not graph.signatures and not graph.functions and not graph.left_out:
        below.append(_branch("no signatures and no functions: the model only holds objects", "", "note"))
    below += [_function(each) for each in graph.functions]
    below += _left_out(graph, "functions", "polymorphic function", "--function PATH")
    return _branch(" · ".join(facts), graph.where, "graph", below)


def _inventory(graph: MetaGraphTour) -> Branch:
    parts = [count(graph.graph_nodes, "graph node"), count(graph.library_functions, "FunctionDef")]
    if graph.objects:
        kinds = ", ".join(f"{number:,} {kind or 'of no kind'}" for kind, number in sorted(graph.objects.items()))
        parts.append(f"{count(sum(graph.objects.values()), 'object')} ({kinds})")
    return _branch(f"holds {', '.join(parts)}", "", "note")


def _collection(name: str, size: int, items: tuple[str, ...], where: str) -> Branch:
    named = f": {', '.join(items)}" if items else ""
    return _branch(f"collection {name}, {count(size, 'item')}{named}", where, "step")


def _left_out(graph: MetaGraphTour, what: str, thing: str, option: str) -> list[Branch]:
    number = graph.left_out.get(what, 0)
    if not number:
        return []
    return [_branch(f"and {count(number, f'more {thing}')}: --all names every one, {option} tells one", "", "note")]


def _signature(signature: SignatureTour) -> Branch:
    served = ", ".join(signature.served_by) or "nobody"
    title = f'signature "{signature.key}" {_call(signature.inputs)} -> {_call(signature.outputs)}; served by {served}'
    if not signature.told:
        return _branch(title, "", "signature")
    below = [
        _step(step, number, first=at == 0 or step.place != signature.steps[at - 1].place)
        for at, (number, step) in enumerate(_numbered(signature.steps))
    ]
    return _branch(title, "", "signature", [*below, *_declared(signature.declared)])


def _call(values: tuple[Value, ...]) -> str:
    return f"({', '.join(f'{value.name}: {value.type}' for value in values)})"


def _numbered(steps: tuple[Step, ...]) -> list[tuple[int, Step]]:
    """The steps with the number of their place: steps in the same place share it."""
    found, number = [], 0
    for at, step in enumerate(steps):
        number += at == 0 or step.place != steps[at - 1].place
        found.append((number, step))
    return found


def _step(step: Step, number: int, *, first: bool) -> Branch:
    head = f"{number}. {step.place}: " if first else f"{' ' * len(str(number))}  "
    calls = f"{'  ' * (step.depth - 1)}calls " if step.depth else ""
    facts = [_branch(fact, "", "fact") for fact in step.facts]
    return _branch(f"{head}{calls}{step.title}", step.where, "step" if step.place != "damage" else "problem", facts)


def _declared(values: tuple[Declared, ...]) -> list[Branch]:
    """The matrix of copies: a line per value, and below those that disagree what differs."""
    if not values:
        return []
    wrong = [value for value in values if value.differences]
    verdict = "the copies agree" if not wrong else f"the copies of {count(len(wrong), 'value')} disagree"
    shown = sorted(values, key=lambda value: not value.differences)[:MAX_ROWS]
    places = list(dict.fromkeys(copy.place for value in shown for copy in value.copies))
    table = [("", "", *places)] + [(value.direction, value.name, *_cells(value, places)) for value in shown]
    widths = [min(40, max(len(_printable(row[column])) for row in table)) for column in range(len(table[0]))]
    lines = ["  ".join(_printable(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
    rows = [_branch(lines[0].rstrip(), "", "fact")]
    for value, line in zip(shown, lines[1:], strict=True):
        kind = "problem" if value.differences else "fact"
        rows.append(_branch(line.rstrip(), "", kind, [_problem(each) for each in value.differences]))
    if len(values) > len(shown):
        rows.append(_branch(f"and {len(values) - len(shown):,} more that agree", "", "note"))
    return [_branch(f"declared more than once; {verdict}", "", "problem" if wrong else "step", rows)]


def _cells(value: Declared, places: list[str]) -> list[str]:
    """What each place says of a value: its type, or just that it is named there."""
    said = {copy.place: " ".join(part for part in (copy.dtype, copy.shape) if part) or "named" for copy in value.copies}
    return [said.get(place, "-") for place in places]


def _function(function: FunctionTour) -> Branch:
    facts = []
    if function.problem:
        facts.append(_problem(function.problem))
    if function.input_signature is not None:
        facts.append(_branch(f"input_signature ({', '.join(function.input_signature)})", "", "fact"))
    if function.jit_compile is not None:
        facts.append(_branch(f"jit_compile={function.jit_compile}", "", "fact"))
    if function.signatures:
        keys = ", ".join(f'signature "{key}"' for key in function.signatures)
        facts.append(_branch(f"run by {keys}", "", "fact"))
    total = len(function.traces) + function.left_out
    facts += [_trace(each, at) for at, each in enumerate(function.traces, 1)]
    if function.left_out and function.traces:
        facts.append(_branch(f"and {count(function.left_out, 'more trace')}", "", "note"))
    traced = f"{count(total, 'trace')} in trial order" if total > 1 else count(total, "trace")
    untraced = "" if total else ": never called before it was saved, so it cannot be called now"
    return _branch(
        f"function {function.path}{function.parameters}: {traced}{untraced}", function.where, "function", facts
    )


def _trace(trace: TraceTour, number: int) -> Branch:
    below = [_capture(each) for each in trace.captures]
    if trace.problem:
        below.append(_problem(trace.problem))
    taken = ", ".join(argument_text(each) for each in trace.arguments)
    return _branch(f"{number}. ({taken}) -> {trace.result}  {trace.name}", trace.where, "trace", below)


def _capture(capture: CapturedValue) -> Branch:
    named = f' "{capture.name}"' if capture.name else ""
    kind = capture.kind or "missing node"
    return _branch(f"captures {capture.path or kind}: {kind} {capture.type}{named}", capture.where, "capture")


def _problem(text: str) -> Branch:
    return _branch(text, "", "problem")


def _branch(text: str, where: str = "", kind: str = "", below: list[Branch] | None = None) -> Branch:
    shown = _printable(text)
    if len(shown) > MAX_LINE:
        shown = f"{shown[: MAX_LINE - 1]}…"
    return Branch(shown, _printable(where), kind, tuple(below or ()))


def _printable(text: str) -> str:
    """Names come from anywhere: what a terminal could act on is shown as an escape."""
    if text.isprintable():
        return text
    from trimtab.signature.render import printable  # its module brings the whole signature model

    return printable(text)


def _size(number: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} bytes"
