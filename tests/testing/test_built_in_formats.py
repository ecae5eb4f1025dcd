"""Every built-in format passes the conformance kit that is shipped for others."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from trimtab.artifacts import known_formats
from trimtab.artifacts.kinds import KINDS
from trimtab.artifacts.registry import open_artifact
from trimtab.errors import RefusedArtifactError
from trimtab.testing import CHECKS, conformance, foreign_samples

ROOT = Path(__file__).resolve().parents[2]
MADE = ("document", "ort")
"""Formats whose tiny samples of the kit are whole artifacts."""


EXEMPT = {
    ("document", "STATES_SIGNATURE"): "a document says what it was derived from, not that it is a document",
    ("document", "EMBEDS_DOCUMENT"): "a document is not embedded into a document",
}
"""What a format need not hold to, and why."""


class Samples(NamedTuple):
    stated: list[Path]
    refused: list[Path]


@cache
def samples(corpus: Path, folder: Path) -> dict[str, Samples]:
    """Real artifacts by the name of their format."""
    paths = [path for path in sorted((corpus / "formats").iterdir()) if not path.name.endswith(".oracle.json")]
    paths += sorted((ROOT / "tests" / "data" / "savedmodel").glob("*/model"))[:3]
    for name in MADE:
        for number, data in enumerate(foreign_samples()[name]):
            paths.append(folder / f"{name}-{number}")
            paths[-1].write_bytes(data)
    found: dict[str, Samples] = {}
    for path in paths:
        if path.suffix in (".bin", ".data"):
            continue  # weights that lie beside a model
        format_, source = open_artifact(str(path))
        kinds = found.setdefault(format_.name, Samples([], []))
        with source:
            try:
                format_.derive(source)
                kinds.stated.append(path)
            except RefusedArtifactError:
                kinds.refused.append(path)
    return found


@pytest.fixture(scope="module")
def by_format(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Samples]:
    return samples(corpus, tmp_path_factory.mktemp("made"))


def test_every_format_of_the_table_is_there(by_format: dict[str, Samples]) -> None:
    names = {each.name for each in known_formats()}
    assert len(names) >= len(KINDS)
    assert names == set(by_format)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("module", [kind.module for kind in KINDS])
def test_a_built_in_format_conforms(by_format: dict[str, Samples], module: str, check: str) -> None:
    (format_,) = (it for it in known_formats() if it.__name__.endswith(f".{module}"))  # type: ignore[attr-defined]
    own = by_format[format_.name]
    others = [
        path for name, each in by_format.items() if name != format_.name for path in (*each.stated, *each.refused)
    ]
    found = conformance(format_, own.stated, refused=own.refused, foreign=others, only=[check], damages=60)
    assert bool(found) == ((format_.name, check) in EXEMPT), found
