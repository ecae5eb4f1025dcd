from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from trimtab.artifacts.processes import processes, processors, worked_together


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


def _working(part: int) -> tuple[int, int]:
    time.sleep(0.1 if part == 30 else 0.01)  # one that all the others overtake
    return part, os.getpid()


@pytest.mark.parametrize("jobs", [2, 3])
def test_what_processes_do_together_is_in_order_and_of_all_of_them(jobs: int) -> None:
    done = list(worked_together(_working, range(200), jobs, preload="trimtab.artifacts.processes"))
    assert [part for part, _ in done] == list(range(200))
    assert done[0][1] == os.getpid(), "this process works while the others start"
    assert len({process for _, process in done}) == jobs


def _failing(part: int) -> int:
    time.sleep(0.01)
    if part == 150:
        raise KeyError(part)
    return part


def _killed(part: int) -> int:
    time.sleep(0.01)
    if part > 20 and multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    return part


@pytest.mark.parametrize(("work", "raised"), [(_failing, KeyError), (_killed, BrokenProcessPool)])
def test_what_fails_where_several_work_is_raised_and_nothing_left(
    work: Callable[[int], int], raised: type[Exception]
) -> None:
    before = set(threading.enumerate())
    done: list[int] = []
    with pytest.raises(raised):
        done.extend(worked_together(work, range(200), 2, preload="trimtab.artifacts.processes"))
    assert done == list(range(len(done)))
    assert set(threading.enumerate()) == before


def test_processors_are_those_that_this_process_may_use() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)
