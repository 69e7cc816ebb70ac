"""Collecting rollouts: equal whatever the order of answers, kept whatever fails, and replayed without a model."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rarec.align.ledger import Accepted, Ledger, Prompt, read_ledger
from rarec.align.policy import ordered_log_prob
from rarec.align.rollout import Rollout, RolloutProgress, RolloutReward, RolloutSettings, RolloutTask
from rarec.align.rollouts import collect
from rarec.errors import BudgetExceeded, InputError, LLMRefused, LLMTimeout, LLMUnavailable, ReplayDiffers, StoreError
from rarec.llm.budget import Budget, Spend
from rarec.llm.cached import AnswerFile
from rarec.llm.metered import Metered
from rarec.llm.protocol import LLM, OnText
from rarec.testing import FakeOpenAIServer, ScriptedLLM
from rarec.types import Completion, CompletionRequest, Conversation, Item, ItemId, Turn, Usage

ITEMS = tuple(Item(ItemId(f"i{n}"), f"Title {n}", f"Text {n}.", 1980 + n) for n in range(12))
REWARD = RolloutReward.of({"ndcg@3": 1.0, "recall@1": 0.5})
SETTINGS = RolloutSettings(n=4, groups=3, ranked=3, concurrency=8, deadline_s=5.0)


def task(number: int, *, items: int = 12, truth: tuple[str, ...] = ("i1",)) -> RolloutTask:
    said = Conversation((Turn("user", f"Something calm, number {number}?", ()),), f"d{number}")
    scores = tuple(1.0 - 0.2 * place for place in range(items))
    return RolloutTask(f"t{number}", said, {}, tuple(map(ItemId, truth)), ITEMS[:items], scores)


TASKS = [task(number) for number in range(5)]


class Ranker:
    """Ranks candidates by a hash of title and conversation, as good as any taste; asks are counted."""

    name = "hashed"

    def __init__(self, *, latency: Callable[[], float] = lambda: 0.0, fail: Callable[[str], bool] = lambda _: False):
        self.latency, self.fail = latency, fail
        self.asked = self.flying = self.most = 0

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        self.asked += 1
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            await asyncio.sleep(self.latency())
        finally:
            self.flying -= 1
        assert request.task is not None
        shown = [c.item.title + request.task.conversation.id for c in request.task.candidates]
        taste = [hashlib.sha256(text.encode()).hexdigest() for text in shown]
        if self.fail(taste[0]):
            raise LLMUnavailable("busy")
        order = sorted(range(len(shown)), key=taste.__getitem__)[: request.task.n]
        text = json.dumps({"ranking": [place + 1 for place in order], "reply": "x"})
        return Completion(text, "hashed-1", Usage(1, 100, 20), random.random())


class Unplugged:
    name = "hashed"

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        raise AssertionError("the model was asked")


def run(
    llm: LLM | Metered | None, path: Path, *, iteration: int = 0, tasks: list[RolloutTask] = TASKS,
    settings: RolloutSettings = SETTINGS, told: list[RolloutProgress] | None = None, reward: RolloutReward = REWARD,
) -> list[Rollout]:  # fmt: skip
    metered = llm if llm is None or isinstance(llm, Metered) else Metered(llm)
    return collect(
        tasks, metered, iteration=iteration, reward=reward, settings=settings, ledger=Ledger(path, recipe="r"),
        progress=None if told is None else told.append,
    )  # fmt: skip


def test_a_rollout_is_a_drawn_set_shown_in_another_order_ranked_and_rewarded(tmp_path: Path) -> None:
    rollouts = run(Ranker(), tmp_path / "l")
    assert [rollout.key for rollout in rollouts] == [(0, f"t{t}", g) for t in range(5) for g in range(3)]
    scores = torch.tensor([TASKS[0].scores], dtype=torch.float64)
    for rollout in rollouts:
        assert sorted(rollout.items) == sorted(rollout.shown) == sorted(rollout.ranking)
        assert len(set(rollout.items)) == 4
        columns = torch.tensor([[[int(item[1:]) for item in rollout.items]]])
        assert rollout.log_prob == float(ordered_log_prob(scores, columns))
        assert rollout.log_prob < 0
        assert (rollout.temperature, rollout.proposal, rollout.named, rollout.model) == (1.0, 12, 3, "hashed-1")
        named = [rollout.shown[number - 1] for number in json.loads(rollout.answer)["ranking"]]
        assert list(rollout.ranking[:3]) == named
        parts = dict(rollout.parts)
        assert rollout.reward == parts["ndcg@3"] + 0.5 * parts["recall@1"]
        hit = "i1" in rollout.ranking[:3]
        assert (rollout.reward > 0) == hit
    assert len({rollout.items for rollout in rollouts}) > 10
    assert sum(rollout.items != rollout.shown for rollout in rollouts) > 10
    prompts = {r.key: r for r in read_ledger(tmp_path / "l") if isinstance(r, Prompt)}
    text = prompts[rollouts[4].prompt].messages[1].content
    assert "number 1?" in text
    assert f"[1] Title {rollouts[4].shown[0][1:]} " in text


def test_equal_whatever_the_order_of_answers_and_the_number_in_flight(tmp_path: Path) -> None:
    first = run(Ranker(), tmp_path / "a", settings=replace(SETTINGS, concurrency=1))
    for seed in range(3):
        shuffled = random.Random(seed)
        again = run(Ranker(latency=lambda r=shuffled: r.uniform(0, 0.02)), tmp_path / f"b{seed}")  # type: ignore[misc]
        assert again == first
        assert [r.log_prob.hex() for r in again] == [r.log_prob.hex() for r in first]
    backwards = run(Ranker(), tmp_path / "c", tasks=TASKS[::-1])
    assert sorted(backwards, key=lambda r: r.key) == first


def test_iterations_seeds_and_groups_draw_anew(tmp_path: Path) -> None:
    first = run(Ranker(), tmp_path / "l")
    second = run(Ranker(), tmp_path / "l", iteration=1)
    other = run(Ranker(), tmp_path / "m", settings=replace(SETTINGS, seed=1))
    assert [r.items for r in first] != [r.items for r in second]
    assert [r.items for r in first] != [r.items for r in other]
    assert run(Ranker(), tmp_path / "l") == first


def test_each_group_and_iteration_shows_the_same_set_in_another_order(tmp_path: Path) -> None:
    certain = replace(SETTINGS, temperature=1e-4, groups=5)
    rollouts = [r for k in range(4) for r in run(Ranker(), tmp_path / "l", iteration=k, settings=certain)]
    assert {r.items for r in rollouts} == {tuple(item.id for item in ITEMS[:4])}
    assert len({r.shown for r in rollouts if r.turn == "t0"}) > 10, "of 24 orders, 20 times"
    assert len({r.shown for r in rollouts if (r.iteration, r.turn) == (0, "t0")}) > 1
    assert len({r.shown for r in rollouts if (r.group, r.turn) == (0, "t0")}) > 1


def test_replay_gives_equal_rollouts_with_the_model_unplugged(tmp_path: Path) -> None:
    failing = Ranker(fail=lambda taste: taste < "2")
    settings = replace(SETTINGS, max_degraded=0.9)
    first = run(failing, tmp_path / "l", settings=settings)
    assert 0 < sum(rollout.degraded for rollout in first) < len(first)
    for llm in (Unplugged(), None):
        told: list[RolloutProgress] = []
        again = run(llm, tmp_path / "l", settings=settings, told=told)
        assert again == first
        assert [(r.latency_ms, r.spend, r.cached) for r in again] == [(r.latency_ms, r.spend, r.cached) for r in first]
        assert (told[-1].done, told[-1].found, told[-1].calls) == (15, 15, 0)


def test_a_replay_names_the_first_rollout_that_is_missing(tmp_path: Path) -> None:
    run(Ranker(), tmp_path / "l", tasks=TASKS[:2])
    with pytest.raises(StoreError, match=r"no rollout of turn 't2', group 0, iteration 0.*a replay asks no model"):
        run(None, tmp_path / "l")
    with pytest.raises(StoreError, match="turn 't0', group 0, iteration 1"):
        run(None, tmp_path / "l", iteration=1)


def test_a_replay_of_another_policy_is_refused_and_a_resumed_run_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = run(Ranker(), tmp_path / "l")
    moved = [replace(one, scores=tuple(10 * score for score in one.scores)) for one in TASKS]
    with pytest.raises(ReplayDiffers, match="another set than the policy draws now"):
        run(None, tmp_path / "l", tasks=moved)
    assert run(Unplugged(), tmp_path / "l", tasks=moved) == first
    assert "are of other sets than the policy draws now" in caplog.text
    with pytest.raises(StoreError, match="another set"):
        run(Ranker(), tmp_path / "l", tasks=[task(0, items=4), *TASKS[1:]])


def test_only_so_many_calls_are_in_flight(tmp_path: Path) -> None:
    ranker = Ranker(latency=lambda: 0.005)
    run(ranker, tmp_path / "l", settings=replace(SETTINGS, concurrency=4))
    assert (ranker.asked, ranker.most) == (15, 4)


def test_a_budget_stops_the_run_and_what_was_done_is_kept(tmp_path: Path) -> None:
    whole = run(Ranker(), tmp_path / "whole")
    budget, ranker = Budget(calls=7), Ranker(latency=lambda: 0.002)
    with pytest.raises(BudgetExceeded, match="allows 7 calls"):
        run(Metered(ranker, budgets=[budget]), tmp_path / "l", settings=replace(SETTINGS, concurrency=3))
    assert ranker.asked == budget.spent.calls == 7
    assert len(Ledger(tmp_path / "l", recipe="r")) == 7
    with pytest.raises(BudgetExceeded, match="7 calls spent"):
        run(Metered(ranker, budgets=[Budget(calls=7)]), tmp_path / "l")
    assert ranker.asked == 7, "the resumed run keeps the ceiling of the whole run"
    assert run(Metered(ranker, budgets=[Budget(calls=15)]), tmp_path / "l") == whole
    assert ranker.asked == 15


def test_answers_on_disk_are_not_paid_again(tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    told: list[RolloutProgress] = []
    first = run(Metered(Ranker(), answers=AnswerFile(answers)), tmp_path / "l", told=told)
    assert (told[-1].calls, told[-1].cached, told[-1].spend) == (15, 0, Spend(15, 15 * 120))
    assert told[-1].mean_reward == pytest.approx(sum(r.reward or 0 for r in first) / 15)
    lines = (tmp_path / "l").read_bytes().splitlines(keepends=True)
    (tmp_path / "l").write_bytes(b"".join(lines[:-4]) + lines[-4][:300])
    budget = Budget()
    again = run(Metered(Unplugged(), answers=AnswerFile(answers), budgets=[budget]), tmp_path / "l", told=told)
    assert again == first
    assert told[-1].cached == sum(r.cached for r in again) > 0
    assert told[-1].found == 15 - told[-1].cached
    assert told[-1].calls == 0


def test_answers_on_disk_leave_time_to_write_and_to_stop(tmp_path: Path) -> None:
    many = [task(number) for number in range(150)]
    answers = AnswerFile(tmp_path / "answers")
    whole = run(Metered(Ranker(), answers=answers), tmp_path / "l", tasks=many)
    with pytest.raises(LLMTimeout):
        run(
            Metered(Unplugged(), answers=answers), tmp_path / "m", tasks=many,
            settings=replace(SETTINGS, run_deadline_s=0.001),
        )  # fmt: skip
    assert len(Ledger(tmp_path / "m", recipe="r")) < 450
    assert run(Metered(Unplugged(), answers=answers), tmp_path / "m", tasks=many) == whole


def test_an_answer_that_names_no_candidate_is_degraded_and_has_no_reward(tmp_path: Path) -> None:
    script = ["NaN", '{"ranking": [NaN, Infinity, 99, -1], "reply": "x"}', "", "{" * 1000, "[null]", "\x00\ud83d"]
    settings = replace(SETTINGS, groups=2, max_degraded=1.0)
    rollouts = run(ScriptedLLM(script), tmp_path / "l", tasks=TASKS[:3], settings=settings)
    assert all(r.degraded and r.reward is None and r.ranking == () and r.named == 0 for r in rollouts)
    assert {r.reason for r in rollouts} == {"the answer names no candidate"}
    assert run(None, tmp_path / "l", tasks=TASKS[:3], settings=settings) == rollouts


def test_half_an_answer_is_completed_in_the_policys_order(tmp_path: Path) -> None:
    rollouts = run(ScriptedLLM(['{"ranking": [2], "reply"'] * 15), tmp_path / "l")
    for rollout in rollouts:
        rest = sorted((item for item in rollout.items if item != rollout.shown[1]), key=lambda item: int(item[1:]))
        assert rollout.ranking == (rollout.shown[1], *rest)
        assert rollout.named == 1
        assert rollout.report is not None
        assert rollout.report.missing == 2


def test_half_of_the_calls_time_out(tmp_path: Path) -> None:
    class Late(Ranker):
        async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
            self.latency = lambda: 60.0 * (self.asked % 2)
            return await super().complete(request)

    settings = replace(SETTINGS, deadline_s=0.2, max_degraded=0.6)
    late = Late()
    rollouts = run(late, tmp_path / "l", settings=settings)
    degraded = [rollout for rollout in rollouts if rollout.degraded]
    assert len(degraded) in (7, 8)
    assert "no answer within 0.2 s" in degraded[0].reason
    assert degraded[0].spend.tokens > 800, "what it cost is not known, so the most is booked"
    assert [r for r in read_ledger(tmp_path / "l") if isinstance(r, Accepted)] != []
    assert run(None, tmp_path / "l", settings=settings) == rollouts


def test_too_many_failures_stop_the_run_and_are_asked_again(tmp_path: Path) -> None:
    ranker = Ranker(fail=lambda taste: taste < "8")
    with pytest.raises(LLMUnavailable, match=r"at most 10% of 15 may; most often: busy.*goes on"):
        run(ranker, tmp_path / "l", settings=replace(SETTINGS, concurrency=2))
    assert ranker.asked < 12
    mended = Ranker()
    assert run(mended, tmp_path / "l") == run(Ranker(), tmp_path / "m")
    assert 15 - ranker.asked < mended.asked < 15


def test_a_model_that_always_refuses_stops_early(tmp_path: Path) -> None:
    refusals = ScriptedLLM([LLMRefused("I must not")] * 2000)
    many = [task(number) for number in range(200)]
    with pytest.raises(LLMUnavailable, match="I must not"):
        run(refusals, tmp_path / "l", tasks=many, settings=replace(SETTINGS, max_degraded=0.5))
    assert len(refusals.requests) < 50


def test_a_model_that_always_gives_the_same_order(tmp_path: Path) -> None:
    rollouts = run(ScriptedLLM(['{"ranking": [1, 2, 3], "reply": "x"}'] * 15), tmp_path / "l")
    assert all(rollout.ranking[:3] == rollout.shown[:3] for rollout in rollouts)


def test_the_deadline_of_the_run(tmp_path: Path) -> None:
    stuck = Ranker(latency=iter([0.0] * 4 + [60.0] * 99).__next__)
    with pytest.raises(LLMTimeout, match=r"did not end within 0.3 s.*goes on with what the ledger"):
        run(stuck, tmp_path / "l", settings=replace(SETTINGS, run_deadline_s=0.3))
    assert len(Ledger(tmp_path / "l", recipe="r")) == 4
    assert len(run(Ranker(), tmp_path / "l")) == 15


def test_a_mistake_in_a_model_or_a_reward_is_raised_and_the_rest_kept(tmp_path: Path) -> None:
    class Broken(Ranker):
        async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
            if self.asked == 5:
                raise ZeroDivisionError
            return await super().complete(request)

    with pytest.raises(ZeroDivisionError):
        run(Broken(), tmp_path / "l", settings=replace(SETTINGS, concurrency=1))
    assert len(Ledger(tmp_path / "l", recipe="r")) == 5
    with pytest.raises(InputError, match="the reward of a ranking is nan"):
        run(Ranker(), tmp_path / "m", reward=RolloutReward(lambda ranking, truth: math.nan))


def test_too_small_catalogues_and_equal_turns_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    ranker = Ranker()
    with pytest.raises(InputError, match="turn 't1' has 3 items that can be drawn, but a set has n = 4"):
        run(ranker, tmp_path / "l", tasks=[task(0), task(1, items=3)])
    barred = replace(task(1), scores=(0.0, -1.0, *[-math.inf] * 10))
    with pytest.raises(InputError, match="turn 't1' has 2 items"):
        run(ranker, tmp_path / "l", tasks=[barred])
    with pytest.raises(InputError, match="turn 't0' comes twice"):
        run(ranker, tmp_path / "l", tasks=[task(0), task(0)])
    assert ranker.asked == 0
    exact = run(ranker, tmp_path / "l", tasks=[task(0, items=4)])
    assert {frozenset(rollout.items) for rollout in exact} == {frozenset(item.id for item in ITEMS[:4])}
    assert run(ranker, tmp_path / "l", tasks=[]) == []


def test_items_that_cannot_be_drawn_are_not(tmp_path: Path) -> None:
    barred = [replace(one, scores=(*one.scores[:5], *[-math.inf] * 7)) for one in TASKS]
    for rollout in run(Ranker(), tmp_path / "l", tasks=barred):
        assert set(rollout.items) <= {item.id for item in ITEMS[:5]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": ()}, "turn 't0' has no truth"),
        ({"scores": (1.0,)}, "12 items in its proposal but 1 scores"),
        ({"proposal": ITEMS[:1] * 12}, "has an item twice"),
        ({"scores": tuple(map(float, range(12)))}, "the score 1.0 at place 1, after 0.0"),
        ({"scores": (math.nan,) * 12}, "the score nan at place 0"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(task(0), **change)  # type: ignore[arg-type]


def test_settings_tell_all_their_faults_at_once() -> None:
    with pytest.raises(InputError) as caught:
        RolloutSettings(n=0, groups=0, temperature=0.0, max_degraded=2.0, deadline_s=math.inf)
    for name in ("n must", "groups must", "temperature must", "max_degraded must", "deadline_s must be finite"):
        assert name in str(caught.value)


def test_over_http(tmp_path: Path) -> None:
    from rarec.llm import HttpLLM

    with FakeOpenAIServer(['{"ranking": [2, 1, 3], "reply": "Try [2]."}']) as server:
        rollouts = run(HttpLLM("m", base_url=server.url), tmp_path / "l", tasks=TASKS[:2])
        assert len(server.requests_to("completions")) == 6
    assert all(r.ranking[:3] == (r.shown[1], r.shown[0], r.shown[2]) for r in rollouts)
