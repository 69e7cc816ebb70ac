"""A writer that is killed at any moment: what it acknowledged is there, in whole batches."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rarec.catalogue import CatalogueStore

BATCH = 20
WRITER = f"""
import sys
from rarec.catalogue import CatalogueStore
from rarec.types import Item, ItemId
store = CatalogueStore.open(sys.argv[1])
batch = 0
while True:
    store.add(Item(ItemId(f"{{batch}}-{{i}}"), "Jam", "x" * 2000) for i in range({BATCH}))
    print(batch, flush=True)
    batch += 1
"""


@pytest.mark.parametrize("acknowledged", [1, 4, 9, 15])
def test_a_killed_writer_loses_no_acknowledged_item(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "c.db"
    CatalogueStore.open(path, create=True).close()
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledged):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split("\n")
    known = acknowledged + sum(line.isdecimal() for line in rest)
    with CatalogueStore.open(path) as store:
        ids = store.ids()
        batches = len(ids) // BATCH
        assert batches in (known, known + 1)  # the one in flight may have been written
        assert ids == tuple(f"{batch}-{i}" for batch in range(batches) for i in range(BATCH))
        assert store.version == batches
        assert all(len(item.text) == 2000 for item in store)
