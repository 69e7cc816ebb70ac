"""ReDial and INSPIRED as data sets, on small invented files in every form that they come in."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import zstandard
from pyarrow import parquet

from rarec.catalogue.sources.corpus import corpus_items
from rarec.conversations import DATA_SETS, Watch, data_sets_in, open_data_set, within_catalogue
from rarec.conversations.film_dialogues import is_held_out
from rarec.conversations.inspired import read_inspired
from rarec.errors import InputError
from rarec.types import Conversation, ItemId

SEEKER, RECOMMENDER = 11, 22


def lines(path: Path, *rows: Any) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    packed = {".gz": gzip.compress, ".zst": zstandard.compress}.get(path.suffix)
    path.write_bytes(packed(text) if packed else text)
    return path


def message(text: str, sender: int = SEEKER) -> dict[str, Any]:
    return {"messageId": 1, "text": text, "senderWorkerId": sender, "timeOffset": 0}


def dialogue(number: int, *messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "conversationId": str(number),
        "initiatorWorkerId": SEEKER,
        "respondentWorkerId": RECOMMENDER,
        "messages": list(messages),
        "movieMentions": {"100": "Salt &amp; Rye (2010)", "200": " Blue Tram  (1999)", "300": None},
        "initiatorQuestions": {"100": {"suggested": 1, "seen": 0, "liked": 0}},
        "respondentQuestions": {"100": {"liked": 1}, "200": {"suggested": 1, "seen": 2, "liked": 1}},
        **fields,
    }


SPOKEN = (message("Tea &amp; @100?"), message("No, @200, then @100! Not @999 or @300.", RECOMMENDER), message("thanks"))


def official(folder: Path, **fields: Any) -> Path:
    lines(folder / "train_data.jsonl", dialogue(1, *SPOKEN, **fields))
    lines(folder / "test_data.jsonl", dialogue(2, *SPOKEN, **fields))
    return folder


def spelled(conversation: Conversation) -> list[tuple[str, str | None, str]]:
    return [
        (m.item, None if m.span is None else t.text[slice(*m.span)], m.sentiment)
        for t in conversation.turns
        for m in t.mentions or ()
    ]


def test_redials_own_files_give_titles_spans_roles_and_the_seekers_answers(tmp_path: Path) -> None:
    data_set = open_data_set("redial", official(tmp_path / "mine"))
    watch = Watch()
    (conversation,) = data_set.conversations("test", watch=watch)
    assert conversation.id == "redial_2"
    assert [turn.role for turn in conversation.turns] == ["user", "assistant", "user"]
    assert [turn.text for turn in conversation.turns] == [
        "Tea & Salt & Rye (2010)?",
        "No, Blue Tram (1999), then Salt & Rye (2010)! Not @999 or @300.",
        "thanks",
    ]
    assert spelled(conversation) == [
        ("100", "Salt & Rye (2010)", "disliked"),
        ("200", "Blue Tram (1999)", "liked"),
        ("100", "Salt & Rye (2010)", "disliked"),
    ]
    assert (watch.annotated, watch.mapped) == (3, 3)
    assert [(i.id, i.title, i.year) for i in data_set.items()] == [
        ("100", "Salt & Rye", 2010),
        ("200", "Blue Tram", 1999),
    ]
    assert data_set.corpus() is None
    assert data_set.corpus_popularity() is None


def test_converted_copies_with_lists_and_empty_lists_read_the_same(tmp_path: Path) -> None:
    plain = open_data_set("redial", official(tmp_path / "plain"))
    listed = open_data_set(
        "redial",
        official(
            tmp_path / "listed",
            movieMentions=[
                {"movieId": "100", "movieName": "Salt & Rye (2010)"},
                {"movieId": "200", "movieName": "Blue Tram (1999)"},
                {"movieId": "300", "movieName": None},
            ],
            initiatorQuestions=[{"movieId": "100", "suggested": 1, "seen": 0, "liked": 0}],
            respondentQuestions=[{"movieId": "200", "suggested": 1, "seen": 2, "liked": 1}],
        ),
    )
    assert list(listed.conversations("test")) == list(plain.conversations("test"))
    empty = open_data_set(
        "redial", official(tmp_path / "empty", movieMentions=[], initiatorQuestions=[], respondentQuestions={})
    )
    (conversation,) = empty.conversations("test")
    assert conversation.mentions() == ()
    assert conversation.turns[0].text == "Tea & @100?"


def test_without_a_valid_file_a_tenth_of_train_is_held_out_once_and_for_all(tmp_path: Path) -> None:
    folder = official(tmp_path / "mine")
    lines(folder / "train_data.jsonl", *(dialogue(number, *SPOKEN) for number in range(400)))
    data_set = open_data_set("redial", folder)
    assert data_set.splits() == ("train", "valid", "test")
    train, valid = ({c.id for c in data_set.conversations(split)} for split in ("train", "valid"))
    assert train.isdisjoint(valid)
    assert len(train | valid) == 400
    assert 20 < len(valid) < 60
    assert valid == {f"redial_{n}" for n in range(400) if is_held_out(f"redial_{n}")}
    assert "valid is a tenth" in data_set.info.note
    lines(folder / "valid_data.jsonl", dialogue(9, *SPOKEN))
    assert [c.id for c in data_set.conversations("valid")] == ["redial_9"]
    assert len(list(data_set.conversations("train"))) == 400
    assert "valid is a tenth" not in data_set.info.note


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": [message("hi", 33)]}, r"messages\[0\]\.senderWorkerId"),
        ({"movieMentions": 3}, "movieMentions"),
        ({"movieMentions": [{"movieName": "Salt"}]}, r"movieMentions\[0\]\.movieId"),
        ({"initiatorQuestions": {"100": {"liked": 5}}}, r"initiatorQuestions\.100\.liked"),
        ({"respondentQuestions": {"100": 1}}, r"respondentQuestions\.100"),
    ],
)
def test_wrong_fields_of_redials_own_files_are_named(tmp_path: Path, fields: dict[str, Any], field: str) -> None:
    folder = official(tmp_path / "mine")
    lines(folder / "test_data.jsonl", dialogue(1), dialogue(2, **fields))
    with pytest.raises(InputError, match=rf"test_data\.jsonl' line 2, field '{field}'"):
        list(open_data_set("redial", folder).conversations("test"))


def root(folder: Path) -> Path:
    """A data folder: three films, two of them in the vocabularies."""
    (folder / "mapping").mkdir(parents=True)
    (folder / "corpus").mkdir()
    corpus = {"id": [0, 1, 2], "title": ["Salt", "Blue Tram", "Rye"], "year": [2010, 1999, 1987], "plot": ["x", "", ""]}
    parquet.write_table(pyarrow.table(corpus), folder / "corpus" / "movies.parquet")
    known = {
        "dataset": ["redial", "redial", "inspired"],
        "corpus_id": [1, 0, 1],
        "source_title": [None, None, "The Blue Tram (1998)"],
    }
    parquet.write_table(pyarrow.table(known), folder / "mapping" / "crs_items.parquet")
    ids = {
        "redial_id": [100, 200, 300],
        "title": ["Salt (2010)", "Blue Tram (1999)", "Lost (2000)"],
        "item": [0, 1, None],
    }
    parquet.write_table(pyarrow.table(ids), folder / "mapping" / "redial_movie_ids.parquet")
    return folder


def test_beside_a_mapping_redials_own_files_speak_of_the_corpus(tmp_path: Path) -> None:
    folder = root(tmp_path / "data")
    told = message("@300, @200", RECOMMENDER)
    official(folder / "redial", messages=[message("Salt?"), told])
    expected = [("1", "Blue Tram (1999)", "liked")]
    for place in (folder, folder / "redial"):
        data_set = open_data_set("redial", place)
        watch = Watch()
        (conversation,) = data_set.conversations("test", watch=watch)
        assert conversation.turns[1].text == "Lost (2000), Blue Tram (1999)"
        assert spelled(conversation) == expected
        assert (watch.annotated, watch.mapped) == (2, 1)
        assert [item.id for item in data_set.items()] == ["0", "1"]
        assert [item.id for item in data_set.corpus() or ()] == ["0", "1", "2"]
        assert data_set.corpus_size() == 3
        assert data_set.corpus_popularity() == [item.popularity for item in data_set.corpus() or ()]


def merged(number: int, *items: int | None) -> dict[str, Any]:
    turns = [
        {"role": "seeker", "text": "hello", "items": []},
        {"role": "recommender", "text": "x", "items": list(items), "redial_ids": [None] * len(items)},
    ]
    return {"conv_id": f"redial_{number}", "turns": turns}


def eval_row(number: int, *items: int | None) -> dict[str, Any]:
    truths = [{"item": item, "title": "Salt (2010)"} for item in items]
    place = {"example_id": f"redial_{number}", "index": number, "dialog_id": f"test_{number}", "turn_id": 1}
    return {**place, "context": ["hello"], "context_items": [], "gt": truths}


@pytest.mark.parametrize("split", ["test", "test_a"])
@pytest.mark.parametrize("packing", ["", ".zst", ".gz"])
def test_examples_come_from_eval_where_they_are_else_from_the_conversations(
    tmp_path: Path, split: str, packing: str
) -> None:
    folder = root(tmp_path / "data")
    conversations = lines(folder / "redial" / f"{split}.jsonl{packing}", merged(1, 0), merged(2, 1))
    lines(folder / "redial" / "train.jsonl", merged(3, 2))
    data_set = open_data_set("redial", folder)
    assert data_set.splits() == ("train", split)
    assert [e.targets for e in data_set.examples(split)] == [("0",), ("1",)]
    assert data_set.files(split) == (conversations,)
    examples = lines(folder / "eval" / f"redial_{split}.jsonl{packing}", eval_row(0, 1, None))
    lines(folder / "eval" / f"inspired_{split}.jsonl", eval_row(0, 1))
    (example,) = data_set.examples(split)
    assert example.annotated == ("1", None)
    assert data_set.files(split) == (conversations, examples)


def test_a_split_of_examples_alone_says_that_it_has_no_conversations(tmp_path: Path) -> None:
    folder = root(tmp_path / "data")
    lines(folder / "redial" / "train.jsonl", merged(3, 2))
    lines(folder / "eval" / "redial_test.jsonl", eval_row(0, 1))
    data_set = open_data_set("redial", folder)
    assert data_set.splits() == ("train", "test")
    assert [data_set.has_conversations(split) for split in data_set.splits()] == [True, False]
    with pytest.raises(InputError, match="examples of 'test' but no conversations; it has those of 'train'"):
        list(data_set.conversations("test"))


def test_targets_outside_the_catalogue_become_annotations_that_are_no_item(tmp_path: Path) -> None:
    folder = root(tmp_path / "data")
    lines(folder / "redial" / "train.jsonl", merged(1, 2, 1), merged(2, 1))
    examples = open_data_set("redial", folder).examples("train")
    kept = within_catalogue(examples, [ItemId("0"), ItemId("1")])
    assert [e.annotated for e in kept] == [(None, "1"), ("1",)]
    assert [e.targets for e in kept] == [("1",), ("1",)]
    assert kept[1] is examples[1]


TSV = """dialog_id\tutt_id\tspeaker\tturn_id\ttext\ttext_with_placeholder\tmovies\tgenres
one.pkl\t1\tRECOMMENDER\t1\tHello QUOTATION_MARKyouQUOTATION_MARK\tx\t\t
one.pkl\t2\tSEEKER\t1\tthe blue tram and Rye, rye\tx\tThe Blue Tram (1998);  Rye (1987)\t
one.pkl\t3\tRECOMMENDER\t2\tNowhere, or "Salt\tx\tNowhere (1950); Salt (2010)\t
two.pkl\t1\tSEEKER\t1\thi\tx\t\tdrama
"""


def tsv(folder: Path, text: str = TSV, name: str = "dev.tsv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("inside", ["", "data/dialog_data"])
def test_inspireds_own_files_make_items_of_titles(tmp_path: Path, inside: str) -> None:
    tsv(tmp_path / "mine" / inside)
    data_set = open_data_set("inspired", tmp_path / "mine")
    assert data_set.splits() == ("valid",)
    first, second = data_set.conversations("valid")
    assert (first.id, second.id) == ("inspired_one.pkl", "inspired_two.pkl")
    assert [turn.role for turn in first.turns] == ["assistant", "user", "assistant"]
    assert first.turns[0].text == 'Hello "you"'
    assert spelled(first) == [
        ("the-blue-tram-1998", "the blue tram", "mentioned"),
        ("rye-1987", "Rye", "mentioned"),
        ("nowhere-1950", "Nowhere", "mentioned"),
        ("salt-2010", "Salt", "mentioned"),
    ]
    assert [item.id for item in data_set.items()] == ["nowhere-1950", "rye-1987", "salt-2010", "the-blue-tram-1998"]


def test_beside_a_mapping_inspireds_titles_are_items_of_the_corpus(tmp_path: Path) -> None:
    folder = root(tmp_path / "data")
    tsv(folder / "inspired")
    watch = Watch()
    data_set = open_data_set("inspired", folder)
    first, _ = data_set.conversations("valid", watch=watch)
    assert [m.item for m in first.mentions()] == ["1", "2", "0"]  # Nowhere is in no corpus
    assert (watch.annotated, watch.mapped) == (4, 3)
    assert [item.id for item in data_set.items()] == ["1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TSV.replace("movies", "films"), "no column 'movies'"),
        (TSV.replace("two.pkl\t1\tSEEKER", "two.pkl\t1\tBOT"), "line 5, field 'speaker': 'BOT' is not one of SEEKER"),
        (TSV + "three.pkl\t1\n", "line 6 has 2 fields, the header 8"),
        (TSV.replace("two.pkl", " "), "line 5, field 'dialog_id' is empty"),
        ("", "no column 'dialog_id'"),
    ],
)
def test_wrong_rows_of_inspireds_own_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    data_set = open_data_set("inspired", tsv(tmp_path / "mine", text))
    with pytest.raises(InputError, match=message):
        list(data_set.conversations("valid"))


def test_merged_files_without_their_corpus_say_what_is_missing(tmp_path: Path) -> None:
    lines(tmp_path / "redial" / "train.jsonl", merged(1, 0))
    with pytest.raises(InputError, match=r"line 1 names items of the corpus; put mapping/ and corpus/ beside"):
        open_data_set("redial", tmp_path / "redial").items()
    lines(tmp_path / "inspired" / "train.jsonl", merged(1, 0))
    with pytest.raises(InputError, match=r"names items of the corpus; put mapping/ and corpus/ beside"):
        open_data_set("inspired", tmp_path / "inspired").items()


def test_unknown_names_list_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown data set 'redail'; use one of redial, inspired, reddit-v1"):
        open_data_set("redail", tmp_path)
    with pytest.raises(InputError, match="no folder"):
        open_data_set("redial", tmp_path / "nowhere")
    data_set = open_data_set("redial", official(tmp_path / "mine"))
    for ask in (data_set.conversations, data_set.examples, data_set.files):
        with pytest.raises(InputError, match=r"no split 'dev' under .*; it has 'train', 'valid', 'test'"):
            ask("dev")
    with pytest.raises(InputError, match="it has none"):
        open_data_set("inspired", tmp_path).examples("train")
    assert DATA_SETS == ("redial", "inspired", "reddit-v1", "reddit-v2", "jsonl")


def test_a_data_folder_is_searched_for_every_kind(tmp_path: Path) -> None:
    folder = root(tmp_path / "data")
    official(folder / "redial")
    tsv(folder / "inspired")
    lines(folder / "teas" / "items.jsonl", {"id": "a", "title": "Assam"})
    (folder / "other").mkdir()
    assert [data_set.name for data_set in data_sets_in(folder)] == ["redial", "inspired", "teas"]
    assert [data_set.name for data_set in data_sets_in(folder / "teas")] == ["teas"]
    assert data_sets_in(folder / "other") == []
    assert [data_set.name for data_set in data_sets_in(folder / "redial")] == ["redial"]
    lines(folder / "merged" / "train.jsonl", merged(1, 0))
    assert [data_set.name for data_set in data_sets_in(folder / "merged")] == ["redial"]


@pytest.mark.parametrize("ending", [".zst", ".gz"])
def test_a_cut_archive_is_refused(tmp_path: Path, ending: str) -> None:
    folder = official(tmp_path / "mine")
    whole = lines(folder / f"valid_data.jsonl{ending}", dialogue(1, *SPOKEN))
    whole.write_bytes(whole.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"is the file complete\?"):
        list(open_data_set("redial", folder).conversations("valid"))


def test_a_few_items_of_the_corpus_are_those_of_all(tmp_path: Path) -> None:
    path = root(tmp_path / "data") / "corpus" / "movies.parquet"
    everything = list(corpus_items(path))
    assert list(corpus_items(path, ids=[ItemId("2"), ItemId("0"), ItemId("77")])) == [everything[0], everything[2]]
    assert list(corpus_items(path, ids=())) == []
    seen: list[tuple[int, int]] = []
    assert list(corpus_items(path, progress=lambda *at: seen.append(at))) == everything
    assert seen == [(3, 3)]


def test_an_id_that_comes_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    lines(folder / "test_data.jsonl", dialogue(1, *SPOKEN), dialogue(2, *SPOKEN), dialogue(1, *SPOKEN))
    with pytest.raises(InputError, match=r"line 3, field 'conversationId': 'redial_1' is already that of line 1"):
        list(open_data_set("redial", folder).conversations("test"))
    twice = lines(tmp_path / "inspired.jsonl", *[{"conv_id": "inspired_1", "turns": []}] * 2)
    with pytest.raises(InputError, match=r"line 2, field 'conv_id': 'inspired_1' is already that of line 1"):
        list(read_inspired(twice))


def test_rows_of_a_dialogue_in_two_places_are_refused(tmp_path: Path) -> None:
    text = "dialog_id\tspeaker\ttext\tmovies\n1\tSEEKER\tHello\t\n2\tSEEKER\tHi\t\n1\tSEEKER\tBye\t\n"
    with pytest.raises(InputError, match=r"dev\.tsv' has rows of the dialogue '1' in two places"):
        list(open_data_set("inspired", tsv(tmp_path / "mine", text)).conversations("valid"))


def test_an_id_that_utf8_cannot_write_can_be_held_out() -> None:
    assert is_held_out("redial_\ud800") in (True, False)


def test_a_wrong_first_line_of_a_file_that_only_one_data_set_has_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    lines(folder / "train_data.jsonl", {"messages": []})
    with pytest.raises(InputError, match=r"train_data\.jsonl' line 1, field 'conversationId': is missing"):
        data_sets_in(folder)
