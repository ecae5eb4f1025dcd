"""The name under which a root acknowledges: its own, and the same again when it starts again.

Two roots of one name would hide each other's silence. So a generated name lies in the state folder, and the folder is
taken by one process at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from typing import IO, TYPE_CHECKING

from trimtab.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path


class Instance:
    """A name, held until `release`.

    given: the name, where somebody chose one. state: the folder that keeps a generated one; without it the name is the
    host's and the process's, and a root that starts again has another.
    Raises BundleError where another process has the state folder.
    """

    def __init__(self, given: str = "", state: Path | None = None) -> None:
        self._file: IO[str] | None = None
        self.fresh = not given
        """Whether no process before this one can have had the name."""
        if state is not None:
            self._take(state)
        self.name = given or self._kept() or f"{_host()}-{os.getpid()}"

    def release(self) -> None:
        """Let another process have the state folder."""
        if self._file is not None:
            self._file.close()

    def _take(self, state: Path) -> None:
        try:
            state.mkdir(parents=True, exist_ok=True)
            file = (state / "instance").open("a+")
        except OSError:
            return  # what cannot be written is reported when last-known-good is to be kept
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise BundleError(
                "another root has the state folder",
                where=str(state),
                expected="a folder for each root: it holds the name under which the root acknowledges",
                hint="Give each root a --state of its own.",
            ) from None
        except OSError:
            pass  # a file system without locks
        self._file = file

    def _kept(self) -> str:
        """The name in the state folder, made there if there is none."""
        if self._file is None:
            return ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            self._file.seek(0)
            name = self._file.read(_LONGEST + 1).strip()
            if _NAME.fullmatch(name):
                self.fresh = False
                return name
            name = f"{_host()}-{secrets.token_hex(4)}"
            self._file.truncate(0)
            self._file.write(name + "\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            return name
        return ""


def _host() -> str:
    """The host's name, with what an instance's name must not have left out."""
    return re.sub(r"[^A-Za-z0-9.-]", "", os.uname().nodename).lstrip(".-")[:100] or "root"


_LONGEST = 200
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
