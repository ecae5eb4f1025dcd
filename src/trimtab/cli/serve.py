"""`trimtab serve`: the two tiers."""

from __future__ import annotations

import click

from trimtab.cli.lazy import LazyCommand, LazyGroup

COMMANDS = {
    "leaf": LazyCommand("trimtab.cli.serve_leaf:leaf", "Serve every model and version of a repository."),
    "root": LazyCommand("trimtab.cli.serve_root:root", "Answer score requests: fetch, trim, fan out, gather."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def serve() -> None:
    """Run a leaf (scores models) or a root (fetches, trims, fans out).

    \b
    Examples:
      trimtab serve leaf --repository models/
      trimtab serve root --leaf 127.0.0.1:8001 --bundle ranking.bundle.json --features sqlite:features.db
    """
