"""Watch what code does besides computing: run other code, import, write, connect.

Python reports such things to audit hooks. A hook cannot be removed, so one is installed for good and looks the other
way while nobody watches.
"""

from __future__ import annotations

import builtins
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

FRAMEWORKS = frozenset(
    (
        *("catboost", "coremltools", "executorch", "jax", "joblib", "keras", "lightgbm", "mlflow", "numpy", "onnx"),
        *("onnxruntime", "openvino", "pandas", "pickle", "sklearn", "skops", "sympy", "tensorflow", "torch", "xgboost"),
    )
)
"""What reading an artifact must not import: frameworks, because they are large and run code, and pickle."""

_FORBIDDEN = frozenset(
    (
        *("compile", "ctypes.dlopen", "ctypes.call_function", "eval", "exec", "marshal.loads", "mmap.__new__"),
        *(
            "os.chmod",
            "os.chown",
            "os.exec",
            "os.fork",
            "os.forkpty",
            "os.kill",
            "os.link",
            "os.mkdir",
            "os.posix_spawn",
        ),
        *("os.putenv", "os.remove", "os.rename", "os.rmdir", "os.spawn", "os.symlink", "os.system", "os.truncate"),
        *("pickle.find_class", "shutil.copyfile", "shutil.move", "shutil.rmtree"),
        *("socket.bind", "socket.connect", "socket.getaddrinfo", "subprocess.Popen"),
    )
)

_WRITING = frozenset("wax+")


class Watch:
    """While it is entered, everything that this thread does and a reader must not: `seen`, worded for a person.

    code: also report code that is compiled or run. Python's own imports do that: leave it out where modules may be
    imported for the first time.
    """

    def __init__(self, *, code: bool = True) -> None:
        self.seen: list[str] = []
        self._code = code
        self._thread = 0
        self._import: Any = None

    def __enter__(self) -> Self:
        _install()
        self._thread = threading.get_ident()
        self._import = builtins.__import__
        builtins.__import__ = self._importing
        _watches.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _watches.remove(self)
        builtins.__import__ = self._import

    def _importing(self, name: str, *arguments: Any, **options: Any) -> Any:
        # The audit event comes only for modules that are not imported yet; frameworks may be, in a test run.
        if name.partition(".")[0] in FRAMEWORKS:
            self.seen.append(f"import {name}")
        return self._import(name, *arguments, **options)

    def told(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take down an audit event that a reader must not cause."""
        if threading.get_ident() != self._thread:
            return
        if event == "open":
            path, mode, flags = arguments[:3]
            writes = _WRITING & set(mode) if isinstance(mode, str) else flags & _WRITE_FLAGS
            if writes:
                self.seen.append(f"open {path!r:.80} for writing")
        elif event == "import":
            if arguments[0].partition(".")[0] in FRAMEWORKS:
                self.seen.append(f"import {arguments[0]}")
        elif event in _FORBIDDEN and (self._code or event not in _IMPORTING):
            self.seen.append(f"{event} {arguments!r:.80}")


_IMPORTING = frozenset(("compile", "exec", "marshal.loads"))
_WRITE_FLAGS = 0o3 | 0o100 | 0o1000  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC on Linux

_watches: list[Watch] = []
_installed: list[bool] = []


def _install() -> None:
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for each in _watches:
        each.told(event, arguments)
