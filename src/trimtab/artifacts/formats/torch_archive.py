"""The zip archives that PyTorch writes: one root folder, named as the file was when it was saved.

The folder is `archive` when saved to a buffer and the file's stem otherwise; renaming the file does not change it, so
it is taken from the directory. torch 2.7 and older wrote `.pt2` without a folder. The signature document lies at the
name that PyTorch reserves for it (`MODULE_INFO_PATH` in torch/csrc/export/pt2_archive_constants.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trimtab.errors import ArtifactError
from trimtab.signature.document import FILE_NAME, MAX_DOCUMENT_BYTES
from trimtab.source.zip import LOCAL_MAGIC, ZipDirectory

if TYPE_CHECKING:
    from trimtab.source.bytes import ByteSource

_LEGACY_PROGRAM = "serialized_exported_program.json"


@dataclass(frozen=True, slots=True)
class TorchArchive:
    """A zip archive as PyTorch lays it out. `prefix` is the root folder with its slash; empty in the old layout."""

    directory: ZipDirectory
    prefix: str

    @property
    def legacy(self) -> bool:
        """Whether it has the layout of torch 2.7 and older."""
        return not self.prefix

    @property
    def document_name(self) -> str:
        """The full name of the entry that holds, or would hold, the signature document."""
        return f"{self.prefix}{'extra_files' if self.legacy else 'extra'}/{FILE_NAME}"

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.directory.entries

    def read(self, name: str, *, limit: int) -> bytes:
        """The content of an entry, by its name below the root."""
        return self.directory.read(self.prefix + name, limit=limit)

    def read_prefix(self, name: str, length: int) -> bytes:
        """The first bytes of an entry, by its name below the root."""
        return self.directory.read_prefix(self.prefix + name, length)

    def names(self, start: str, end: str = "") -> list[str]:
        """Names below the root that start and end so, in the directory's order."""
        cut = len(self.prefix)
        return [
            name[cut:] for name in self.directory.entries if name.startswith(self.prefix + start) and name.endswith(end)
        ]

    def place(self, name: str) -> str:
        """How errors call an entry."""
        return f"{self.directory.source.name}: {self.prefix}{name}"

    def document(self) -> bytes | None:
        """The signature document inside, or None."""
        wanted = self.document_name
        # torch finds entries without regard to case, other readers do not.
        same = [name for name in self.directory.entries if name.lower() == wanted.lower()]
        if len(same) > 1:
            raise ArtifactError(
                "two signature documents that differ in upper and lower case only",
                where=self.directory.source.name,
                got=", ".join(map(repr, same)),
            )
        return self.directory.read(wanted, limit=MAX_DOCUMENT_BYTES) if wanted in self.directory.entries else None


def declared(source: ByteSource) -> bytes | None:
    """The document at `extra/module_info.json`, of either torch format."""
    return expect_archive(source).document()


def embed(path: str, document: bytes) -> None:
    """Append the document to the archive, of either torch format."""
    from trimtab.source.append import append_entry
    from trimtab.source.bytes import LocalFile

    with LocalFile(path) as source:
        archive = expect_archive(source)
        append_entry(path, archive.document_name, document, archive.directory)


def expect_archive(source: ByteSource) -> TorchArchive:
    """The archive. ArtifactError where the source is none."""
    archive = open_archive(source)
    if archive is None:
        raise ArtifactError(where=source.name, expected="an archive that torch wrote", got="another kind of file")
    return archive


def open_archive(source: ByteSource) -> TorchArchive | None:
    """The archive, or None where the source is no zip, or a zip that PyTorch did not write.

    ArtifactError for a damaged archive, and for one with a second root folder.
    """
    if source.head(4) != LOCAL_MAGIC:
        return None
    directory = ZipDirectory.open(source)
    if directory.root is not None:
        return TorchArchive(directory, f"{directory.root}/")
    if _LEGACY_PROGRAM in directory.entries:
        return TorchArchive(directory, "")
    for name in directory.entries:
        folder, _, rest = name.partition("/")
        if rest in ("constants.pkl", "archive_format", "data.pkl"):
            others = {each.partition("/")[0] for each in directory.entries} - {folder}
            raise ArtifactError(
                where=source.name,
                expected=f"everything under one root folder, as torch saves it ({folder!r})",
                got=", ".join(sorted(map(repr, others))[:5]),
                hint="Readers differ on which root counts, so the archive is refused. Save the model again.",
            )
    return None
