"""The cache: what is embedded, what is kept, and what a kill or a damaged file does."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from rarec.embed import CachedEmbedder
from rarec.errors import EmbedderError, InputError, StoreError
from rarec.testing import HashEmbedder

TEXTS = [f"text {k} " + "long " * (k % 7) for k in range(50)]


class Counting(HashEmbedder):
    """Keeps what it was asked."""

    def __init__(self, dimension=32, fails_after=10**9):
        super().__init__(dimension)
        self.asked = []
        self.fails_after = fails_after

    def embed(self, texts, *, kind="document", progress=None):
        if len(self.asked) + len(texts) > self.fails_after:
            raise EmbedderError("out of order; repair it")
        self.asked += [(kind, text) for text in texts]
        return super().embed(texts, kind=kind, progress=progress)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "vectors.sqlite"


def test_documents_are_embedded_once_across_openings(path):
    real = Counting()
    with CachedEmbedder(real, path, chunk=8) as cached:
        first = cached.embed(TEXTS)
        assert len(cached) == 50
    assert sorted(text for _, text in real.asked) == sorted(TEXTS)
    with CachedEmbedder(real, path) as cached:
        again = cached.embed(TEXTS[::-1])
    assert len(real.asked) == 50
    np.testing.assert_array_equal(first, again[::-1])
    np.testing.assert_allclose(first, HashEmbedder(32).embed(TEXTS), atol=2e-4)


def test_repeated_texts_are_embedded_once_and_progress_counts_what_is_missing(path):
    real, seen = Counting(), []
    with CachedEmbedder(real, path, chunk=4) as cached:
        cached.embed(TEXTS[:3])
        rows = cached.embed([*TEXTS[:8], *TEXTS[:8]], progress=lambda *at: seen.append(at))
    np.testing.assert_array_equal(rows[:8], rows[8:])
    assert len(real.asked) == 8
    assert seen == [(0, 5), (4, 5), (5, 5)]


def test_models_do_not_mix(path):
    with CachedEmbedder(Counting(32), path) as a, CachedEmbedder(Counting(16), path) as b:
        assert a.embed(TEXTS).shape == (50, 32)
        assert b.embed(TEXTS).shape == (50, 16)
        assert len(a) == len(b) == 50


def test_queries_are_remembered_in_memory_only(path):
    real = Counting()
    secret = "what the user wrote"
    with CachedEmbedder(real, path, queries=2) as cached:
        first = cached.embed([secret], kind="query")
        np.testing.assert_array_equal(cached.embed([secret, secret], kind="query"), np.repeat(first, 2, axis=0))
        assert len(real.asked) == 1
        cached.embed(["b", "c"], kind="query")
        cached.embed([secret], kind="query")
        assert [text for _, text in real.asked] == [secret, "b", "c", secret]
        assert {kind for kind, _ in real.asked} == {"query"}
        assert len(cached) == 0
        first[:] = 0
        assert cached.embed([secret], kind="query").any()


def test_queries_reach_the_file_only_when_asked(path):
    class Prompted(Counting):
        """Queries get other vectors than documents."""

        def embed(self, texts, *, kind="document", progress=None):
            return super().embed([f"{kind} {text}" for text in texts], kind=kind, progress=progress)

    real = Prompted()
    with CachedEmbedder(real, path) as cached:
        cached.embed(["private"], kind="query")
        assert stored(path) == []
    with CachedEmbedder(real, path, keep_queries=True) as cached:
        query, document = cached.embed(["a"], kind="query"), cached.embed(["a"])
        assert len(cached) == 1
    assert stored(path) == [("document", 1), ("query", 1)]
    with CachedEmbedder(real, path, keep_queries=True) as cached:
        np.testing.assert_array_equal(cached.embed(["a"], kind="query"), query)
        np.testing.assert_array_equal(cached.embed(["a"]), document)
    assert len(real.asked) == 3
    assert np.abs(query - document).max() > 0.01


def stored(path):
    """(kind, number of vectors) in the file."""
    if not path.exists():
        return []
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT kind, count(*) FROM vectors JOIN embedders ON embedder = embedders.id GROUP BY kind ORDER BY kind"
    ).fetchall()
    connection.close()
    return rows


def test_without_room_for_queries(path):
    real = Counting()
    with CachedEmbedder(real, path, queries=0) as cached:
        cached.embed(["a"], kind="query")
        cached.embed(["a"], kind="query")
    assert len(real.asked) == 2


def test_a_failure_keeps_what_was_done(path):
    real = Counting(fails_after=20)
    with CachedEmbedder(real, path, chunk=10) as cached:
        with pytest.raises(EmbedderError, match="out of order"):
            cached.embed(TEXTS)
        assert len(cached) == 20
        real.fails_after = 10**9
        cached.embed(TEXTS)
    assert len(real.asked) == 50


CHILD = """
import sys, time
from rarec.embed import CachedEmbedder
from rarec.testing import HashEmbedder

class Slow(HashEmbedder):
    def embed(self, texts, **options):
        time.sleep(0.02)
        return super().embed(texts, **options)

cached = CachedEmbedder(Slow(32), sys.argv[1], chunk=5)
cached.embed([f"text {k}" for k in range(100_000)], progress=lambda done, total: print(done, flush=True))
"""


def test_a_kill_loses_at_most_one_chunk(path):
    done = 0
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4):
            acknowledged = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        rest = child.communicate()[0].splitlines()
        done += int(rest[-1]) if rest and rest[-1].isdigit() else acknowledged
        with CachedEmbedder(HashEmbedder(32), path) as cached:
            assert done <= len(cached) <= done + 5
            done = len(cached)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_several_threads_and_openings_share_a_file(path):
    wrong = []
    right = HashEmbedder(32).embed(TEXTS)

    def work(offset):
        with CachedEmbedder(HashEmbedder(32), path, chunk=3) as cached:
            for k in range(10):
                part = TEXTS[(offset + k) % 40 :][:8]
                if np.abs(cached.embed(part) - right[(offset + k) % 40 :][:8]).max() > 1e-3:
                    wrong.append(part)

    threads = [threading.Thread(target=work, args=(k * 9,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_import_spares_the_work(path):
    real = Counting()
    vectors = HashEmbedder(32).embed(TEXTS).astype(np.float16)
    with CachedEmbedder(real, path) as cached:
        assert cached.import_vectors(TEXTS, vectors) == 50
        sampled = len(real.asked)
        assert sampled < 20
        rows = cached.embed(TEXTS)
        assert len(real.asked) == sampled
        assert cached.import_vectors(TEXTS, vectors) == 0
        assert cached.import_vectors([], vectors[:0]) == 0
    np.testing.assert_allclose(rows, HashEmbedder(32).embed(TEXTS), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v: v[::-1], "another order"),
        (lambda v: np.roll(v, 1, axis=0), "another order"),
        (lambda v: v * 2, "length 2.0, not 1"),
        (lambda v: np.where(np.arange(50)[:, None] == 7, np.nan, v), "vector number 7"),
        (lambda v: v[:, :16], r"shape \(50, 16\)"),
        (lambda v: v[:49], r"shape \(49, 32\)"),
    ],
)
def test_import_refuses_what_is_not_this_models(path, spoil, message):
    with CachedEmbedder(HashEmbedder(32), path) as cached:
        with pytest.raises(InputError, match=message):
            cached.import_vectors(TEXTS, spoil(HashEmbedder(32).embed(TEXTS)))
        assert len(cached) == 0


def test_a_file_that_is_no_cache(path):
    path.write_bytes(b"not a database, but long enough to look at " * 200)
    with pytest.raises(StoreError, match=r"damaged.*delete it"):
        CachedEmbedder(HashEmbedder(), path).embed(TEXTS)


def test_a_missing_folder(tmp_path):
    with pytest.raises(StoreError, match="folder exists"):
        CachedEmbedder(HashEmbedder(), tmp_path / "no" / "file.sqlite").embed(TEXTS)


def change(path, statement):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE vectors SET vector = x'00'", "wrong size"),
        ("UPDATE vectors SET vector = zeroblob(64)", "length is not 1"),
        ("PRAGMA user_version = 99", "version 99"),
        ("UPDATE embedders SET dimension = 7", "7"),
    ],
)
def test_a_file_with_wrong_contents(path, statement, message):
    with CachedEmbedder(HashEmbedder(32), path) as cached:
        cached.embed(TEXTS)
    change(path, statement)
    with CachedEmbedder(HashEmbedder(32), path) as cached, pytest.raises(StoreError, match=message):
        cached.embed(TEXTS)


def test_a_full_disk_loses_nothing(path):
    with CachedEmbedder(HashEmbedder(32), path, chunk=10) as cached:
        cached.embed(TEXTS[:10])
        pages = cached._opened()._connection.execute("PRAGMA page_count").fetchone()[0]
        cached._opened()._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"full.*space"):
            cached.embed([f"more {k}" for k in range(2000)])
        assert len(cached) >= 10
        np.testing.assert_allclose(cached.embed(TEXTS[:10]), HashEmbedder(32).embed(TEXTS[:10]), atol=1e-3)


def test_looking_up_ten_thousand_texts_is_quick(path):
    texts = [f"item number {k}" for k in range(10_000)]
    vectors = HashEmbedder(64).embed(texts)
    with CachedEmbedder(Counting(64), path) as cached:
        cached.import_vectors(texts, vectors)
        start = time.perf_counter()
        cached.embed(texts)
        assert time.perf_counter() - start < 5


@pytest.mark.parametrize("options", [{"chunk": 0}, {"queries": -1}])
def test_bad_options(path, options):
    with pytest.raises(InputError):
        CachedEmbedder(HashEmbedder(), path, **options)
