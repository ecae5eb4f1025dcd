"""`trimtab can-deploy`: ask the live pointers whether a version of a model may be deployed."""

from __future__ import annotations

from pathlib import Path

import click

from trimtab.cli.completing import versions_in_force
from trimtab.cli.exit_codes import EXIT_REFUSED
from trimtab.cli.store_option import store_option


@click.command("can-deploy")
@click.argument("model", metavar="MODEL:VERSION", shell_complete=versions_in_force)
@click.option("--to", "stage", type=click.Choice(["canary", "production"]), required=True, help="The stage.")
@click.option(
    "--tier",
    type=click.Choice(["leaf", "root"]),
    default="leaf",
    show_default=True,
    help="leaf: may leaves load it. root: are the roots told of it.",
)
@click.option(
    "--artifact",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The artifact that is to be deployed: its signature must be the one that the roots know.",
)
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Wait so long for a yes."
)
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def can_deploy(
    *, model: str, stage: str, tier: str, artifact: Path | None, wait_s: float, place: str, as_json: bool
) -> int:
    """Say whether a version of a model may be deployed, and why.

    Leaves may load a version when the roots of their stage know it: otherwise its requests would be trimmed by what
    the roots know of others. Answered from what is in force in the store now, over all of its bundles. Exit code 0 for
    yes, 100 for no; --wait asks again until it is yes.

    \b
    Examples:
      trimtab can-deploy ctr:9 --to production --store deploy/store --wait 600
      trimtab can-deploy ctr:9 --to canary --artifact models/ctr/9/model.onnx --store deploy/store
    """
    import msgspec

    from trimtab.bundles.store.opening import open_store
    from trimtab.bundles.store.pointers import Stage, Tier
    from trimtab.rollout.deploying import Question, can_deploy_within

    name, colon, version = model.rpartition(":")
    if not colon or not version.isdecimal():
        raise click.UsageError(f"expected MODEL:VERSION, such as ctr:9, got {model!r}.")
    digest = ""
    if artifact is not None:
        from trimtab.artifacts import read_signature

        digest = read_signature(artifact).digest
    question = Question(model=name, version=version, stage=Stage(stage), tier=Tier(tier), digest=digest)
    found = can_deploy_within(open_store(place), question, wait_s)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        click.echo(f"{'yes' if found.yes else 'no'}: {model} to {tier} {stage}")
        for each in (*found.reasons, *found.what_to_do):
            click.echo(f"  {each.rstrip('.')}.")
    return 0 if found.yes else EXIT_REFUSED
