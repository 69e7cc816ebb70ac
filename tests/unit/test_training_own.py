"""Data of one's own domain: what a run makes of it, and what it refuses."""

from __future__ import annotations

import json
import logging
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rarec.training.own
from rarec.assembly import create_store
from rarec.catalogue import CatalogueStore, load_layout
from rarec.embed.cache import CachedEmbedder
from rarec.errors import InputError, SettingsError, StoreError
from rarec.testing import HashEmbedder
from rarec.testing.second_domain import SecondDomain, second_domain, write_folder
from rarec.training import OwnData, TrainingRecipe, card, load_recipe
from rarec.training.material import Material
from rarec.training.own import LEAST_ITEMS, own_material


@cache
def domain() -> SecondDomain:
    return second_domain(2)


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("invented") / "games"
    write_folder(domain(), folder)
    for split, count in (("train", 30), ("valid", 10)):
        keep(folder / f"{split}.jsonl", count)
    keep(folder / "interactions.csv", 300)
    return folder


@pytest.fixture
def games(invented: Path, tmp_path: Path) -> Path:
    """A folder that a test may spoil."""
    shutil.copytree(invented, tmp_path / "games")
    return tmp_path / "games"


def keep(path: Path, lines: int) -> None:
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]), encoding="utf-8")


def of(folder: Path, **changes: Any) -> OwnData:
    named = {"catalogue": "items.jsonl", "conversations": ".", "interactions": "interactions.csv", **changes}
    return OwnData.model_validate(named).placed(folder)


def material(own: OwnData, *, hold_back: float = 0.0) -> Material:
    folder = own.conversations.parent / "cache"
    folder.mkdir(exist_ok=True)
    embedder = CachedEmbedder(HashEmbedder(16), folder / "e.sqlite")
    return own_material(own, embedder, lambda *_: None, hold_back=hold_back)


def test_everything_is_read_and_told_on_the_card(games: Path) -> None:
    found = material(of(games))
    assert found.items == list(domain().items)
    assert found.table.features.shape == (400, 20)
    assert found.catalogues.keys() == {"board-games"}
    np.testing.assert_array_equal(found.catalogues["board-games"], np.arange(400))
    np.testing.assert_array_equal(found.candidates, np.arange(400))
    assert found.talks is not None
    assert [c for c, _ in found.talks.training] == list(domain().train[:30])
    assert {visits for _, visits in found.talks.training} == {1}
    (valid,) = found.talks.valid.values()
    assert [c.id for c in valid] == [c.id for c in domain().valid[:10]]
    assert {m.sentiment for c in valid for m in c.mentions()} == {"mentioned"}, "as when serving"
    first, history = found.people[0], domain().histories["train"][0]
    assert [found.items[row].id for row in first.rows] == list(history.items)
    assert {"mentioned": 0, "liked": 1, "disliked": 2}[history.sentiments[0]] == first.sentiment[0]
    text = card(TrainingRecipe(data=of(games), held_back=0.25), {"mine": {"retriever": {"n": 1}}}, "e", found.story)
    assert "299 interactions of" in text
    assert "30 training conversations of Invented board games (licence: that of rarec;" in " ".join(text.split())
    assert "400 items" in text
    assert "without the 25%" in text
    assert not [word for word in ("film", "movie", "ReDial", "INSPIRED") if word.casefold() in text.casefold()]
    assert all(line == line.rstrip() for line in text.splitlines())
    assert found.about["conversations"] == {"train": 30, "valid": 10}


def test_what_is_held_back_is_not_learned_from(games: Path) -> None:
    found = material(of(games, interactions=None), hold_back=0.5)
    assert found.talks is not None
    assert 5 < len(found.talks.training) < 25
    assert found.people == []
    assert "pretraining" not in found.story.learned_from
    with pytest.raises(InputError, match=r"held_back = 0\.9999 leaves none of the 30 training conversations; lower it"):
        material(of(games), hold_back=0.9999)


def test_a_store_is_a_catalogue_and_brings_its_layout(games: Path) -> None:
    paths = create_store(games.parent / "shop", layout="film")
    with CatalogueStore.open(paths.catalogue) as catalogue:
        catalogue.add(domain().items)
    plain, stored = material(of(games)), material(of(games, catalogue="../shop"))
    assert stored.items == plain.items
    assert stored.content["items"] != plain.content["items"]
    assert stored.content["conversations"] == plain.content["conversations"]
    assert material(of(games, catalogue="../shop", layout="generic")).content == plain.content
    assert load_layout("film").render(stored.items[0]) != load_layout("generic").render(stored.items[0])
    with pytest.raises(StoreError, match="no catalogue at"):
        material(of(games, catalogue="."))


def test_a_table_with_commas_is_a_catalogue(games: Path) -> None:
    lines = [f"{item.id},{item.title}" for item in domain().items]
    (games / "items.csv").write_text("\n".join(["id,title", *lines]), encoding="utf-8")
    assert [item.id for item in material(of(games, catalogue="items.csv")).items] == [i.id for i in domain().items]


def test_a_table_with_other_columns_belongs_in_a_store(games: Path) -> None:
    (games / "items.csv").write_text("sku,name\n1,Go\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"items\.csv': no column 'title'.* make a store with it and name that as"):
        material(of(games, catalogue="items.csv"))


def test_what_the_content_hangs_on(games: Path) -> None:
    before = material(of(games)).content
    assert material(of(games)).content == before
    keep(games / "interactions.csv", 200)
    fewer = material(of(games)).content
    assert {name for name in before if fewer[name] != before[name]} == {"interactions"}
    keep(games / "train.jsonl", 29)
    assert {name for name, value in material(of(games)).content.items() if fewer[name] != value} == {"conversations"}


def test_foreign_items_are_counted_and_told(games: Path, caplog: pytest.LogCaptureFixture) -> None:
    items = [json.loads(line) for line in (games / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    kept = items[:200]
    known = {item["id"] for item in kept}
    (games / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in kept), encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        found = material(of(games))
    told = [record.getMessage() for record in caplog.records]
    named = [m.item for c in domain().train[:30] for m in c.mentions()]
    foreign = [item for item in named if item not in known]
    assert f"{len(foreign)} of {len(named)} mentions name an item that the catalogue lacks" in told[0]
    assert f"{len(set(foreign))} different ones, first {foreign[0]!r}" in told[0]
    assert "valid.jsonl" in told[1]
    assert "of 299 interactions" in told[2]
    assert sum(len(person.rows) for person in found.people) < 299
    assert all(row < 200 for person in found.people for row in person.rows)


def test_of_many_items_only_the_named_compete(games: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rarec.training.own, "ALL_COMPETE", 300)
    found = material(of(games))
    named = {m.item for c in (*domain().train[:30], *domain().valid[:10]) for m in c.mentions()}
    assert {found.items[row].id for row in found.candidates} == named
    assert len(found.catalogues["board-games"]) == 400


def spoil(folder: Path, name: str, text: str | None) -> None:
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text, encoding="utf-8")


FOREIGN = {"id": "x", "turns": [{"role": "assistant", "text": "Try it.", "mentions": [{"item": "nothing"}]}]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train.jsonl", None, r"'board-games' has no split 'train' under .*; it has 'valid', 'test'"),
        ("valid.jsonl", "", r"valid\.jsonl' has no conversations; training needs some in train and in valid"),
        ("train.jsonl", '{"id": "x", "turns": []}\n', r"no assistant's turn in .*train\.jsonl' mentions a new item"),
        ("valid.jsonl", json.dumps(FOREIGN), r"no assistant's turn in .*valid\.jsonl' mentions .* link the mentions"),
        ("train.jsonl", "{}", r"train\.jsonl' line 1, field 'turns'"),
        ("items.jsonl", None, r"no file .*items\.jsonl"),
        ("items.jsonl", '{"id": "a", "title": "A"}\n', rf"has 1 items; at least {LEAST_ITEMS} are needed, add some"),
        ("items.jsonl", '{"id": "a"}\n', r"items\.jsonl' line 1: title is empty.*rarec import --skip-bad"),
        ("interactions.csv", None, r"no file .*interactions\.csv"),
        ("interactions.csv", "user,item,time\n", r"interactions\.csv' has no interactions; fill it, or leave"),
        ("interactions.csv", "user,item,time\nu,a,1\nu,b,2\n", r"none of the 1 users .*check the ids, or leave"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(games: Path, name: str, text: str | None, message: str) -> None:
    spoil(games, name, text)
    with pytest.raises(InputError, match=message):
        material(of(games))


def test_missing_folders_and_layouts(games: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        material(of(games, conversations="none"))
    with pytest.raises(SettingsError, match=r"no layout .*mine\.toml"):
        material(of(games, layout="mine.toml"))


def test_paths_are_of_the_recipes_folder_or_of_another(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        '[data]\ncatalogue = "items.csv"\nconversations = "talk"\nlayout = "mine.toml"\nliked_from = 8\n'
        "[retriever]\ntext_dimension = 384\n"
    )
    own = load_recipe(tmp_path / "own.toml").data
    assert own == OwnData(
        catalogue=tmp_path / "items.csv",
        conversations=tmp_path / "talk",
        layout=str(tmp_path / "mine.toml"),
        liked_from=8,
    )
    moved = load_recipe(tmp_path / "own.toml", data=tmp_path / "there").data
    assert moved is not None
    assert moved.catalogue == tmp_path / "there" / "items.csv"
    assert moved.interactions is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('visits = { games = 2 }\n[data]\ncatalogue = "a"\nconversations = "b"', "visits weighs the film data sets"),
        ('[data]\ncatalogue = "a"', r"data\.conversations"),
        ('[data]\ncatalogue = "a"\nconversations = "b"\nliked_from = 2', "disliked_to must be less than liked_from"),
        ('[data]\ncatalogue = "a"\nconversations = "b"\nlogs = "c"', r"data\.logs"),
    ],
)
def test_wrong_values_are_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_recipe(tmp_path / "own.toml")
