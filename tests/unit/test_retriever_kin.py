"""What new items inherit: against the formula by loops, as items come and go, and what must inherit nothing."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save

from counted import counted_bonuses
from rarec.errors import BundleError
from rarec.retriever import kin as module
from rarec.retriever.associations import (
    Associations,
    AssociationScores,
    Context,
    CountsConfig,
    LiveAssociations,
    WordsConfig,
    name_of,
)
from rarec.retriever.bundle import load_retriever, save_retriever
from rarec.retriever.counting import count_neighbours, count_words
from rarec.retriever.features import PopularityScale, item_features
from rarec.retriever.kin import Heirs, Kin, KinConfig
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.types import Conversation, Item, ItemId, Mention, Turn

OLD = [Item(ItemId(f"o{k}"), f"Old {k}", "of old", popularity=float(k)) for k in range(8)]
NEW = [Item(ItemId(f"n{k}"), f"New {k}", "of new", popularity=float(3 * k)) for k in range(5)]
NAMES = {item.id: name_of(item, "title") for item in (*OLD, *NEW)}
TALKS = [
    Conversation(
        (Turn("user", f"word{k % 3} please", (Mention(OLD[k].id),)), Turn("assistant", "", (Mention(OLD[k + 1].id),)))
    )
    for k in range(6)
]
SCALE = PopularityScale([item.popularity for item in (*OLD, *NEW)])
CONFIG = KinConfig(weight=0.8, nearest=3, text=0.5, popularity=0.3)


def features_of(items: list[Item]) -> np.ndarray:
    """Texts are as near as the numbers of the items."""
    angles = [0.3 * int(item.id[1:]) + (item.id[0] == "n") for item in items]
    texts = np.array([[math.cos(a), math.sin(a)] for a in angles], dtype=np.float32).reshape(-1, 2)
    return item_features(texts, [i.popularity for i in items], [None] * len(items), scale=SCALE)


def counted(config: KinConfig = CONFIG) -> Associations:
    neighbours = count_neighbours(TALKS, CountsConfig(), NAMES.get)
    words = count_words(TALKS, WordsConfig(least=1, share=1.0), NAMES.get)
    both = Associations(neighbours, words, "title")
    kin = Kin.of(config, both.names, [NAMES[i.id] for i in OLD], features_of(OLD))
    return Associations(neighbours, words, "title", kin=kin)


def by_hand(associations: Associations, item: Item, context: Context) -> float:
    """The formula of the docstrings, by loops."""
    assert associations.kin is not None
    config, names = associations.kin.config, associations.kin.names
    got = counted_bonuses(associations, [NAMES[i] for i in context.items], context.words)
    (mine,) = features_of([item])
    near = []
    for old in OLD:
        if NAMES[old.id] in names:
            (other,) = features_of([old]).astype(np.float16).astype(np.float64)
            cosine = float(mine[:2] @ other[:2])
            apart = abs(mine[2] - other[2]) if mine[3] else 0.0
            near.append((cosine / config.text - apart / config.popularity, NAMES[old.id]))
    nearest = sorted(near, reverse=True)[: config.nearest]
    total = sum(math.exp(n) for n, _ in nearest)
    odds = sum(math.exp(n) / total * math.expm1(got.get(name, 0.0)) for n, name in nearest)
    return config.weight * math.log1p(odds)


def context_of(items: list[int], words: list[int]) -> Context:
    said = Turn("user", " ".join(f"word{k}" for k in words), tuple(Mention(OLD[k].id) for k in items))
    return Context.of(Conversation((said,)))


@given(st.lists(st.integers(0, 7), max_size=3, unique=True), st.lists(st.integers(0, 3), max_size=2))
def test_new_items_inherit_what_the_formula_says(items: list[int], words: list[int]) -> None:
    associations, context = counted(), context_of(items, words)
    columns = [*NEW[:2], *OLD, *NEW[2:]]
    fixed = AssociationScores(associations, columns, features_of(columns)).each(context)[-1]
    assert fixed.tolist() == pytest.approx(
        [by_hand(associations, i, context) if i in NEW else 0.0 for i in columns], abs=1e-4
    )
    live = LiveAssociations(associations)
    live.put(columns, features_of(columns))
    bonuses = live.bonuses(context)
    assert [bonuses.get(i.id, 0.0) for i in NEW] == pytest.approx(
        [by_hand(associations, i, context) for i in NEW], abs=1e-4
    )
    assert all(gained > 0 for gained in bonuses.values())


def test_only_new_items_with_a_text_inherit_and_only_where_counts_speak_of_the_catalogue() -> None:
    associations, context = counted(), context_of([1, 2], [1])
    bare = Item(ItemId("n4"), "New 4", "", popularity=12.0)
    columns = [*OLD, *NEW[:4], bare]
    found = AssociationScores(associations, columns, features_of(columns)).each(context)[-1]
    assert np.flatnonzero(found).tolist() == [8, 9, 10, 11]
    assert not AssociationScores(associations, columns).each(context)[-1].any(), "nothing to compare by"
    alone = [*NEW, *[Item(ItemId(f"n{k}"), f"Stranger {k}", "text") for k in range(5, 30)]]
    live = LiveAssociations(associations)
    live.put(alone, features_of(alone))
    assert live.bonuses(context) == {}, "a catalogue of another kind"
    assert not AssociationScores(associations, alone, features_of(alone)).of(context).any()


def test_heirs_come_and_go() -> None:
    associations, context = counted(), context_of([1, 2], [1])
    live = LiveAssociations(associations)
    live.put(OLD, features_of(OLD))
    assert not set(live.bonuses(context)) & {i.id for i in NEW}
    for item in NEW:
        live.put([item], features_of([item]))
    assert set(live.bonuses(context)) >= {i.id for i in NEW}
    live.remove([NEW[0].id, ItemId("unknown")])
    renamed = Item(NEW[1].id, OLD[7].title, "of old")  # now known, so it has what is counted for it
    live.put([renamed, Item(NEW[2].id, NEW[2].title, " ")], features_of(NEW[1:3]))
    assert set(live.bonuses(context)) & {i.id for i in NEW} == {NEW[3].id, NEW[4].id}


def test_the_size_of_a_catalogue_is_known_whatever_else_is_read() -> None:
    """Of thirty counted items one is here, beside thirty others: too few to speak of it."""
    there = [Item(ItemId(f"o{k}"), f"Old {k}", "of old", popularity=1.0) for k in range(30)]
    names = {item.id: name_of(item, "title") for item in there}
    talk = Conversation((Turn("user", "", tuple(Mention(item.id) for item in there)),))
    neighbours = count_neighbours([talk], CountsConfig(), names.get)
    kin = Kin.of(CONFIG, names.values(), list(names.values()), features_of(there))
    associations = Associations(neighbours, by="title", kin=kin)
    columns = [there[0], *NEW, *[Item(ItemId(f"n{k}"), f"Stranger {k}", "text") for k in range(5, 30)]]
    live = LiveAssociations(associations)
    live.put(columns, features_of(columns))
    context = Context((there[0].id,))
    assert not AssociationScores(associations, columns, features_of(columns)).of(context).any()
    assert live.bonuses(context) == {}


def test_nobody_inherits_once_features_are_not_given() -> None:
    associations, columns, context = counted(), [*OLD, *NEW], context_of([1, 2], [1])
    live = LiveAssociations(associations)
    live.put(columns, features_of(columns))
    live.put(NEW[:3])
    assert set(live.bonuses(context)) & {i.id for i in NEW} == {NEW[3].id, NEW[4].id}


STEPS = st.lists(
    st.one_of(
        st.lists(st.tuples(st.sampled_from([*OLD[:2], *NEW]), st.booleans()), max_size=6),
        st.sets(st.sampled_from([item.id for item in NEW]), max_size=3),
    ),
    max_size=12,
)


@given(STEPS)
def test_heirs_leave_no_trace_and_of_two_with_one_id_the_last_counts(
    steps: list[list[tuple[Item, bool]] | set[ItemId]],
) -> None:
    kin, left = counted().kin, dict[ItemId, Item]()
    assert kin is not None
    bonuses = np.linspace(0.5, 2, len(kin.names), dtype=np.float32)
    live, fresh = Heirs(kin), Heirs(kin)
    for step in steps:
        if isinstance(step, set):
            live.remove([*step, ItemId("unknown")])
            left = {id: item for id, item in left.items() if id not in step}
        else:
            items = [item if has_text else replace(item, text=" ") for item, has_text in step]
            live.put(items, [NAMES[i.id] for i in items], features_of(items))
            left |= {item.id: item for item in items}
    fresh.put(list(left.values()), [NAMES[id] for id in left], features_of(list(left.values())))
    assert len(live) == len(fresh) == sum(item.text == "of new" for item in left.values())
    assert live.inherited(bonuses) == pytest.approx(fresh.inherited(bonuses))
    assert len(fresh.inherited(bonuses)) == len(fresh)


def test_of_many_those_that_gain_most_inherit(monkeypatch: pytest.MonkeyPatch) -> None:
    associations, context = counted(), context_of([1, 2], [1])
    whole = AssociationScores(associations, [*OLD, *NEW], features_of([*OLD, *NEW])).each(context)[-1]
    monkeypatch.setattr(module, "_MOST", 2)
    few = AssociationScores(associations, [*OLD, *NEW], features_of([*OLD, *NEW])).each(context)[-1]
    best = np.argsort(-whole)[:2]
    assert sorted(np.flatnonzero(few).tolist()) == sorted(best.tolist())
    assert few[best].tolist() == whole[best].tolist()


def test_what_is_inherited_is_a_number_however_large_the_bonuses() -> None:
    kin, heaviest = counted(KinConfig(weight=1e3)).kin, np.float32(1e3 * math.log1p(1e6 * 1e3))
    assert kin is not None
    rows, gained = kin.inherited(kin.ties(features_of(NEW)), np.full(len(kin.names), heaviest))
    assert rows.tolist() == list(range(len(NEW)))
    assert np.isfinite(gained).all()


def test_what_nobody_can_inherit_from_gives_nothing() -> None:
    for kin in (Kin.of(CONFIG, [], [], features_of([])), Kin.of(CONFIG, ["a0"], [], features_of([]))):
        heirs = Heirs(kin)
        heirs.put(NEW, [NAMES[i.id] for i in NEW], features_of(NEW))
        assert heirs.inherited(np.zeros(0, np.float32)) == {}
    off = counted(KinConfig(weight=0.0))
    assert off.weights.kin == 0
    assert off.with_weights(off.weights).kin is None
    assert not Associations(kin=counted().kin), "there is nothing to inherit"
    with pytest.raises(ValueError, match=r"\(n, 6\)"):
        counted().kin.ties(np.zeros((2, 4), np.float32))  # type: ignore[union-attr]


def test_a_bundle_keeps_relatives(tmp_path: Path) -> None:
    model = Retriever(RetrieverConfig(text_dimension=2, width=4, item_hidden=4, blocks=1))
    model.associations = counted()
    save_retriever(tmp_path, model, embedder="e", training={})
    kin, old = load_retriever(tmp_path, embedder="e").associations.kin, model.associations.kin
    assert kin is not None
    assert old is not None
    assert (kin.config, kin.names) == (old.config, old.names)
    assert kin.features.tolist() == old.features.tolist()
    assert kin.known.tolist() == old.known.tolist() == sorted(kin.known.tolist())
    model.associations = counted()
    object.__setattr__(model.associations.kin, "features", np.zeros((len(old.names), 9), np.float16))
    save_retriever(tmp_path, model, embedder="e", training={})
    with pytest.raises(BundleError, match="relatives have 9 features, not 3"):
        load_retriever(tmp_path, embedder="e")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": torch.ones(7, 3)}, "of another kind"),
        ({"features": torch.ones(7, 3, dtype=torch.int16)}, "of another kind"),
        ({"features": torch.full((7, 3), math.nan, dtype=torch.float16)}, "no number"),
        ({"features": torch.ones(6, 3, dtype=torch.float16)}, "do not fit their names"),
        ({"features": torch.tensor(1, dtype=torch.float16)}, "do not fit their names"),
        ({"known": torch.tensor([[1, 2]])}, "of another kind"),
        ({"known": torch.tensor([200, 100], dtype=torch.uint8)}, "of another kind"),
        ({"known": torch.tensor([1, -2])}, "not in order"),
        ({"known": None}, "kin.known"),
        ({"names": b'["a", "a", "b", "c", "d", "e", "f"]'}, "comes twice"),
        ({"names": b'[1, 2, 3, 4, 5, 6, 7]'}, "no texts"),
        ({"names": b"[" * 100_000}, "recursion"),
        ({"names": b"7"}, "not iterable"),
    ],
)  # fmt: skip
def test_relatives_that_do_not_fit_are_refused(
    tmp_path: Path, change: dict[str, torch.Tensor | bytes | None], message: str
) -> None:
    model = Retriever(RetrieverConfig(text_dimension=2, width=4, item_hidden=4, blocks=1))
    model.associations = counted()
    save_retriever(tmp_path, model, embedder="e", training={})
    path, manifest = tmp_path / "retriever.safetensors", tmp_path / "retriever.json"
    tensors = load(path.read_bytes())
    for name, value in change.items():
        made = torch.frombuffer(bytearray(value), dtype=torch.uint8) if isinstance(value, bytes) else value
        tensors |= {f"kin.{name}": made} if made is not None else {}
        if made is None:
            del tensors[f"kin.{name}"]
    path.write_bytes(save(tensors))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sha256": sha256}))
    with pytest.raises(BundleError, match=f"(?s)config in .* is wrong.*{message}.*rarec train"):
        load_retriever(tmp_path, embedder="e")


@pytest.mark.parametrize("room", [0, 1, 20])  # with one the last finds no room
def test_who_reads_meanwhile_sees_every_heir_once(room: int) -> None:
    associations = counted()
    assert associations.kin is not None
    heirs, bonuses = Heirs(associations.kin), np.linspace(0.5, 2, len(associations.kin.names), dtype=np.float32)
    names, features = [NAMES[item.id] for item in NEW], features_of(NEW)
    for _ in range(room):
        heirs.put(NEW, names, features)
    heirs.put(NEW, names, features)
    wanted, seen = dict(heirs.inherited(bonuses)), 0

    def look(frame: FrameType, event: str, argument: object) -> object:
        nonlocal seen
        if event == "line":
            found = heirs.inherited(bonuses)
            assert found.numbers.tolist() == sorted(set(found.numbers.tolist()))
            assert dict(found) == pytest.approx(wanted)
            seen += 1
        return look

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: look if frame.f_code.co_filename == module.__file__ else None)
    try:
        heirs.put(NEW, names, features)
    finally:
        sys.settrace(before)
    assert seen > 20


@pytest.mark.parametrize("kind", ["neighbours", "words", "kin"])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, kind: str) -> None:
    model = Retriever(RetrieverConfig(text_dimension=2, width=4, item_hidden=4, blocks=1))
    model.associations = counted()
    save_retriever(tmp_path, model, embedder="e", training={})
    manifest = json.loads((tmp_path / "retriever.json").read_text())
    assert load_retriever(tmp_path, embedder="e").associations
    manifest["config"][kind]["weight"] = math.inf
    (tmp_path / "retriever.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"(?s)weight.*finite"):
        load_retriever(tmp_path, embedder="e")
