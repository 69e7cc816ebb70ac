"""The example of docs/data.md is a data set that is read."""

import re
from pathlib import Path

from rarec.conversations import DATA_SETS, JsonlSet

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_example_is_read_as_it_says(tmp_path: Path) -> None:
    files = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["items.jsonl", "train.jsonl", "test.jsonl", "data_set.toml"]
    for name, text in files:
        (tmp_path / name).write_text(text, encoding="utf-8")
    data_set = JsonlSet(tmp_path)
    assert (data_set.name, data_set.info.licence, data_set.splits()) == ("teas", "CC0", ("train", "test"))
    assert len(data_set.items()) == 3
    (conversation,) = data_set.conversations("train")
    spelled = [t.text[slice(*m.span)] for t in conversation.turns for m in t.mentions or () if m.span]
    assert spelled == ["Assam Gold", "Iron Oolong"]
    (example,) = data_set.examples("test")
    assert example.targets == ("sencha",)


def test_every_data_set_is_in_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert [name for name in DATA_SETS if f"\n| {name} |" not in text] == []
