"""What may be compared, and where two documents differ."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rarec.cli.compare import summary
from rarec.errors import InputError
from rarec.evaluate import Comparison, EvaluationProtocol, Gold, GoldExample, GoldItem, Side
from rarec.evaluate.compare import check_same_rows
from rarec.evaluate.provenance import first_difference
from rarec.evaluate.results import Block, Figure, Pair, SystemResult
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
    check_same_rows(GOLD, changed(seen=(B, C)), PROTOCOL)  # c is of the corpus only
    with pytest.raises(InputError, match="'x1' has seen"):
        check_same_rows(GOLD, changed(seen=(B, C)), EvaluationProtocol(catalogue="corpus"))
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


def comparison(*pairs: Pair, bound: bool = False) -> Comparison:
    measures = ("R@5", "N@5")
    figures = dict.fromkeys(measures, Figure(value=0.1))
    systems = [SystemResult(system=name, depth=9, figures=figures, lower_bound=bound and name == "a") for name in "ab"]
    block = Block(
        data_set="cheese", split="test", protocol="new-targets", sentence="all of them", rows=12, examples=10,
        dialogues=4, catalogue=99, unmapped=0, measures=measures, headline="N@5", level=0.9, samples=100, seed=0,
        systems=systems, pairs=pairs,
    )  # fmt: skip
    return Comparison("a", "b", block, pairs)


def difference(measure: str, delta: float, width: float, **only: float) -> Pair:
    return Pair(
        a="a", b="b", measure=measure, delta=delta, low=delta - width, high=delta + width, minimum_detectable=0.0321,
        **only,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (
            comparison(difference("R@5", 0.0, 0.0), difference("N@5", 0.2, 0.1)),
            "cheese: a − b: N@5 +.200 [+.100, +.300], separates, a is better; minimum detectable .032",
        ),
        (comparison(difference("N@5", -0.2, 0.1)), "separates, b is better"),
        (comparison(difference("N@5", 0.1, 0.2)), "N@5 +.100 [−.100, +.300], does not separate"),
        (comparison(difference("N@5", -0.2, 0.1), bound=True), "N@5 ≥ −.200 [−.300, −.100], does not separate"),
        (comparison(difference("R@5", 0.2, 0.1)), "R@5 +.200"),
        (
            comparison(difference("N@5", 0.0, 0.0), difference("R@5", 1e-17, 0.0)),
            "identical on every measure, n = 12 rows",
        ),
        (comparison(difference("N@5", 0.0, 0.0, a_only=0.1, b_only=0.1)), "N@5 .000 [.000, .000], does not separate"),
        (comparison(), "no measure is known of both"),
    ],
)
def test_one_line_says_what_the_headline_does(found: Comparison, says: str) -> None:
    assert says in summary(found)
    assert found.identical == ("identical" in says)
