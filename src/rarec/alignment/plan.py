"""What a run would ask and cost, before anything is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rarec.align.associated import KEPT_BYTES
from rarec.align.measuring import best_lists
from rarec.align.scorer import Scorer
from rarec.align.stepping import epoch_steps
from rarec.align.turns import TokenisedTurn
from rarec.alignment.answered import Answered
from rarec.alignment.material import Material, judge_of
from rarec.alignment.recipe import AlignRecipe, EndpointJudge, LocalJudge, PeopleJudge, RecordedConfig
from rarec.errors import RarecError
from rarec.llm.budget import Prices, Spend, most_of
from rarec.llm.http import HttpLLM
from rarec.llm.protocol import LLM
from rarec.prompt import ranking_request
from rarec.types import Candidate, CompletionRequest, RankingTask

_SAMPLE = 24
_BYTES_A_TOKEN = 4.0
_TOKENS_A_RANK = 4
_REPLY_TOKENS = 60
_PROCESS_BYTES = 500 << 20
_NOTHING = Answered()


@dataclass(frozen=True, slots=True)
class AlignPlan:
    """Of all seeds of a recipe, if none stops early.

    Feedback of people asks nothing: all calls are 0.

    Attributes:
        turns: that are learned from; `left_out` recommend nothing new.
        learning, validation, report: calls of the whole run.
        answered: of these, those that its ledgers answer.
        tokens: of the others, about, at four bytes a token; `tokens_most` is what a budget must set aside for the
            longest call seen, for all of them.
        usd, usd_most: None without prices; 0 for a judge in this process.
        memory_bytes: about, at its peak.
        remarks: what stands in the way of the run, or of a gain.
    """

    turns: int
    left_out: int
    tuning: int
    reporting: int
    items: int
    epochs: float
    learning: int
    validation: int
    report: int
    tokens: int
    tokens_most: int
    usd: float | None
    usd_most: float | None
    memory_bytes: int
    answered: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def calls(self) -> int:
        """That are still to be made."""
        return self.learning + self.validation + self.report - self.answered


def plan_of(
    recipe: AlignRecipe, material: Material, *, judge: LLM | None = None, known: Answered = _NOTHING
) -> AlignPlan:
    """Count calls exactly, and estimate tokens from the prompts of a few turns.

    Args:
        judge: instead of the one that the recipe names.
        known: what the run's ledgers have.
    Raises:
        InputError: the catalogue has fewer items than a set.
    """
    loop, sets, seeds = recipe.loop, recipe.sets, len(recipe.seeds)
    per_epoch, turns = epoch_steps(len(material.learn), loop.batch), len(material.learn)
    epochs, rest = divmod(loop.iterations, per_epoch)
    visited = epochs * turns + min(rest * loop.batch, turns)
    asks = recipe.learner.asks or bool(getattr(recipe.learner, "watch", False))
    learning = seeds * visited * sets.groups if asks else 0
    validations = 1 + math.ceil(loop.iterations / loop.validate_every)
    validation = seeds * validations * min(loop.judged_turns, len(material.tune))
    report = seeds * 2 * min(recipe.data.report_turns, len(material.report))
    if isinstance(recipe.judge, PeopleJudge):
        learning = validation = report = 0
    calls = learning + validation + report - known.calls
    about, most = spend_of_a_call(recipe, material, material.learn) if calls else (Spend(), Spend())
    found = AlignPlan(
        turns=turns,
        left_out=material.left_out,
        tuning=len(material.tune),
        reporting=min(recipe.data.report_turns, len(material.report)),
        items=len(material.stock),
        epochs=loop.iterations / per_epoch,
        learning=learning,
        validation=validation,
        report=report,
        tokens=calls * about.tokens,
        tokens_most=calls * most.tokens,
        usd=None if unpriced(recipe) else calls * about.usd,
        usd_most=None if unpriced(recipe) else calls * most.usd,
        memory_bytes=_memory(recipe, material),
        answered=known.calls,
    )
    if isinstance(recipe.judge, PeopleJudge):
        return found
    remarks = (
        _of_judge(recipe, material) if judge is None else "",
        _of_sets(recipe),
        _of_ranked(recipe),
        over_budget(recipe, calls, spent=known.spent.calls),
        *known.remarks,
    )
    return replace(found, remarks=tuple(filter(None, remarks)))


def prices_of(recipe: AlignRecipe) -> Prices | None:
    """Of the judge."""
    if not isinstance(recipe.judge, EndpointJudge) or recipe.judge.prices is None:
        return None
    return Prices(recipe.judge.prices.input, recipe.judge.prices.output)


def unpriced(recipe: AlignRecipe) -> bool:
    """Whether the judge may cost money of which the recipe says nothing; one in this process costs none."""
    return isinstance(recipe.judge, EndpointJudge) and recipe.judge.prices is None


def counts_tokens(recipe: AlignRecipe) -> bool:
    """Whether the judge reads tokens: the local ranker and recorded lists do not; simulated judges count as a model."""
    return not isinstance(recipe.judge, LocalJudge | RecordedConfig)


def _of_judge(recipe: AlignRecipe, material: Material) -> str:
    """Why it cannot be asked, as far as that is known without asking."""
    try:
        llm = judge_of(recipe, material)
        if isinstance(llm, HttpLLM):
            llm.check_key()
    except RarecError as error:
        return f"The judge cannot be asked yet: {error}."
    return ""


def _of_sets(recipe: AlignRecipe) -> str:
    n, places = recipe.sets.n, max(int(name.partition("@")[2] or 10) for name in recipe.reward)
    if n >= 2 * places:
        return ""
    return (
        f"sets.n = {n} leaves little to choose: the reward looks at {places} places, and which items are among the {n} "
        "is all that is learned. Give several times as many, as you serve (recommend.candidates of a store, 50 by "
        "default); docs/experiments.md found nothing to gain at 10, little at 20 and most at 50."
    )


def _of_ranked(recipe: AlignRecipe) -> str:
    ranked, n = recipe.sets.ranked, recipe.sets.n
    if ranked <= n or "ranked" not in recipe.sets.model_fields_set:
        return ""
    return f"sets.ranked = {ranked} is more than sets.n = {n}: the judge is asked to rank all {n}."


def over_budget(recipe: AlignRecipe, calls: int, *, spent: int = 0) -> str:
    """A remark where the budget of calls does not suffice; else empty.

    Args:
        spent: calls of earlier commands, which count against it.
    """
    ceiling = recipe.budget.calls
    if ceiling is None or ceiling >= calls + spent:
        return ""
    made = f" and the {spent:,} that were made" if spent else ""
    return f"budget.calls = {ceiling:,} is less than these calls{made}: it would stop there, and go on with more."


def spend_of_a_call(recipe: AlignRecipe, material: Material, turns: Sequence[TokenisedTurn]) -> tuple[Spend, Spend]:
    """The mean call of a few of these turns, at least one, about; and the longest, at most.

    Raises:
        InputError: the catalogue has fewer items than a set.
    """
    prices, chosen = prices_of(recipe), turns[:: max(1, len(turns) // _SAMPLE)][:_SAMPLE]
    requests = _requests(recipe, material, chosen)
    if not counts_tokens(recipe):
        return Spend(calls=1), Spend(calls=1)
    read = sum(len(m.content.encode("utf-8", "surrogatepass")) for r in requests for m in r.messages)
    tokens = round(read / len(requests) / _BYTES_A_TOKEN)
    written = _TOKENS_A_RANK * min(recipe.sets.ranked, recipe.sets.n) + _REPLY_TOKENS
    return Spend.of_call(tokens, written, prices), max((most_of(r, prices) for r in requests), key=lambda s: s.tokens)


def _requests(recipe: AlignRecipe, material: Material, turns: Sequence[TokenisedTurn]) -> list[CompletionRequest]:
    settings = recipe.rollouts(0)
    items = {item.id: item for item in material.stock.items}
    scorer = Scorer(material.retriever(), material.stock, material.data.messages)
    requests: list[CompletionRequest] = []
    for turn, own in zip(turns, best_lists(scorer, turns, settings.n), strict=True):
        candidates = tuple(Candidate(items[i], score) for i, score in own)
        task = RankingTask(turn.turn.conversation, turn.mentioned, candidates, min(settings.ranked, settings.n))
        requests.append(ranking_request(task, template=settings.template, max_tokens=settings.max_tokens))
    return requests


def _memory(recipe: AlignRecipe, material: Material) -> int:
    """Weights, gradients, two moments, the reference and the best; the tables; what is kept of turns and in a step."""
    model = material.retriever()
    weights = sum(p.numel() * 4 for p in model.parameters()) * 6
    table, messages = (t.numel() * 4 for t in (material.stock.table.features, material.data.messages))
    rows = len(material.stock) + recipe.loop.negatives
    step = rows * (model.config.item_hidden * 4 + material.stock.table.features.shape[1] * 4) * 4
    bonuses = min(KEPT_BYTES, len(material.data) * len(material.stock) * 4) if model.associations else 0
    return _PROCESS_BYTES + weights + table + messages + bonuses + step + recipe.loop.batch * rows * 8 * 8
