"""ReDial, INSPIRED and MovieLens readers on small invented files."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from rarec.conversations import (
    data_set_catalogue,
    data_set_items,
    read_inspired,
    read_ml1m,
    read_redial,
    read_split,
    redial_titles,
)
from rarec.errors import InputError
from rarec.types import Mention


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def redial_turn(text: str, *pairs: tuple[int | None, str | None], role: str = "seeker") -> dict[str, Any]:
    return {"role": role, "text": text, "items": [i for i, _ in pairs], "redial_ids": [r for _, r in pairs]}


def redial_label(movie: str, title: str, item: int | None, **answers: int) -> dict[str, Any]:
    roles = {who: {"liked": liked} for who, liked in answers.items()}
    return {"redial_id": movie, "title": title, "item": item, **roles}


def redial_row(*turns: dict[str, Any], labels: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"conv_id": "redial_1", "turns": list(turns), "labels": list(labels)}


def spelled(text: str, mentions: tuple[Mention, ...] | None) -> list[str | None]:
    return [None if m.span is None else text[m.span[0] : m.span[1]] for m in mentions or ()]


def test_redial_turns_keep_roles_order_and_spans(tmp_path: Path) -> None:
    text = "Blue Tram (1999) then Salt (2010), and blue tram (1999) again"
    row = redial_row(
        redial_turn("hello", role="recommender"),
        redial_turn(text, (7, "100"), (9, "200"), (7, "100"), role="recommender"),
        redial_turn("thanks"),
        labels=(redial_label("100", "Blue Tram (1999)", 7, seeker=1),),
    )
    (conversation,) = read_redial(lines(tmp_path / "x.jsonl", row), titles={"200": "Salt (2010)"})
    assert conversation.id == "redial_1"
    assert [turn.role for turn in conversation.turns] == ["assistant", "assistant", "user"]
    mentions = conversation.turns[1].mentions
    assert [m.item for m in mentions or ()] == ["7", "9", "7"]
    assert spelled(text, mentions) == ["Blue Tram (1999)", "Salt (2010)", "blue tram (1999)"]
    assert conversation.turns[0].mentions == ()


def test_redial_sentiments_are_the_seekers_answers_else_the_recommenders(tmp_path: Path) -> None:
    row = redial_row(
        redial_turn("a b c d e f", (1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5"), (6, None)),
        labels=(
            redial_label("1", "Aa", 1, seeker=1, recommender=0),
            redial_label("2", "Bb", 2, seeker=0, recommender=1),
            redial_label("3", "Cc", 3, seeker=2, recommender=1),
            redial_label("4", "Dd", 4, recommender=0),
            {"redial_id": "5", "title": "Ee", "item": 5},
            redial_label("99", "Ff", 6, seeker=1),
        ),
    )
    (conversation,) = read_redial(lines(tmp_path / "x.jsonl", row))
    sentiments = [m.sentiment for m in conversation.mentions()]
    assert sentiments == ["liked", "disliked", "mentioned", "disliked", "mentioned", "liked"]


def test_redial_skips_what_is_no_item_and_says_where_titles_are_not_found(tmp_path: Path) -> None:
    text = "Salt (2010) is no item, Salt &amp; Rye is one; nor is this"
    row = redial_row(redial_turn(text, (None, "1"), (8, "2"), (5, "3")))
    titles = {"1": "Salt (2010)", "2": "Salt & Rye (1987)", "3": "Nowhere (1990)"}
    (conversation,) = read_redial(lines(tmp_path / "x.jsonl", row), titles=titles)
    (turn,) = conversation.turns
    assert turn.text == "Salt (2010) is no item, Salt & Rye is one; nor is this"
    assert [m.item for m in turn.mentions or ()] == ["8", "5"]
    assert spelled(turn.text, turn.mentions) == ["Salt & Rye", None]


def test_redial_finds_quoted_titles_where_the_movie_id_is_unknown(tmp_path: Path) -> None:
    text = 'did you see "Salt" or "Blue Tram"?'
    (conversation,) = read_redial(lines(tmp_path / "x.jsonl", redial_row(redial_turn(text, (8, None), (9, None)))))
    assert spelled(text, conversation.turns[0].mentions) == ["Salt", "Blue Tram"]


def test_redial_titles_lie_beside_the_data(tmp_path: Path) -> None:
    (tmp_path / "mapping").mkdir()
    (tmp_path / "redial").mkdir()
    table = pyarrow.table({"redial_id": [5, 6], "title": [" Salt (2010) ", None], "item": [1, 2]})
    parquet.write_table(table, tmp_path / "mapping" / "redial_movie_ids.parquet")
    assert redial_titles(tmp_path / "mapping" / "redial_movie_ids.parquet") == {"5": "Salt (2010)"}
    lines(tmp_path / "redial" / "train.jsonl", redial_row(redial_turn("Salt (2010)!", (1, "5"))))
    (conversation,) = read_split(tmp_path, "redial", "train")
    assert conversation.mentions() == (Mention(conversation.mentions()[0].item, span=(0, 11)),)


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"turns": []}, "conv_id"),
        ({"conv_id": "a"}, "turns"),
        ({"conv_id": "a", "turns": [{"role": "bot", "text": "", "items": []}]}, r"turns\[0\]\.role"),
        ({"conv_id": "a", "turns": [{"role": "seeker", "items": []}]}, r"turns\[0\]\.text"),
        ({"conv_id": "a", "turns": [{"role": "seeker", "text": "", "items": [1.5]}]}, r"turns\[0\]\.items\[0\]"),
        ({"conv_id": "a", "turns": [{"role": "seeker", "text": "", "items": []}, 3]}, r"turns\[1\]"),
        ({"conv_id": "a", "turns": [redial_turn("") | {"redial_ids": ["1"]}]}, r"turns\[0\]\.redial_ids"),
        (
            {"conv_id": "a", "turns": [], "labels": [redial_label("1", "A", 1, seeker=7)]},
            r"labels\[0\]\.seeker\.liked",
        ),
    ],
)
def test_redial_names_file_line_and_field_of_what_is_wrong(tmp_path: Path, row: dict[str, Any], field: str) -> None:
    path = lines(tmp_path / "x.jsonl", redial_row(), row)
    conversations = read_redial(path)
    next(conversations)  # the line before is read
    with pytest.raises(InputError, match=rf"x\.jsonl' line 2, field '{field}'"):
        next(conversations)


def inspired_turn(text: str, *triples: tuple[int | None, str, str], role: str = "seeker") -> dict[str, Any]:
    items, titles, names = ([t[i] for t in triples] for i in range(3))
    return {"role": role, "text": text, "items": items, "titles": titles, "movie_names": names}


def test_inspired_mentions_come_in_order_of_appearance(tmp_path: Path) -> None:
    text = "salt follows is better than Salt. I also saw tram"
    turn = inspired_turn(
        text,
        (1, "Salt (2010)", "Salt"),
        (2, "Salt Follows (2014)", "Salt Follows"),
        (3, "The Tram (1999)", "The Tram"),
        (None, "Nothing", "Nothing"),
        (4, "Unspelled (2001)", "Unspelled"),
        (4, "Unspelled (2001)", "Unspelled"),
    )
    (conversation,) = read_inspired(lines(tmp_path / "x.jsonl", {"conv_id": "inspired_a", "turns": [turn]}))
    mentions = conversation.turns[0].mentions
    assert [m.item for m in mentions or ()] == ["2", "1", "3", "4"]
    assert spelled(text, mentions) == ["salt follows", "Salt", "tram", None]


def test_inspired_uses_titles_where_names_do_not_fit_the_items(tmp_path: Path) -> None:
    turn = inspired_turn("Rye and Salt", (1, "Salt (2010)", "Salt"), (2, "Rye (1987)", "Rye")) | {"movie_names": ["x"]}
    (conversation,) = read_inspired(lines(tmp_path / "x.jsonl", {"conv_id": "inspired_a", "turns": [turn]}))
    assert [(m.item, m.span) for m in conversation.mentions()] == [("2", (0, 3)), ("1", (8, 12))]


def test_inspired_refuses_titles_that_do_not_fit_the_items(tmp_path: Path) -> None:
    turn = inspired_turn("Rye", (1, "Rye (1987)", "Rye")) | {"titles": []}
    with pytest.raises(InputError, match=r"field 'turns\[0\]\.titles': has 0 entries, items has 1"):
        list(read_inspired(lines(tmp_path / "x.jsonl", {"conv_id": "a", "turns": [turn]})))


def ratings(path: Path, **columns: list[Any]) -> Path:
    parquet.write_table(pyarrow.table(columns), path)
    return path


def test_movielens_is_ordered_by_position_and_drops_what_has_none(tmp_path: Path) -> None:
    path = ratings(
        tmp_path / "r.parquet",
        user_id=[2, 1, 1, 1, 1, 2],
        item=[5, 10, 11, 12, 13, None],
        rating=[3, 4, 2, 5, 1, 5],
        position=[0, 2, 0, None, 1, 1],
    )
    one, two = read_ml1m(path)
    assert (one.user, one.items, one.sentiments) == ("1", ("11", "13", "10"), ("disliked", "disliked", "liked"))
    assert (two.user, two.items, two.sentiments) == ("2", ("5",), ("mentioned",))


def test_movielens_without_rows_gives_nothing_and_a_wrong_file_is_refused(tmp_path: Path) -> None:
    empty = {name: pyarrow.array([], pyarrow.int32()) for name in ("user_id", "item", "rating", "position")}
    assert list(read_ml1m(ratings(tmp_path / "e.parquet", **empty))) == []
    with pytest.raises(InputError, match="has no column 'position'"):
        list(read_ml1m(ratings(tmp_path / "c.parquet", user_id=[1], item=[1], rating=[1])))
    with pytest.raises(InputError, match="column 'rating' is"):
        list(read_ml1m(ratings(tmp_path / "t.parquet", user_id=[1], item=[1], rating=["five"], position=[0])))
    with pytest.raises(InputError, match=r"no file .*none\.parquet"):
        list(read_ml1m(tmp_path / "none.parquet"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="as Parquet"):
        list(read_ml1m(tmp_path / "bad.parquet"))


def data_folder(root: Path) -> Path:
    (root / "mapping").mkdir()
    (root / "corpus").mkdir()
    mapping = {"dataset": ["redial", "redial", "redial", "inspired", "redial"], "corpus_id": [2, 0, 2, 1, None]}
    parquet.write_table(pyarrow.table(mapping), root / "mapping" / "crs_items.parquet")
    corpus = {"id": [0, 1, 2], "title": ["Salt", "Rye", "Tram"], "year": [2010, 1987, None], "plot": ["x", None, ""]}
    parquet.write_table(pyarrow.table(corpus), root / "corpus" / "movies.parquet")
    return root


def test_a_catalogue_is_the_distinct_items_of_a_data_sets_vocabulary(tmp_path: Path) -> None:
    root = data_folder(tmp_path)
    assert data_set_catalogue(root, "redial") == ("0", "2")
    assert [(item.id, item.title) for item in data_set_items(root, "redial")] == [("0", "Salt"), ("2", "Tram")]
    with pytest.raises(InputError, match=r"no items of 'reddit'; it has \['inspired', 'redial'\]"):
        data_set_catalogue(root, "reddit")
    with pytest.raises(InputError, match="no reader for the data set 'reddit'"):
        list(read_split(root, "reddit", "train"))
    with pytest.raises(InputError, match=r"no file .*train\.jsonl.*is .* the data folder"):
        list(read_split(root, "redial", "train"))


def test_a_catalogue_item_that_the_corpus_lacks_is_named(tmp_path: Path) -> None:
    root = data_folder(tmp_path)
    mapping = {"dataset": ["redial"], "corpus_id": [77]}
    parquet.write_table(pyarrow.table(mapping), root / "mapping" / "crs_items.parquet")
    with pytest.raises(InputError, match="lacks the item '77' of 'redial'"):
        data_set_items(root, "redial")
