"""The harness and its table, on examples small enough to count by hand."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate import Options, RecordedRanks, evaluate, ndcg_at, recall_at, render, rows_of
from rarec.types import Conversation, ItemId, Mention, Turn

CATALOGUE = [ItemId(c) for c in "abcdefgh"]


def example(name: str, targets: str, *, context: str = "", dialogue: str = "", repeated: str = "") -> Example:
    items = tuple(ItemId(c) for c in context)
    turns = (Turn("user", name, tuple(Mention(item) for item in items)),)
    return Example(
        id=name,
        index=int(name[1:]),
        dialogue=dialogue or name,
        turn="t",
        conversation=Conversation(turns, id=name),
        annotated=tuple(None if c == "-" else ItemId(c) for c in targets),
        repeated=frozenset(ItemId(c) for c in repeated),
        context_items=items,
    )


EXAMPLES = [
    example("x0", "c", context="a", dialogue="d0"),
    example("x1", "-bd", context="ab", dialogue="d0", repeated="b"),
    example("x2", "hg", dialogue="d1"),
    example("x3", "b", context="b", dialogue="d2", repeated="b"),
]


class Fixed:
    """Gives everyone the same list, and remembers how many items it was asked for."""

    def __init__(self, name: str, order: str) -> None:
        self.name = name
        self.order = order
        self.asked: list[int] = []

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        self.asked.append(n)
        return [tuple(ItemId(c) for c in self.order[:n])] * len(examples)


OPTIONS = Options(ks=(1, 2, 4), ndcg_k=2, samples=100)


def test_new_targets_leave_out_repeated_ones_and_remove_what_was_mentioned() -> None:
    system = Fixed("letters", "abcdefgh")
    table = evaluate(EXAMPLES, [system], catalogue=CATALOGUE, options=OPTIONS)
    # x0 without a: b c -> 2; x1 without a, b: c d -> d at 2; x2: g, h at 7, 8 are beyond 4.
    assert [(p.example, p.target, p.rank) for p in table.predictions] == [
        ("x0", "c", 2), ("x1", "d", 2), ("x2", "h", 0), ("x2", "g", 0),
    ]  # fmt: skip
    row = table.row("letters")
    assert row.n == 4
    assert row.values["R@1"] == 0.0
    assert row.values["R@2"] == row.values["R@4"] == 0.5
    assert row.values["N@2"] == pytest.approx(2 * 0.63093 / 4, abs=1e-5)
    assert system.asked == [4 + 2]  # as deep as needed after the longest context is removed


def test_all_targets_keep_repeated_ones_and_remove_nothing() -> None:
    table = evaluate(EXAMPLES, [Fixed("letters", "abcdefgh")], catalogue=CATALOGUE, protocol="all-targets",
                     options=OPTIONS)  # fmt: skip
    assert [(p.target, p.rank) for p in table.predictions] == [
        ("c", 3), ("b", 2), ("d", 4), ("h", 0), ("g", 0), ("b", 2),
    ]  # fmt: skip
    assert table.row("letters").values["R@2"] == pytest.approx(2 / 6)
    assert table.meta["unmapped_targets"] == 1


def test_short_and_empty_lists_are_misses_and_do_not_shrink_the_denominator() -> None:
    systems = [Fixed("short", "c"), Fixed("empty", "")]
    table = evaluate(EXAMPLES, systems, catalogue=CATALOGUE, options=OPTIONS)
    assert table.row("short").values["R@4"] == 0.25
    assert table.row("empty").values["R@4"] == 0.0
    assert {row.n for row in table.rows} == {4}


def test_repeated_and_unknown_items_are_refused_with_the_first_example() -> None:
    with pytest.raises(InputError, match="'bad' ranked 'b' twice for 'x0'"):
        evaluate(EXAMPLES, [Fixed("bad", "abcb")], catalogue=CATALOGUE, options=OPTIONS)
    with pytest.raises(InputError, match="'bad' ranked 'z' for 'x0', which is not in the catalogue"):
        evaluate(EXAMPLES, [Fixed("bad", "abz")], catalogue=CATALOGUE, options=OPTIONS)


def test_a_system_that_forgets_examples_is_refused() -> None:
    class Forgetful(Fixed):
        def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
            return super().rank(examples[1:], n=n)

    with pytest.raises(InputError, match="gave 2 lists for 3 examples"):
        evaluate(EXAMPLES, [Forgetful("f", "abc")], catalogue=CATALOGUE, options=OPTIONS)


def test_names_and_protocols_are_checked() -> None:
    one, two = Fixed("one", "abc"), Fixed("one", "cba")
    with pytest.raises(InputError, match="two systems are named 'one'"):
        evaluate(EXAMPLES, [one, two], catalogue=CATALOGUE)
    with pytest.raises(InputError, match="cannot compare against 'retriever'"):
        evaluate(EXAMPLES, [one], catalogue=CATALOGUE, options=Options(against="retriever"))
    with pytest.raises(InputError, match="none of 1 examples has a target under 'new-targets'"):
        rows_of(EXAMPLES[3:])
    with pytest.raises(InputError, match="unknown protocol 'some'"):
        rows_of(EXAMPLES, protocol="some")  # type: ignore[arg-type]
    for ks in ((), (0, 5), (5, 1), (5, 5)):
        with pytest.raises(InputError, match="ks must be ascending"):
            Options(ks=ks)


def test_a_recording_takes_part_with_the_measures_that_it_can_tell() -> None:
    keys = [("x0", "c"), ("x1", "d"), ("x2", "h"), ("x2", "g")]
    recorded = RecordedRanks("old", 2, {(e, ItemId(t)): r for (e, t), r in zip(keys, (1, 0, 2, 0), strict=True)})
    table = evaluate(EXAMPLES, [Fixed("letters", "abcdefgh"), recorded], catalogue=CATALOGUE, options=OPTIONS)
    row = table.row("old")
    assert (row.values["R@1"], row.values["R@2"], row.values["R@4"]) == (0.25, 0.5, None)
    assert row.intervals["R@4"] is None
    assert row.to_json()["R@4"] is None
    with pytest.raises(InputError, match="does not fit the protocol 'all-targets'"):
        evaluate(EXAMPLES, [recorded], catalogue=CATALOGUE, protocol="all-targets", options=OPTIONS)
    del recorded.ranks["x2", ItemId("g")]
    with pytest.raises(InputError, match="no rank for 'g' of 'x2'"):
        evaluate(EXAMPLES, [recorded], catalogue=CATALOGUE, options=OPTIONS)


def many(count: int) -> list[Example]:
    letters = "abcdefgh"
    return [example(f"x{i}", letters[i * i % 8], dialogue=f"d{i // 3}") for i in range(count)]


def test_json_has_rows_with_intervals_and_meta() -> None:
    table = evaluate(many(60), [Fixed("up", "abcdefgh"), Fixed("down", "hgfedcba")], catalogue=CATALOGUE,
                     options=replace(OPTIONS, against="up"))  # fmt: skip
    document = json.loads(table.with_meta(data_set="letters").to_json())
    assert set(document) == {"rows", "meta"}
    assert document["meta"]["data_set"] == "letters"
    assert document["meta"]["seed"] == 0
    up, down = document["rows"]
    assert set(up) == {"system", "protocol", "n", "R@1", "R@2", "R@4", "N@2", "ci"}
    assert set(down) == {*up, "vs"}
    low, high = down["ci"]["R@4"]
    assert 0 <= low <= down["R@4"] <= high <= 1
    delta = down["vs"]["up"]["R@4"]
    assert delta["delta"] == pytest.approx(down["R@4"] - up["R@4"])
    assert delta["ci"][0] <= delta["delta"] <= delta["ci"][1]


def test_predictions_on_disk_give_the_table_again(tmp_path: Path) -> None:
    table = evaluate(many(40), [Fixed("up", "abcdefgh"), Fixed("down", "hgfedcba")], catalogue=CATALOGUE,
                     options=OPTIONS)  # fmt: skip
    table.write_predictions(tmp_path / "p.jsonl")
    written = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert len(written) == 80
    for system in ("up", "down"):
        ranks = [p["rank"] for p in written if p["system"] == system]
        row = table.row(system)
        assert recall_at(ranks, 2).mean() == row.values["R@2"]
        assert ndcg_at(ranks, 2).mean() == row.values["N@2"]


def test_the_same_seed_gives_the_same_table_and_another_one_other_intervals_only() -> None:
    def table(seed: int) -> dict[str, object]:
        options = replace(OPTIONS, seed=seed)
        return evaluate(many(60), [Fixed("up", "abcdefgh")], catalogue=CATALOGUE, options=options).rows[0].to_json()

    assert table(1) == table(1)
    assert table(1)["ci"] != table(2)["ci"]
    assert {k: v for k, v in table(1).items() if k != "ci"} == {k: v for k, v in table(2).items() if k != "ci"}


def test_progress_is_told_by_system() -> None:
    told: list[tuple[str, int, int]] = []
    evaluate(many(300), [Fixed("up", "abc")], catalogue=CATALOGUE, options=OPTIONS,
             progress=lambda *at: told.append(at))  # fmt: skip
    assert told == [("up", 256, 300), ("up", 300, 300)]


def test_blocks_of_two_protocols_share_a_table_and_a_picture() -> None:
    system = Fixed("letters", "abcdefgh")
    keys = {("x0", "c"): 1, ("x1", "d"): 0, ("x2", "h"): 2, ("x2", "g"): 0}
    recorded = RecordedRanks("old", 2, {(e, ItemId(t)): r for (e, t), r in keys.items()})
    options = replace(OPTIONS, against="letters")
    first = evaluate(EXAMPLES, [system, recorded], catalogue=CATALOGUE, options=options)
    second = evaluate(EXAMPLES, [system], catalogue=CATALOGUE, protocol="all-targets", options=OPTIONS)
    table = first.then(second)
    assert [(row.system, row.protocol) for row in table.rows] == [
        ("letters", "new-targets"),
        ("old", "new-targets"),
        ("letters", "all-targets"),
    ]
    assert table.meta["examples"] == {"new-targets": 3, "all-targets": 4}
    assert table.row("letters", protocol="all-targets").n == 6
    with pytest.raises(InputError, match="no row of 'letters'"):
        table.row("letters", protocol="none")
    out = io.StringIO()
    Console(file=out, width=140).print(render(table, title="small"))
    picture = out.getvalue()
    for part in ("small", "letters", "all-targets", "R@4", "N@2 95%", "ΔN@2 vs letters", "–", ".500", "catalogue 8"):
        assert part in picture
