"""Read signatures of models on a web server, beside zipfile over fsspec and beside fetching the whole file.

    python benchmarks/remote.py [--megabytes 1024] [--latency 20] [--json FILE]

The server is on this machine and waits LATENCY milliseconds before each answer, as one in the same region does.
Counted are the requests that it got and the bytes that it sent. The peers read `module_info.json` out of the archives
as they are used: fsspec with its own block size and with one of 64 KiB. Of ONNX, which no peer reads by ranges, the
same walk is run over fsspec. Fetching the file is what everything does that knows no ranges.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
from large_artifacts import make

from trimtab.artifacts import derive_signature, embed_signature, read_signature
from trimtab.source.bytes import ByteSource

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from range_server import RangeServer, serving  # the server of the tests

if TYPE_CHECKING:
    from collections.abc import Callable


class FsspecSource(ByteSource):
    """A file of fsspec, as the readers take it."""

    def __init__(self, file: Any) -> None:
        super().__init__(file.path, file.size)
        self._file = file

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        data: bytes = self._file.read(length)
        return data


def opened(url: str, block: int | None) -> Any:
    fsspec.filesystem("http").dircache.clear()
    return fsspec.open(url, **({} if block is None else {"block_size": block})).open()


def document_in_zip(url: str, block: int | None) -> None:
    with opened(url, block) as file, zipfile.ZipFile(file) as archive:
        name = next(each for each in archive.namelist() if each.endswith("extra/module_info.json"))
        assert archive.read(name)


def walk(url: str, block: int | None) -> None:
    with opened(url, block) as file:
        assert read_signature(FsspecSource(file), compare=False).inputs


def fetch(url: str) -> None:
    with urllib.request.urlopen(url) as answer, tempfile.TemporaryFile() as file:
        shutil.copyfileobj(answer, file, 1 << 20)


def measure(server: RangeServer, what: str, who: str, call: Callable[[], object]) -> dict[str, Any]:
    server.reset()
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    figures = {"what": what, "who": who, "requests": len(server.asked), "bytes": server.sent, "ms": 1000 * seconds}
    print(
        f"{what:34}{who:28}{figures['requests']:6} requests{figures['bytes'] / 1e3:14,.0f} KB{figures['ms']:10,.0f} ms",
        flush=True,
    )
    return figures


def one_model(server: RangeServer, name: str) -> list[dict[str, Any]]:
    path, url = server.folder / name, f"{server.url}/{name}"
    onnx = name == "model.onnx"
    peer, kind = (walk, "the walk") if onnx else (document_in_zip, "zipfile")
    what = f"{name}, from its graph"
    results = [measure(server, what, "trimtab", lambda: read_signature(url))]
    if onnx:
        results.append(measure(server, what, "the walk, fsspec", lambda: walk(url, None)))
    embed_signature(path, derive_signature(path))
    what = f"{name}, embedded signature"
    return [
        *results,
        measure(server, what, "trimtab", lambda: read_signature(url)),
        measure(server, what, f"{kind}, fsspec", lambda: peer(url, None)),
        measure(server, what, f"{kind}, fsspec of 64 KiB", lambda: peer(url, 64 << 10)),
        measure(server, what, "fetching all of it", lambda: fetch(url)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1024, help="weights per model (default 1024)")
    parser.add_argument("--latency", type=float, default=20, help="milliseconds before each answer (default 20)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    given = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        server.latency = given.latency / 1000
        make(Path(folder), given.megabytes)
        read_signature(f"{server.url}/model.pt")  # imports the client
        for name in ("model.pt", "model.pt2", "model.onnx"):
            results += one_model(server, name)
            Path(folder, name).unlink()
    if given.json:
        given.json.write_text(json.dumps({"benchmark": "remote", "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
