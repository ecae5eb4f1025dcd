from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from trimtab.artifacts.processes import processes, processors


def _running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("raised", [None, KeyError])
def test_nothing_of_a_pool_is_left_behind(raised: type[Exception] | None) -> None:
    """A thread of the pool that outlives the block races with the end of the interpreter."""
    before = set(threading.enumerate())
    try:
        with processes(2, preload="trimtab.artifacts.processes") as pool:
            workers = {pool.submit(os.getpid).result() for _ in range(8)}
            if raised is not None:
                raise raised
    except KeyError:
        assert raised is KeyError
    assert os.getpid() not in workers
    assert set(threading.enumerate()) == before
    assert not [process for process in workers if _running(process)]


def test_what_has_not_begun_never_does(tmp_path: Path) -> None:
    with processes(1, preload="trimtab.artifacts.processes") as pool:
        pool.submit(time.sleep, 0.2)
        for number in range(100):
            pool.submit(Path.touch, tmp_path / str(number))
    assert len(list(tmp_path.iterdir())) < 10


def test_processors_are_those_that_this_process_may_use() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)
