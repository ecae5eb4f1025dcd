"""Run the checks of a format: as values, as one assertion, or as a class of tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from trimtab.findings import Finding, rules_of
from trimtab.testing import embedding_checks, reading_checks, safety_checks
from trimtab.testing.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from trimtab.artifacts.format import Format

    Paths = Iterable[str | os.PathLike[str]]

CHECKS = rules_of(reading_checks, embedding_checks, safety_checks)
"""Every check by name. A check's page says what must hold, who breaks and what to do instead."""


def conformance(
    format_: Format,
    samples: Paths,
    *,
    refused: Paths = (),
    foreign: Paths = (),
    only: Collection[str] = (),
    damages: int = 200,
    most_bytes: int = 1 << 20,
    seconds: float = 2.0,
    seed: int = 0,
) -> tuple[Finding, ...]:
    """What a format does not hold to.

    format_: the module or object that the entry point names. samples: files or folders of it that state a signature,
    small ones, with unusual names and options; one of several MiB. refused: ones of it whose `derive` refuses, since
    they say nothing of inputs and outputs. foreign: ones of other formats, besides those that the kit brings along.
    only: names of checks. damages: how many changed copies of each sample are read, besides cut ones, made from `seed`.
    most_bytes: how much of one sample reading may touch. seconds: of the processor's time, for one damaged copy.

    Samples are never written to. Works in any process; that a damaged file which hangs is broken off needs Unix and the
    main thread.
    """
    subject = Subject(
        format_,
        samples=_paths(samples),
        refused=_paths(refused),
        foreign=_paths(foreign),
        damages=damages,
        most_bytes=most_bytes,
        seconds=seconds,
        seed=seed,
    )
    unfit = tuple(CHECKS[_FIRST](subject))
    if unfit:
        return unfit  # the others would call what is not there
    return tuple(found for name in CHECKS if not only or name in only for found in _run(name, subject))


_FIRST = "OFFERS_FUNCTIONS"


def _run(name: str, subject: Subject) -> Iterator[Finding]:
    check = CHECKS[name]
    try:
        yield from check(subject)
    except Exception as failure:  # noqa: BLE001  # a format that breaks the check does not hold to it
        got = f"{type(failure).__name__}: {failure}"
        yield Finding(check.name, check.level, subject.format_.name, "the check cannot be run", got=got)


def _paths(paths: Paths) -> tuple[str, ...]:
    return tuple(os.fspath(path) for path in paths)


def check_format(format_: Format, samples: Paths, **options: Any) -> None:
    """Assert that a format conforms. Options are those of `conformance`; AssertionError lists what does not hold."""
    found = conformance(format_, samples, **options)
    if found:
        pages = "\n\n".join(f"{name}: {CHECKS[name].page}" for name in dict.fromkeys(each.rule for each in found))
        raise AssertionError(
            "\n".join(f"{each.rule}: {each.where}: {each.sentence}" for each in found) + f"\n\n{pages}"
        )


class FormatConformance:
    """The checks as a class of tests: derive from it, and set the attributes. Needs no plug-in of pytest.

    format: the module or object that the entry point names, and the other attributes as of `conformance`.
    """

    format: ClassVar[Any]
    samples: ClassVar[Paths] = ()
    refused: ClassVar[Paths] = ()
    foreign: ClassVar[Paths] = ()
    damages: ClassVar[int] = 200
    most_bytes: ClassVar[int] = 1 << 20

    def _check(self, name: str) -> None:
        check_format(
            self.format,
            self.samples,
            refused=self.refused,
            foreign=self.foreign,
            only=(name,),
            damages=self.damages,
            most_bytes=self.most_bytes,
        )

    def test_offers_functions(self) -> None:
        """It has a name and its functions."""
        self._check("OFFERS_FUNCTIONS")

    def test_matches_samples(self) -> None:
        """It knows its own files."""
        self._check("MATCHES_SAMPLES")

    def test_leaves_foreign(self) -> None:
        """It leaves files of others alone."""
        self._check("LEAVES_FOREIGN")

    def test_ignores_names(self) -> None:
        """The content decides."""
        self._check("IGNORES_NAMES")

    def test_states_signature(self) -> None:
        """It derives signatures that documents hold."""
        self._check("STATES_SIGNATURE")

    def test_reads_little(self) -> None:
        """It does not read weights."""
        self._check("READS_LITTLE")

    def test_keeps_source(self) -> None:
        """It closes what it opens, and nothing else."""
        self._check("KEEPS_SOURCE")

    def test_reads_declared(self) -> None:
        """It gives the document inside as bytes."""
        self._check("READS_DECLARED")

    def test_embeds_document(self) -> None:
        """What it embeds, it reads back."""
        self._check("EMBEDS_DOCUMENT")

    def test_embedding_keeps_model(self) -> None:
        """Embedding changes nothing else."""
        self._check("EMBEDDING_KEEPS_MODEL")

    def test_executes_nothing(self) -> None:
        """Reading is nothing but reading."""
        self._check("EXECUTES_NOTHING")

    def test_survives_damage(self) -> None:
        """Damaged files are read or refused."""
        self._check("SURVIVES_DAMAGE")
