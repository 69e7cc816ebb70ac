"""What may be compared, and where two documents differ."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rarec.errors import InputError
from rarec.evaluate import EvaluationProtocol, Gold, GoldExample, GoldItem, Side
from rarec.evaluate.compare import check_same_rows
from rarec.evaluate.provenance import first_difference
from rarec.types import ItemId

A, B, C = (ItemId(letter) for letter in "abc")
PROTOCOL = EvaluationProtocol()


def example(number: int) -> GoldExample:
    return GoldExample(f"x{number}", f"d{number}", "1", (A, B), frozenset({B}), (B,), turns=1)


GOLD = Gold(
    "cheese",
    "test",
    tuple(example(i) for i in range(3)),
    {i: GoldItem(i, None, 0, in_data_set=i != C) for i in (A, B, C)},
)


def changed(**fields: Any) -> Gold:
    first, second, third = GOLD.examples
    return replace(GOLD, examples=(first, replace(second, **fields), third))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (changed(targets=(A,)), r"'x1' has targets \['a', 'b'\] in the first and \['a'\] in the second"),
        (changed(repeated=frozenset()), "'x1' has repeated"),
        (changed(seen=(A, B)), "'x1' has seen"),
        (changed(dialogue="d0"), "'x1' has dialogue 'd1' in the first and 'd0' in the second"),
        (replace(GOLD, examples=GOLD.examples[1:]), "only the first has the example 'x0'"),
        (replace(GOLD, examples=(*GOLD.examples, example(7))), "only the second has the example 'x7'"),
        (replace(GOLD, items={**GOLD.items, C: GoldItem("c", None, 0, in_data_set=True)}), "has the item 'c'"),
    ],
)
def test_other_rows_are_refused_by_the_first_that_differs(other: Gold, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_same_rows(GOLD, other, PROTOCOL)


def test_order_and_what_is_not_ranked_make_no_difference() -> None:
    check_same_rows(GOLD, replace(GOLD, examples=GOLD.examples[::-1], split="other"), PROTOCOL)
    check_same_rows(GOLD, changed(targets=(B, A)), PROTOCOL)
    more = replace(GOLD, items={**GOLD.items, ItemId("d"): GoldItem("d", None, 0, in_data_set=False)})
    check_same_rows(GOLD, more, PROTOCOL)
    with pytest.raises(InputError, match="has the item 'd'"):
        check_same_rows(GOLD, more, EvaluationProtocol(catalogue="corpus"))


def test_a_side_is_a_folder_or_one_of_its_systems(tmp_path: Path) -> None:
    for name in ("run", "run:2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
    root = tmp_path / "run"
    assert Side.parse(str(root)) == Side(root)
    assert Side.parse(f"{root}:retriever+m:7b") == Side(root, "retriever+m:7b")
    assert Side.parse(f"{root}:2") == Side(tmp_path / "run:2")
    for wrong in (str(tmp_path), f"{root}:", f"{tmp_path}:x"):
        with pytest.raises(InputError, match="no run in"):
            Side.parse(wrong)


@pytest.mark.parametrize(
    ("found", "expected", "says"),
    [
        ({"a": [1, {"b": 2.0}]}, {"a": [1, {"b": 2.0}]}, None),
        ({"a": [1, {"b": 2.0}]}, {"a": [1, {"b": 2.5}]}, "a[1].b: 2.0, expected 2.5"),
        ({"a": 1}, {"a": 1, "b": 2}, "b: only expected"),
        ({"a": 1, "c": 2}, {"a": 1}, "c: only found"),
        ([1], [1, 2], ": 1 entries, expected 2"),
        ({"a": 1}, {"a": 1.0}, "a: 1, expected 1.0"),
        ({"a": None}, {"a": 0}, "a: None, expected 0"),
    ],
)
def test_the_first_difference_is_found(found: object, expected: object, says: str | None) -> None:
    assert first_difference(found, expected) == says
