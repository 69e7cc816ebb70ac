"""Reddit-Movie v1 and v2 on small invented files in the forms that they come in."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from rarec.conversations import Watch, open_data_set
from rarec.errors import InputError

COLUMNS = ("conv_id", "turn_id", "turn_order", "user_id", "is_seeker", "utc_time", "upvotes", "processed", "raw")
NAMES = {"tt0000001": "Salt & Rye (2010)", "tt0000002": "Blue Tram (1999)", "tt10000003": "It (1987)"}
ASK, TRAM, THANKS, IT = "t3_aaa", "t1_b", "t1_c", "t1_d"
LONG = "so, a long story.\n\n" * 8_000  # longer than the csv module takes


def row(path: int, turn: str, order: int, processed: str, raw: str, *, paths: int = 2) -> dict[str, str]:
    seeker = turn in (ASK, THANKS)
    role = "USER" if seeker else "SYSTEM"
    return {
        "conv_id": f"t3_aaa_{path}/{paths}",
        "turn_id": turn,
        "turn_order": str(order),
        "user_id": "t2_x",
        "is_seeker": str(seeker),
        "utc_time": "1641234238",
        "upvotes": "" if order == 0 else "6",
        "processed": str([role, processed]),
        "raw": str([role, raw]),
    }


def rows() -> list[dict[str, str]]:
    """Two paths through one thread: they share the request and the first answer."""
    ask = (ASK, 0, f'{LONG}like tt0000001,\nisn\'t it? "please"', f'{LONG}like salt &amp; rye,\nisn\'t it? "please"')
    tram = (TRAM, 1, "tt0000002 or tt9999999 or tt0000001", "Blue Tram or Unknown or Salt & Rye (2010)")
    return [
        row(0, *ask),
        row(0, *tram),
        row(0, THANKS, 2, "thanks", "thanks"),
        row(1, *ask),
        row(1, *tram),
        row(1, IT, 2, "tt10000003 then tt10000003", "It then that"),
    ]


def v1(
    folder: Path, table: list[dict[str, str]], *, names: dict[str, str] | None = NAMES, name: str = "train.csv"
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    opener = gzip.open if name.endswith(".gz") else open
    with opener(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(table)
    if names is not None:
        (folder / "id2name.json").write_text(json.dumps(names), encoding="utf-8")
    return folder


def as_json(table: list[dict[str, str]], *, parsed: bool) -> str:
    def typed(value: dict[str, str]) -> dict[str, Any]:
        role = "USER" if value["is_seeker"] == "True" else "SYSTEM"
        texts = {f: [role, eval_free(value[f])] if parsed else value[f] for f in ("processed", "raw")}
        return {**value, **texts, "turn_order": int(value["turn_order"]), "is_seeker": role == "USER"}

    return "".join(json.dumps(typed(value)) + "\n" for value in table)


def eval_free(cell: str) -> str:
    import ast

    return str(ast.literal_eval(cell)[1])


def spelled(data: Any) -> list[tuple[str, str | None]]:
    return [(m.item, None if m.span is None else t.text[slice(*m.span)]) for t in data.turns for m in t.mentions or ()]


def test_paths_become_conversations_with_roles_titles_and_spans(tmp_path: Path) -> None:
    data_set = open_data_set("reddit-v1", v1(tmp_path / "mine", rows()))
    assert data_set.splits() == ("train",)
    watch = Watch()
    first, second = data_set.conversations("train", watch=watch)
    assert (first.id, second.id) == ("t3_aaa_0/2", "t3_aaa_1/2")
    assert [turn.role for turn in first.turns] == ["user", "assistant", "user"]
    assert first.turns[0].text.startswith("so, a long story.\n\nso")
    assert first.turns[0].text.endswith('like salt & rye,\nisn\'t it? "please"')
    assert spelled(first) == [
        ("tt0000001", "salt & rye"),
        ("tt0000002", "Blue Tram"),
        ("tt0000001", "Salt & Rye (2010)"),
    ]
    assert spelled(second)[3:] == [("tt10000003", "It"), ("tt10000003", None)]
    assert (watch.annotated, watch.mapped) == (10, 8)  # tt9999999 has no name, in either path
    assert next((i.id, i.title, i.year) for i in data_set.items()) == ("tt0000001", "Salt & Rye", 2010)
    assert data_set.corpus() is None


def test_a_turn_that_paths_share_is_one_example_of_its_thread(tmp_path: Path) -> None:
    data_set = open_data_set("reddit-v1", v1(tmp_path / "mine", rows()))
    tram, it = data_set.examples("train")
    assert (tram.turn, tram.index, tram.dialogue) == (TRAM, 0, "t3_aaa")
    assert (it.turn, it.index, it.dialogue) == (IT, 1, "t3_aaa")
    assert tram.targets == ("tt0000002", "tt0000001")
    assert tram.repeated == {"tt0000001"}
    assert it.targets == ("tt10000003",)
    assert it.context_items == ("tt0000001", "tt0000002")
    assert tram.id != it.id


@pytest.mark.parametrize("shuffle", [[5, 0, 3, 1, 4, 2], [3, 0, 1, 4, 5, 2]])
def test_rows_in_any_order_give_the_same_conversations(tmp_path: Path, shuffle: list[int]) -> None:
    expected = {c.id: c for c in open_data_set("reddit-v1", v1(tmp_path / "a", rows())).conversations("train")}
    table = rows()
    mixed = open_data_set("reddit-v1", v1(tmp_path / "b", [table[i] for i in shuffle]))
    assert {c.id: c for c in mixed.conversations("train")} == expected


@pytest.mark.parametrize("parsed", [True, False])
def test_json_lines_read_like_the_table(tmp_path: Path, parsed: bool) -> None:
    expected = list(open_data_set("reddit-v1", v1(tmp_path / "a", rows())).conversations("train"))
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "validation.jsonl").write_text(as_json(rows(), parsed=parsed), encoding="utf-8")
    (folder / "id2name.json").write_text(json.dumps(NAMES), encoding="utf-8")
    data_set = open_data_set("reddit-v1", folder)
    assert data_set.splits() == ("valid",)
    assert list(data_set.conversations("valid")) == expected


def test_a_packed_table_reads_the_same_and_tells_how_far_it_is(tmp_path: Path) -> None:
    expected = list(open_data_set("reddit-v1", v1(tmp_path / "a", rows())).conversations("train"))
    data_set = open_data_set("reddit-v1", v1(tmp_path / "b", rows(), name="train.csv.gz"))
    told: list[tuple[int, int]] = []
    assert list(data_set.conversations("train", watch=Watch(lambda *at: told.append(at)))) == expected
    size = (tmp_path / "b" / "train.csv.gz").stat().st_size
    assert told[-1] == (size, size)


def corpus(folder: Path, *, vocabulary: bool) -> Path:
    (folder / "corpus").mkdir(parents=True)
    table = {
        "id": [0, 1, 2],
        "title": ["Blue Tram", "Salt & Rye", "Alone"],
        "year": [1999, 2010, 1950],
        "plot": ["", "", ""],
        "imdb_id": ["tt0000002", None, "tt0000009"],
    }
    parquet.write_table(pyarrow.table(table), folder / "corpus" / "movies.parquet")
    if vocabulary:
        (folder / "mapping").mkdir()
        known = {
            "dataset": ["reddit", "reddit"],
            "entity_id": ["tt0000001", "tt0000002"],
            "entity_name": ["Salt & Rye (2010)", "Blue Tram (1999)"],
            "corpus_id": [1, 0],
        }
        parquet.write_table(pyarrow.table(known), folder / "mapping" / "crs_items.parquet")
    return folder


def test_beside_a_corpus_imdb_ids_become_its_items(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "by-imdb", vocabulary=False)
    v1(folder / "reddit", rows())
    data_set = open_data_set("reddit-v1", folder)
    first, _ = data_set.conversations("train")
    assert spelled(first) == [("0", "Blue Tram")]
    assert [item.id for item in data_set.items()] == ["0"]
    assert data_set.corpus_size() == 3


@pytest.mark.parametrize("names", [NAMES, None])
def test_the_vocabulary_of_a_mapping_comes_first(tmp_path: Path, names: dict[str, str] | None) -> None:
    folder = corpus(tmp_path / "data", vocabulary=True)
    v1(folder / "reddit", rows(), names=names)
    data_set = open_data_set("reddit-v1", folder)
    first, _ = data_set.conversations("train")
    assert spelled(first) == [("1", "salt & rye"), ("0", "Blue Tram"), ("1", "Salt & Rye (2010)")]
    assert [item.id for item in data_set.items()] == ["0", "1"]


def test_without_names_or_a_mapping_the_names_are_asked_for(tmp_path: Path) -> None:
    data_set = open_data_set("reddit-v1", v1(tmp_path / "mine", rows(), names=None))
    with pytest.raises(InputError, match=r"no file .*id2name\.json"):
        list(data_set.conversations("train"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"turn_order": "first"}, r"train\.csv' row 2, field 'turn_order': is not a whole number: 'first'"),
        ({"is_seeker": "maybe"}, r"row 2, field 'is_seeker': is neither true nor false: 'maybe'"),
        ({"raw": "['USER']"}, r"row 2, field 'raw': is not a pair of role and text"),
        ({"conv_id": ""}, r"row 2, field 'conv_id': is empty"),
    ],
)
def test_wrong_cells_are_named(tmp_path: Path, change: dict[str, str], message: str) -> None:
    table = rows()
    table[1] |= change
    data_set = open_data_set("reddit-v1", v1(tmp_path / "mine", table))
    with pytest.raises(InputError, match=message):
        list(data_set.conversations("train"))


def test_a_broken_table_is_refused(tmp_path: Path) -> None:
    folder = v1(tmp_path / "mine", rows())
    path = folder / "train.csv"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("is_seeker", "seeker", 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"train\.csv' has no such column: .*is_seeker"):
        list(open_data_set("reddit-v1", folder).conversations("train"))
    path.write_text(whole[: len(whole) - 200], encoding="utf-8")
    with pytest.raises(InputError, match=r"as CSV: .*; is the file complete\?"):
        list(open_data_set("reddit-v1", folder).conversations("train"))


def test_text_that_is_no_list_is_taken_as_it_is(tmp_path: Path) -> None:
    table = [row(0, ASK, 0, "x", "y") | {"processed": "try tt0000002", "raw": "[edit] try Blue Tram"}]
    (conversation,) = open_data_set("reddit-v1", v1(tmp_path / "mine", table)).conversations("train")
    assert conversation.turns[0].text == "[edit] try Blue Tram"
    assert spelled(conversation) == [("tt0000002", "Blue Tram")]


def prompt(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Recommend films.\nHere is the conversation: {text}\n"}]


EXPORTED = {
    "prompt": prompt("USER: Anything like blue tram?\nor IT\nSYSTEM: Which?\nUSER: the old ones"),
    "completion": [{"role": "assistant", "content": "Rye (1987)"}],
    "seen_titles": ["Blue Tram", "Nowhere"],
    "groundtruth_with_release_year": [["Rye", "1987"], ["blue tram", "2005"], ["Rye", 1987]],
}
MERGED = {
    "conv_id": "reddit_v2_train_1",
    "turns": [{"role": "seeker", "text": "Anything like blue tram?", "items": []}],
    "seen": [{"title": "Blue Tram", "item": 0}, {"title": "Salt", "item": 1}, {"title": "Nowhere", "item": None}],
    "groundtruth": [{"title": "Alone", "year": 1950, "item": 2}, {"title": "Lost", "year": None, "item": None}],
}


def v2(folder: Path, *values: dict[str, Any], name: str = "test.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(value) + "\n" for value in values), encoding="utf-8")
    return folder


def test_v2_as_exported_makes_items_of_titles_and_years(tmp_path: Path) -> None:
    folder = v2(tmp_path / "mine", EXPORTED)
    v2(folder, EXPORTED | {"groundtruth_with_release_year": [["Blue Tram", "1999"]]}, name="val.jsonl")
    data_set = open_data_set("reddit-v2", folder)
    assert data_set.splits() == ("valid", "test")
    (example,) = data_set.examples("test")
    assert [(turn.role, turn.text) for turn in example.conversation.turns] == [
        ("user", "Anything like blue tram?\nor IT"),
        ("assistant", "Which?"),
        ("user", "the old ones"),
    ]
    assert example.annotated == ("rye-1987", "blue-tram-2005", "rye-1987")
    assert example.targets == ("rye-1987", "blue-tram-2005")
    assert example.repeated == {"blue-tram-2005"}  # by its title: what is seen has no year
    assert {item.id for item in data_set.items()} == {"rye-1987", "blue-tram-2005", "blue-tram-1999"}
    (conversation,) = data_set.conversations("test")
    assert [m.item for m in conversation.turns[-1].mentions or ()] == list(example.annotated)
    assert conversation.turns[-1].role == "assistant"


def v2_root(folder: Path, *values: dict[str, Any]) -> Path:
    corpus(folder, vocabulary=False)
    v2(folder / "reddit", *values, name="reddit_v2_test.jsonl")
    known = {"title": ["Alone", "Blue Tram", "Lost"], "year": [1950, 1999, 2000], "item": [2, 0, None]}
    parquet.write_table(pyarrow.table(known), folder / "reddit" / "reddit_v2_catalog.parquet")
    return folder


def test_v2_merged_speaks_of_the_corpus(tmp_path: Path) -> None:
    again = {"conv_id": "reddit_v2_train_2", "groundtruth": [{"title": "Blue Tram", "year": 1999, "item": 0}]}
    other = {"conv_id": "reddit_v2_train_3", "turns": [{"role": "seeker", "text": "Hi", "items": []}], "seen": []}
    data_set = open_data_set("reddit-v2", v2_root(tmp_path / "data", MERGED, MERGED | again, MERGED | other))
    first, second, third = data_set.examples("test")
    assert first.annotated == ("2", None)
    assert first.context_items == ("0", "1")
    (turn,) = first.conversation.turns
    assert [(m.item, m.span) for m in turn.mentions or ()] == [("0", (14, 23)), ("1", None)]
    assert second.repeated == {"0"}
    assert first.dialogue == second.dialogue != third.dialogue
    assert [item.id for item in data_set.items()] == ["0", "2"]
    watch = Watch()
    list(data_set.conversations("test", watch=watch))
    assert (watch.annotated, watch.mapped) == (5 + 4 + 2, 3 + 3 + 1)


def test_v2_as_exported_is_mapped_by_title_and_year(tmp_path: Path) -> None:
    truths = {"groundtruth_with_release_year": [["Alone", "1950"], ["Alone", "1951"]], "seen_titles": ["salt & rye"]}
    data_set = open_data_set("reddit-v2", v2_root(tmp_path / "data", EXPORTED | truths))
    (example,) = data_set.examples("test")
    assert example.annotated == ("2", None)
    assert example.context_items == ("1",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": prompt("nobody speaks")}, r"line 2, field 'prompt': has no 'Here is the conversation:'"),
        ({"prompt": [{"role": "user", "content": "USER: x"}]}, r"line 2, field 'prompt'"),
        ({"groundtruth_with_release_year": [["Rye", "?"]]}, r"field 'groundtruth_with_release_year\[0\]'"),
        ({"seen_titles": "Rye"}, r"field 'seen_titles': is not a list"),
    ],
)
def test_wrong_lines_of_v2_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    data_set = open_data_set("reddit-v2", v2(tmp_path / "mine", EXPORTED, EXPORTED | change))
    with pytest.raises(InputError, match=message):
        data_set.examples("test")


def test_v2_merged_without_a_corpus_says_what_is_missing(tmp_path: Path) -> None:
    data_set = open_data_set("reddit-v2", v2(tmp_path / "mine", MERGED))
    with pytest.raises(InputError, match=r"names items of the corpus; put corpus/ and reddit_v2_catalog\.parquet"):
        data_set.examples("test")


def test_files_of_others_beside_the_splits_are_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in rows()), encoding="utf-8")
    (tmp_path / "notes.jsonl").write_text("no JSON\n", encoding="utf-8")
    assert open_data_set("reddit-v1", tmp_path).splits() == ("train",)


def test_a_sample_that_comes_twice_is_refused(tmp_path: Path) -> None:
    prompt = [{"role": "user", "content": "Here is the conversation:\nUSER: A quiet one?"}]
    line = {"sample_id": 1, "prompt": prompt, "seen_titles": [], "groundtruth_with_release_year": [["It", 1987]]}
    (tmp_path / "test.jsonl").write_text(f"{json.dumps(line)}\n" * 2, encoding="utf-8")
    with pytest.raises(InputError, match=r"line 2, field 'sample_id': 'reddit_v2_1' is already that of line 1"):
        open_data_set("reddit-v2", tmp_path).examples("test")
