"""Data sets by name on the real data: the sizes that their descriptions state, and ReDial's own format."""

import html
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from rarec.conversations import Watch, data_sets_in, open_data_set
from rarec.conversations.lines import json_records
from rarec.conversations.summary import Share, summarise

pytestmark = pytest.mark.shared_data

SIZES = {  # conversations, turns, annotated mentions, mapped ones
    ("redial", "train"): (4471, 82_143, 28_914, 28_912),
    ("redial", "valid"): (901, 16_397, 5807, 5807),
    ("inspired", "train"): (801, 16_982, 4163, 3853),
    ("inspired", "valid"): (99, 2053, 546, 516),
}


def test_every_data_set_is_found(shared_data: Path) -> None:
    found = {data_set.name: data_set.splits() for data_set in data_sets_in(shared_data)}
    halves = ("train", "valid", "test_a")
    assert found == {"redial": halves, "inspired": halves, "reddit-v2": ("sample",)}
    assert [data_set.name for data_set in data_sets_in(shared_data / "inspired")] == ["inspired"]


@pytest.mark.parametrize(("name", "split"), SIZES)
def test_splits_have_their_known_sizes(shared_data: Path, name: str, split: str) -> None:
    watch = Watch()
    conversations = list(open_data_set(name, shared_data).conversations(split, watch=watch))
    turns = sum(len(conversation.turns) for conversation in conversations)
    assert (len(conversations), turns, watch.annotated, watch.mapped) == SIZES[name, split]


@pytest.mark.parametrize(("name", "items"), [("redial", 6124), ("inspired", 1095), ("reddit-v2", 6938)])
def test_catalogues_and_the_corpus_have_their_known_sizes(shared_data: Path, name: str, items: int) -> None:
    data_set = open_data_set(name, shared_data)
    ids = [item.id for item in data_set.items()]
    assert len(ids) == len(set(ids)) == items
    assert ids == sorted(ids, key=int)
    assert data_set.corpus_size() == 231_171


def test_inspireds_test_half_has_its_known_figures(shared_data: Path) -> None:
    (test,) = [split for split in summarise(open_data_set("inspired", shared_data)).splits if split.split == "test_a"]
    assert (test.conversations, test.examples, test.targets) == (52, 123, 135)
    assert test.targets_mapped == Share(136, 139)
    assert test.outside == Share(0, 135)


def test_the_reddit_sample_has_its_known_figures(shared_data: Path) -> None:
    data_set = open_data_set("reddit-v2", shared_data)
    examples = data_set.examples("sample")
    annotated = [item for example in examples for item in example.annotated]
    assert (len(examples), len(annotated), sum(item is not None for item in annotated)) == (100, 476, 472)
    assert len({example.dialogue for example in examples}) == 29
    known = {item.id for item in data_set.items()}
    assert known.issuperset(target for example in examples for target in example.targets)
    watch = Watch()
    assert len(list(data_set.conversations("sample", watch=watch))) == 100
    assert (watch.annotated, watch.mapped) == (1182, 1177)


def officials(shared_data: Path, count: int) -> Iterator[dict[str, Any]]:
    """Dialogues of the merged file, written as ReDial's own files write them."""
    merged = open_data_set("redial", shared_data)
    path = merged.files("valid")[0]
    for record, conversation in islice(zip(json_records(path), merged.conversations("valid"), strict=True), count):
        labels = {label["redial_id"]: label for label in record.value["labels"]}  # type: ignore[attr-defined]
        titles: dict[str, str] = {}
        messages = []
        for turn, value in zip(conversation.turns, record.value["turns"], strict=True):  # type: ignore[call-overload]
            text = turn.text
            marks = zip(turn.mentions or (), value["redial_ids"], strict=True)
            for mention, movie in sorted(marks, key=lambda mark: mark[0].span or (0, 0), reverse=True):
                start, end = mention.span or (0, 0)
                titles[movie] = text[start:end]
                text = f"{text[:start]}@{movie}{text[end:]}"
            messages.append({"text": html.escape(text, quote=False), "senderWorkerId": 1 if turn.role == "user" else 2})
        yield {
            "conversationId": conversation.id.removeprefix("redial_"),
            "initiatorWorkerId": 1,
            "respondentWorkerId": 2,
            "messages": messages,
            "movieMentions": titles,
            "initiatorQuestions": {movie: label["seeker"] for movie, label in labels.items() if "seeker" in label},
            "respondentQuestions": {
                movie: label["recommender"] for movie, label in labels.items() if "recommender" in label
            },
        }


def test_redials_own_format_gives_what_the_merged_one_gives(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "redial").mkdir()
    for name in ("mapping", "corpus"):
        (tmp_path / name).symlink_to(shared_data / name)
    with (tmp_path / "redial" / "valid_data.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(dialogue) + "\n" for dialogue in officials(shared_data, 300))
    ours = list(open_data_set("redial", tmp_path).conversations("valid"))
    merged = list(islice(open_data_set("redial", shared_data).conversations("valid"), 300))
    assert [c.id for c in ours] == [c.id for c in merged]
    for mine, theirs in zip(ours, merged, strict=True):
        assert [t.role for t in mine.turns] == [t.role for t in theirs.turns]
        for own, other in zip(mine.turns, theirs.turns, strict=True):
            # Mentions that the merged file has out of order, or under two ids of one film, come in the text's order.
            assert sorted(m.item for m in own.mentions or ()) == sorted(m.item for m in other.mentions or ())
    same = [
        own.sentiment == other.sentiment
        for mine, theirs in zip(ours, merged, strict=True)
        for own, other in zip(mine.mentions(), theirs.mentions(), strict=True)
        if own.item == other.item
    ]
    assert len(same) > 1500
    assert sum(same) / len(same) > 0.99
