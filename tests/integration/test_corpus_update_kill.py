"""An update that is killed at any moment: the store is as it was, or as it is after."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from corpora import thing, write_corpus
from rarec.catalogue import CatalogueStore
from rarec.corpus.reading import open_corpus
from rarec.corpus.update import update

ITEMS = 4000
UPDATER = """
import sys, time
from dataclasses import replace
from pathlib import Path
from rarec.catalogue import CatalogueStore
from rarec.corpus.reading import open_corpus
from rarec.corpus import update as updating

moment, store, corpus = sys.argv[1:]
revision_of = updating._revision_of

def slowly(items, after):
    for number, item in enumerate(items):
        if number == after:
            print("now", flush=True)
            time.sleep(60)
        yield item

def slow(corpus, pending):
    made = revision_of(corpus, pending)
    return replace(made, put=slowly(made.put, 1500)) if moment == "putting" else \\
        replace(made, retired=slowly(made.retired, 150)) if moment == "retiring" else made

def embed(texts, total):
    for _ in slowly(texts, 100 if moment == "embedding" else -1):
        pass

def tell(stage, done, total, text):
    if moment == "comparing" and done >= 2000 or moment == stage and done == 0:
        print("now", flush=True)

updating._revision_of = slow
with CatalogueStore.open(store) as catalogue:
    updating.update(catalogue, open_corpus(corpus), write=catalogue.layout.render, embed=embed, tell=tell, force=True)
print("done", flush=True)
"""


@pytest.mark.parametrize("moment", ["comparing", "embedding", "Write to the store", "putting", "retiring"])
def test_a_killed_update_leaves_one_whole_version(tmp_path: Path, moment: str) -> None:
    before = [thing(i) for i in range(ITEMS)]
    after = [*(thing(i, "New name") for i in range(500, ITEMS, 2)), *(thing(i) for i in range(5000, 6000))]
    (tmp_path / "store").mkdir()
    path = tmp_path / "store" / "catalogue.sqlite"
    old = open_corpus(write_corpus(tmp_path / "old", before))
    with CatalogueStore.open(path, create=True) as store:
        update(store, old, write=store.layout.render, embed=None, tell=lambda *_: None)
        version = store.version
    new = write_corpus(tmp_path / "new", after)
    command = [sys.executable, "-c", UPDATER, moment, str(path), str(new)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as updater:
        assert updater.stdout is not None
        assert updater.stdout.readline() == "now\n"
        updater.send_signal(signal.SIGKILL)
        updater.stdout.read()
    with CatalogueStore.open(path) as store:
        if moment == "Write to the store" and store.version > version:  # it may have been quicker
            assert {i.id: i for i in store} == {i.id: i for i in after}
        else:
            assert list(store) == before
            assert (store.version, len(store.revisions.all())) == (version, 1)
            assert store.revisions.owners() == {"things": ITEMS}
        update(
            store, open_corpus(new), write=store.layout.render, embed=None, tell=lambda *_: None, force=True
        )  # it goes through now
        assert {i.id: i for i in store} == {i.id: i for i in after}
        store.revisions.take_back()
        assert list(store) == before
    left = [found.name for found in path.parent.iterdir() if found.name.startswith(".corpus")]
    assert left == [".corpus-update.lock"]
