"""`trimtab serve root`: answer score requests."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli.follow_option import follow_options, names_in, to_follow

if TYPE_CHECKING:
    from trimtab.serving.root.server import RootServer, RootSettings

_PATH = click.Path(path_type=Path)
_PORT = click.IntRange(0, 65535)
_COUNT = click.IntRange(0)
_POSITIVE = click.IntRange(1)
_SECONDS = click.FloatRange(0)


@click.command()
@click.option("--leaf", "leaves", multiple=True, required=True, metavar="[MODEL=]HOST:PORT", help="A leaf; repeatable.")
@click.option("--bundle", "bundles", multiple=True, metavar="[NAME=]FILE", help="A bundle to trim by; repeatable.")
@follow_options
@click.option("--name", "names", multiple=True, help="A bundle to follow; repeatable.  [default: all in the store]")
@click.option("--features", required=True, metavar="SCHEME:REST", help="The feature source, for example sqlite:PATH.")
@click.option("--state", type=_PATH, help="Folder that keeps last-known-good bundles over restarts.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--grpc-port",
    default=9001,
    show_default=True,
    type=_PORT,
    help="Port of trimtab.score.v1.Root; 0 takes a free one.",
)
@click.option(
    "--http-port", default=9000, show_default=True, type=_PORT, help="Port of /v1/score, /metrics; 0 takes a free one."
)
@click.option("--policy", type=click.Choice(["lenient", "strict"]), default="lenient", show_default=True,
              help="A version that the map lacks: send everything, or what the latest version uses.")  # fmt: skip
@click.option("--trim", type=click.Choice(["on", "off"]), default="on", show_default=True,
              help="off fetches and sends every feature, to compare with.")  # fmt: skip
@click.option("--compression", type=click.Choice(["none", "lz4"]), default="none", show_default=True,
              help="Of what is sent to the leaves, which must be trimtab's.")  # fmt: skip
@click.option("--cache-entries", default=10_000, show_default=True, type=_COUNT, help="Feature rows kept in memory.")
@click.option(
    "--cache-bytes", default=256 << 20, show_default=True, type=_COUNT, help="Bytes of feature rows kept in memory."
)
@click.option("--cache-ttl", default=60.0, show_default=True, type=_SECONDS, help="Seconds for which a row is kept.")
@click.option("--deadline-ms", default=1000, show_default=True, type=_POSITIVE, help="For requests that state none.")
@click.option(
    "--poll-interval",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0.01),
    help="Seconds between looks at the bundle files and the store.",
)
@click.option(
    "--max-in-flight",
    default=256,
    show_default=True,
    type=_POSITIVE,
    help="Requests answered at once; more are refused.",
)
@click.option(
    "--max-message-bytes",
    default=256 << 20,
    show_default=True,
    type=_POSITIVE,
    help="Largest message sent or received.",
)
@click.option(
    "--grace", default=10.0, show_default=True, type=_SECONDS, help="Seconds that a stop waits for requests in flight."
)
@click.option("--shadow-rate", default=0.0, show_default=True, type=click.FloatRange(0, 1),
              help="Share of requests that are sent untrimmed as well, to compare scores.")  # fmt: skip
@click.option("--shadow-tolerance", default=0.0, show_default=True, type=click.FloatRange(0),
              help="By how much those scores may differ, relative or absolute; 0: not by a bit.")  # fmt: skip
@click.option("--tls-cert", type=_PATH, help="PEM certificate of this server.")
@click.option("--tls-key", type=_PATH, help="PEM key of this server.")
@click.option("--tls-client-ca", type=_PATH, help="PEM authority that callers' certificates must be signed by.")
@click.option("--leaf-tls", is_flag=True, help="Talk TLS to the leaves, trusting the system's authorities.")
@click.option("--leaf-tls-ca", type=_PATH, help="PEM authority of the leaves' certificates; implies --leaf-tls.")
@click.option("--leaf-tls-cert", type=_PATH, help="PEM certificate to show to the leaves; implies --leaf-tls.")
@click.option("--leaf-tls-key", type=_PATH, help="PEM key of that certificate.")
@click.option("--port-file", type=_PATH, help="Write the addresses there when ready, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as one line of JSON when ready.")
@click.pass_context
def root(
    context: click.Context,
    *,
    leaves: tuple[str, ...],
    bundles: tuple[str, ...],
    place: str | None,
    stage: str | None,
    public_keys: tuple[Path, ...],
    instance: str,
    names: tuple[str, ...],
    features: str,
    state: Path | None,
    host: str,
    grpc_port: int,
    http_port: int,
    policy: str,
    trim: str,
    compression: str,
    cache_entries: int,
    cache_bytes: int,
    cache_ttl: float,
    deadline_ms: int,
    poll_interval: float,
    max_in_flight: int,
    max_message_bytes: int,
    grace: float,
    shadow_rate: float,
    shadow_tolerance: float,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    leaf_tls: bool,
    leaf_tls_ca: Path | None,
    leaf_tls_cert: Path | None,
    leaf_tls_key: Path | None,
    port_file: Path | None,
    as_json: bool,
) -> None:
    """Answer score requests: fetch, trim, fan out, gather.

    Only the features that some model of a request uses are fetched, and each model is sent only its own. What they are
    is read from bundle files, or from a store that it follows. Listens on loopback unless told otherwise; SIGTERM lets
    requests in flight finish.

    \b
    Examples:
      trimtab serve root --leaf 127.0.0.1:8001 --bundle ranking.bundle.json --features sqlite:features.db
      trimtab serve root --leaf 127.0.0.1:8001 --store deploy/ --stage production --state state/ \\
        --features sqlite:features.db
      curl -s 127.0.0.1:9000/v1/score -d '{"models": ["ctr"], "candidates": ["p1", "p2"], "entities": {"user": "u1"}}'
    """
    try:
        from trimtab.serving.root.server import RootServer, RootSettings
    except ModuleNotFoundError as problem:
        from trimtab.errors import missing_extra

        raise missing_extra(str(problem.name), "serve", "trimtab serve") from problem
    from trimtab.bundles.outcomes import MissPolicy
    from trimtab.serving.root.leaves import LeafAddress
    from trimtab.serving.tls import ClientTls, ServerTls

    if stage is not None and place is not None and not names:
        names = tuple(names_in(place, stage, state))
    follow = to_follow(context, names, place, stage, public_keys)
    _log_to_stderr()
    secure = leaf_tls or leaf_tls_ca or leaf_tls_cert
    settings = RootSettings(
        leaves=tuple(map(LeafAddress.parse, leaves)),
        bundles=_named(bundles),
        follow=follow,
        instance=instance,
        features=features,
        state=state,
        host=host,
        grpc_port=grpc_port,
        http_port=http_port,
        policy=MissPolicy(policy),
        trim=trim == "on",
        compression=compression,
        cache_entries=cache_entries,
        cache_ttl_s=cache_ttl,
        cache_bytes=cache_bytes,
        deadline_s=deadline_ms / 1e3,
        poll_interval_s=poll_interval,
        max_in_flight=max_in_flight,
        max_message_bytes=max_message_bytes,
        grace_s=grace,
        shadow_rate=shadow_rate,
        shadow_tolerance=shadow_tolerance,
        tls=ServerTls.from_flags(tls_cert, tls_key, tls_client_ca),
        leaf_tls=ClientTls(leaf_tls_ca, leaf_tls_cert, leaf_tls_key) if secure else None,
    )
    asyncio.run(_serve(RootServer(settings), settings, port_file, as_json))


async def _serve(server: RootServer, settings: RootSettings, port_file: Path | None, as_json: bool) -> None:
    from trimtab.serving.shutdown import stop_event

    stop = stop_event()
    await server.start()
    facts = {
        "grpc": server.grpc_address,
        "http": server.http_address,
        "pid": os.getpid(),
        "bundles": {status.name: status.serial for status in server.loader.statuses},
        "models": sorted(server.loader.current.models),
    }
    if port_file:
        partial = port_file.with_name(port_file.name + ".part")
        partial.write_text(json.dumps(facts))
        partial.replace(port_file)
    trimming = "trimmed" if settings.trim else "untrimmed"
    scheme = "https" if settings.tls else "http"
    text = f"root ready: gRPC {facts['grpc']}, HTTP {scheme}://{facts['http']}, requests to leaves {trimming}"
    click.echo(json.dumps(facts) if as_json else text)
    sys.stdout.flush()
    await stop.wait()
    await server.stop()


def _named(bundles: tuple[str, ...]) -> dict[str, Path]:
    """Paths by bundle name: `NAME=FILE`, or the file's name up to its first dot."""
    from trimtab.errors import BundleError

    named: dict[str, Path] = {}
    for text in bundles:
        name, equals, file = text.partition("=")
        path = Path(file if equals else text)
        name = name if equals else path.name.partition(".")[0]
        if name in named:
            raise BundleError(
                "two bundles of one name", where="--bundle", expected=f"{name!r} once", hint="Name them: NAME=FILE."
            )
        named[name] = path
    return named


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
