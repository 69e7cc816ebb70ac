"""One turn: link, retrieve, let the model choose, ground, reply. The wiring, and nothing else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, get_args

import anyio
import anyio.to_thread
import numpy as np

from rarec.assembly import Engine, llm_from, open_engine, prompt_template
from rarec.background import BackgroundLoop
from rarec.candidates import allowed, diversify
from rarec.constraints import Constraints, eased, understand
from rarec.errors import BudgetExceeded, InputError, LLMError, LLMTimeout, StoreError
from rarec.llm.protocol import LLM, OnText
from rarec.prompt import (
    ParsedAnswer,
    ReplyStream,
    ReplyText,
    answer_schema,
    parse,
    render,
    reply_text,
)
from rarec.ranker.evidence import Evidence, telling, whys
from rarec.ranker.local import LocalRanker, write_reply
from rarec.settings import Settings
from rarec.telemetry import span
from rarec.types import (
    Candidate,
    CompletionRequest,
    Conversation,
    Filters,
    Item,
    ItemId,
    Mention,
    ParseReport,
    RankedItem,
    RankingTask,
    Recommendation,
    Sentiment,
    Usage,
)

ATTEMPTS = 3
"""How often candidates are looked for anew when the catalogue changes meanwhile."""

RESERVE_S = 0.05
"""Kept of the deadline for writing the answer once the model has been given up."""

SENTIMENTS = get_args(Sentiment)

OPENING_POOL = 10
"""An empty conversation is answered with a diverse choice out of so many times n popular items."""

NOTHING_LEFT = "Nothing in the catalogue passes these filters. Loosen one of them and ask again."
EMPTY_CATALOGUE = "The catalogue is empty, so there is nothing to recommend yet."


@dataclass(slots=True)
class _Clock:
    """Wall time of each stage, in milliseconds."""

    started: float = field(default_factory=time.perf_counter)
    timings_ms: dict[str, float] = field(default_factory=dict[str, float])
    _last: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.timings_ms[stage] = self.timings_ms.get(stage, 0.0) + (now - self._last) * 1000
        self._last = now

    def total(self) -> Mapping[str, float]:
        return self.timings_ms | {"total": (time.perf_counter() - self.started) * 1000}


@dataclass(frozen=True, slots=True)
class _Proposal:
    """What the retriever found for a linked conversation."""

    conversation: Conversation
    mentioned: Mapping[ItemId, Item]
    candidates: tuple[Candidate, ...]
    empty_catalogue: bool
    filters: Filters
    version: int
    quoted: Mapping[ItemId, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Choice:
    """What the model made of it."""

    answer: ParsedAnswer
    reply: str
    usage: Usage
    model: str
    reason: str = ""


class Recommender:
    """Answers conversations with items that exist.

    Use `Recommender.open` on a folder made by ``rarec init``. `reply` may be called from any thread; `areply` is the
    same for code that runs in an event loop.

    >>> with Recommender.open("store") as recommender:  # doctest: +SKIP
    ...     answer = recommender.reply(Conversation((Turn("user", "Something like Alien?"),)))
    """

    def __init__(self, engine: Engine, settings: Settings, llm: LLM | None) -> None:
        self.engine = engine
        self.settings = settings
        self._template = prompt_template(settings.llm)
        self.llm = llm
        self._loop: BackgroundLoop | None = None
        self._closed = False
        self._starting = threading.Lock()

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        llm: LLM | None = None,
        flags: Mapping[str, Any] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Recommender:
        """Open a store.

        Args:
            path: the folder of the store.
            llm: a model to use instead of the one that the settings name.
            flags: settings that override the file and the environment, e.g. ``{"llm.kind": "none"}``.
            progress: of the embedding of items that have no vector yet.
        Raises:
            StoreError, BundleError, SettingsError, MissingExtra: each says what to do.
        """
        engine, settings, configured = open_engine(Path(path), flags=flags, llm=llm, progress=progress)
        try:
            return cls(engine, settings, configured)
        except BaseException:
            engine.close()
            raise

    def with_bundle(self, bundle: Path) -> Recommender:
        """The same store under another bundle: a second recommender, while this one goes on.

        Both share catalogue, embedder and connections: close this one, when nobody needs either.

        Raises:
            BundleError: the bundle is damaged, or of another embedder.
        """
        engine = self.engine.with_bundle(bundle)
        local = self.settings.llm.kind == "local" and isinstance(self.llm, LocalRanker)
        return Recommender(engine, self.settings, llm_from(self.settings.llm, engine, bundle) if local else self.llm)

    def understand(self, conversation: Conversation, *, filters: Filters | None = None) -> Constraints:
        """What the words of a conversation ask for, in terms of the live catalogue; by rules, English only.

        `reply` holds to it by itself; to show it, or to leave parts of it out, ask here and give `reply` the filters
        ``understand(...).without(ids).on(Filters())`` and ``words=False``.

        Args:
            conversation: turns whose mentions are None are linked; an empty one asks for nothing.
            filters: what holds anyway. Where nothing is left beside it, older wishes are let go.
        Raises:
            InputError: the conversation is wrong.
            EmbedderError, StoreError: new items cannot be embedded, or the store cannot be read.
        """
        limits = self.settings.recommend
        check_conversation(conversation, limits.max_characters, limits.max_turns)
        engine, given = self.engine, filters or Filters()
        _check_texts(given)
        for _ in range(ATTEMPTS):
            version = engine.refresh()
            linked = engine.link(conversation)
            read = understand(linked, engine.vocabulary)
            found = eased(read, linked, on=given, leaves_any=partial(engine.leaves_any, conversation=linked))
            if engine.catalogue.version == version:
                break
        return found

    def reply(
        self,
        conversation: Conversation,
        *,
        n: int = 10,
        filters: Filters | None = None,
        words: bool = True,
        on_text: OnText | None = None,
    ) -> Recommendation:
        """Answer the last turn of a conversation.

        Args:
            conversation: turns whose mentions are None are linked here; an empty conversation gets popular and
                diverse items and a question.
            n: how many items, >= 1.
            filters: what may be returned.
            words: whether wishes such as "from the 90s, not horror" are read from the words too, and held to; see
                `understand`.
            on_text: receives the reply piece by piece while it is written, in the thread of the event loop. The pieces
                add up to `Recommendation.reply`; if the model breaks off in the middle, what was shown stays, and the
                whole `reply` follows on a new line. What it raises ends the turn and reaches the caller.
        Returns:
            the answer; `degraded` says that the model did not take part. The model gets what is left of
            ``recommend.deadline_s`` and is cancelled then; code of yours behind the protocol must let itself be
            cancelled, that is, await.
        Raises:
            InputError: the conversation, `n` or the filters are wrong.
            EmbedderError, StoreError: messages cannot be embedded, or the store cannot be read.
        """
        with self._starting:
            if self._closed:
                raise StoreError("this recommender is closed; open the store again with Recommender.open")
            self._loop = self._loop or BackgroundLoop()
        answer = self._loop.start(lambda: self.areply(conversation, n=n, filters=filters, words=words, on_text=on_text))
        try:
            return answer.result()
        except BaseException:  # Ctrl-C: a model that is still writing must not hold up what comes next
            answer.cancel()
            raise

    async def areply(
        self,
        conversation: Conversation,
        *,
        n: int = 10,
        filters: Filters | None = None,
        words: bool = True,
        on_text: OnText | None = None,
        llm: LLM | None = None,
        deadline_s: float | None = None,
    ) -> Recommendation:
        """The same as `reply`, for an event loop; work on the processor runs in threads.

        Args:
            llm: is asked in place of the recommender's own.
            deadline_s: for the whole turn, in place of ``recommend.deadline_s``.
        """
        limits = self.settings.recommend
        check_conversation(conversation, limits.max_characters, limits.max_turns)
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise InputError(f"n must be a whole number of at least 1, got {n!r}")
        _check_texts(filters or Filters())
        if words := words and any(turn.role == "user" and turn.text.strip() for turn in conversation.turns):
            # Made once for a store, which takes seconds for hundreds of thousands of items: no turn is late for it.
            await anyio.to_thread.run_sync(lambda: self.engine.vocabulary)
        clock, found = _Clock(), Constraints()
        if words:
            found = await anyio.to_thread.run_sync(partial(self.understand, conversation, filters=filters))
            filters = found.on(filters or Filters())
            clock.lap("words")
        proposal = await anyio.to_thread.run_sync(self._propose, conversation, n, filters or Filters(), clock)
        if not proposal.candidates:
            reply = EMPTY_CATALOGUE if proposal.empty_catalogue else _nothing_left(found)
            if on_text:
                on_text(reply)
            return Recommendation((), reply, proposal.conversation.mentions(), Usage(), clock.total(), ParseReport())
        task = RankingTask(
            proposal.conversation, proposal.mentioned, proposal.candidates, min(n, len(proposal.candidates))
        )
        whole_s = limits.deadline_s if deadline_s is None else deadline_s
        left = whole_s - (time.perf_counter() - clock.started) - RESERVE_S
        choice = await self._choose(llm or self.llm, task, left, on_text)
        clock.lap("llm")
        answer = _answer(task, choice, clock, proposal.quoted)
        if self.engine.catalogue.version != proposal.version:
            return await anyio.to_thread.run_sync(self._as_it_is_now, answer, task, proposal.filters)
        return answer

    def _as_it_is_now(self, answer: Recommendation, task: RankingTask, filters: Filters) -> Recommendation:
        """Items that went, or no longer pass, while the model wrote make room for the next candidates."""
        ids = [c.item.id for c in task.candidates]
        live = {i.id: i for i in self.engine.catalogue.get_many(ids, missing="skip") if allowed(i, filters)}
        kept = [replace(r, item=live[r.item.id]) for r in answer.items if r.item.id in live]
        taken = {r.item.id for r in answer.items}
        spare = [
            RankedItem(live[c.item.id], c.score, "", position)
            for position, c in enumerate(task.candidates, start=1)
            if c.item.id in live and c.item.id not in taken
        ]
        return replace(answer, items=tuple([*kept, *spare][: task.n]))

    def _propose(self, conversation: Conversation, n: int, filters: Filters, clock: _Clock) -> _Proposal:
        for _ in range(ATTEMPTS):
            version = self.engine.refresh()
            proposal = self._propose_once(conversation, n, filters, clock, version)
            if self.engine.catalogue.version == version:
                break  # else an item may have changed behind the index, and not pass the filters any more
        return proposal

    def _propose_once(
        self, conversation: Conversation, n: int, filters: Filters, clock: _Clock, version: int
    ) -> _Proposal:
        engine = self.engine
        with span("link"):
            linked = engine.link(conversation)
            ids = dict.fromkeys(m.item for m in linked.mentions())
            mentioned = {i.id: i for i in engine.catalogue.get_many(ids, missing="skip")}
        clock.lap("link")
        with span("embed"):
            query = engine.query(linked)
        clock.lap("embed")
        asked = replace(filters, exclude=filters.exclude | ids.keys())
        opening = not any(t.text.strip() or t.mentions for t in linked.turns)
        wanted = OPENING_POOL * n if opening else max(n, self.settings.recommend.candidates)
        with span("retrieve"):
            hits = engine.index.search(query[None], n=wanted, filters=asked, bonuses=[engine.bonuses(linked)])[0]
            scores = dict(zip(hits.ids, map(float, hits.scores), strict=True))
            chosen = self._diverse(scores, n) if opening else list(scores)
            items = engine.catalogue.get_many(chosen, missing="skip")
            candidates = tuple(Candidate(item, scores[item.id]) for item in items)
            quoted = engine.quoted(linked, scores)
        clock.lap("retrieve")
        return _Proposal(linked, mentioned, candidates, len(engine.index) == 0, asked, version, quoted)

    def _diverse(self, scores: Mapping[ItemId, float], n: int) -> list[ItemId]:
        vectors = self.engine.vectors(list(scores))
        if not vectors:
            return []
        ids = list(vectors)
        order = diversify(np.stack(list(vectors.values()))[:, :-1], np.array([scores[i] for i in ids], np.float32), n=n)
        return [ids[i] for i in order]

    async def _choose(self, llm: LLM | None, task: RankingTask, left_s: float, on_text: OnText | None) -> _Choice:
        """Ask the model; whatever goes wrong with it, the retriever's order stands, with the reason."""
        if llm is None:
            return _retriever_order(task, "no model is configured", on_text)
        if left_s <= 0:
            return _retriever_order(task, "the deadline passed before the model was asked", on_text)
        shown = _Shown(task, on_text)
        try:
            options = self.settings.llm
            request = CompletionRequest(
                render(task, template=self._template),
                schema=answer_schema(task),
                max_tokens=options.max_tokens,
                temperature=options.temperature,
                deadline_s=left_s,
                task=task,
            )
            with span("llm"), anyio.fail_after(left_s):
                completion = await llm.complete(request, on_text=shown.feed if on_text else None)
            with span("parse"):
                answer = parse(completion.text, offered=len(task.candidates), n=task.n)
        except (Exception, asyncio.CancelledError) as error:
            # A model may be anybody's code, and a turn is answered all the same, unless its caller gave it up.
            shown.over = True
            current = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and current is not None and current.cancelling():
                raise
            if shown.listener_error is not None:
                raise shown.listener_error from None
            return _retriever_order(task, _reason(error, left_s), on_text, said=shown.text)
        if answer.report.missing == task.n:
            return _retriever_order(
                task, "the answer named no candidate", on_text, said=shown.text, report=answer.report,
                usage=completion.usage,
            )  # fmt: skip
        reply = reply_text(answer.reply, task.candidates).strip()
        reply = shown.finish(reply or reply_text(write_reply(task, list(answer.order)), task.candidates))
        return _Choice(answer, reply, completion.usage, completion.model)

    def close(self) -> None:
        """Close the store and end the background loop; a second call does nothing."""
        with self._starting, ExitStack() as last:
            last.callback(self.engine.close)
            self._closed = True
            if self._loop is not None:
                loop, self._loop = self._loop, None
                last.callback(loop.close)
                aclose = getattr(self.llm, "aclose", None)
                if aclose is not None:
                    loop.start(aclose).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class _Shown:
    """Passes the reply on while it streams: decoded, with numbers replaced by titles."""

    def __init__(self, task: RankingTask, on_text: OnText | None) -> None:
        self._stream, self._replace, self._on_text = ReplyStream(), ReplyText(task.candidates), on_text
        self.text = ""
        self.over = False
        self.listener_error: Exception | None = None

    def feed(self, delta: str) -> None:
        if not self.over:  # a model may go on in a thread of its own after it has been given up
            self._show(self._replace.feed(self._stream.feed(delta)))

    def finish(self, reply: str) -> str:
        """Show what of the final reply was not shown yet; what the user has seen is the reply if it is another one."""
        self._show(self._replace.close())
        if not reply.startswith(self.text):
            return self.text
        self._show(reply[len(self.text) :])
        return reply

    def _show(self, piece: str) -> None:
        if piece:
            self.text += piece
            if self._on_text:
                try:
                    self._on_text(piece)
                except Exception as error:
                    self.listener_error = error
                    raise


def _check_texts(filters: Filters) -> None:
    """Raise InputError where a text stands in place of several: its letters would be taken for them."""
    excluded: object = filters.exclude
    if isinstance(excluded, str):
        raise InputError(f"filters.exclude is the text {excluded!r}; give a set of ids")
    sides: tuple[Mapping[str, object], ...] = (filters.any_of, filters.none_of, filters.all_of)
    for named in sides:
        for name, values in named.items():
            if isinstance(values, str):
                raise InputError(f"the filter on {name!r} is the string {values!r}; give a tuple, e.g. ({values!r},)")


def _nothing_left(found: Constraints) -> str:
    """Names what was read from the words, which the caller may know nothing of."""
    if not found.hard:
        return NOTHING_LEFT
    wishes = ", ".join(part.label for part in found.hard)
    return f"{NOTHING_LEFT} Of your words these were held to: {wishes}."


def check_conversation(conversation: Conversation, max_characters: int, max_turns: int) -> None:
    """Raise InputError for an unknown role, text that is not a string, or more characters or turns than allowed."""
    if len(conversation.turns) > max_turns:
        raise InputError(
            f"the conversation has {len(conversation.turns)} turns, more than {max_turns}; send its last turns only, "
            "or raise recommend.max_turns"
        )
    total = 0
    for number, turn in enumerate(conversation.turns, start=1):
        if turn.role not in ("user", "assistant"):
            raise InputError(f"turn {number} has the role {turn.role!r}; use 'user' or 'assistant'")
        if not isinstance(turn.text, str):
            raise InputError(f"turn {number} has a text of type {type(turn.text).__name__!r}; it must be a string")
        total += len(turn.text)
        for mention in turn.mentions or ():
            if mention.sentiment not in SENTIMENTS:
                raise InputError(f"turn {number} has the sentiment {mention.sentiment!r}; use one of {SENTIMENTS}")
    if total > max_characters:
        raise InputError(
            f"the conversation has {total} characters, more than {max_characters}; send its last turns only, or raise "
            "recommend.max_characters"
        )


def _reason(error: BaseException, left_s: float) -> str:
    if isinstance(error, LLMTimeout | TimeoutError):
        return f"no answer within {left_s:.1f} s"
    if isinstance(error, LLMError | BudgetExceeded) and str(error):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _retriever_order(
    task: RankingTask,
    reason: str,
    on_text: OnText | None,
    *,
    said: str = "",
    report: ParseReport | None = None,
    usage: Usage | None = None,
) -> _Choice:
    order = tuple(range(task.n))
    reply = reply_text(write_reply(task, list(order)), task.candidates)
    if on_text:
        on_text(f"\n{reply}" if said else reply)
    answer = ParsedAnswer(order, reply, {}, report or ParseReport())
    return _Choice(answer, reply, usage or Usage(), "", reason)


def _answer(
    task: RankingTask, choice: _Choice, clock: _Clock, quoted: Mapping[ItemId, Sequence[str]]
) -> Recommendation:
    chosen = [task.candidates[position].item for position in choice.answer.order]
    reasons = whys(chosen, Evidence.of(task.conversation, task.mentioned), telling(task.candidates), quoted)
    items = tuple(
        RankedItem(
            item=task.candidates[position].item,
            score=task.candidates[position].score,
            why=choice.answer.whys.get(position) or reason,
            retriever_rank=position + 1,
        )
        for position, reason in zip(choice.answer.order, reasons, strict=True)
    )
    mentions: Sequence[Mention] = task.conversation.mentions()
    return Recommendation(
        items=items,
        reply=choice.reply,
        mentions=tuple(mentions),
        usage=choice.usage,
        timings_ms=clock.total(),
        report=choice.answer.report,
        degraded=bool(choice.reason),
        reason=choice.reason,
        model=choice.model,
        candidates=task.candidates,
    )
