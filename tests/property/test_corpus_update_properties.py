"""Laws of corpus updates: the store holds the corpus and what is not its own, and the way back leads back."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import thing, write_corpus
from rarec.catalogue import CatalogueStore
from rarec.corpus.reading import open_corpus
from rarec.corpus.update import update
from rarec.types import Item

_Found = dict[int, dict[str, object]]
_ITEMS = st.dictionaries(
    st.integers(0, 9),
    st.builds(
        lambda title, popularity, kinds: {"title": title, "popularity": popularity, "attributes": kinds},
        st.sampled_from(["Ochre Regatta", "Zephyr Harbour", "Ünïcode \u4e00"]),
        st.sampled_from([0.0, 1.5, 7.0]),
        st.sampled_from([{}, {"kind": ("box",)}, {"kind": ("bag", "box"), "colour": ("red",)}]),
    ),
    max_size=8,
)


def _made(found: _Found) -> list[Item]:
    return [thing(number, **fields) for number, fields in found.items()]  # type: ignore[arg-type]


@settings(max_examples=25, deadline=None)
@given(by_hand=_ITEMS, corpora=st.lists(_ITEMS, min_size=1, max_size=3))
def test_updates_and_the_way_back(by_hand: _Found, corpora: list[_Found]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with CatalogueStore.open(folder / "c.sqlite", create=True) as store:
            store.add(_made(by_hand))
            before = [(list(store), store.revisions.owners())]
            expected, owned = {item.id: item for item in store}, set[str]()
            for number, found in enumerate(corpora):
                items = _made(found)
                corpus = open_corpus(write_corpus(folder / str(number), items))
                done = update(store, corpus, write=store.layout.render, embed=None, tell=lambda *_: None, force=True)
                for gone in owned - {item.id for item in items}:
                    del expected[gone]
                expected |= {item.id: item for item in items}
                owned = {str(item.id) for item in items}
                assert {item.id: item for item in store} == expected
                assert set(store.revisions.owned("things")) == owned
                if done.revision is not None:
                    before.append((list(store), store.revisions.owners()))
            for state in reversed(before[:-1]):
                store.revisions.take_back()
                assert (list(store), store.revisions.owners()) == state
