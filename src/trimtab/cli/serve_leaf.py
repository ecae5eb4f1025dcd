"""`trimtab serve leaf`: one leaf process."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trimtab.cli.exit_codes import EXIT_ERROR
from trimtab.cli.follow_option import follow_options, names_in, to_follow

if TYPE_CHECKING:
    from trimtab.serving.leaf.server import LeafServer, LeafSettings

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option(
    "--repository", required=True, type=click.Path(path_type=Path, file_okay=False), help="MODEL/VERSION/artifact."
)
@click.option("--bundle", "bundles", multiple=True, type=_FILE, help="Load only what this bundle states. Repeatable.")
@follow_options
@click.option("--name", default="", help="The bundle to follow.  [default: the only one in the store]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--grpc-port", default=8001, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--http-port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--engine-threads", type=click.IntRange(1), help="Requests scored at once.  [default: the CPUs]")
@click.option("--intra-op-threads", default=1, show_default=True, type=click.IntRange(1), help="Threads of one run.")
@click.option(
    "--queue", default=64, show_default=True, type=click.IntRange(0), help="Requests that may wait; more are shed."
)
@click.option(
    "--poll-interval",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.01),
    help="Seconds between looks at the repository and the store.",
)
@click.option(
    "--max-message-bytes",
    default=64 << 20,
    show_default=True,
    type=click.IntRange(1024),
    help="Largest request and answer.",
)
@click.option(
    "--grace", default=10.0, show_default=True, type=click.FloatRange(0), help="Seconds to finish requests on SIGTERM."
)
@click.option("--tls-cert", type=_FILE, help="PEM certificate; turns TLS on for gRPC and HTTP.")
@click.option("--tls-key", type=_FILE, help="PEM key of the certificate.")
@click.option(
    "--tls-client-ca", type=_FILE, help="PEM authority that clients' certificates must come from (mutual TLS)."
)
@click.option("--port-file", type=_FILE, help="Write the line of --json here when ready, in one step.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when ready: addresses, models, refusals.")
@click.pass_context
def leaf(
    context: click.Context,
    *,
    repository: Path,
    bundles: tuple[Path, ...],
    place: str | None,
    stage: str | None,
    public_keys: tuple[Path, ...],
    instance: str,
    name: str,
    host: str,
    grpc_port: int,
    http_port: int,
    engine_threads: int | None,
    intra_op_threads: int,
    queue: int,
    poll_interval: float,
    max_message_bytes: int,
    grace: float,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    port_file: Path | None,
    as_json: bool,
) -> None:
    """Serve every model and version of a repository.

    Or, with --stage, exactly those that the leaves' pointer in a store says. Speaks the Open Inference Protocol over
    gRPC and REST; metrics are at /metrics. New versions are loaded while it runs. Loading a model runs its framework's
    loader: point a leaf only at a repository that you trust.

    \b
    Examples:
      trimtab serve leaf --repository models/
      trimtab serve leaf --repository models/ --bundle ranking.bundle.json --engine-threads 4
      trimtab serve leaf --repository models/ --store deploy/ --stage canary
    """
    from trimtab.serving.allocator import keep_large_blocks
    from trimtab.serving.leaf.server import LeafSettings
    from trimtab.serving.tls import ServerTls

    if bundles and stage is not None:
        raise click.UsageError("a leaf is told by --bundle or by --store and --stage, not by both", context)
    if stage is not None and place is not None and not name:
        name = _only(names_in(place, stage), place)
    follow = to_follow(context, (name,) if name else (), place, stage, public_keys)
    keep_large_blocks()
    defaults = {} if engine_threads is None else {"engine_threads": engine_threads}
    settings = LeafSettings(
        repository=repository,
        bundles=bundles,
        follow=follow[0] if follow else None,
        instance=instance,
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        intra_op_threads=intra_op_threads,
        queue=queue,
        poll_interval_s=poll_interval,
        max_message_bytes=max_message_bytes,
        grace_s=grace,
        tls=ServerTls.from_flags(tls_cert, tls_key, tls_client_ca),
        **defaults,
    )
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_serve(settings, port_file, as_json=as_json))


def _only(names: list[str], place: str) -> str:
    from trimtab.errors import StoreError

    if len(names) > 1:
        raise StoreError(
            where=place, expected="one bundle to serve", got=", ".join(names), hint="Choose one: --name NAME"
        )
    return names[0]


async def _serve(settings: LeafSettings, port_file: Path | None, *, as_json: bool) -> None:
    from trimtab.serving.leaf.server import LeafServer
    from trimtab.serving.shutdown import stop_event

    stop = stop_event()
    server = LeafServer(settings)
    await server.start()
    _announce(server, port_file, as_json=as_json)
    await stop.wait()
    if not await server.stop():
        logging.shutdown()
        os._exit(EXIT_ERROR)  # Python would wait at exit for a model that still runs


def _announce(server: LeafServer, port_file: Path | None, *, as_json: bool) -> None:
    summary = server.summary()
    line = json.dumps(summary, ensure_ascii=False)
    if port_file:
        part = port_file.with_name(f".{port_file.name}.part")
        part.write_text(line + "\n")
        part.replace(port_file)
    click.echo(line if as_json else _for_people(summary))
    sys.stdout.flush()


def _for_people(summary: dict[str, Any]) -> str:
    scheme = "https" if summary["tls"] else "http"
    served = sum(map(len, summary["models"].values()))
    lines = [f"leaf ready: gRPC {summary['grpc']}, REST {scheme}://{summary['http']}/v2, {served} model versions"]
    lines += [f"  {name}: {', '.join(versions)}" for name, versions in summary["models"].items()]
    lines += [f"  refused {it['model']}:{it['version']}: {it['reason']}" for it in summary["refused"]]
    return "\n".join(lines)
