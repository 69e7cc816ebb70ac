"""The promotion gate on invented board games: a better bundle goes live, others do not, and a kill breaks nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from games import ERA_LOVER, games_recipe
from rarec.alignment import Resources as AlignResources
from rarec.alignment import align, gather
from rarec.alignment.recipe import AlignRecipe
from rarec.assembly import create_store
from rarec.catalogue import load_layout
from rarec.conversations import open_data_set, write_jsonl
from rarec.errors import BundleError, InputError, SettingsError, StoreError
from rarec.feedback import FeedbackEvent
from rarec.live import LiveBundle, read_live
from rarec.llm.protocol import LLM, OnText
from rarec.promotion import Promotion, Question, Resources, decide, promote, roll_back
from rarec.promotion.examine import turns_digest
from rarec.promotion.models import check_successor, read_bundle
from rarec.promotion.plan import PromotionPlan
from rarec.promotion.run import plan, recipe_of_store
from rarec.promotion.switch import only_one
from rarec.prompt import PromptTemplate
from rarec.retriever.bundle import load_retriever, read_manifest, save_retriever
from rarec.retriever.data import ItemTable, conversation_data
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.retriever.tasks import FinetuneConfig, NextMention
from rarec.retriever.trainer import TrainerConfig, train
from rarec.reward import Feedback
from rarec.settings import Settings, StorePaths
from rarec.testing import HashEmbedder
from rarec.testing.judges import World, era_lover
from rarec.testing.second_domain import KINDS, PEOPLE, SecondDomain, second_domain
from rarec.types import Completion, CompletionRequest, Conversation, Mention, Turn

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER = HashEmbedder(32)
SHAPE = RetrieverConfig(text_dimension=32, width=16, item_hidden=32, blocks=1)


@pytest.fixture(scope="module")
def domain() -> SecondDomain:
    return second_domain(3)


def talks(domain: SecondDomain, first: int, last: int) -> list[Conversation]:
    """Players name a game and are told one of eight, over and over: easily learned, and not at all by chance."""
    ids = [item.id for item in domain.items]
    made = []
    for number in range(first, last):
        rng = np.random.default_rng(number)
        asked, told = ids[int(rng.integers(8, len(ids)))], ids[int(rng.integers(8))]
        said = (Turn("user", "Like this one?", (Mention(asked),)), Turn("assistant", "This.", (Mention(told),)))
        made.append(Conversation(said, f"talk-{number}"))
    return made


@pytest.fixture(scope="module")
def folder(domain: SecondDomain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, a bundle that has learned something (``good``), one that has not (``poor``), and a store of that."""
    root = tmp_path_factory.mktemp("gate")
    splits = {"train": talks(domain, 0, 200), "valid": talks(domain, 200, 440), "later": talks(domain, 440, 560)}
    write_jsonl(root / "data", items=domain.items, splits=splits)
    poor, good = Retriever(SHAPE, seed=1), Retriever(SHAPE, seed=1)
    layout = load_layout("generic")
    table = ItemTable.of(list(domain.items), EMBEDDER.embed([layout.render(item) for item in domain.items]))
    task = NextMention(
        good, table, conversation_data(talks(domain, 600, 900), table, EMBEDDER), np.arange(len(table)),
        FinetuneConfig(negatives=0),
    )  # fmt: skip
    train(good, task, TrainerConfig(epochs=4, learning_rate=1e-2, patience=None))
    save_retriever(root / "poor", poor, embedder=EMBEDDER.name, training={})
    save_retriever(root / "good", good, embedder=EMBEDDER.name, training={})
    create_store(root / "store", bundle=root / "poor")
    return root


@pytest.fixture
def store(folder: Path, tmp_path: Path) -> Path:
    """A store of its own, whose live bundle is the poor one; the embeddings are there already."""
    shutil.copytree(folder / "store", tmp_path / "store")
    return tmp_path / "store"


def recipe(folder: Path, **more: Any) -> AlignRecipe:
    return games_recipe(folder, {"judge": ERA_LOVER, "sets": {"n": 10, "ranked": 10}}, more)


def asked(folder: Path, store: Path, new: str = "good", judge: LLM | None = None, **more: Any) -> Promotion:
    question = Question(folder / new, more.pop("recipe", None) or recipe(folder), **{"alone": judge is None, **more})
    return promote(store, question, Resources(folder / "cache.sqlite", EMBEDDER, judge))


def weights(folder: Path) -> str:
    return read_manifest(folder, "retriever").sha256


def lines(store: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (store / "promotion" / "decisions.jsonl").read_text().splitlines()]


class Counting:
    """A judge that counts what it is asked, and breaks down after some answers if it is told to."""

    name = "counting"

    def __init__(self, llm: LLM, breaks_after: int | None = None) -> None:
        self._llm, self._breaks_after, self.asked = llm, breaks_after, 0

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        if self.asked == self._breaks_after:
            raise RuntimeError("the plug is pulled")
        self.asked += 1
        return await self._llm.complete(request, on_text=on_text)


def judge_of(domain: SecondDomain) -> LLM:
    return era_lover(World.of(domain.items, kinds=KINDS, people=PEOPLE))


def test_a_better_bundle_goes_live_and_is_taken_back(folder: Path, store: Path) -> None:
    before = sorted((path.name, path.read_bytes()) for path in (store / "bundle").iterdir())
    found = asked(folder, store)
    assert found.switched
    assert found.verdict.low > 0
    assert found.verdict.dialogues >= 200
    paths = StorePaths(store)
    assert paths.bundle == found.live != store / "bundle"
    assert weights(paths.bundle) == weights(folder / "good")
    assert read_live(store).before == ("bundle",)
    assert sorted((path.name, path.read_bytes()) for path in (store / "bundle").iterdir()) == before

    figures = [json.loads(line) for line in found.figures.read_text().splitlines()]
    again = decide(*([row[name] for row in figures] for name in ("new", "live", "dialogue")))
    assert again == found.verdict
    decision, switch = lines(store)
    assert decision["verdict"]["promoted"] is True
    assert decision["verdict"]["low"] == found.verdict.low
    assert decision["new bundle"] == dict(read_bundle(folder / "good", embedder=EMBEDDER.name).digests)
    assert decision["new bundle"]["retriever"] == weights(folder / "good")
    assert decision["live bundle"] == dict(read_bundle(folder / "poor", embedder=EMBEDDER.name).digests)
    assert (switch["event"], switch["from"], switch["to"]) == ("promotion", "bundle", read_live(store).live)

    assert roll_back(paths, Settings(), embedder=EMBEDDER.name) == (switch["to"], "bundle")
    assert weights(StorePaths(store).bundle) == weights(folder / "poor")
    assert lines(store)[-1]["event"] == "rollback"
    with pytest.raises(InputError, match="nothing was promoted"):
        roll_back(paths, Settings(), embedder=EMBEDDER.name)
    assert asked(folder, store).switched  # and forward again, into a folder of its own
    assert len(list((store / "bundles").iterdir())) == 2


def test_a_worse_bundle_is_refused(folder: Path, store: Path) -> None:
    assert asked(folder, store).switched
    live = StorePaths(store).bundle
    found = asked(folder, store, "poor")
    assert (found.switched, found.verdict.promoted, found.verdict.reason) == (False, False, "it is worse")
    assert StorePaths(store).bundle == live == found.live
    assert found.looks == 2
    assert [line["event"] for line in lines(store)] == ["decision", "promotion", "decision"]


def test_a_dry_run_decides_and_replaces_nothing(folder: Path, store: Path) -> None:
    found = asked(folder, store, dry_run=True)
    assert (found.verdict.promoted, found.switched) == (True, False)
    assert read_live(store) == LiveBundle()
    assert not (store / "bundles").exists()
    (line,) = lines(store)
    assert line["dry run"] is True


def test_the_judge_is_asked_once_about_a_turn_and_a_bundle(folder: Path, store: Path, domain: SecondDomain) -> None:
    broken = Counting(judge_of(domain), breaks_after=200)
    with pytest.raises(RuntimeError, match="plug"):
        asked(folder, store, judge=broken)
    assert read_live(store) == LiveBundle()
    judge = Counting(judge_of(domain))
    found = asked(folder, store, judge=judge, dry_run=True)
    assert broken.asked + judge.asked == 2 * found.verdict.turns
    assert found.verdict.live > 0
    silent = Counting(judge_of(domain), breaks_after=0)
    assert asked(folder, store, judge=silent).verdict == found.verdict


def test_turns_that_the_new_bundle_knows_do_not_count(folder: Path, store: Path) -> None:
    what = recipe(
        folder,
        learner={"name": "sft-longer"},
        loop={"iterations": 1, "batch": 4, "proposal": 30, "validate_every": 1, "judged_turns": 2},
        data={"report_turns": 2},
    )
    given = AlignResources(bundle=folder / "good", cache=folder / "cache.sqlite", embedder=EMBEDDER)
    bundle = align(what, out=store / "run", resources=given).bundles[0]
    training = read_manifest(bundle, "retriever").training
    assert training["started_from"] == {}
    found = asked(folder, store, str(bundle), recipe=what, dry_run=True)
    counted = {json.loads(line)["dialogue"] for line in found.figures.read_text().splitlines()}
    assert 100 <= len(counted) < 130
    assert not counted & set(training["chosen_on"])

    with pytest.raises(InputError, match="learned from the split 'train'"):
        asked(folder, store, str(bundle), recipe=recipe(folder, data={"training": "valid", "tuning": "train"}))
    copy = {"name": "others", "folder": str(folder / "data"), "training": "valid", "tuning": "train"}
    renamed = recipe(folder, data=copy)
    with pytest.raises(InputError, match="learned from the split 'train'"):  # whatever it is called
        asked(folder, store, str(bundle), recipe=renamed)
    child, model = store / "child", load_retriever(bundle, embedder=EMBEDDER.name)
    lesson = {"aligned": {"data": {"name": "games", "training": "later", "tuning": "x"}}}
    save_retriever(child, model, embedder=EMBEDDER.name, training={**training, "started_from": lesson})
    with pytest.raises(InputError, match="learned from the split 'later'"):  # what it was started from counts too
        asked(folder, store, str(child), recipe=recipe(folder, data={"tuning": "later"}))
    save_retriever(child, model, embedder=EMBEDDER.name, training={"aligned": training["aligned"]})  # an older one
    older = asked(folder, store, str(child), recipe=what, dry_run=True)
    assert {json.loads(line)["dialogue"] for line in older.figures.read_text().splitlines()} == counted
    data = {**training["aligned"]["data"], "report": "later"}  # all turns of the tuning split chose then
    save_retriever(child, model, embedder=EMBEDDER.name, training={"aligned": {**training["aligned"], "data": data}})
    with pytest.raises(InputError, match="chosen on all dialogues of 'valid'"):
        asked(folder, store, str(child), recipe=what)


def test_other_attributes_of_items_are_other_turns_to_decide_on(folder: Path, tmp_path: Path) -> None:
    """Also those that are not in the texts which are embedded: judges and prompts have them."""
    shutil.copytree(folder / "data", tmp_path / "data")
    what = recipe(tmp_path, data={"layout": "film"})
    of = {"bundle": folder / "poor", "cache": folder / "cache.sqlite", "embedder": EMBEDDER, "tell": lambda *_: None}
    before = gather(what, **of)
    write_jsonl(tmp_path / "data", items=[replace(i, attributes={"x": ("y",)}) for i in before.stock.items], splits={})
    after = gather(what, **of)
    assert np.array_equal(before.texts, after.texts)
    assert turns_digest(before, before.tune) != turns_digest(after, after.tune)
    assert before.content != after.content


def test_another_config_is_another_bundle(folder: Path, tmp_path: Path) -> None:
    """What counts beside the vectors weigh is in the config alone, which has no other name."""
    shutil.copytree(folder / "poor", tmp_path / "counted")
    manifest = json.loads((tmp_path / "counted" / "retriever.json").read_text())
    manifest["config"]["dropout"] = 0.5  # any other value
    (tmp_path / "counted" / "retriever.json").write_text(json.dumps(manifest))
    live, new = (read_bundle(path, embedder=EMBEDDER.name) for path in (folder / "poor", tmp_path / "counted"))
    check_successor(new, live)
    with pytest.raises(InputError, match="the same weights"):
        check_successor(live, live)


def test_the_split_that_rarec_train_learned_from_decides_nothing(folder: Path, store: Path) -> None:
    """Of data of one's own the manifest has the name, of films it has none."""
    model = load_retriever(folder / "good", embedder=EMBEDDER.name)
    what = recipe(folder, data={"training": "valid", "tuning": "train"})
    own = {"recipe": {}, "data": {"name": what.data.name}}
    save_retriever(store / "own", model, embedder=EMBEDDER.name, training=own)
    with pytest.raises(InputError, match="learned from the split 'train'"):
        asked(folder, store, str(store / "own"), recipe=what, dry_run=True)
    asked(folder, store, str(store / "own"), recipe=recipe(folder), dry_run=True)  # another split does
    save_retriever(store / "films", model, embedder=EMBEDDER.name, training={"recipe": {}})
    asked(folder, store, str(store / "films"), recipe=what, dry_run=True)  # and other data


def test_people_that_taught_or_chose_do_not_count(folder: Path, store: Path, domain: SecondDomain) -> None:
    """Their conversations are of the split that decides: no split of the record says so, their ids do."""
    ids = [item.id for item in domain.items]
    events = [
        FeedbackEvent(
            f"e{number}",
            replace(talk, turns=talk.turns[:1]),
            Feedback(tuple(ids[20 + number : 24 + number]), refused=frozenset(ids[20 + number : 21 + number])),
        )
        for number, talk in enumerate(talks(domain, 200, 300))
        if not {mention.item for mention in talk.mentions()} & set(ids[20 + number : 24 + number])
    ]
    people = recipe(
        folder,
        judge={"kind": "people", "events": "none.jsonl"},
        learner={"name": "top1-pg"},
        loop={"iterations": 1, "batch": 4, "proposal": 30},
        sets={},
    )
    given = AlignResources(bundle=folder / "good", cache=folder / "cache.sqlite", embedder=EMBEDDER, events=events)
    bundle = align(people, out=store / "run", resources=given).bundles[0]
    training = read_manifest(bundle, "retriever").training
    known = {event.conversation.id for event in events}
    assert set(training["learned_from"]) < known
    assert set(training["learned_from"]).isdisjoint(training["chosen_on"])
    found = asked(folder, store, str(bundle), dry_run=True)
    counted = {json.loads(line)["dialogue"] for line in found.figures.read_text().splitlines()}
    taught = set(training["learned_from"]) | set(training["chosen_on"])
    assert len(taught) > 50
    assert counted == {talk.id for talk in talks(domain, 200, 440)} - taught
    with pytest.raises(InputError, match="people cannot be asked"):
        asked(folder, store, recipe=people)


def test_a_split_of_its_own_for_figures_takes_no_part(folder: Path, store: Path) -> None:
    plain = asked(folder, store, dry_run=True)
    own = asked(folder, store, recipe=recipe(folder, data={"report": "later", "held_back": 0.001}), dry_run=True)
    assert own.verdict.turns == plain.verdict.turns
    rows = [json.loads(line) for line in own.figures.read_text().splitlines()]
    assert {row["dialogue"] for row in rows} == {f"talk-{number}" for number in range(200, 440)}


def test_a_decision_keeps_its_figures_when_the_same_bundles_are_asked_about_in_another_way(
    folder: Path, store: Path, domain: SecondDomain
) -> None:
    alone = asked(folder, store, dry_run=True)
    judged = asked(folder, store, judge=judge_of(domain), dry_run=True)
    assert judged.verdict != alone.verdict
    for found, line in zip((alone, judged), lines(store), strict=True):
        kept = [json.loads(row) for row in (store / "promotion" / line["figures"]).read_text().splitlines()]
        assert decide(*([row[name] for row in kept] for name in ("new", "live", "dialogue"))) == found.verdict


def test_other_recorded_lists_are_asked_anew(folder: Path, store: Path, tmp_path: Path) -> None:
    examples = list(open_data_set("jsonl", folder / "data").examples("valid"))

    def listed(*first: str) -> AlignRecipe:
        lines = [{"example": one.id, "items": [*first, *one.targets]} for one in examples]
        (tmp_path / "lists.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return recipe(folder, judge={"kind": "recorded", "lists": str(tmp_path / "lists.jsonl")})

    right = asked(folder, store, recipe=listed(), alone=False, dry_run=True)
    ledgers = set((store / "promotion" / "asked").iterdir())
    assert len(ledgers) == 2
    assert right.verdict.new > right.verdict.live
    asked(folder, store, recipe=listed(), alone=False, dry_run=True)
    assert set((store / "promotion" / "asked").iterdir()) == ledgers
    asked(folder, store, recipe=listed("game-009"), alone=False, dry_run=True)
    assert len(set((store / "promotion" / "asked").iterdir())) == 4


def test_what_cannot_be_promoted_is_refused_before_anything_is_measured(folder: Path, store: Path) -> None:
    with pytest.raises(InputError, match="same weights"):
        asked(folder, store, "poor")
    with pytest.raises(BundleError, match="there is no folder"):
        asked(folder, store, "none")
    other = store / "other"
    save_retriever(other, Retriever(SHAPE, seed=9), embedder="somebody-elses", training={})
    with pytest.raises(BundleError, match="somebody-elses"):
        asked(folder, store, str(other))
    damaged = shutil.copytree(folder / "good", store / "damaged")
    with (damaged / "retriever.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    with pytest.raises(BundleError, match="damaged"):
        asked(folder, store, str(damaged))
    with pytest.raises(InputError, match="held-out dialogues are too few"):
        asked(folder, store, least=241)
    with pytest.raises(InputError, match="margin"):
        asked(folder, store, margin=2.0)
    with pytest.raises(SettingsError, match="test split"):
        recipe(folder, data={"tuning": "test"})
    (store / "bundle" / "ranker.json").write_text("{}")
    with pytest.raises(BundleError):
        asked(folder, store)
    assert not (store / "promotion" / "decisions.jsonl").exists()
    assert read_live(store) == LiveBundle()


def test_a_store_is_asked_for_with_its_own_prompt(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_bytes(resources.files("rarec.prompt").joinpath("templates", "default.toml").read_bytes())
    settings = Settings.model_validate({"llm": {"template": str(own)}})
    found, _ = recipe_of_store(settings, name="games", folder=tmp_path, split="valid")
    assert found.rollouts(0).template == PromptTemplate.load(own)


def test_the_plan_counts_the_calls_that_are_made(folder: Path, store: Path, domain: SecondDomain) -> None:
    question = Question(folder / "good", recipe(folder))

    def planned(judge: LLM) -> PromotionPlan:
        return plan(store, question, Resources(folder / "cache.sqlite", EMBEDDER, judge))

    broken = Counting(judge_of(domain), breaks_after=50)
    before = planned(broken)
    assert broken.asked == 0
    assert before.live == before.new == before.turns
    assert before.tokens_most > before.tokens > 0
    assert before.usd == 0, "a judge in process costs nothing"
    with pytest.raises(RuntimeError, match="plug"):
        asked(folder, store, judge=broken)
    rest, judge = planned(broken), Counting(judge_of(domain))
    assert rest.calls == before.calls - 50
    assert (before.spent, rest.spent) == (0, 50)
    found = asked(folder, store, judge=judge)
    assert judge.asked == rest.calls
    assert (found.verdict.turns, found.verdict.dialogues) == (before.turns, before.dialogues)
    # The new bundle is live now, and both have been asked about.
    again = plan(store, Question(folder / "poor", recipe(folder)), Resources(folder / "cache.sqlite", EMBEDDER, judge))
    assert (again.calls, again.tokens, again.tokens_most) == (0, 0, 0)


def test_only_one_promotion_at_a_time(folder: Path, store: Path) -> None:
    with only_one(StorePaths(store)), pytest.raises(StoreError, match="another promotion"):
        asked(folder, store)


def test_a_damaged_bundle_is_not_gone_back_to(folder: Path, store: Path) -> None:
    asked(folder, store)
    (store / "bundle" / "retriever.safetensors").write_bytes(b"")
    with pytest.raises(BundleError, match="damaged"):
        roll_back(StorePaths(store), Settings(), embedder=EMBEDDER.name)
    assert weights(StorePaths(store).bundle) == weights(folder / "good")


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import torch
from rarec.alignment.recipe import AlignRecipe
from rarec.promotion import Question, Resources, promote, roll_back
from rarec.promotion.decisions import Decisions
from rarec.settings import Settings, StorePaths
from rarec.testing import HashEmbedder

torch.set_num_threads(1)
folder, store, out, recipe = *map(Path, sys.argv[1:4]), AlignRecipe.model_validate_json(sys.argv[4])
back, sync = sys.argv[5] == "back", os.fsync
first = "switched" if back else "figures"
write = getattr(Decisions, first)

def killed_at_every_place(*given):
    # Here the first write would come. A child for each place goes on from here on the same store.
    pristine = shutil.copytree(store, out / "pristine")
    for place in range(100):
        child = os.fork()
        if not child:
            setattr(Decisions, first, write)
            left = [place]
            def broken(handle):
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                sync(handle)
            os.fsync = broken
            return write(*given)
        _, status = os.waitpid(child, 0)
        store.rename(out / f"store-{place}")
        shutil.copytree(pristine, store)
        if os.WIFEXITED(status):
            os._exit(os.WEXITSTATUS(status))

setattr(Decisions, first, killed_at_every_place)
if back:
    roll_back(StorePaths(store), Settings(), embedder=HashEmbedder(32).name)
else:
    question = Question(folder / "good", recipe, alone=True)
    promote(store, question, Resources(folder / "cache.sqlite", HashEmbedder(32)))
os._exit(0)  # threads of the parent, which a child does not have, would be waited for
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("way", ["promote", "back"])
def test_a_kill_between_any_two_writes_leaves_one_whole_bundle_live(
    folder: Path, store: Path, tmp_path: Path, way: str
) -> None:
    """Killed before the first write reaches the disk, before the second, and so on, until it is through."""
    asked(folder, store, dry_run=way == "promote")
    document = recipe(folder).model_dump_json()
    subprocess.run([sys.executable, "-c", KILLED, str(folder), str(store), str(tmp_path), document, way], check=True)
    kinds = {weights(folder / name): name for name in ("poor", "good")}
    found = []
    for place in range(100):
        if not (tmp_path / f"store-{place}").exists():
            break
        left = tmp_path / f"store-{place}"
        bundle = StorePaths(left).bundle
        load_retriever(bundle, embedder=EMBEDDER.name)  # whole
        found.append(kinds[weights(bundle)])
    first, last = ("poor", "good") if way == "promote" else ("good", "poor")
    switched = found.index(last)
    assert found == [first] * switched + [last] * (len(found) - switched)  # once switched it stays so
    assert switched >= (5 if way == "promote" else 1)
    for place in {1, switched - 1}:  # the same command goes on
        left = tmp_path / f"store-{place}"
        if way == "promote":
            assert asked(folder, left).switched
            assert not list((left / "bundles").glob(".*"))
        else:
            roll_back(StorePaths(left), Settings(), embedder=EMBEDDER.name)
        assert kinds[weights(StorePaths(left).bundle)] == last
