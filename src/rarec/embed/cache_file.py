"""The file behind the cache: vectors of documents by the hash of their text, in SQLite."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarec.errors import StoreError
from rarec.files import use_wal

VERSION = 1
_AT_ONCE = 500
_SCHEMA = """
CREATE TABLE IF NOT EXISTS embedders (id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL,
    dimension INTEGER NOT NULL, UNIQUE (name, kind));
CREATE TABLE IF NOT EXISTS vectors (embedder INTEGER NOT NULL REFERENCES embedders (id), text_sha256 BLOB NOT NULL,
    vector BLOB NOT NULL, UNIQUE (embedder, text_sha256));
"""


def text_key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class CacheFile:
    """Vectors of one embedder and kind, kept as float16. One file serves several embedders and several processes.

    Raises:
        StoreError: the file is damaged, locked, or its folder cannot be written.
    """

    def __init__(self, path: Path, *, name: str, kind: str, dimension: int) -> None:
        self._path = path
        self._dimension = dimension
        self._lock = threading.Lock()
        with self._guarded():
            self._connection = sqlite3.connect(path, timeout=30, check_same_thread=False, isolation_level=None)
        try:
            with self._guarded():
                self._embedder = self._prepare(name, kind)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, name: str, kind: str) -> int:
        run = self._connection.execute
        use_wal(self._connection, timeout_s=30)
        run("PRAGMA synchronous=FULL")
        version = run("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise StoreError(f"the embedding cache {str(self._path)!r} has version {version!r}; delete it")
        self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
        run("INSERT OR IGNORE INTO embedders (name, kind, dimension) VALUES (?, ?, ?)", (name, kind, self._dimension))
        found, dimension = run(
            "SELECT id, dimension FROM embedders WHERE name = ? AND kind = ?", (name, kind)
        ).fetchone()
        if dimension != self._dimension:
            raise StoreError(
                f"the embedding cache {str(self._path)!r} holds vectors of {dimension!r} numbers for {name!r}, "
                f"which now gives {self._dimension!r}; delete the cache"
            )
        return int(found)

    def read(self, keys: Sequence[bytes], rows: NDArray[np.float32]) -> list[int]:
        """Fill `rows[i]` with the vector of `keys[i]`, at length 1; gives the places that are not in the file."""
        place = {key: i for i, key in enumerate(keys)}
        missing = np.ones(len(keys), dtype=np.bool_)
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            with self._lock, self._guarded():
                found = self._connection.execute(
                    f"SELECT text_sha256, vector FROM vectors WHERE embedder = ? AND text_sha256 IN ({marks})",
                    (self._embedder, *part),
                ).fetchall()
            if found:
                places = [place[key] for key, _ in found]
                rows[places] = self._decoded([vector for _, vector in found])
                missing[places] = False
        return [int(i) for i in np.flatnonzero(missing)]

    def write(self, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add vectors in one transaction; gives them as a later `read` will."""
        halves = vectors.astype(np.float16)
        pairs = [(self._embedder, key, half.tobytes()) for key, half in zip(keys, halves, strict=True)]
        with self._lock, self._guarded():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?, ?)", pairs)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return self._decoded([blob for _, _, blob in pairs])

    def count(self) -> int:
        with self._lock, self._guarded():
            query = "SELECT count(*) FROM vectors WHERE embedder = ?"
            return int(self._connection.execute(query, (self._embedder,)).fetchone()[0])

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _decoded(self, blobs: list[bytes]) -> NDArray[np.float32]:
        if any(len(blob) != 2 * self._dimension for blob in blobs):
            raise self._damaged("a vector of the wrong size")
        rows = np.frombuffer(b"".join(blobs), dtype=np.float16).reshape(len(blobs), self._dimension).astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        if not (np.abs(lengths - 1) < 0.01).all():  # NaN fails too
            raise self._damaged("a vector whose length is not 1")
        rows /= lengths[:, None]
        return rows

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"the embedding cache {str(self._path)!r} is damaged ({what}); delete it, it will be rebuilt")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"cannot use the embedding cache {str(self._path)!r}: {error}; check that its folder exists, can be "
                "written and has space, and that no other program holds it"
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error
