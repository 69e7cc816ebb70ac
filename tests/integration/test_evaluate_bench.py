"""A recipe, its folder, and what is done with it afterwards, on an invented data set."""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rarec.cli.app import app
from rarec.conversations import Example, write_jsonl
from rarec.errors import InputError, StoreError
from rarec.evaluate import Catalogue, Resources, load_recipe, read_run, replay, run_recipe
from rarec.evaluate.baselines import Random
from rarec.evaluate.folder import RunFolder, opened
from rarec.evaluate.predictions import Answer, Call
from rarec.evaluate.recipe import Recipe
from rarec.evaluate.runner import Run
from rarec.testing import FakeOpenAIServer, HashEmbedder, Reply
from rarec.types import Conversation, Item, ItemId, Mention, Turn

runner = CliRunner(env={"COLUMNS": "200", "RAREC_DATA": None})  # recipes name their own folders
CHEESES = 24
TESTS = 70
"""More than four portions of a generating system."""


def cheese(number: int) -> Item:
    kind = ("soft", "hard", "blue")[number % 3]
    return Item(
        ItemId(f"c{number}"), f"Cheese of Valley {number}", f"A {kind} cheese.", 1900 + number,
        {"kind": (kind,)}, popularity=float(CHEESES - number),
    )  # fmt: skip


def dialogue(name: str, *items: int) -> Conversation:
    turns = []
    for at, number in enumerate(items):
        text = f"What of {cheese(number).title}?"
        turns.append(Turn("user" if at % 2 == 0 else "assistant", text, (Mention(ItemId(f"c{number}")),)))
    return Conversation(tuple(turns), id=name)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "cheese"
    training = [dialogue(f"train{i}", i % 7, (i * i) % CHEESES, (i + 3) % CHEESES) for i in range(30)]
    valid = [dialogue(f"valid{i}", i % 5, (i + 3) % CHEESES) for i in range(10)]
    test = [dialogue(f"test{i}", i % CHEESES, (i * 5 + 1) % CHEESES) for i in range(TESTS)]
    write_jsonl(
        folder, items=[cheese(i) for i in range(CHEESES)], splits={"train": training, "valid": valid, "test": test}
    )
    return folder


HEAD = """
[run]
seeds = [0, 1]
samples = 50
measures = ["R@1", "R@5", "N@5"]
headline = "N@5"
depth = 8
slices = false
protocols = ["new-targets"]
[[data_set]]
name = "cheese"
folder = "cheese"
"""
FULL = HEAD.replace("slices = false", "").replace('"new-targets"', '"new-targets", "new-targets/per-turn"')
SYSTEMS = """
[[system]]
kind = "popularity"
[[system]]
kind = "random"
[[system]]
kind = "co-occurrence"
[[system]]
kind = "fusion"
members = ["popularity", "co-occurrence"]
method = "learned"
[[system]]
kind = "oracle"
members = ["popularity", "random"]
"""


def written(data: Path, systems: str = SYSTEMS, *, head: str = HEAD, name: str = "small") -> Path:
    path = data.parent / f"{name}.toml"
    path.write_text(head + systems, encoding="utf-8")
    return path


def rarec(*words: str | Path, code: int = 0) -> Result:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def snapshot(folder: Path) -> dict[str, str]:
    """Every file that is not about the date or the cache, by its hash."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in (".parquet", ".json")
    }


# the whole way, from the command line


def test_a_recipe_becomes_a_folder_that_gives_the_same_figures_again(data: Path) -> None:
    recipe = written(data, head=FULL)
    out = data.parent / "out"
    done = rarec("evaluate", recipe, "--out", out)
    assert "co-occurrence" in done.stdout
    assert "new-targets/per-turn" in done.stdout
    names = {path.relative_to(out).as_posix() for path in out.rglob("*")}
    assert {
        "config.json", "metrics.json", "report.html",
        "cheese/examples.parquet", "cheese/items.parquet", "cheese/predictions.parquet",
    } <= names  # fmt: skip
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    hashes = {entry["path"]: entry["sha256"] for entry in config["inputs"]["cheese"]}
    assert hashes["test.jsonl"] == hashlib.sha256((data / "test.jsonl").read_bytes()).hexdigest()
    assert {"train.jsonl", "valid.jsonl", "items.jsonl"} <= hashes.keys()
    assert config["versions"]["numpy"]
    assert "Identical" in rarec("replay", out).stdout
    _, run = read_run(out)
    block = run.results.block("cheese")
    assert block.rows == len([e for e in run.data_sets[0][0].examples if not e.repeated])
    assert block.system("random").seeds == 2
    assert block.system("popularity").seeds == 1
    assert "learned on" in block.system("popularity + co-occurrence (learned)").note


def test_systems_may_be_limited_to_data_sets_and_others_compared_with_them(data: Path) -> None:
    second = HEAD.partition("[[data_set]]")[2].replace('name = "cheese"', 'name = "again"\nreader = "jsonl"')
    head = HEAD.replace("slices", 'against = "random"\nslices') + f"[[data_set]]{second}"
    systems = SYSTEMS.replace('kind = "oracle"', 'kind = "oracle"\nonly = ["cheese"]')
    systems = systems.replace('kind = "random"', 'kind = "random"\nonly = ["cheese"]')
    out = data.parent / "out"
    rarec("evaluate", written(data, systems, head=head), "--out", out)
    _, run = read_run(out)
    assert [system.system for system in run.results.block("again").systems] == [
        "popularity",
        "co-occurrence",
        "popularity + co-occurrence (learned)",
    ]
    assert len(run.results.block("cheese").systems) == 5
    assert run.results.block("cheese").pair("popularity", "random", "R@1")
    with pytest.raises(InputError, match="were not compared on 'R@1'"):
        run.results.block("again").pair("popularity", "co-occurrence", "R@1")


def test_linked_mentions_need_a_corpus(data: Path) -> None:
    head = HEAD.replace('folder = "cheese"', 'folder = "cheese"\nmentions = "linked"')
    done = rarec("evaluate", written(data, head=head), code=2)
    assert "'cheese' has no corpus beside its own items" in done.stderr
    assert 'leave mentions = "linked" out' in done.stderr
    assert "mentions" in rarec("evaluate", written(data, head=head.replace("linked", "all")), code=2).stderr


def test_json_and_the_default_folder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data.parent)
    done = rarec("evaluate", written(data), "--json", "-")
    assert json.loads(done.stdout)["blocks"][0]["data_set"] == "cheese"
    assert (data.parent / "runs" / "small" / "metrics.json").exists()


def test_a_replay_that_differs_says_where_and_fails(data: Path) -> None:
    out = data.parent / "out"
    rarec("evaluate", written(data), "--out", out)
    path = out / "metrics.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["blocks"][0]["systems"][0]["figures"]["R@5"]["low"] += 1e-15
    path.write_text(json.dumps(document), encoding="utf-8")
    failed = rarec("replay", out, code=8)
    assert "blocks[0].systems[0].figures.R@5.low" in failed.stderr
    rarec("replay", out, "--write", code=8)
    rarec("replay", out)


def test_damaged_and_foreign_predictions_are_not_replayed(data: Path) -> None:
    out = data.parent / "out"
    rarec("evaluate", written(data), "--out", out)
    path = out / "cheese" / "predictions.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert "predictions.parquet' is not what the run wrote" in rarec("replay", out, code=2).stderr
    path.unlink()
    assert "predictions.parquet" in rarec("replay", out, code=2).stderr
    (out / "metrics.json").unlink()
    assert "not finished" in rarec("replay", out, code=2).stderr
    assert "no file" in rarec("replay", data, code=2).stderr


def test_two_systems_and_two_runs_are_compared_row_by_row(data: Path) -> None:
    one, two = data.parent / "one", data.parent / "two"
    rarec("evaluate", written(data), "--out", one)
    changed = SYSTEMS.replace('method = "learned"', 'method = "interleave"').replace("oracle", "oracle", 1)
    rarec("evaluate", written(data, changed, name="other"), "--out", two)
    found = json.loads(rarec("compare", f"{one}:co-occurrence", f"{one}:popularity", "--json").stdout)["comparisons"]
    assert [(c["a"], c["b"], c["protocol"]) for c in found] == [("co-occurrence", "popularity", "new-targets")]
    measures = found[0]["measures"]
    assert set(measures) == {"R@1", "R@5", "N@5"}
    r5 = measures["R@5"]
    assert r5["delta"] == pytest.approx(r5["a"] - r5["b"])
    assert r5["ci"][0] <= r5["delta"] <= r5["ci"][1]
    turned = json.loads(rarec("compare", f"{one}:popularity", f"{two}:co-occurrence", "--json").stdout)["comparisons"]
    assert turned[0]["measures"]["R@5"]["delta"] == pytest.approx(-r5["delta"])
    both = json.loads(rarec("compare", one, two, "--json").stdout)["comparisons"]
    assert [c["a"] for c in both] == ["one: popularity", "one: random", "one: co-occurrence",
                                      "one: oracle of popularity and random"]  # fmt: skip
    assert all(m["delta"] == m["ci"][0] == m["ci"][1] == 0 for c in both for m in c["measures"].values())
    assert all(c["identical"] for c in both)
    said = rarec("compare", one, two).stdout
    assert said.count("identical on every measure") == 4
    assert "detectable" not in said
    for side in ("A", "B"):
        assert f": only {side} has " in said
    text = rarec("compare", f"{one}:co-occurrence", f"{one}:popularity", "--protocol", "all-targets").stdout
    assert "all-targets" in text
    assert "n = " in text


def test_runs_on_other_rows_are_not_compared(data: Path) -> None:
    one, two = data.parent / "one", data.parent / "two"
    rarec("evaluate", written(data), "--out", one)
    lines = (data / "test.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (data / "test.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
    rarec("evaluate", written(data, name="other"), "--out", two)
    assert "only the first has the example 'test69_1'" in rarec("compare", one, two, code=2).stderr
    assert "only the second has the example 'test69_1'" in rarec("compare", two, one, code=2).stderr
    assert "no system 'retriever'" in rarec("compare", f"{one}:retriever", f"{one}:random", code=2).stderr
    assert "name two systems" in rarec("compare", one, one, code=2).stderr
    assert "no run in" in rarec("compare", one, data, code=2).stderr
    assert "unknown protocol" in rarec("compare", one, two, "--protocol", "x", code=2).stderr


def test_both_forms_are_explained(data: Path) -> None:
    said = rarec("evaluate", code=2).stderr
    assert "rarec evaluate recipe.toml" in said
    assert "--eval" in said
    recipe = written(data)
    assert "not both" in rarec("evaluate", recipe, "--eval", data / "test.jsonl", code=2).stderr
    assert "--systems does not go with a recipe" in rarec("evaluate", recipe, "--systems", "x", code=2).stderr
    assert "--out does not go with --eval" in rarec("evaluate", "--eval", recipe, "--out", data, code=2).stderr


# what is kept


class Counting:
    """A generating system that remembers what it was asked."""

    name = "counting"

    def __init__(self, catalogue: Catalogue, *, fails: Sequence[str] = ()) -> None:
        self._ids = [item.id for item in catalogue.items]
        self.fails = set(fails)
        self.asked: list[str] = []
        self.sentiments: set[str] = set()

    def answers(self, examples: Sequence[Example], *, n: int) -> list[Answer]:
        self.asked += [example.id for example in examples]
        self.sentiments |= {m.sentiment for example in examples for m in example.conversation.mentions()}
        return [self._answer(example, n) for example in examples]

    def _answer(self, example: Example, n: int) -> Answer:
        failed = example.id in self.fails
        call = Call(latency_ms=1.5, input_tokens=3, named=2, degraded=failed, answer="" if failed else example.id)
        return Answer(tuple(reversed(self._ids))[:n], call)


CUSTOM = '[[system]]\nkind = "custom"\nname = "counting"\n'


class Bench:
    """Runs a recipe with a counting system into one folder."""

    def __init__(self, data: Path) -> None:
        self.data, self.out = data, data.parent / "out"
        self.system: Counting | None = None
        self.fails: Sequence[str] = ()

    def run(self, systems: str = CUSTOM, *, head: str = HEAD) -> Run:
        self.system = None

        def build(catalogue: Catalogue, seed: int) -> Counting:
            self.system = Counting(catalogue, fails=self.fails)
            return self.system

        recipe: Recipe = load_recipe(written(self.data, systems, head=head))
        resources = Resources(custom={"counting": build}, embedder=HashEmbedder())
        with opened(self.out, name=recipe.run.name) as folder:
            return run_recipe(recipe, resources=resources, folder=folder, page=False)

    @property
    def asked(self) -> int:
        return len(self.system.asked) if self.system else 0


@pytest.fixture
def bench(data: Path) -> Bench:
    return Bench(data)


def test_a_finished_run_computes_only_scores(bench: Bench) -> None:
    first = bench.run()
    assert bench.asked == TESTS
    before = snapshot(bench.out)
    second = bench.run()
    assert bench.asked == 0
    assert second.data_sets == first.data_sets
    assert second.results.blocks == first.results.blocks
    assert snapshot(bench.out) == before
    assert len(list((bench.out / "parts").glob("*.parquet"))) == 1  # portions are gone when the whole is there


def test_a_changed_recipe_computes_only_what_changed(bench: Bench) -> None:
    bench.run()
    more = bench.run(CUSTOM + SYSTEMS)
    assert bench.asked == 0
    assert more.results.block("cheese").system("counting").generation is not None
    renamed = bench.run(CUSTOM + SYSTEMS, head=HEAD.replace("samples = 50", "samples = 60"))
    assert bench.asked == 0
    assert renamed.results.blocks[0].samples == 60
    bench.run(CUSTOM, head=HEAD.replace("depth = 8", "depth = 9"))
    assert bench.asked == TESTS


def test_changed_data_are_computed_again(bench: Bench) -> None:
    bench.run()
    path = bench.data / "train.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    bench.run()
    assert bench.asked == TESTS


def test_annotated_sentiments_are_hidden_unless_asked_for(bench: Bench) -> None:
    path = bench.data / "test.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"item":', '"sentiment": "disliked", "item":'))
    for wanted, seen in ((False, "mentioned"), (True, "disliked"), (False, "mentioned")):
        bench.run(head=HEAD + ("sentiments = true\n" if wanted else ""))
        if bench.system is not None:  # the third time it is known from the first
            assert bench.system.sentiments == {seen}
            assert bench.asked == TESTS
    assert bench.asked == 0
    assert len(list((bench.out / "parts").glob("*.parquet"))) == 2


@pytest.mark.parametrize("name", ["my cheese", ".", "a/b", "-a", ""])
def test_a_data_set_is_named_in_one_word(data: Path, name: str) -> None:
    told = rarec("evaluate", written(data, head=HEAD.replace('"cheese"', f'"{name}"', 1)), code=2).stderr
    assert f"data_set 1.name = {name!r}: must be one word of letters, digits, '_', '.' and '-'" in told
    told = rarec("evaluate", "--eval", data / "test.jsonl", "--data-set", name or " ", code=2).stderr
    assert f"data_set 1.name = {(name or ' ')!r}: must be one word of letters" in told


def test_figures_of_another_question_do_not_stay(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run()

    def stopped(self: Random, examples: Sequence[Example]) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Random, "scores", stopped)
    with pytest.raises(KeyboardInterrupt):
        bench.run(CUSTOM + SYSTEMS)
    assert not (bench.out / "metrics.json").exists()
    with pytest.raises(InputError, match="not finished"):
        replay(bench.out)


def test_a_damaged_part_is_computed_again_and_said(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    first = bench.run()
    (part,) = (bench.out / "parts").glob("*.parquet")
    content = bytearray(part.read_bytes())
    content[100] ^= 0xFF
    part.write_bytes(bytes(content))
    with caplog.at_level(logging.WARNING):
        second = bench.run()
    assert "is damaged" in caplog.text
    assert bench.asked == TESTS
    assert second.data_sets == first.data_sets


def test_failed_calls_are_asked_again(bench: Bench) -> None:
    bench.fails = ("test20_1",)
    first = bench.run()
    generation = first.results.block("cheese").system("counting").generation
    assert generation is not None
    assert generation.degraded == pytest.approx(1 / TESTS)
    bench.fails = ()
    second = bench.run()
    assert bench.asked == 16  # the portion with the failed call; the others were kept
    assert not any(call.degraded for call in second.data_sets[0][1][0].calls.values())
    bench.run()
    assert bench.asked == 0


def test_parts_of_other_code_are_used_and_named(bench: Bench) -> None:
    bench.run()
    (part,) = (bench.out / "parts").glob("*.parquet")
    key, _, digest, ending = part.name.split(".")
    part.rename(part.with_name(f"{key}.{'0' * 12}.{digest}.{ending}"))
    run = bench.run()
    assert bench.asked == 0
    assert run.older == ("counting",)
    assert run.results.meta["older_parts"] == ["counting"]


def test_predictions_read_back_are_those_that_were_made(bench: Bench) -> None:
    run = bench.run(CUSTOM + SYSTEMS)
    _, again = read_run(bench.out)
    assert again.data_sets == run.data_sets
    assert again.results == run.results


# kill


SLOW = """
import sys, time
from pathlib import Path
from rarec.evaluate import Resources, load_recipe, run_recipe
from rarec.evaluate.folder import opened
from rarec.evaluate.predictions import Answer, Call
from rarec.testing import HashEmbedder

class Slow:
    name = "counting"
    def __init__(self, catalogue, seed):
        self.ids = [item.id for item in catalogue.items]
    def answers(self, examples, *, n):
        print("portion", flush=True)
        time.sleep(0.05)
        call = lambda e: Call(latency_ms=1.5, input_tokens=3, named=2, answer=e.id)
        return [Answer(tuple(reversed(self.ids))[:n], call(e)) for e in examples]

recipe = load_recipe(sys.argv[1])
with opened(Path(sys.argv[2]), name=recipe.run.name) as folder:
    resources = Resources(custom={"counting": Slow}, embedder=HashEmbedder())
    run_recipe(recipe, resources=resources, folder=folder, page=False)
"""


@pytest.mark.parametrize("portions", [1, 3])
def test_a_killed_run_goes_on_where_it_was(data: Path, portions: int) -> None:
    bench = Bench(data)
    recipe = written(data, CUSTOM + SYSTEMS)
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, str(recipe), str(bench.out)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(portions):
            assert process.stdout.readline() == "portion\n"
        process.send_signal(signal.SIGKILL)
    assert not (bench.out / "metrics.json").exists()
    (bench.out / "parts" / f".torn.parquet.{'0' * 12}").write_bytes(b"PAR1")  # what a kill within a write leaves
    resumed = bench.run(CUSTOM + SYSTEMS)
    assert TESTS - 16 * portions <= bench.asked <= TESTS - 16 * (portions - 1)
    assert not list((bench.out / "parts").glob(".torn*"))
    bench.out = data.parent / "whole"
    whole = bench.run(CUSTOM + SYSTEMS)
    assert bench.asked == TESTS
    assert resumed.data_sets == whole.data_sets
    assert resumed.results.blocks == whole.results.blocks


def test_ctrl_c_says_how_to_go_on(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(self: Random, examples: Sequence[Example]) -> Any:
        raise KeyboardInterrupt

    recipe, out = written(data), data.parent / "out"
    with monkeypatch.context() as patched:
        patched.setattr(Random, "scores", stopped)
        said = rarec("evaluate", recipe, "--out", out, code=130).stderr
    assert f"What is finished is in {out}; run the same command again to go on." in said
    assert list((out / "parts").glob("*.parquet"))  # popularity was done
    rarec("evaluate", recipe, "--out", out)


# language models over HTTP


def server(fails: bool = False) -> FakeOpenAIServer:
    def answer(body: Any) -> str | Reply:
        asked = body["messages"][-1]["content"]
        if fails and "Valley 3?" in asked:
            return Reply(status=400)
        ranking = {"ranking": [2, 1], "reply": "Here."}
        titles = {"titles": [{"title": "Cheese of Valley 4", "year": 1904}, {"title": "No Such Cheese"}]}
        return json.dumps({**ranking, **titles})

    return FakeOpenAIServer([answer])


def llm_systems(url: str, *, price: float = 1.0) -> str:
    llm = f'llm = {{ model = "tiny", base_url = "{url}", prices = {{ input = {price}, output = 2.0 }} }}'
    ranked = f'[[system]]\nkind = "ranked"\nof = "popularity"\ncandidates = 5\n{llm}\n'
    return SYSTEMS + ranked + f'[[system]]\nkind = "llm-alone"\n{llm}\n'


def test_answers_are_paid_for_once(data: Path) -> None:
    out = data.parent / "out"
    with server() as fake:
        rarec("evaluate", written(data, llm_systems(fake.url)), "--out", out)
        asked = len(fake.requests)
        assert TESTS < asked <= 2 * TESTS
        _, run = read_run(out)
        block = run.results.block("cheese")
        for row, ungrounded in (("popularity+tiny", 0.0), ("tiny alone", 0.5)):
            generation = block.system(row).generation
            assert generation is not None
            assert generation.calls == TESTS
            assert generation.ungrounded == ungrounded
            assert generation.cost_usd is not None
            assert generation.cost_usd > 0
        # Another price is another figure, computed from the answers that are there; so it is when parts are forgotten.
        rarec("evaluate", written(data, llm_systems(fake.url, price=5.0)), "--out", out)
        rarec("evaluate", written(data, llm_systems(fake.url, price=5.0)), "--out", out, "--fresh")
        assert len(fake.requests) == asked
        dearer = read_run(out)[1].results.block("cheese").system("tiny alone").generation
        assert dearer is not None
        assert dearer.cost_usd is not None
        assert dearer.cost_usd > generation.cost_usd


def test_what_a_server_refused_is_asked_again(data: Path) -> None:
    out = data.parent / "out"
    with server(fails=True) as fake:
        recipe = written(data, llm_systems(fake.url))
        rarec("evaluate", recipe, "--out", out)
        degraded = read_run(out)[1].results.block("cheese").system("tiny alone").generation
        assert degraded is not None
        assert 0 < degraded.degraded < 1
        before = len(fake.requests)
        rarec("evaluate", recipe, "--out", out)
        again = len(fake.requests) - before
    assert 0 < again < TESTS


def test_a_key_that_is_not_there_is_said_and_not_replaced(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "another provider's")
    systems = '[[system]]\nkind = "llm-alone"\nllm = { model = "m", api_key_env = "RAREC_TEST_NO_KEY" }\n'
    failed = rarec("evaluate", written(data, systems), "--out", data.parent / "out", code=2)
    assert "'RAREC_TEST_NO_KEY'" in failed.stderr
    assert "another provider's" not in failed.stderr


def remote(url: str, *, kind: str = "llm-alone") -> str:
    of = 'of = "popularity"\n' if kind == "ranked" else ""
    llm = f'llm = {{ model = "tiny", base_url = "{url}", deadline_s = 5.0 }}'
    return f'[[system]]\nkind = "popularity"\n[[system]]\nkind = "{kind}"\n{of}{llm}\n'


@pytest.mark.parametrize("kind", ["ranked", "llm-alone"])
def test_a_server_that_answers_nothing_stops_the_run(data: Path, kind: str) -> None:
    out = data.parent / "out"
    with FakeOpenAIServer([lambda _: Reply(status=401)]) as fake:
        address = fake.url
        recipe = written(data, remote(fake.url, kind=kind))
        failed = rarec("evaluate", recipe, "--out", out, code=6)
        assert len(fake.requests) == 16
    for part in ("'tiny'", "all 16 calls in a row failed", "answered 401", "run the same command again"):
        assert part in failed.stderr, part
    assert ("'popularity+tiny'" if kind == "ranked" else "'tiny alone'") in failed.stderr
    assert not (out / "metrics.json").exists()
    # Nobody listens there any more.
    gone = rarec("evaluate", written(data, remote(address, kind=kind)), "--out", out, code=6)
    assert "check that the server runs" in gone.stderr


def test_a_server_that_dies_on_the_way_stops_the_run_and_what_was_answered_is_kept(data: Path) -> None:
    out = data.parent / "out"
    text = json.dumps({"titles": [{"title": "Cheese of Valley 4", "year": 1904}]})
    replies: list[str | Reply] = [text] * 20 + [Reply(status=401)] * TESTS
    with FakeOpenAIServer(replies) as fake:
        recipe = written(data, remote(fake.url))
        rarec("evaluate", recipe, "--out", out, code=6)
        assert len(fake.requests) < TESTS
    (answers,) = (out / "parts").glob("answers-*.jsonl")
    assert len(answers.read_text(encoding="utf-8").splitlines()) == 20


def test_lost_calls_are_a_note_of_the_row_and_one_warning(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = data.parent / "out"
    with server(fails=True) as fake:
        alone, fusion = remote(fake.url), '[[system]]\nkind = "fusion"\nmembers = ["tiny alone", "popularity"]\n'
        rarec("evaluate", written(data, alone + fusion), "--out", out)
    block = read_run(out)[1].results.block("cheese")
    assert block.system("tiny alone").note == "no answer for 3 of 70 calls; there the list is empty; " + EVERY
    assert "answers are missing in 'tiny alone', see there" in block.system("tiny alone + popularity (rrf)").note
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    (warning,) = [one for one in warnings if "answer" in one]
    assert warning.startswith("cheese, tiny alone: no answer for 3 of 70 calls; the first reason: 'tiny' at")


EVERY = "every answer had to be repaired: none was exactly what was asked for"


@pytest.mark.parametrize(
    ("kind", "row", "note"),
    [
        ("llm-alone", "tiny alone", EVERY),
        ("ranked", "popularity+tiny",
         f"70 of 70 answers named no candidate; there the list is that of 'popularity'; {EVERY}"),
    ],
)  # fmt: skip
def test_answers_of_nonsense_are_a_note(data: Path, kind: str, row: str, note: str) -> None:
    out = data.parent / "out"
    with FakeOpenAIServer([lambda _: "Bananas."]) as fake:
        rarec("evaluate", written(data, remote(fake.url, kind=kind)), "--out", out)
    assert read_run(out)[1].results.block("cheese").system(row).note == note


def test_without_a_key_nothing_begins_and_no_folder_stays(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    out = data.parent / "deep" / "out"
    recipe = written(data, remote("http://models.invalid/v1"))
    failed = rarec("evaluate", recipe, "--out", out, code=6).stderr
    assert "'tiny alone' asks 'tiny', but there is no key for http://models.invalid/v1; set" in failed
    assert not out.exists()
    monkeypatch.setenv("OPENAI_API_KEY", "k\u00e9y")
    assert "characters that no key has" in rarec("evaluate", recipe, "--out", out, code=2).stderr
    assert not out.exists()


def test_a_finished_run_needs_no_key(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with server() as fake:
        rarec("evaluate", recipe := written(data, remote(fake.url)), "--out", data.parent / "out")
    rarec("evaluate", recipe, "--out", data.parent / "out")


# folders that are not ours


def test_a_data_folder_that_is_not_there_is_said(data: Path) -> None:
    head = HEAD.replace('folder = "cheese"', 'folder = "chees"')
    failed = rarec("evaluate", written(data, head=head), "--out", data.parent / "out", code=2)
    assert "chees' of 'cheese' does not exist; correct 'folder' in the recipe" in failed.stderr
    assert not (data.parent / "out").exists()


def test_another_name_than_the_data_sets_own_is_warned_of(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    (data / "data_set.toml").write_text('name = "dairy"\n', encoding="utf-8")
    systems = '[[system]]\nkind = "popularity"\n'
    rarec("evaluate", written(data, systems), "--out", data.parent / "out")
    assert "the recipe calls 'cheese' what" in caplog.text
    assert "calls 'dairy'" in caplog.text


def test_a_refused_run_leaves_a_folder_that_was_there(data: Path) -> None:
    out = data.parent / "out"
    rarec("evaluate", mine(data, good()), "--out", out)
    before = snapshot(out)
    rarec("evaluate", mine(data, good()[:-1]), "--out", out, code=2)
    assert snapshot(out) == before


def test_another_run_and_foreign_files_are_left_alone(data: Path) -> None:
    out = data.parent / "out"
    rarec("evaluate", written(data), "--out", out)
    other = written(data, name="other")
    assert "holds the run 'small', not 'other'" in rarec("evaluate", other, "--out", out, code=2).stderr
    mine = data.parent / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear", encoding="utf-8")
    assert "first 'letter.txt'" in rarec("evaluate", other, "--out", mine, code=2).stderr
    assert not (mine / "config.json").exists()
    rarec("evaluate", other, "--out", mine, "--force")
    assert (mine / "letter.txt").read_text(encoding="utf-8") == "dear"
    rarec("evaluate", other, "--out", out, "--force")


def test_two_processes_do_not_share_a_folder(data: Path) -> None:
    out = data.parent / "out"
    with opened(out, name="small"):
        assert "another rarec evaluate" in rarec("evaluate", written(data), "--out", out, code=2).stderr


def test_a_folder_that_cannot_be_written(data: Path) -> None:
    blocked = data.parent / "file"
    blocked.write_text("", encoding="utf-8")
    assert "cannot use the folder" in rarec("evaluate", written(data), "--out", blocked / "x", code=3).stderr


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(data: Path) -> None:
    closed = data.parent / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="choose another with --out"), opened(closed, name="small"):
        pass


def test_fresh_forgets_what_is_finished(data: Path) -> None:
    out = data.parent / "out"
    rarec("evaluate", written(data), "--out", out)
    for part in (out / "parts").glob("*.parquet"):
        part.rename(part.with_name(part.name.replace(part.name.split(".")[1], "0" * 12)))
    assert "Made by other code" in rarec("evaluate", written(data), "--out", out).stderr
    assert "Made by other code" not in rarec("evaluate", written(data), "--out", out, "--fresh").stderr
    assert isinstance(RunFolder(out).parts, Path)


# wrong data and predictions


@pytest.mark.parametrize(
    ("head", "systems", "says"),
    [
        (HEAD.replace('name = "cheese"', 'name = "chees"\nreader = "chees"'), SYSTEMS, "unknown data set 'chees'; use"),
        (HEAD.replace('folder = "cheese"', 'folder = "."'), SYSTEMS, "unknown data set 'cheese'; use one of redial"),
        (HEAD.replace('folder = "cheese"', 'folder = "none"'), SYSTEMS, "none"),
        (HEAD + 'split = "exam"\n', SYSTEMS, "no split 'exam'"),
        (HEAD + 'split = "exam"\n', SYSTEMS, "it has 'train', 'valid', 'test'"),
        (HEAD + 'training = "learn"\n', SYSTEMS, "no split 'learn'"),
        (HEAD + 'tuning = "dev"\n', SYSTEMS, "no split 'dev'"),
        (HEAD.replace("new-targets", "new-targets/corpus"), SYSTEMS, "has no corpus"),
        (HEAD, '[[system]]\nkind = "recorded"\nmodel = "gpt-4"\n', "give the file of recordings (recorded_ranks)"),
        (HEAD, '[[system]]\nkind = "file"\npath = "none.jsonl"\n', "none.jsonl"),
        (
            HEAD,
            SYSTEMS.partition("[[system]]")[0]
            + '[[system]]\nkind = "random"\nonly = ["cheese"]\n'
            + '[[system]]\nkind = "oracle"\nmembers = ["random", "popularity"]\n',
            "needs the system 'popularity'",
        ),
        (HEAD, CUSTOM, "nobody gave a system 'counting'"),
    ],
)
def test_wrong_recipes_are_refused_before_the_work(data: Path, head: str, systems: str, says: str) -> None:
    failed = rarec("evaluate", written(data, systems, head=head), "--out", data.parent / "out", code=2)
    assert says in failed.stderr
    assert not list((data.parent / "out" / "parts").glob("*.parquet"))


FILE = '[[system]]\nkind = "popularity"\n[[system]]\nkind = "file"\npath = "mine.jsonl"\n'


def mine(data: Path, rows: list[Any]) -> Path:
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    (data.parent / "mine.jsonl").write_text(text, encoding="utf-8")
    return written(data, FILE)


def good(items: Sequence[str] = ("c1", "c2", "c3", "c4", "c5", "c6")) -> list[Any]:
    return [{"example": f"test{i}_1", "items": list(items)} for i in range(TESTS)]


def test_somebodys_own_predictions_stand_beside_ours(data: Path) -> None:
    out = data.parent / "out"
    rarec("evaluate", mine(data, good()), "--out", out)
    _, run = read_run(out)
    result = run.results.block("cheese").system("mine")
    assert result.depth == 6  # no list is longer, so nothing is told beyond
    assert result.figures["R@5"].value is not None
    rarec("evaluate", mine(data, good(["c1", "c2"])), "--out", out)
    _, run = read_run(out)
    assert run.results.block("cheese").system("mine").figures["R@5"].value is None


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "has no predictions; the gold has 70 examples"),
        (good()[:-1], "no prediction for 'test69_1' (69 predictions, 70 examples)"),
        ([*good(), {"example": "test99_1", "items": ["c1"]}], "a prediction for 'test99_1', which is no example"),
        ([*good(), good()[3]], "line 71: the example 'test3_1' was given before"),
        ([{"example": "test0_1", "items": ["c1", "c9", "c1"]}, *good()[1:]],
         "line 1: 'c1' is in the list twice; give every item"),
        ([*good()[:5], {"example": "test5_1", "items": ["c99"]}, *good()[6:]],
         "line 6: 'c99' is no item of the catalogue of 'cheese'; give ids"),
        (good(["c1", "moon"]), "line 1: 'moon' is no item of the catalogue of 'cheese' (and 69 more, in 70 lists)"),
        ([*good()[:2], {"example": "test2_1", "items": []}, *good()[3:]], "'test2_1' has an empty list"),
        ([{"example": "test0_1", "itms": []}], "field 'itms': is unknown"),
        ([{"example": "test0_1", "items": [None]}], "has a null"),
        ([{"example": "test0_1", "items": "c1"}], "is not a list"),
        (["{"], "line 1 is not JSON"),
    ],
)  # fmt: skip
def test_predictions_that_do_not_fit_are_refused_before_the_work(data: Path, rows: list[Any], says: str) -> None:
    failed = rarec("evaluate", mine(data, rows), "--out", data.parent / "out", code=2)
    assert says in failed.stderr
    assert not list((data.parent / "out" / "parts").glob("*.parquet"))


def test_predictions_in_parquet_with_whole_numbers(data: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"example": [f"test{i}_1" for i in range(TESTS)], "items": [["c1", "c2"]] * TESTS})
    parquet.write_table(table, data.parent / "mine.parquet")
    recipe = written(data, FILE.replace("jsonl", "parquet"))
    rarec("evaluate", recipe, "--out", data.parent / "out")
    wrong = pyarrow.table({"example": ["test0_1"], "items": [[7]]})
    parquet.write_table(wrong, data.parent / "mine.parquet")
    assert "no prediction for 'test1_1'" in rarec("evaluate", recipe, "--out", data.parent / "o2", code=2).stderr
