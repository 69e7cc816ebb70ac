"""The readers on the real data sets."""

import json
import re
from collections import Counter, defaultdict
from itertools import groupby
from pathlib import Path

import pytest
import zstandard

from rarec.conversations import (
    Example,
    data_set_catalogue,
    data_set_items,
    examples_from_conversations,
    read_examples,
    read_ml1m,
    read_split,
)

pytestmark = pytest.mark.shared_data
SIZES = {("redial", "valid"): (901, 5807), ("redial", "test_a"): (699, 4403), ("inspired", "valid"): (99, 516)}


@pytest.mark.parametrize("name", SIZES)
def test_every_mapped_mention_is_read_and_redial_titles_are_found(shared_data: Path, name: tuple[str, str]) -> None:
    conversations = list(read_split(shared_data, *name))
    pairs = [(t.text, m) for c in conversations for t in c.turns for m in t.mentions or ()]
    assert (len(conversations), len(pairs)) == SIZES[name]
    found = [text[m.span[0] : m.span[1]] for text, m in pairs if m.span is not None]
    assert len(found) >= (len(pairs) if name[0] == "redial" else 0.85 * len(pairs))
    assert all(text.strip() for text in found)


def test_catalogues_have_their_known_sizes(shared_data: Path) -> None:
    assert len(data_set_catalogue(shared_data, "redial")) == 6124
    assert len(data_set_catalogue(shared_data, "inspired")) == 1095


def test_movielens_has_its_known_size(shared_data: Path) -> None:
    users = list(read_ml1m(shared_data / "movielens" / "ml1m_ratings.parquet"))
    assert len(users) == 6040
    assert sum(len(user.items) for user in users) == 999_611
    assert all(len(user.items) == len(user.sentiments) for user in users)


@pytest.fixture(scope="module", params=["redial", "inspired"])
def examples(shared_data: Path, request: pytest.FixtureRequest) -> tuple[str, list[Example]]:
    items = data_set_items(shared_data, request.param)
    path = shared_data / "eval" / f"{request.param}_test_a.jsonl.zst"
    return request.param, read_examples(path, catalogue_items=items)


def test_test_examples_have_their_known_sizes_and_lose_no_annotation(
    shared_data: Path, examples: tuple[str, list[Example]]
) -> None:
    name, found = examples
    new = sum(len(set(e.targets) - e.repeated) for e in found)
    assert (len(found), sum(len(e.annotated) for e in found), new) == {
        "redial": (1815, 2455, 2198),
        "inspired": (123, 139, 114),
    }[name]
    catalogue = set(data_set_catalogue(shared_data, name))
    for example in found:
        assert {m.item for m in example.conversation.mentions()} == set(example.context_items)
        assert catalogue.issuperset(example.targets)


def test_most_context_mentions_are_found_where_they_stand(examples: tuple[str, list[Example]]) -> None:
    name, found = examples
    spans = Counter(m.span is not None for e in found for m in e.conversation.mentions())
    assert spans[True] / spans.total() > {"redial": 0.9, "inspired": 0.5}[name]


def test_roles_are_those_of_the_dialogue(shared_data: Path, examples: tuple[str, list[Example]]) -> None:
    """Contexts join what one speaker wrote in a row; a text that both speakers wrote tells nothing."""
    name, found = examples
    roles: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for conversation in read_split(shared_data, name, "test_a"):
        for role, turns in groupby(conversation.turns, key=lambda turn: turn.role):
            texts = [turn.text for turn in turns]
            for text in (*texts, " ".join(texts)):
                roles[_digits(conversation.id)][_letters(text)].add(role)
    agree = Counter(
        turn.role in known
        for example in found
        for turn in example.conversation.turns
        if len(known := roles[_digits(example.dialogue)][_letters(turn.text)]) == 1
    )
    assert agree[True] > {"redial": 9900, "inspired": 1300}[name]
    assert agree[False] == 0


def test_the_prompts_own_prefixes_are_wrong_where_the_assistant_spoke_first(
    shared_data: Path, examples: tuple[str, list[Example]]
) -> None:
    name, found = examples
    with zstandard.open(shared_data / "eval" / f"{name}_test_a.jsonl.zst", "rt", encoding="utf-8") as file:
        inputs = [json.loads(line)["input"] for line in file]
    ours = ["user" if e.conversation.turns[0].role == "user" else "system" for e in found if e.conversation.turns]
    theirs = [text.strip().split(":")[0].lower() for e, text in zip(found, inputs, strict=True) if e.conversation.turns]
    differ = sum(a != b for a, b in zip(ours, theirs, strict=True))
    assert differ == {"redial": 1134, "inspired": 0}[name]


def _digits(text: str) -> str:
    return re.sub(r"\D+", "", text)


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text).lower()


def test_validation_turns_make_examples_of_the_same_shape(shared_data: Path) -> None:
    found = examples_from_conversations(read_split(shared_data, "redial", "valid"))
    assert (len(found), sum(len(e.targets) for e in found)) == (3120, 3576)
    assert all(e.targets for e in found)
