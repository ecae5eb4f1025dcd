"""`trimtab edit`: change the signatures of a SavedModel, step by step or by a plan, to a new directory or in place."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli.edit_values import check_dtypes, json_value, pairs, shape_of
from trimtab.cli.lazy import OrderedGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimtab.savedmodel.editing.output import Written
    from trimtab.savedmodel.editing.plan import Plan, Step


def _target() -> list[click.Parameter]:
    """The options that say where the result goes: every command has them."""
    return [
        click.Option(["-o", "--output"], type=click.Path(), help="Write the edited model to this new directory."),
        click.Option(
            ["--in-place"], is_flag=True, help="Replace the proto in one step; the old one stays as a backup."
        ),
        click.Option(["--link"], is_flag=True, help="Hard-link variables and assets into --output, do not copy them."),
        click.Option(["--dry-run"], is_flag=True, help="Only show what would change in each of the five places."),
        click.Option(["--tags"], help="Edit the MetaGraph with these tags (a,b).  [default: the serving one]"),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."),
    ]


class _EditGroup(OrderedGroup):
    """A group whose options may also stand behind DIR when no command follows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's own part of the line."""
        ctx.allow_interspersed_args = not any(each in self.commands for each in args[1:])
        return super().parse_args(ctx, args)


@click.group(cls=_EditGroup, invoke_without_command=True)
@click.argument("directory", metavar="DIR", type=click.Path())
@click.option("--plan", type=click.Path(), help="Take the steps from this JSON file instead of from a command.")
@click.pass_context
def edit(context: click.Context, /, directory: str, plan: str | None, **target: Any) -> None:
    """Add, rename, change or remove signatures of a SavedModel.

    DIR is the model's directory. TensorFlow is not needed. Variables and assets are copied or linked, never changed,
    and all of the proto that a step does not name stays byte for byte. What is written is read back and compared.

    A plan is a JSON list of steps named like the commands: [{"step": "alias", "key": "predict", "new_key": "score"}].

    \b
    Examples:
      trimtab edit model/ add-signature score --from model.predict --rename x=features --output dst/
      trimtab edit model/ --plan steps.json --in-place
    """
    context.obj = directory
    if context.invoked_subcommand is not None:
        if plan is not None or any(target.values()):
            raise click.UsageError(
                f"Options belong behind the command: trimtab edit DIR {context.invoked_subcommand} ..."
            )
        return
    if plan is None:
        raise click.UsageError("Name a command, or give --plan. They are listed by: trimtab edit --help")
    from trimtab.savedmodel.editing.steps import decode_steps
    from trimtab.source.bytes import LocalFile

    with LocalFile(plan) as file:
        steps = decode_steps(file.read(0, file.size), plan)
    _run(directory, steps, **target)


edit.params += _target()


def _command(name: str) -> Callable[[Callable[..., Step]], click.Command]:
    """Make a command of a function that makes a step."""

    def decorate(make: Callable[..., Step]) -> click.Command:
        @edit.command(name)
        @click.pass_obj
        @wraps(make)
        def run(directory: str, /, **options: Any) -> None:
            target = {str(each.name): options.pop(str(each.name)) for each in _target()}
            _run(directory, [make(**options)], **target)

        run.params += _target()
        return run

    return decorate


@_command("add-signature")
@click.argument("key")
@click.option("--from", "source", metavar="FUNCTION[:TRACE]", help="A function's path, or a signature's key.")
@click.option("--rename", metavar="OLD=NEW", multiple=True, help="Another name for an input.")
@click.option("--drop", metavar="NAME", multiple=True, help="Leave out an input that nothing depends on.")
@click.option("--bind", metavar="NAME=JSON", multiple=True, help="Fix an input to a value.")
@click.option("--widen", metavar="NAME=SHAPE", multiple=True, help="A wider shape for an input: 'float32[?,2]'.")
@click.option("--rename-output", metavar="OLD=NEW", multiple=True, help="Another name for an output.")
@click.option("--outputs", metavar="NAME,...", help="Keep only these outputs.")
@click.option("--input", "inputs", metavar="NAME=TENSOR", multiple=True, help="Of a TF1 graph: a tensor to feed.")
@click.option("--fetch", "fetches", metavar="NAME=TENSOR", multiple=True, help="Of a TF1 graph: a tensor to fetch.")
def add_signature(
    *,
    key: str,
    source: str | None,
    rename: Sequence[str],
    drop: Sequence[str],
    bind: Sequence[str],
    widen: Sequence[str],
    rename_output: Sequence[str],
    outputs: str | None,
    inputs: Sequence[str],
    fetches: Sequence[str],
) -> Step:
    """Add a signature that exposes a function which may never have had one.

    KEY is the new signature's. --from names the function by its object path, and a trace of several by its number.

    \b
    Examples:
      trimtab edit DIR add-signature score --from model.predict --rename x=features --output dst/
      trimtab edit DIR add-signature train --from __call__:1 --bind training=true --outputs loss --in-place
      trimtab edit DIR add-signature inner --input x=x:0 --fetch hidden=dense/Relu:0 --output dst/
    """
    from trimtab.savedmodel.editing.steps_expose import AddSignature

    return AddSignature(
        key=key,
        source=source,
        rename=pairs(rename),
        drop=tuple(drop),
        bind={name: json_value(text) for name, text in pairs(bind).items()},
        widen={name: shape_of(text, dict(pairs(rename)).get(name, name)) for name, text in pairs(widen).items()},
        rename_outputs=pairs(rename_output),
        outputs=None if outputs is None else tuple(outputs.split(",")),
        inputs=pairs(inputs),
        fetches=pairs(fetches),
    )


@_command("rename-inputs")
@click.argument("key")
@click.argument("names", metavar="OLD=NEW...", nargs=-1, required=True)
def rename_inputs(key: str, names: Sequence[str]) -> Step:
    """Give inputs of the signature KEY other names, all at once: two may swap theirs.

    \b
    Example:
      trimtab edit DIR rename-inputs serving_default x=features --output dst/
    """
    from trimtab.savedmodel.editing.steps_expose import RenameInputs

    return RenameInputs(key, pairs(names))


@_command("rename-outputs")
@click.argument("key")
@click.argument("names", metavar="OLD=NEW...", nargs=-1, required=True)
def rename_outputs(key: str, names: Sequence[str]) -> Step:
    """Give outputs of the signature KEY other names.

    \b
    Example:
      trimtab edit DIR rename-outputs serving_default output_0=score --output dst/
    """
    from trimtab.savedmodel.editing.steps_expose import RenameOutputs

    return RenameOutputs(key, pairs(names))


@_command("drop-inputs")
@click.argument("key")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def drop_inputs(key: str, names: Sequence[str]) -> Step:
    """Take inputs from the signature KEY that nothing depends on.

    \b
    Example:
      trimtab edit DIR drop-inputs serving_default session_id --output dst/
    """
    from trimtab.savedmodel.editing.steps_expose import DropInputs

    return DropInputs(key, tuple(names))


@_command("bind-input")
@click.argument("key")
@click.argument("value", metavar="NAME=JSON")
def bind_input(key: str, value: str) -> Step:
    """Fix an input of the signature KEY to a value.

    \b
    Example:
      trimtab edit DIR bind-input serving_default training=false --output dst/
    """
    from trimtab.savedmodel.editing.steps_expose import BindInput

    ((name, text),) = pairs([value]).items()
    return BindInput(key, name, json_value(text))


@_command("subset-outputs")
@click.argument("key")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def subset_outputs(key: str, names: Sequence[str]) -> Step:
    """Keep only some outputs of the signature KEY.

    \b
    Example:
      trimtab edit DIR subset-outputs serving_default score --output dst/
    """
    from trimtab.savedmodel.editing.steps_expose import SubsetOutputs

    return SubsetOutputs(key, tuple(names))


@_command("widen")
@click.argument("key")
@click.argument("shape", metavar="NAME=SHAPE")
def widen(key: str, shape: str) -> Step:
    """Let an input of the signature KEY have other sizes.

    SHAPE is written as in 'float32[?,2]' or '[?,2]'; '[...]' is an unknown rank.

    \b
    Example:
      trimtab edit DIR widen serving_default x='float32[?,2]' --output dst/
    """
    from trimtab.savedmodel.editing.steps_expose import Widen

    ((name, text),) = pairs([shape]).items()
    return Widen(key, name, shape_of(text, name))


@_command("alias")
@click.argument("key")
@click.argument("new_key")
def alias(key: str, new_key: str) -> Step:
    """Give the signature KEY a second key.

    \b
    Example:
      trimtab edit DIR alias predict serving_default --in-place
    """
    from trimtab.savedmodel.editing.signature_steps import AliasSignature

    return AliasSignature(key, new_key)


@_command("rename")
@click.argument("key")
@click.argument("new_key")
def rename(key: str, new_key: str) -> Step:
    """Give the signature KEY another key.

    \b
    Example:
      trimtab edit DIR rename predict serving_default --in-place
    """
    from trimtab.savedmodel.editing.signature_steps import RenameSignature

    return RenameSignature(key, new_key)


@_command("remove")
@click.argument("key")
def remove(key: str) -> Step:
    """Take out the signature KEY, with all that only it used.

    \b
    Example:
      trimtab edit DIR remove train --output dst/
    """
    from trimtab.savedmodel.editing.signature_steps import RemoveSignature

    return RemoveSignature(key)


@_command("drop-trace")
@click.argument("trace", metavar="FUNCTION:TRACE")
def drop_trace(trace: str) -> Step:
    """Take a trace from a polymorphic function, by its position in the trial order, from 0.

    \b
    Example:
      trimtab edit DIR drop-trace model.predict:1 --output dst/
    """
    from trimtab.savedmodel.editing.trace_steps import DropTrace

    function, _, number = trace.rpartition(":")
    if not function or not number.isdecimal() or len(number) > 9:
        raise click.UsageError(f"Say which trace: {trace}:0 is the first.")
    return DropTrace(function, int(number))


def _run(
    directory: str,
    steps: Sequence[Step],
    *,
    output: str | None,
    in_place: bool,
    link: bool,
    dry_run: bool,
    tags: str | None,
    as_json: bool,
) -> None:
    """Plan the steps, show the plan, and write unless it is a dry run."""
    if output is not None and in_place:
        raise click.UsageError("--output and --in-place exclude each other: give one.")
    if output is None and not in_place and not dry_run:
        raise click.UsageError("Say where the edited model goes: --output DIR or --in-place. To look only: --dry-run.")
    if link and output is None:
        raise click.UsageError("--link goes with --output: in place, nothing is copied.")
    from trimtab.savedmodel.editing import edit as open_model
    from trimtab.savedmodel.editing.output import write_saved_model

    with open_model(directory, tags=None if tags is None else tags.split(",")) as editor:
        plan = editor.add(*steps).plan()
        check_dtypes(plan)
        written = None
        if not dry_run:
            written = write_saved_model(editor.saved_model, editor.meta_graph, plan.changes, output, link=link)
    if as_json:
        _print_json(plan, written)
        return
    for line in _lines(plan):
        click.echo(line)
    click.echo(_outcome(plan, written))


def _lines(plan: Plan) -> list[str]:
    """The plan for a person, and which of the five places no step touches."""
    from trimtab.signature.render import printable

    changed = {edit.proto for planned in plan.steps for edit in planned.edits}
    untouched = [place for place in _FIVE if place not in changed]
    lines = str(plan).split("\n") + ([f"   {', '.join(untouched)}: as before"] if untouched else [])
    return [printable(line) for line in lines]


_FIVE = ("FunctionDef", "SignatureDef", "SavedFunction", "SavedBareConcreteFunction", "SavedConcreteFunction")


def _outcome(plan: Plan, written: Written | None) -> str:
    if written is None:
        return "dry run: nothing is written"
    if not plan.changes and not written.backup:
        return f"{written.directory}: nothing changes"
    left_out = f"; without {', '.join(written.left_out)}, whose hashes no longer hold" if written.left_out else ""
    backup = f"; the old proto is kept as {written.backup}" if written.backup else ""
    return f"{written.directory}: written and read back, proto of {written.size:,} bytes{backup}{left_out}"


def _print_json(plan: Plan, written: Written | None) -> None:
    import msgspec

    told = plan.as_dict()
    told["dry_run"] = written is None
    told["written"] = None if written is None else msgspec.to_builtins(written)
    click.echo(msgspec.json.format(msgspec.json.encode(told), indent=2))
