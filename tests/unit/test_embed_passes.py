"""Who waits for a model at the same time goes through it together."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rarec.embed.passes import Rows, SharedPasses


class Lengths:
    """Rows of lengths; the first call waits until it is let go."""

    def __init__(self, *, wait: bool) -> None:
        self.passes: list[tuple[str, ...]] = []
        self.begun, self.go = threading.Event(), threading.Event()
        if not wait:
            self.go.set()
        self._running = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Rows:
        assert self._running.acquire(blocking=False), "two passes at once"
        try:
            self.passes.append(tuple(texts))
            self.begun.set()
            assert self.go.wait(10)
            if "bad" in texts:
                raise ValueError("bad")
            return np.array([[len(text)] for text in texts], dtype=np.float32)
        finally:
            self._running.release()


def waiting(passes: SharedPasses, count: int) -> None:
    """Until so many stand in the queue."""
    while len(passes._queue) < count:
        pass


def in_turn(pool: ThreadPoolExecutor, passes: SharedPasses, given: Sequence[list[str]]) -> list:
    """Called from threads, one standing behind the other, the first being at work."""
    found = []
    for place, texts in enumerate(given):
        found.append(pool.submit(passes, texts))
        waiting(passes, place)
    return found


def test_those_who_wait_are_the_next_pass_and_get_their_own_rows() -> None:
    run = Lengths(wait=True)
    passes = SharedPasses(run, most=4)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(passes, ["a"])
        assert run.begun.wait(10)
        others = in_turn(pool, passes, [["bb", "ccc"], ["dddd"], ["eeeee", "f"], ["gg"] * 9, ["h"]])
        waiting(passes, 5)
        run.go.set()
        assert first.result().tolist() == [[1]]
        assert [one.result()[:, 0].tolist() for one in others] == [[2, 3], [4], [5, 1], [2] * 9, [1]]
    # Never more than four together, and nobody is overtaken.
    assert run.passes == [("a",), ("bb", "ccc", "dddd"), ("eeeee", "f"), ("gg",) * 9, ("h",)]


def test_who_is_at_fault_meets_the_error_alone() -> None:
    run = Lengths(wait=True)
    passes = SharedPasses(run, most=9)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(passes, ["a"])
        assert run.begun.wait(10)
        good, bad, fine = in_turn(pool, passes, [["bb"], ["bad"], ["ccc"]])
        waiting(passes, 3)
        run.go.set()
        assert (first.result().tolist(), good.result().tolist(), fine.result().tolist()) == ([[1]], [[2]], [[3]])
        with pytest.raises(ValueError, match="bad"):
            bad.result()
    assert passes(["x"]).tolist() == [[1]]


def test_many_threads_get_what_each_asked() -> None:
    passes = SharedPasses(Lengths(wait=False), most=7)
    with ThreadPoolExecutor(16) as pool:
        given = [["x" * (1 + (i * j) % 9) for j in range(1 + i % 3)] for i in range(300)]
        found = list(pool.map(passes, given))
    assert [rows[:, 0].tolist() for rows in found] == [[float(len(t)) for t in texts] for texts in given]
