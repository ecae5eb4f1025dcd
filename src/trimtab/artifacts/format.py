"""What a format's reader offers. A module with these three functions and a `name` is a reader.

A format that has room for a signature document offers `embed` too; without it, documents lie beside the file
(`trimtab.artifacts.sidecar`). A format whose artifact is a folder offers `open_folder`.

Third parties add one by an entry point in the group `trimtab.formats`, whose value is such a module or object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from trimtab.signature.model import Signature
    from trimtab.source.bytes import ByteSource


class Format(Protocol):
    """A kind of model artifact. Every method raises ArtifactError, and nothing else, on bytes that it cannot read."""

    @property
    def name(self) -> str:
        """What `Provenance.format` calls it."""

    def match(self, source: ByteSource) -> bool:
        """Whether the content (never the name) is of this kind. May raise for a container that is damaged."""

    def derive(self, source: ByteSource) -> Signature:
        """The signature that the artifact's own graph or code states.

        RefusedArtifactError when the artifact is of this kind but says nothing of its inputs; a declared signature is
        then taken as it is.
        """

    def declared(self, source: ByteSource) -> bytes | None:
        """The bytes of the signature document inside, or None."""


class EmbeddingFormat(Format, Protocol):
    """A kind of model artifact with room for a signature document."""

    def embed(self, path: str, document: bytes) -> None:
        """Write a signature document into the file at `path`, in place of the one inside, if any.

        RefusedArtifactError, and the file as it was, where this file has no room though others of the format have: the
        document then goes beside it. Leaves the old file in force, or restorable, when it fails or is killed at any
        moment.
        """


class FolderFormat(Format, Protocol):
    """A kind of model artifact that is a folder."""

    def open_folder(self, path: str) -> ByteSource | None:
        """The source that stands for the artifact in a folder, or None where the folder holds no such artifact.

        The other functions are given this source; `embed` is given the folder. Whoever opened it closes it.
        """
