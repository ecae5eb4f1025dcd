"""`trimtab dispatch`: what TensorFlow would do with a call of a SavedModel's function."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli.exit_codes import EXIT_REFUSED

if TYPE_CHECKING:
    from trimtab.savedmodel.dispatching import Call, Dispatch, Value


@click.command()
@click.argument("directory", type=click.Path())
@click.argument("function", required=False)
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="[NAME=]VALUE",
    help="An argument: x='float32[2,3]', training=false, 'np:float64[]', '[1, 2]'. Without a name it goes by position.",
)
@click.option(
    "--signature", "signature", metavar="KEY", help="Call the signature under this key instead of a function."
)
@click.option("--call", "call_file", type=click.File("rb"), help="Take the call from this file (- for standard input).")
@click.option("--explain", is_flag=True, help="Show every trial of every trace, and TensorFlow's whole error text.")
@click.option("--json", "as_json", is_flag=True, help='Print {"trace": ...} or {"error": {"tensorflow": ...}}.')
def dispatch(
    directory: str,
    function: str | None,
    arguments: tuple[str, ...],
    *,
    signature: str | None,
    call_file: Any,
    explain: bool,
    as_json: bool,
) -> int:
    """Say which trace of a SavedModel's function TensorFlow would run for a call.

    DIRECTORY is a SavedModel, FUNCTION the path of a function in it, such as model.layers.0.__call__. The answer is
    TensorFlow's own, without TensorFlow: the trace that runs and the tensors it is fed, or the class and text of the
    error, and beside it the nearest traces, what differs, and what to do. Exits with 100 when TensorFlow refuses.

    A call in a file is an object {"path": ..., "args": [...], "kwargs": {...}} or {"signature": ...} whose arguments
    have a kind each: {"k": "tensor", "dtype": "float32", "value": [1.0]}.

    \b
    Examples:
      trimtab dispatch model/ predict --arg 'float32[2,3]' --arg training=false
      trimtab dispatch model/ predict --arg x='float32[?,3]' --explain
      trimtab dispatch model/ --signature serving_default --arg x='float32[2,3]'
    """
    from trimtab import savedmodel
    from trimtab.savedmodel.dispatching import dispatch_call
    from trimtab.savedmodel.dispatching.report import as_dict, as_text

    given = sum(each is not None for each in (function, signature, call_file))
    if given != 1:
        raise click.UsageError("Name what is called, once: a FUNCTION, --signature KEY, or --call FILE.")
    if call_file is not None and arguments:
        raise click.UsageError("--call holds the arguments too: leave out --arg.")
    call = _from_file(call_file.read()) if call_file is not None else _typed(function, signature, arguments)
    with savedmodel.load(directory) as model:
        if function is not None and not _exists(model, function):
            model.function(function)  # an error that names what there is
        outcome: Dispatch = dispatch_call(model.meta_graph, call)
    click.echo(json.dumps(as_dict(outcome), ensure_ascii=False) if as_json else as_text(outcome, explain=explain))
    return EXIT_REFUSED if outcome.refusal is not None else 0


def _typed(function: str | None, signature: str | None, arguments: tuple[str, ...]) -> Call:
    from trimtab.savedmodel.dispatching import Call
    from trimtab.savedmodel.dispatching.arguments_text import parse_argument

    args: list[Value] = []
    kwargs: dict[str, Value] = {}
    for text in arguments:
        name, value = parse_argument(text)
        if name is None and kwargs:
            raise click.UsageError(f"--arg {text!r} goes by position and stands after one with a name.")
        if name is None:
            args.append(value)
        elif name in kwargs:
            raise click.UsageError(f"--arg {name} is given twice.")
        else:
            kwargs[name] = value
    return Call(function, signature, tuple(args), kwargs)


def _from_file(data: bytes) -> Call:
    from trimtab.errors import ConversionError
    from trimtab.savedmodel.dispatching import parse_call

    try:
        return parse_call(json.loads(data))
    except (ValueError, RecursionError) as failure:
        raise ConversionError(
            "the call is no JSON", expected="an object with path or signature", got=str(failure)
        ) from None


def _exists(model: Any, path: str) -> bool:
    objects = model.meta_graph.object_graph_def
    return objects is not None and objects.find(path.removeprefix("root.")) is not None
