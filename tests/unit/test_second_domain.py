"""The second domain is whole, honest about what it knows, and the same from the same seed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rarec.alignment.recipe import load_align_recipe
from rarec.catalogue.linker import Linker
from rarec.catalogue.validation import item_problem
from rarec.conversations import Example, JsonlSet, examples_from_conversations, read_interactions
from rarec.errors import InputError
from rarec.evaluate.metrics import ndcg_at
from rarec.evaluate.recipe import load_recipe
from rarec.testing.second_domain import KINDS, PEOPLE, SecondDomain, second_domain, write_folder
from rarec.training import load_recipe as load_training_recipe


@cache
def domain() -> SecondDomain:
    return second_domain(0)


def test_the_catalogue_has_no_item_twice_and_every_item_is_whole() -> None:
    items = domain().items
    assert len(items) == 400
    assert len({item.id for item in items}) == 400
    assert len({item.title.casefold().removeprefix("the ") for item in items}) == 400
    for item in items:
        assert item_problem(item) is None
        assert item.text.count(". ") == 1, "two sentences"
        assert item.text.endswith(".")
        assert item.year is not None
        assert set(item.attributes) == {*KINDS, *PEOPLE, "players"}
        assert all(item.attributes.values())


def test_popularity_is_skewed() -> None:
    popularity = np.sort([item.popularity for item in domain().items])[::-1]
    assert popularity[:40].sum() > 0.5 * popularity.sum()


def test_every_mention_spells_its_title_and_the_linker_finds_it() -> None:
    titles = {item.id: item.title for item in domain().items}
    linker = Linker(domain().items)
    for conversation in (*domain().train[:200], *domain().valid, *domain().test):
        for turn in conversation.turns:
            for mention in turn.mentions or ():
                assert mention.span is not None
                start, end = mention.span
                assert turn.text[start:end] == titles[mention.item]
                assert turn.role == "user" or mention.sentiment == "mentioned"
            if conversation in domain().valid[:50]:
                found = {(mention.item, mention.span) for mention in linker.link(turn.text)}
                assert {(mention.item, mention.span) for mention in turn.mentions or ()} <= found


def test_splits_have_different_players_and_every_player_a_history() -> None:
    players = {
        split: {domain().player_of(conversation.id).id for conversation in conversations}
        for split, conversations in domain().splits.items()
    }
    assert {split: len(names) for split, names in players.items()} == {"train": 500, "valid": 150, "test": 150}
    assert set.union(*players.values()) == set(domain().players)
    assert sum(map(len, players.values())) == len(domain().players)
    for split, histories in domain().histories.items():
        assert {history.user for history in histories} == players[split]
        assert all(len(set(history.items)) == len(history.items) >= 6 for history in histories)
        assert {feeling for history in histories for feeling in history.sentiments} == {
            "liked",
            "disliked",
            "mentioned",
        }


def test_no_target_was_named_before() -> None:
    examples = examples_from_conversations(domain().valid)
    assert len(examples) > 500
    assert not any(example.repeated for example in examples)


def test_the_latent_taste_explains_the_choices() -> None:
    examples = examples_from_conversations(domain().valid)
    row = {item.id: at for at, item in enumerate(domain().items)}
    popularity = np.array([item.popularity for item in domain().items])
    rng = np.random.default_rng(0)

    def mean_ndcg(of: dict[str, np.ndarray]) -> float:
        ranks: list[int] = []
        for example in examples:
            scores = of[example.id].astype(float)
            scores[[row[item] for item in example.context_items]] = -np.inf
            ranks += [1 + int((scores > scores[row[target]]).sum()) for target in example.targets]
        return float(ndcg_at(ranks, k=10).mean())

    def scored(function: object) -> dict[str, np.ndarray]:
        return {example.id: function(example) for example in examples}  # type: ignore[operator]

    oracle = mean_ndcg(scored(lambda example: domain().oracle(example.dialogue)))
    popular = mean_ndcg(scored(lambda example: popularity))
    chance = mean_ndcg(scored(lambda example: rng.random(len(row))))
    stranger = mean_ndcg(scored(lambda example: domain().oracle(_another(example))))
    assert oracle > 0.33
    assert oracle > 3 * popular > 9 * chance
    assert stranger < oracle / 2, "one player's taste does not explain another's choices"


def _another(example: Example) -> str:
    number = (int(example.dialogue.split("-")[1]) + 1) % 150
    return f"valid-{number:04d}-1"


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for folder, made in (("one", domain()), ("two", second_domain(0)), ("three", second_domain(5))):
        made.write(tmp_path / folder)
    files = {path.name: {f.name: f.read_bytes() for f in path.iterdir()} for path in tmp_path.iterdir()}
    assert set(files["one"]) == {"items.jsonl", "train.jsonl", "valid.jsonl", "test.jsonl", "data_set.toml"}
    assert files["one"] == files["two"]
    assert files["one"]["items.jsonl"] != files["three"]["items.jsonl"]
    assert files["one"]["train.jsonl"] != files["three"]["train.jsonl"]


def test_a_folder_to_try_things_in(tmp_path: Path) -> None:
    files = write_folder(domain(), tmp_path / "games")
    assert [path.name for path in files] == [
        "align.toml", "data_set.toml", "evaluate.toml", "interactions.csv", "items.jsonl", "test.jsonl", "train.jsonl",
        "train.toml", "valid.jsonl",
    ]  # fmt: skip
    assert read_interactions(tmp_path / "games" / "interactions.csv") == list(domain().histories["train"])
    own = load_training_recipe(tmp_path / "games" / "train.toml").data
    assert own is not None
    assert own.interactions == tmp_path / "games" / "interactions.csv"
    assert load_align_recipe(tmp_path / "games" / "align.toml").data.folder == tmp_path / "games"
    assert load_recipe(tmp_path / "games" / "evaluate.toml").data_sets[0].folder == tmp_path / "games"
    with pytest.raises(InputError, match=r"games' exists and is not an empty folder; name another one"):
        write_folder(domain(), tmp_path / "games")
    with pytest.raises(InputError, match="not an empty folder"):
        write_folder(domain(), tmp_path / "games" / "items.jsonl")
    (tmp_path / "empty").mkdir()
    write_folder(domain(), tmp_path / "empty")


def test_it_reads_back_as_a_data_set(tmp_path: Path) -> None:
    domain().write(tmp_path)
    data = JsonlSet(tmp_path)
    assert data.splits() == ("train", "valid", "test")
    assert tuple(data.items()) == domain().items
    assert tuple(data.conversations("valid")) == domain().valid


def test_an_unknown_conversation_is_named() -> None:
    with pytest.raises(InputError, match="no conversation 'valid-9999-1'"):
        domain().oracle("valid-9999-1")
