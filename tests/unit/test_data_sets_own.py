"""The own JSONL format: what is read, what is refused and where, and what is written."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from rarec.conversations import DataSetInfo, JsonlSet, Watch, open_data_set, read_jsonl, write_jsonl
from rarec.errors import InputError, StoreError
from rarec.types import Conversation, Item, ItemId, Mention, Turn

ITEMS = [
    {"id": "assam", "title": "Assam", "attributes": {"kind": ["black"]}},
    {"id": 7, "title": "Sencha", "year": 1738},
]
GOOD: dict[str, Any] = {
    "id": "c1",
    "turns": [
        {
            "role": "user",
            "text": "I like Assam.",
            "mentions": [{"item": "assam", "sentiment": "liked", "span": [7, 12]}],
        },
        {"role": "assistant", "text": "Try the other one.", "mentions": [{"item": 7}, {"item": "assam", "span": None}]},
        {"role": "user", "text": "Thanks"},
    ],
}


def folder(path: Path, *conversations: Any, items: list[Any] = ITEMS, info: str | None = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    (path / "train.jsonl").write_text("".join(json.dumps(c) + "\n" for c in conversations), encoding="utf-8")
    if info is not None:
        (path / "data_set.toml").write_text(info, encoding="utf-8")
    return path


def test_a_folder_is_read_with_items_turns_and_examples(tmp_path: Path) -> None:
    data_set = open_data_set("jsonl", folder(tmp_path / "teas", GOOD))
    assert data_set.name == "teas"
    assert data_set.info == DataSetInfo("teas", "not stated", "not stated")
    assert data_set.splits() == ("train",)
    assert [(item.id, item.title, item.year) for item in data_set.items()] == [
        ("assam", "Assam", None),
        ("7", "Sencha", 1738),
    ]
    watch = Watch()
    (conversation,) = data_set.conversations("train", watch=watch)
    assert conversation.turns[0].mentions == (Mention(ItemId("assam"), "liked", (7, 12)),)
    assert conversation.turns[1].mentions == (Mention(ItemId("7")), Mention(ItemId("assam")))
    assert conversation.turns[2].mentions is None
    assert (watch.annotated, watch.mapped) == (3, 3)
    (example,) = data_set.examples("train")
    assert (example.targets, example.repeated) == (("7", "assam"), {"assam"})
    assert data_set.files("train") == (tmp_path / "teas" / "train.jsonl", tmp_path / "teas" / "items.jsonl")


def test_packed_files_and_a_description_are_read(tmp_path: Path) -> None:
    info = 'name = "leaves"\ntitle = "Tea talk"\nlicence = "CC0"\nsource = "ours"\nnote = "small"\n'
    path = folder(tmp_path / "teas", GOOD, info=info)
    for name in ("items.jsonl", "train.jsonl"):
        (path / f"{name}.zst").write_bytes(zstandard.compress((path / name).read_bytes()))
        (path / name).unlink()
    data_set = JsonlSet(path)
    assert (data_set.name, data_set.info) == ("leaves", DataSetInfo("Tea talk", "CC0", "ours", "small"))
    assert len(list(data_set.conversations("train"))) == 1
    assert len(data_set.items()) == 2


def changed(*path: Any, to: Any) -> dict[str, Any]:
    value = json.loads(json.dumps(GOOD))
    place = value
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return {**value, "id": value["id"] if path == ("id",) else "c2"}


MENTION = ("turns", 0, "mentions", 0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (changed("topic", to="tea"), r"field 'topic': is unknown; use id, turns"),
        (changed("turns", 1, "txt", to="x"), r"field 'turns\[1\]\.txt': is unknown; use role, text, mentions"),
        (changed(*MENTION, "sentimant", to="liked"), r"field 'turns\[0\]\.mentions\[0\]\.sentimant': is unknown"),
        (
            changed(*MENTION, "item", to="oolong"),
            r"mentions\[0\]\.item': 'oolong' is not in items\.jsonl; add it",
        ),
        (changed(*MENTION, "sentiment", to="loved"), r"'loved', not one of liked, disliked, mentioned"),
        (changed(*MENTION, "span", to=[7, 14]), r"span': \[7, 14\] is not \[start, end\] within the 13 characters"),
        (changed(*MENTION, "span", to=[7, 7]), r"span': \[7, 7\]"),
        (changed(*MENTION, "span", to=[True, 7]), r"span': \[True, 7\]"),
        (changed(*MENTION, "span", to=[1, 2, 3]), r"span': \[1, 2, 3\]"),
        (changed("turns", 0, "role", to="seeker"), r"'seeker', not one of user, assistant"),
        (changed("turns", 0, "text", to=None), r"field 'turns\[0\]\.text': is not text"),
        (changed("id", to=""), r"field 'id': is empty"),
        (changed("id", to="c1"), r"field 'id': 'c1' is already that of line 1"),
        ({"id": "c2"}, r"field 'turns': is missing"),
        ([1], r"is not a JSON object"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_field(tmp_path: Path, line: Any, message: str) -> None:
    data_set = JsonlSet(folder(tmp_path / "teas", GOOD, line))
    with pytest.raises(InputError, match=r"train\.jsonl' line 2.*" + message):
        list(data_set.conversations("train"))


def test_interactions_are_no_split(tmp_path: Path) -> None:
    path = folder(tmp_path / "teas", GOOD)
    (path / "interactions.jsonl").write_text("{}\n", encoding="utf-8")
    assert JsonlSet(path).splits() == ("train",)
    with pytest.raises(InputError, match="'interactions' is no name for a split"):
        write_jsonl(path, items=[], splits={"interactions": []})


def test_items_are_refused_with_their_line(tmp_path: Path) -> None:
    path = folder(tmp_path / "teas", GOOD, items=[*ITEMS, {"id": "assam", "title": "Again"}])
    with pytest.raises(InputError, match=r"items\.jsonl' line 3: id 'assam' is already that of line 1"):
        JsonlSet(path).items()
    (path / "items.jsonl").unlink()
    with pytest.raises(InputError, match=r"no file .*items\.jsonl.*it holds the catalogue"):
        JsonlSet(path).items()


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ('license = "CC0"', "unknown field 'license'; use name, title, licence"),
        ("title = 3", "title is not text: 3"),
        ("title = ", "is not valid TOML"),
    ],
)
def test_a_wrong_description_is_refused(tmp_path: Path, info: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"data_set\.toml'.*{message}"):
        JsonlSet(folder(tmp_path / "teas", info=info))


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        JsonlSet(tmp_path / "nowhere")


def test_without_a_catalogue_any_item_is_read(tmp_path: Path) -> None:
    path = folder(tmp_path / "teas", GOOD) / "train.jsonl"
    assert len(list(read_jsonl(path))) == 1
    with pytest.raises(InputError, match="'7' is not in"):
        list(read_jsonl(path, items={ItemId("assam")}))


TEA = Item(ItemId("a"), "Assam", "strong", 1823, {"kind": ("black", "leaf")}, 2.5)


def talk(name: str = "c1", *mentions: Mention, text: str = "Assam?") -> Conversation:
    return Conversation((Turn("user", text, mentions),), id=name)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    told = DataSetInfo('The "tea" set', "CC0", "ours\nand yours", "")
    conversations = [talk("c1", Mention(ItemId("a"), "disliked", (0, 5))), talk("c2")]
    write_jsonl(tmp_path / "x" / "teas", items=[TEA], splits={"valid": conversations}, name="leaves", info=told)
    data_set = JsonlSet(tmp_path / "x" / "teas")
    assert (data_set.name, data_set.info, data_set.items()) == ("leaves", told, [TEA])
    assert list(data_set.conversations("valid")) == conversations


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"items": [TEA, TEA]}, "the item 'a' comes twice"),
        ({"items": [Item(ItemId("a"), "")]}, "the item 'a' is not valid"),
        ({"splits": {"train": [talk("")]}}, "conversation id '' is empty or comes twice"),
        ({"splits": {"train": [talk(), talk()]}}, "conversation id 'c1' is empty or comes twice"),
        ({"splits": {"train": [talk("c", Mention(ItemId("b")))]}}, "turn 0 of the conversation 'c' mentions 'b'"),
        ({"splits": {"train": [talk("c", Mention(ItemId("a"), span=(0, 9)))]}}, r"the span \(0, 9\) is not within"),
        ({"splits": {"train": [talk(text="\ud800")]}}, "'c1' has a character that UTF-8 cannot write"),
        ({"splits": {"../x": []}}, "'../x' is no name for a split"),
        ({"splits": {"items": []}}, "'items' is no name for a split"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_jsonl(tmp_path, **{"items": [TEA], "splits": {}, **given})
    assert not (tmp_path / "train.jsonl").exists()


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the folder"):
        write_jsonl(tmp_path / "file" / "teas", items=[], splits={})
