"""Recorded lists: ranks by names, lists by items, and the text replayed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pyarrow
import pytest
from pyarrow import parquet

from rarec.conversations import Example
from rarec.errors import InputError, LLMUnavailable
from rarec.evaluate.llm_systems import LLMAlone
from rarec.evaluate.recorded_lists import RecordedList, RecordedLists, ReplayLLM, entity_name, read_recorded_lists
from rarec.testing import example_task
from rarec.types import CompletionRequest, Conversation, Item, ItemId, Turn

ITEMS = (
    Item(ItemId("1"), "Low Tide", year=1990, popularity=1.0),
    Item(ItemId("2"), "Low Tide", year=2010, popularity=5.0),
    Item(ItemId("3"), "Spring Lamp", year=2001),
    Item(ItemId("4"), "Marzipan", year=1999),
)
ENTITIES = {
    "<http://dbpedia.org/resource/Low_Tide_(1990_film)>": 1,
    "<http://dbpedia.org/resource/Low_Tide_(2010_film)>": 2,
    "<http://dbpedia.org/resource/Spring-Lamp>": 3,
    "<http://dbpedia.org/resource/Marzipan_(film)>": 4,
    "<http://dbpedia.org/resource/Nobody>": None,
    "<http://dbpedia.org/resource/Elsewhere>": 99,
}
ONE = RecordedList(
    names=("Nobody", "Low Tide", "Far Off", "Spring Lamp", "Low Tide", "Marzipan"),
    edits=(0, 2, 3, 0, 0, 1),
    truths=("Marzipan", "Spring Lamp", "Unsaid"),
    mentioned=frozenset({"Spring Lamp"}),
    text="1. Nobody\n2. Low Tides (1991)\n3. Faraway\n4. Spring-Lamp\n5. Low Tide\n6. Marzipam",
)


def example(index: int, *annotated: str | None) -> Example:
    items = tuple(None if a is None else ItemId(a) for a in annotated)
    said = Conversation((Turn("user", "Hm?"),), id="other")
    return Example(f"e{index}", index, "d", "t", said, items, frozenset(), ())


def files(folder: Path, *rows: tuple[int, RecordedList], **fixed: Any) -> dict[str, Any]:
    same = {"dataset": "inspired", "model": "m", "prompt": "general"} | fixed
    columns: dict[str, list[Any]] = {name: [value] * len(rows) for name, value in same.items()}
    columns["index"] = [index for index, _ in rows]
    columns["nearest_movie"] = [list(one.names) for _, one in rows]
    columns["min_edit_distance"] = [list(one.edits) for _, one in rows]
    columns["gt_list"] = [list(one.truths) for _, one in rows]
    columns["prev_list"] = [sorted(one.mentioned) for _, one in rows]
    columns["raw_text"] = [one.text for _, one in rows]
    parquet.write_table(pyarrow.table(columns), folder / "outputs.parquet")
    mapping = {
        "dataset": ["inspired"] * len(ENTITIES),
        "entity_name": list(ENTITIES),
        "corpus_id": list(ENTITIES.values()),
    }
    parquet.write_table(pyarrow.table(mapping), folder / "crs.parquet")
    return {"path": folder / "outputs.parquet", "mapping": folder / "crs.parquet", "items": ITEMS}


def read(given: dict[str, Any], *examples: Example, name: str = "m", data_set: str = "inspired") -> RecordedLists:
    path, mapping, items = given.values()
    return read_recorded_lists(path, examples, data_set=data_set, name=name, mapping=mapping, items=items)


@pytest.mark.parametrize(
    ("filtered", "exclude_seen", "ranks"),
    [(True, True, (4, 0, 0)), (True, False, (5, 3, 0)), (False, True, (5, 0, 0)), (False, False, (6, 4, 0))],
)
def test_every_name_that_is_near_enough_takes_a_place(
    filtered: bool, exclude_seen: bool, ranks: tuple[int, ...]
) -> None:
    assert ONE.ranks(filtered=filtered, exclude_seen=exclude_seen) == ranks


def test_a_list_ends_after_twenty_places() -> None:
    long = RecordedList(("x",) * 19 + ("a", "b"), (0,) * 21, ("a", "b"), frozenset(), "")
    assert long.ranks() == (20, 0)
    assert replace(long, mentioned=frozenset({"x"})).ranks() == (1, 2)


def test_items_close_the_gaps_and_stand_once(tmp_path: Path) -> None:
    given = files(tmp_path, (7, ONE))
    found = read(given, example(7, "4", "3", None)).predictions()
    assert found.lists == {"e7": ("2", "3", "4")}, "of two items of one name the more popular"
    call = found.calls["e7"]
    assert (call.named, call.ungrounded, call.repeated, call.repaired) == (6, 2, 1, True)
    assert call.answer == ONE.text
    assert (found.system, found.depth) == ("m", 20)


def test_a_long_answer_is_read_until_its_places_are_filled(tmp_path: Path) -> None:
    names = ("Far Off", "Spring Lamp", *["Nobody"] * 18, "Low Tide", "Marzipan", "Elsewhere")
    long = replace(ONE, names=names, edits=(3, *[0] * (len(names) - 1)))
    found = read(files(tmp_path, (7, long)), example(7, "4", "3", None)).predictions()
    assert found.lists == {"e7": ("3", "2", "4")}, "the mentioned one leaves its place to the last"
    call = found.calls["e7"]
    assert (call.named, call.ungrounded, call.repeated) == (22, 19, 0), "names that are too far are read as well"


def test_the_text_is_replayed_and_linked_again(tmp_path: Path) -> None:
    lists = read(files(tmp_path, (7, ONE), prompt="p2"), example(7, "4", "3", None), name="m/p2")
    known, unknown = LLMAlone(lists.replay(), ITEMS, max_edits=1).answers(
        [example(7, "4", "3", None), example(8, "4")], n=5
    )
    assert known.items == ("1", "3", "2", "4"), "the year of the text counts here"
    assert known.call is not None
    assert known.call.answer == ONE.text
    assert unknown.items == ()
    assert unknown.call is not None
    assert unknown.call.degraded


def test_replaying_needs_a_task_of_a_known_example() -> None:
    llm = ReplayLLM({"e1": "1. Marzipan"}, name="m")
    shown: list[str] = []
    task = replace(example_task(n=1), conversation=Conversation(id="e1"))
    request = CompletionRequest((), task=task)

    async def listen() -> str:
        return (await llm.complete(request, on_text=shown.append)).text

    assert anyio.run(listen) == "1. Marzipan" == "".join(shown)
    with pytest.raises(InputError, match="'m' replays recorded answers and needs a request with a task"):
        anyio.run(llm.complete, CompletionRequest(()))
    with pytest.raises(LLMUnavailable, match="'m' has no recorded answer for 'e2'"):
        anyio.run(llm.complete, replace(request, task=replace(task, conversation=Conversation(id="e2"))))


def test_lists_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    given = files(tmp_path, (7, ONE))
    with pytest.raises(InputError, match=r"no lists of 'n' for 'inspired'; its models there are \['m'\]"):
        read(given, name="n")
    with pytest.raises(InputError, match=r"no lists of 'm' for 'redial'; its models there are \[\]"):
        read(given, data_set="redial")
    with pytest.raises(InputError, match=r"index 8 \('e8'\) has no list of 'm'"):
        read(given, example(7, "4", "3", None), example(8, "4"))
    with pytest.raises(InputError, match=r"index 7 \('e7'\) has 3 ground truths, the example 1"):
        read(given, example(7, "4"))
    with pytest.raises(InputError, match="no file"):
        read(given | {"path": tmp_path / "none.parquet"})


@pytest.mark.parametrize(
    ("entity", "name"),
    [
        ("<http://dbpedia.org/resource/Low-Tide:_Part_(1990_film)>", "Low Tide: Part"),
        ("<http://dbpedia.org/resource/Over/Under>", "Under"),
        ("Plain (2001)", "Plain"),
    ],
)
def test_names_of_entities(entity: str, name: str) -> None:
    assert entity_name(entity) == name
