"""The page of an alignment run: its figures are those of the files, its text is only text, and it asks for nothing."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rarec.align.journal import read_log
from rarec.alignment import Resources, align
from rarec.alignment.comparing import compared
from rarec.alignment.example_choice import chosen
from rarec.alignment.figures import AGREEMENT, ALONE, HELD, JUDGED, REFUSED
from rarec.alignment.reading import read_run
from rarec.alignment.recipe import parse_align_recipe
from rarec.alignment.report import REPORT, write_report
from rarec.alignment.report.curves import PANELS
from rarec.alignment.report.html import page
from rarec.alignment.slicing import gains_by_slice
from rarec.conversations import write_jsonl
from rarec.errors import StoreError
from rarec.feedback import FeedbackEvent, event_line
from rarec.llm.protocol import OnText
from rarec.pages.wording import clean, number, quantity, signed, signed_span
from rarec.retriever.bundle import save_retriever
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.reward import Feedback, agreement, ndcg
from rarec.testing import HashEmbedder
from rarec.testing.judges import World, era_lover
from rarec.testing.second_domain import KINDS, PEOPLE, second_domain
from rarec.types import Completion, CompletionRequest, Conversation, Item

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER = HashEmbedder(32)
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7*7 }}",
    "$\\frac{",
    "]]></style><b>\u202ex",
)
NAME = '<b onclick="x">games</b>'


class Moody:
    """A judge of a hostile name that gives every seventh question no usable answer."""

    name = "judge</title><script>1</script>"

    def __init__(self, world: World) -> None:
        self._llm = era_lover(world)

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        found = await self._llm.complete(request, on_text=on_text)
        return replace(found, text="no") if sum(map(ord, request.messages[-1].content)) % 7 == 0 else found


def hostile(conversation: Conversation) -> Conversation:
    turns = tuple(
        replace(
            turn,
            text=f"{turn.text} {HOSTILE[at % len(HOSTILE)]}",
            mentions=tuple(replace(mention, span=None) for mention in turn.mentions or ()),
        )
        for at, turn in enumerate(conversation.turns)
    )
    return replace(conversation, turns=turns)


def hostile_items(items: tuple[Item, ...]) -> tuple[Item, ...]:
    return tuple(replace(item, title=f"{item.title} {HOSTILE[at % len(HOSTILE)]}") for at, item in enumerate(items))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with two seeds; every text that comes from outside is hostile."""
    root, domain = tmp_path_factory.mktemp("games"), second_domain(3)
    items = hostile_items(domain.items)
    train, valid = ([hostile(c) for c in part] for part in (domain.train[:30], domain.valid[:40]))
    write_jsonl(root / "data", items=items, splits={"train": train, "valid": valid})
    model = Retriever(RetrieverConfig(text_dimension=32, width=8, item_hidden=8, blocks=1), seed=1)
    save_retriever(root / "bundle", model, embedder=EMBEDDER.name, training={})
    what = parse_align_recipe(
        {
            "name": NAME,
            "seeds": [0, 5],
            "data": {"name": "games", "folder": str(root / "data"), "report_turns": 24},
            "judge": {"kind": "local"},  # another takes its place
            "learner": {"name": "ca-pg"},
            "sets": {"n": 12, "groups": 3, "ranked": 6, "max_degraded": 1.0},
            "loop": {
                "iterations": 4, "batch": 8, "proposal": 30, "learning_rate": 1e-2, "validate_every": 2,
                "judged_turns": 8,
            },
        },
        source="test",
    )  # fmt: skip
    judge = Moody(World.of(items, kinds=KINDS, people=PEOPLE))
    given = Resources(bundle=root / "bundle", cache=root / "cache.sqlite", embedder=EMBEDDER, judge=judge)
    align(what, out=root / "run", resources=given)
    write_report(root / "run")
    return root / "run"


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


class Parser(HTMLParser):
    """Tags and texts; fails on a tag that is closed in the wrong place."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.texts.append(data.strip())


@pytest.fixture(scope="module")
def parsed(finished: Path) -> Parser:
    return Parser((finished / REPORT).read_text(encoding="utf-8"))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def test_the_results_are_those_of_the_turns_on_disk(finished: Path, parsed: Parser) -> None:
    """Recomputed from the lines alone, without our reader."""
    figures, texts = json.loads((finished / "figures.json").read_text()), set(parsed.texts)
    judged: list[list[float]] = []
    for seed in ("0", "5"):
        lines = records(finished / f"seed-{seed}" / "turns.jsonl")
        assert len(lines) == 24
        means = {}
        for when in ("before", "after"):
            lists = [(line[when]["ranking"] or line[when]["offered"], line["truth"]) for line in lines]
            means[when] = sum(ndcg(order, truth) for order, truth in lists) / 24
            assert means[when] == pytest.approx(figures["seeds"][seed][JUDGED][when], abs=1e-12)
            assert number(means[when]) in texts
        assert signed(means["after"] - means["before"]) in texts
        part = figures["seeds"][seed][JUDGED]
        assert signed_span(part["low"], part["high"]) in texts
        assert quantity(figures["seeds"][seed]["calls"]) in texts
        judged.append([line["after"]["figures"][JUDGED] - line["before"]["figures"][JUDGED] for line in lines])
        assert any(not line["before"]["ranking"] for line in lines)  # the judge was silent somewhere
    mean = figures["mean of seeds"]
    assert mean[JUDGED]["gain"] == pytest.approx(sum(map(sum, judged)) / 48)
    assert mean[JUDGED]["seeds"] == 2
    run = read_run(finished)
    assert [figure.name for figure in run.measured] == [JUDGED, ALONE, HELD]
    for name in (JUDGED, ALONE, HELD):
        found = compared(run.results, name)
        assert {key: mean[name][key] for key in ("before", "after", "gain", "low", "high")} == {
            key: getattr(found, key) for key in ("before", "after", "gain", "low", "high")
        }
        assert {number(found.before), number(found.after), signed_span(found.low, found.high)} <= texts
        assert f"±{number(mean[name]['between seeds'])}" in texts


def test_slices_curves_and_examples_are_on_the_page(finished: Path, parsed: Parser) -> None:
    run, texts = read_run(finished), set(parsed.texts)
    sliced = gains_by_slice(run.report, run.results, run.measured[0])
    assert set(sliced) == {"popularity", "year", "turn", "mentions"}
    assert sum(band.turns for band in sliced["turn"]) == 24
    assert {item.popularity for item in run.report.items.values()} != {0}
    for bands in sliced.values():
        for band in bands:
            assert {band.band, str(band.turns), signed(band.gain)} <= texts
    for seed in run.seeds:
        for line in read_log(finished / f"seed-{seed.seed}" / "log.jsonl"):
            if line.get("kind") == "validation":
                assert {number(line["ndcg@10 judged"]), number(line["ndcg@10 alone"])} <= texts
    titles = {text for text in texts if text.endswith("over iterations")}
    logged = {fact for line in run.seeds[0].iterations for fact in line}
    drawn = {f"{panel.title} over iterations" for panel in PANELS if panel.fact in logged}
    assert titles == drawn | {"NDCG@10 on validation turns over iterations"}
    found = chosen(run.seeds[0].results, JUDGED)
    shown = [clean(one.turn) for group in (found.gains, found.losses, found.drawn) for one in group]
    assert [text for text in parsed.texts if text in {clean(turn.gold.id) for turn in run.report.turns}] == shown
    assert "seed 0 only" in texts
    assert any("the judge gave no answer" in text for text in texts)
    by_id = {turn.gold.id: turn for turn in run.report.turns}
    for one in found.drawn:
        assert clean(by_id[one.turn].conversation.turns[-1].text) in texts


def test_text_from_outside_is_only_text(finished: Path, parsed: Parser) -> None:
    names = {tag for tag, _ in parsed.tags}
    assert not names & {"script", "img", "iframe", "object", "embed", "link", "base", "form", "image"}
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on") or name == "src"]
    everything = "\n".join(parsed.texts)
    for text in HOSTILE[:4]:
        assert clean(text) in everything
    assert "\u202e" not in everything
    assert "49" not in re.findall(r"\d+", "".join(t for t in parsed.texts if "7*7" in t))
    assert NAME in parsed.texts
    assert Moody.name in parsed.texts


def test_the_page_asks_for_nothing_and_can_be_read_without_eyes(finished: Path, parsed: Parser) -> None:
    text = (finished / REPORT).read_text(encoding="utf-8")
    assert not re.sub(r'xmlns(:\w+)?="[^"]*"', "", text).count("//")
    assert "@import" not in text
    policy = next(a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    ids = [a["id"] for _, a in parsed.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in parsed.tags:
        links = [attributes.get("href") or "#"] if "href" in attributes else []
        links += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for value in attributes.values()))
        assert all(link.startswith("#") and link[1:] in ids for link in links)
        if tag == "svg":
            assert attributes["role"] == "img"
            assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)
        if tag == "th":
            assert "scope" in attributes
    names = [tag for tag, _ in parsed.tags]
    assert names.count("table") == names.count("caption")
    assert str(finished.parent) not in text  # no path of the machine that ran it


def test_the_page_is_written_again_to_the_byte_without_data_judge_or_weights(finished: Path, copied: Path) -> None:
    for path in [copied / REPORT, *copied.glob("seed-*/bundle/*"), *copied.glob("seed-*/ledger.jsonl")]:
        path.unlink()
    assert write_report(copied).read_bytes() == (finished / REPORT).read_bytes()


def test_one_seed_is_said_and_nothing_is_claimed_of_few_dialogues(copied: Path) -> None:
    path = copied / "figures.json"
    figures = json.loads(path.read_text())
    del figures["seeds"]["5"]
    path.write_text(json.dumps(figures))
    run = read_run(copied)
    text = page(run)
    assert "One seed: how much of a gain is the seed&#39;s cannot be told." in text
    assert "mean of" not in text
    assert "±" not in text
    few = {turn.gold.dialogue for turn in run.report.turns}
    assert len(few) >= 10
    for verdict in re.findall(r"<li>((?:NDCG|Truth).*?)</li>", text):
        low, high = (float(end.replace("−", "-")) for end in re.search(r"\[(\S+), (\S+)\]", verdict).groups())  # type: ignore[union-attr]
        assert ("a gain on" in verdict) == (low > 0)
        assert ("a loss on" in verdict) == (high < 0)


def test_what_is_missing_or_damaged_is_named_with_its_remedy(copied: Path) -> None:
    with pytest.raises(StoreError, match="run the recipe first"):
        write_report(copied / "none")

    def refused(name: str, content: str | None, message: str) -> None:
        path = copied / name
        before = path.read_bytes()
        path.unlink() if content is None else path.write_text(content)
        with pytest.raises(StoreError, match=message):
            write_report(copied)
        path.write_bytes(before)

    figures = json.loads((copied / "figures.json").read_text())
    figures["seeds"]["0"][JUDGED]["after"] += 0.01
    refused("figures.json", json.dumps(figures), "after the judge, after, of seed 0 is .* but the turns .* have")
    refused("figures.json", json.dumps({**figures, "seeds": {}}), "has no seeds")
    refused("figures.json", json.dumps({"seeds": {}}), "lacks a value")
    refused("figures.json", "[]", "is damaged")
    for name in ("figures.json", "report_turns.jsonl", "seed-5/turns.jsonl"):
        refused(name, None, "there is no .*a finished run has; run `rarec align`")
        refused(name, "{", "damaged|does not begin")
    other = (copied / "seed-0" / "turns.jsonl").read_text().splitlines()
    swapped = "\n".join([other[0], other[2], other[1], *other[3:]]) + "\n"
    refused("seed-0/turns.jsonl", swapped, "is not of the turns in")
    lines = (copied / "seed-0" / "log.jsonl").read_text().splitlines()
    refused("seed-0/log.jsonl", "\n".join(lines[:-3]), "of 4 iterations .* delete the checkpoint")
    write_report(copied)  # all is as it was


@pytest.fixture(scope="module")
def of_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that learned from people: every third only refuses, others like one item and click on one."""
    root, domain = tmp_path_factory.mktemp("people"), second_domain(3)
    items, rng = hostile_items(domain.items), np.random.default_rng(0)
    write_jsonl(root / "data", items=items, splits={})
    model = Retriever(RetrieverConfig(text_dimension=32, width=8, item_hidden=8, blocks=1), seed=1)
    save_retriever(root / "bundle", model, embedder=EMBEDDER.name, training={})
    events = []
    for at, conversation in enumerate(domain.train[:60]):
        asked = hostile(replace(conversation, turns=conversation.turns[:1], id=f"c{at} {HOSTILE[at % 3]}"))
        named = {mention.item for mention in asked.mentions()}
        free = [item.id for item in items if item.id not in named]
        shown = tuple(free[place] for place in rng.permutation(len(free))[:6])
        verdicts = {} if at % 3 == 0 else {"liked": frozenset(shown[:1]), "clicked": frozenset(shown[1:2])}
        refused = frozenset(shown[-2:] if at % 2 or at % 3 == 0 else ())
        events.append(FeedbackEvent(f"e{at}", asked, Feedback(shown, refused=refused, **verdicts)))
    (root / "events.jsonl").write_text("".join(event_line(event) + "\n" for event in events))
    what = parse_align_recipe(
        {
            "name": NAME,
            "seeds": [0, 5],
            "data": {"name": "games", "folder": str(root / "data")},
            "judge": {"kind": "people", "events": str(root / "events.jsonl"), "holdout": 0.6},
            "learner": {"name": "top1-pg"},
            "loop": {"iterations": 4, "batch": 8, "proposal": 30, "learning_rate": 1e-2, "validate_every": 2},
        },
        source="test",
    )
    given = Resources(bundle=root / "bundle", cache=root / "cache.sqlite", embedder=EMBEDDER)
    align(what, out=root / "run", resources=given)
    write_report(root / "run")
    return root / "run"


def test_figures_of_people_are_those_of_the_lists_on_disk(of_people: Path) -> None:
    """Recomputed from the lines alone, without our reader; no figure of a judge is among them."""
    figures = json.loads((of_people / "figures.json").read_text())
    texts = set(Parser((of_people / REPORT).read_text(encoding="utf-8")).texts)
    for seed in ("0", "5"):
        lines = records(of_people / f"seed-{seed}" / "turns.jsonl")
        assert {not line["truth"] for line in lines} == {True, False}
        for when in ("before", "after"):
            found: dict[str, list[float]] = {AGREEMENT: [], ALONE: [], REFUSED: []}
            for line in lines:
                (shown,), served = line["sets"], line[when]
                assert not served["ranking"]
                assert {item for item, place in served["places"].items() if place <= 10} <= set(served["offered"])
                order = sorted(served["places"], key=served["places"].get)
                given = Feedback(
                    tuple(shown["shown"]), *(frozenset(shown[name]) for name in ("clicked", "liked", "refused"))
                )
                found[AGREEMENT].append(agreement(order, given))
                if line["truth"]:
                    assert line["truth"] == shown["liked"]
                    found[ALONE].append(ndcg(served["offered"], line["truth"]))
                if shown["refused"]:
                    found[REFUSED].append(np.mean([item in served["offered"] for item in shown["refused"]]).item())
                assert set(served["figures"]) == {AGREEMENT} | ({ALONE} if line["truth"] else set()) | (
                    {REFUSED} if shown["refused"] else set()
                )
            for name, values in found.items():
                part = figures["seeds"][seed][name]
                assert part[when] == pytest.approx(np.mean(values), abs=1e-12)
                assert part["turns"] == len(values)
                assert number(part[when]) in texts
                assert signed_span(part["low"], part["high"]) in texts
        assert not {JUDGED, HELD} & figures["seeds"][seed].keys()
    assert list(figures["mean of seeds"]) == [AGREEMENT, ALONE, REFUSED]
    assert figures["judge"] == "people"


def test_the_page_of_people_shows_what_they_did_and_speaks_of_no_judge(of_people: Path) -> None:
    text = (of_people / REPORT).read_text(encoding="utf-8")
    parsed, run = Parser(text), read_run(of_people)
    texts = set(parsed.texts)
    assert not run.judged
    assert "truth" in texts  # of turns whose people liked something
    titles = {text for text in texts if text.endswith("over iterations")}
    logged = {fact for line in run.seeds[0].iterations for fact in line}
    assert titles == {f"{panel.title} over iterations" for panel in PANELS if panel.fact in logged} | {
        f"{title} on validation turns over iterations" for title in ("Score", "Agreement", "Refused in first 10")
    }
    everything = "\n".join(parsed.texts)
    assert "the judge ranks them" not in everything
    assert "after the judge" not in everything
    assert "truth in candidates" not in everything
    assert any("Another policy chose what people were shown" in text for text in texts)
    found = chosen(run.seeds[0].results, AGREEMENT)
    assert found.gains + found.losses
    assert not any(isnan(one.gain(AGREEMENT)) for one in run.seeds[0].results)
    shown = [clean(one.turn) for group in (found.gains, found.losses, found.drawn) for one in group]
    assert [text for text in parsed.texts if text in {clean(turn.gold.id) for turn in run.report.turns}] == shown
    verdicts = {verdict for verdict in ("liked", "clicked", "refused", "shown") if verdict in texts}
    assert verdicts == {"liked", "clicked", "refused", "shown"}
    assert {band.turns for band in gains_by_slice(run.report, run.results, run.measured[0])["turn"]} == {
        len(run.report.turns)
    }
    assert not {tag for tag, _ in parsed.tags} & {"script", "img", "iframe", "link", "object"}
    assert NAME in texts
    assert str(of_people.parent) not in text  # neither the data's folder nor the events'


def test_the_page_of_people_is_written_again_and_a_damaged_set_is_named(of_people: Path, tmp_path: Path) -> None:
    shutil.copytree(of_people, tmp_path / "run")
    for path in (tmp_path / "run").glob("seed-*/bundle/*"):
        path.unlink()
    written = (of_people / REPORT).read_bytes()
    assert write_report(tmp_path / "run").read_bytes() == written
    path = tmp_path / "run" / "seed-5" / "turns.jsonl"
    lines = path.read_text().splitlines()
    one = json.loads(lines[1])
    one["sets"][0]["liked"], one["sets"][0]["refused"] = one["sets"][0]["refused"], one["sets"][0]["liked"]
    path.write_text("\n".join([lines[0], json.dumps(one), *lines[2:]]) + "\n")
    with pytest.raises(StoreError, match=r"line 2 .* is damaged: agreement of turn"):
        write_report(tmp_path / "run")
    path.write_text("\n".join(lines) + "\n")
    figures = json.loads((tmp_path / "run" / "figures.json").read_text())
    del figures["seeds"]["5"][REFUSED]
    (tmp_path / "run" / "figures.json").write_text(json.dumps(figures))
    with pytest.raises(StoreError, match=r"seed 5 has the figures agreement, alone in .* but the turns .* refused"):
        write_report(tmp_path / "run")
