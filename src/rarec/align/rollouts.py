"""Candidate sets of the policy, ranked by a language model and rewarded: what reinforcement learning learns from."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from dataclasses import replace
from math import isinf

from rarec.align.drawing import Draw, check_enough, draw
from rarec.align.ledger import Ledger, Prompt, named_lines
from rarec.align.rollout import Key, OnProgress, Rollout, RolloutProgress, RolloutReward, RolloutSettings, RolloutTask
from rarec.background import BackgroundLoop
from rarec.errors import InputError, LLMTimeout, LLMUnavailable, RarecError, ReplayDiffers, StoreError
from rarec.llm.asking import Asked
from rarec.llm.budget import Spend
from rarec.llm.metered import Metered
from rarec.prompt import ranking_request, read_ranking
from rarec.prompt.text import whole_characters
from rarec.types import Message, RankingTask

log = logging.getLogger(__name__)

FLUSH_S = 0.2
"""How long a rollout may wait for its batch to be written."""
_TELL_S = 0.2
_DEAD = 32
"""So many failures in a row, or one for each call in flight, mean that the model is not there."""


def collect(
    tasks: Sequence[RolloutTask],
    llm: Metered | None,
    *,
    iteration: int,
    reward: RolloutReward,
    settings: RolloutSettings,
    ledger: Ledger,
    progress: OnProgress | None = None,
) -> list[Rollout]:
    """Draw `settings.groups` sets a turn, have each ranked, and reward the rankings.

    Rollouts that the ledger has are taken from it; the others are asked, many at a time, and written to it as they
    come. What comes out does not depend on the order in which answers arrive. If the run stops (Ctrl-C, a kill, an
    error below), the same call goes on where it stopped; answers that were on the way when a budget or the model
    failed are waited for and kept. What the ledger says that earlier processes spent is booked in the budgets first;
    calls that a kill or Ctrl-C broke off are in no ledger.

    A model that fails, or whose answer names no candidate, gives a degraded rollout without a reward.

    Args:
        llm: None replays: every rollout must be in the ledger, and the sets must be those that the policy draws now.
        iteration: counts from 0; sets are drawn anew in each.
        progress: called in this thread, a few times a second and at the end.
    Returns:
        turns in the order of `tasks`, and the groups of a turn one after the other; no tasks give none.
    Raises:
        InputError: a turn comes twice or has too few items to draw from, or a reward is not finite.
        BudgetExceeded: the next call could pass a ceiling.
        LLMUnavailable: more than `settings.max_degraded` of the rollouts are degraded.
        LLMTimeout: `settings.run_deadline_s` passed.
        StoreError: the ledger cannot be written or read, does not fit the policy, or, if replayed, lacks a rollout.
        ReplayDiffers: a replay draws other sets than the ledger has.
    """
    _check(tasks, settings)
    if llm is not None:
        llm.charge(ledger.claim())
    draws = _Draws(tasks, iteration, settings)
    rollouts = _found(draws, ledger, replay=llm is None)
    run = _Run(llm, draws, rollouts, reward=reward, settings=settings, ledger=ledger)
    if run.missing:
        _in_background(run, progress)
    done = [rollout for rollout in rollouts if rollout is not None]
    ledger.accept(iteration, [(rollout.turn, rollout.group) for rollout in done if rollout.degraded])
    if progress is not None:
        progress(run.progress())
    return done


class _Draws:
    """The sets of all turns, each turn's made when it is needed: the model can be busy meanwhile."""

    def __init__(self, tasks: Sequence[RolloutTask], iteration: int, settings: RolloutSettings) -> None:
        self._tasks, self._iteration, self._settings = tasks, iteration, settings
        self.keys = [(iteration, task.turn, group) for task in tasks for group in range(settings.groups)]
        self._turn, self._drawn = -1, list[Draw]()

    def __getitem__(self, place: int) -> Draw:
        """Fastest in rising order."""
        turn, group = divmod(place, self._settings.groups)
        if turn != self._turn:
            self._drawn = draw(self._tasks[turn], iteration=self._iteration, settings=self._settings)
            self._turn = turn
        return self._drawn[group]


def _check(tasks: Sequence[RolloutTask], settings: RolloutSettings) -> None:
    if twice := [turn for turn, count in Counter(task.turn for task in tasks).items() if count > 1]:
        raise InputError(f"turn {twice[0]!r} comes twice; give every turn of an iteration an id of its own")
    for task in tasks:
        check_enough(task, settings.n)


def _found(draws: _Draws, ledger: Ledger, *, replay: bool) -> list[Rollout | None]:
    """What the ledger has of them.

    A resumed run takes what was drawn by a policy that is not quite the same (another machine's arithmetic), since
    its log-probability is known; a replay, which promises the same weights, does not.
    """
    rollouts = [ledger.find(key) for key in draws.keys]
    other = 0
    for place, (key, rollout) in enumerate(zip(draws.keys, rollouts, strict=True)):
        if rollout is None:
            if replay:
                what = f"the ledger {str(ledger.path)!r} has no rollout of {_named(key)}, and a replay asks no model"
                if ledger.broken:
                    raise StoreError(
                        f"{what}: {named_lines(ledger.broken)} of it cannot be read; run the same command without "
                        "--replay to ask it again"
                    )
                raise StoreError(f"{what}; replay the run that wrote it with its recipe, or run without --replay")
            continue
        one = draws[place]
        if rollout.items != one.ids(one.columns) or rollout.shown != one.ids(one.shown):
            other += 1
            told = (
                f"the rollout of {_named(key)} in the ledger {str(ledger.path)!r} is of another set than the policy "
                "draws now"
            )
            if replay:
                raise ReplayDiffers(told)
            if not {item.id for item in one.task.proposal}.issuperset(rollout.items):
                raise StoreError(
                    f"{told}; start from the weights and the seed of the run that wrote it, or take a new ledger"
                )
    if other:
        log.warning("%d rollouts of the ledger are of other sets than the policy draws now; they are used", other)
    return rollouts


def _named(key: Key) -> str:
    iteration, turn, group = key
    return f"turn {turn!r}, group {group}, iteration {iteration}"


def _in_background(run: _Run, progress: OnProgress | None) -> None:
    loop = BackgroundLoop()
    ended = loop.start(run.run)
    try:
        while wait([ended], timeout=_TELL_S).not_done:
            if progress is not None:
                progress(run.progress())
        ended.result()
    finally:
        ended.cancel()
        loop.close()


class _Run:
    """Asks for what is missing, and fills `rollouts`."""

    def __init__(
        self,
        llm: Metered | None,
        draws: _Draws,
        rollouts: list[Rollout | None],
        *,
        reward: RolloutReward,
        settings: RolloutSettings,
        ledger: Ledger,
    ) -> None:
        self._llm, self._draws, self._rollouts = llm, draws, rollouts
        self._reward, self._settings, self._ledger = reward, settings, ledger
        self.missing = [place for place, rollout in enumerate(rollouts) if rollout is None]
        self._pending: Iterator[int] = iter(self.missing)
        self._unwritten: list[tuple[Rollout, Prompt]] = []
        self._stop: Exception | None = None
        self._calls = self._cached = 0
        self._spend = Spend()
        known = [rollout for rollout in rollouts if rollout is not None]
        self._found = self._done = len(known)
        self._reasons = Counter(rollout.reason for rollout in known if rollout.degraded)
        self._failures_in_a_row = 0
        self._reward_sum = sum(rollout.reward for rollout in known if rollout.reward is not None)

    def progress(self) -> RolloutProgress:
        """How far it is; may be called from another thread."""
        degraded, done = self._reasons.total(), self._done
        return RolloutProgress(
            done=done,
            total=len(self._rollouts),
            found=self._found,
            calls=self._calls,
            cached=self._cached,
            spend=self._spend,
            degraded=degraded,
            mean_reward=self._reward_sum / (done - degraded) if done > degraded else None,
        )

    async def run(self) -> None:
        limit_s = self._settings.run_deadline_s
        writer = asyncio.create_task(self._write_now_and_then())
        try:
            async with asyncio.timeout(None if isinf(limit_s) else limit_s) as deadline:
                workers = min(self._settings.concurrency, len(self.missing))
                await asyncio.gather(*(self._work() for _ in range(workers)))
        except TimeoutError:
            if not deadline.expired():
                raise
            self._stop = LLMTimeout(self._so_far(f"the rollouts did not end within {limit_s:g} s"))
        finally:
            writer.cancel()
            self._write()
            if self._llm is not None:
                await self._llm.aclose()  # connections belong to this event loop
        if self._stop is not None:
            raise self._stop

    async def _work(self) -> None:
        """One of many that ask until nothing is left or something is wrong; what is on the way is waited for."""
        assert self._llm is not None
        while self._stop is None and (place := next(self._pending, None)) is not None:
            try:
                one = self._draws[place]
                question = one.question(self._settings.ranked)
                request = ranking_request(
                    question,
                    template=self._settings.template,
                    max_tokens=self._settings.max_tokens,
                    temperature=self._settings.llm_temperature,
                    deadline_s=self._settings.deadline_s,
                )
                asked = await self._llm.ask(request)
                prompt = _prompt(request.messages)
                self._take(place, prompt, rolled_out(one, question, prompt.key, asked, reward=self._reward))
                await asyncio.sleep(0)  # an answer from disk waits for nothing, and others must come to their turn
            except Exception as error:
                self._stop = self._stop or error

    def _take(self, place: int, prompt: Prompt, rollout: Rollout) -> None:
        self._calls += rollout.spend.calls
        self._cached += rollout.cached
        self._spend += rollout.spend
        self._rollouts[place] = rollout
        self._unwritten.append((rollout, prompt))
        if rollout.reward is None:
            self._reasons[rollout.reason] += 1
            self._failures_in_a_row += 1
        else:
            self._reward_sum += rollout.reward
            self._failures_in_a_row = 0
        self._done += 1
        self._stop = self._stop or self._too_many_failures()

    def _too_many_failures(self) -> LLMUnavailable | None:
        share, total = self._settings.max_degraded, len(self._rollouts)
        degraded = self._reasons.total()
        dead = share < 1 and self._failures_in_a_row >= max(_DEAD, self._settings.concurrency)
        if degraded <= share * total and not dead:
            return None
        reason, _ = self._reasons.most_common(1)[0]
        return LLMUnavailable(
            self._so_far(
                f"{degraded} of {self._done} rollouts have no usable answer, and at most {share:.0%} of {total} may; "
                f"most often: {reason}"
            )
        )

    def _so_far(self, what: str) -> str:
        return (
            f"{what}; mend that and start the same run again: it goes on with what the ledger "
            f"{str(self._ledger.path)!r} has"
        )

    async def _write_now_and_then(self) -> None:
        while self._stop is None:
            await asyncio.sleep(FLUSH_S)
            try:
                self._write()
            except RarecError as error:
                self._stop = self._stop or error

    def _write(self) -> None:
        """In the loop's own thread: a batch takes milliseconds, and none can get lost between two threads."""
        batch, self._unwritten = self._unwritten, []
        self._ledger.add([rollout for rollout, _ in batch], [prompt for _, prompt in batch])


def rolled_out(one: Draw, question: RankingTask, prompt: str, asked: Asked, *, reward: RolloutReward) -> Rollout:
    """What became of one set.

    Args:
        question: that was asked.
        prompt: key of the messages.
    Raises:
        InputError: the reward is not finite.
    """
    iteration, turn, group = one.key
    common = Rollout(
        iteration, turn, group, one.task.truth, one.ids(one.columns), one.ids(one.shown), one.log_prob,
        one.temperature, len(one.task.proposal), prompt,
        latency_ms=asked.latency_ms, spend=asked.spend, cached=asked.cached, degraded=True, reason=asked.reason,
    )  # fmt: skip
    if asked.completion is None:
        return common
    text = whole_characters(asked.completion.text)
    places, report = read_ranking(text, question)
    answered = replace(common, model=asked.completion.model, answer=text, report=report, usage=asked.completion.usage)
    if not places:
        return replace(answered, reason="the answer names no candidate")
    # What the model did not rank follows in the policy's order, which is that of the columns.
    chosen = dict.fromkeys([*(one.shown[place] for place in places), *sorted(one.columns)])
    ranking = one.ids(tuple(chosen))
    total, parts = reward(ranking, one.task.truth)
    return replace(answered, named=len(places), ranking=ranking, reward=total, parts=parts, degraded=False)


def _prompt(messages: Sequence[Message]) -> Prompt:
    text = json.dumps([[message.role, message.content] for message in messages], ensure_ascii=True)
    return Prompt(hashlib.sha256(text.encode("ascii")).hexdigest(), tuple(messages))
