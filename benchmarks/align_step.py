"""What a step of alignment costs without the language model, against supervised steps in the same run.

Each learner takes real steps (`rarec.align.stepping`) over an invented catalogue with random vectors. A judge that
takes no time gives random orders; the time of its rollouts is left out, so what is measured is to encode, the loss,
backward and the optimiser. Learners take turns, so that a busy machine slows all of them; medians are told. Two steps
are the yardsticks: `nll-only`, the supervised part of alignment, and a step of fine-tuning as `rarec train` takes it.
Run it as ``python benchmarks/align_step.py``. What the disk saves of the judge's calls: ``benchmarks/rollouts.py``.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rarec.align.checkpoint import RunState
from rarec.align.learners import LEARNERS, BaseLearner, CreditAssigned
from rarec.align.ledger import Ledger
from rarec.align.loop import Lesson
from rarec.align.rollout import RolloutReward, RolloutSettings
from rarec.align.scorer import Scorer, reproducible
from rarec.align.settings import LoopSettings
from rarec.align.stepping import Stepper, Watch
from rarec.align.turns import LearningTurn, Stock, TurnData, turn_data
from rarec.llm.metered import Metered
from rarec.llm.protocol import OnText
from rarec.retriever.data import ConversationData, ItemTable, conversation_data
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.retriever.tasks import FinetuneConfig, NextMention
from rarec.testing import HashEmbedder
from rarec.types import Completion, CompletionRequest, Conversation, Item, ItemId, Mention, Turn, Usage

WIDTH = 384
"""Numbers of a text vector, as the shipped embedder's."""
FINE_TUNING = "fine-tuning"
YARDSTICK = "nll-only"
SUPERVISED = ("nll-only", "sft-longer")
Step = Callable[[int], dict[str, float]]
"""Number of the step -> seconds by part."""


class Shuffled:
    """Ranks at random, at once."""

    name = "shuffled"

    def __init__(self) -> None:
        self._random = random.Random(0)

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:  # noqa: ARG002
        assert request.task is not None
        order = self._random.sample(range(1, len(request.task.candidates) + 1), request.task.n)
        return Completion(json.dumps({"ranking": order, "reply": ""}), self.name, Usage(1, 900, 60))


def first_of_seven(ranking: Sequence[ItemId], truth: Collection[ItemId]) -> float:  # noqa: ARG001
    """A reward that differs between sets although no truth is in them."""
    return int(ranking[0].rpartition("-")[2]) % 7 / 7 if ranking else 0.0


class World:
    """A catalogue and conversations about it."""

    def __init__(self, items: int, options: argparse.Namespace) -> None:
        chosen, numbers = random.Random(options.seed), np.random.default_rng(options.seed)
        self.items = tuple(Item(ItemId(f"item-{i}"), f"Item {i}", "", 1960 + i % 60) for i in range(items))
        vectors = numbers.standard_normal((items, WIDTH), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.stock = Stock(self.items, ItemTable.of(self.items, vectors))
        embedder = HashEmbedder(WIDTH)
        talks = [self._talk(chosen, number) for number in range(options.batch * 2)]
        turns = [LearningTurn(talk.id, talk.id, talk, (truth,)) for talk, truth in talks]
        self.data: TurnData = turn_data(turns, self.stock, lambda texts: embedder.embed(texts, kind="query"))
        whole = [self._answered(talk, truth) for talk, truth in talks]
        self.training: ConversationData = conversation_data(whole, self.stock.table, embedder)
        self.model = Retriever(RetrieverConfig(text_dimension=WIDTH), seed=options.seed)

    def _talk(self, chosen: random.Random, number: int) -> tuple[Conversation, ItemId]:
        *mentioned, truth = (item.id for item in chosen.sample(self.items, 5))
        said = [
            Turn(("user", "assistant")[at % 2], f"message {number} {at} {chosen.random()}", (Mention(item),))
            for at, item in enumerate(mentioned)
        ]
        return Conversation(tuple(said), f"talk-{number}"), truth

    def _answered(self, talk: Conversation, truth: ItemId) -> Conversation:
        return Conversation((*talk.turns, Turn("assistant", "This one.", (Mention(truth),))), talk.id)


def fine_tuning(world: World, options: argparse.Namespace) -> Step:
    """Steps of `NextMention`, which scores the catalogue too and has every recommendation of a dialogue as a target."""
    model = copy.deepcopy(world.model)
    config = FinetuneConfig(batch=options.batch, negatives=0)
    task = NextMention(model, world.stock.table, world.training, np.arange(len(world.items)), config)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    generator = torch.Generator().manual_seed(options.seed)

    def step(number: int) -> dict[str, float]:
        start = time.perf_counter()
        model.train()
        loss = task.loss(number, number % task.steps(), generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        return {"all": time.perf_counter() - start}

    return step


def alignment(world: World, learner: BaseLearner, n: int, options: argparse.Namespace, folder: Path) -> Step:
    """Steps of the loop."""
    lesson = Lesson(
        stock=world.stock,
        data=world.data,
        learn=world.data.turns,
        tune=world.data.turns,
        learner=learner,
        reward=RolloutReward(first_of_seven),
        rollouts=RolloutSettings(n=n, groups=options.groups),
        loop=LoopSettings(batch=options.batch, proposal=max(options.proposal, n)),
        identity="benchmark",
    )
    model = copy.deepcopy(world.model).eval()
    scorer, reference = (Scorer(m, world.stock, world.data.messages) for m in (model, copy.deepcopy(model)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    stepper = Stepper(scorer, reference, optimiser, lesson, Ledger(folder / "ledger.jsonl", recipe="benchmark"))
    llm, state = Metered(Shuffled()), RunState()

    def step(number: int) -> dict[str, float]:
        state.done = number
        watch = Watch(lambda _: None)
        with reproducible():
            stepper.step(state, llm, watch)
        parts = {name: watch.seconds[name] for name in ("encode", "step")}
        return {**parts, "all": sum(parts.values())}

    return step


def measured(items: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each learner and n."""
    world = World(items, options)
    with tempfile.TemporaryDirectory() as folder:
        steps: dict[tuple[str, int | None], Step] = {(FINE_TUNING, None): fine_tuning(world, options)}
        for name in (name for name in SUPERVISED if name in options.learners):
            steps[name, None] = alignment(world, LEARNERS[name](), 10, options, Path(folder) / name)
        for n in options.n:
            for name in (name for name in options.learners if name not in SUPERVISED):
                steps[name, n] = alignment(world, LEARNERS[name](), n, options, Path(folder) / f"{name}-{n}")
            bare = "ca-pg, lambda_nll 0"
            steps[bare, n] = alignment(world, CreditAssigned(lambda_nll=0.0), n, options, Path(folder) / f"bare-{n}")
        taken: dict[tuple[str, int | None], list[dict[str, float]]] = {key: [] for key in steps}
        for number in range(options.repeats + 1):
            for key, step in steps.items():
                seconds = step(number)
                if number:  # the first one also allocates
                    taken[key].append(seconds)
    middle = {key: {part: statistics.median(s[part] for s in of) for part in of[0]} for key, of in taken.items()}
    yardstick, training = (middle[name, None]["all"] for name in (YARDSTICK, FINE_TUNING))
    return [
        {
            "items": items,
            "learner": name,
            "n": n,
            "ms": 1000 * of["all"],
            "encode_ms": 1000 * of["encode"] if "encode" in of else None,
            "learn_ms": 1000 * of["step"] if "step" in of else None,
            "against_nll_only": of["all"] / yardstick,
            "against_fine_tuning": of["all"] / training,
        }
        for (name, n), of in middle.items()
    ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[6_000, 60_000])
    parser.add_argument("--n", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=list(LEARNERS))
    parser.add_argument("--batch", type=int, default=64, help="turns a step")
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--proposal", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if YARDSTICK not in options.learners:
        options.learners.append(YARDSTICK)
    return options


def show(rows: list[dict[str, Any]]) -> None:
    header = ("items", "learner", "n", "step ms", "encode", "learn", "/ nll-only", "/ fine-tuning")
    print("{:>7}  {:20} {:>4} {:>9} {:>9} {:>9} {:>11} {:>14}".format(*header))
    for row in rows:
        known = (row["encode_ms"], row["learn_ms"])
        parts = " ".join(f"{'' if value is None else format(value, '.0f'):>9}" for value in known)
        print(
            f"{row['items']:7,}  {row['learner']:20} {row['n'] or '':>4} {row['ms']:9.0f} {parts} "
            f"{row['against_nll_only']:10.2f}x {row['against_fine_tuning']:13.2f}x",
            flush=True,
        )


def main() -> int:
    options = parse()
    torch.set_num_threads(options.threads)
    print(
        f"{options.batch} turns a step, {options.groups} sets, {options.proposal} proposed, "
        f"{options.threads} threads of {os.cpu_count()} cores, medians of {options.repeats}"
    )
    rows: list[dict[str, Any]] = []
    for items in options.items:
        rows += measured(items, options)
        show([row for row in rows if row["items"] == items])
        if options.json:  # after each catalogue: a large one takes minutes
            settings = {name: value for name, value in vars(options).items() if name != "json"}
            load = os.getloadavg()[0]
            meta = settings | {"cores": os.cpu_count(), "load": load, "torch": torch.__version__}
            meta["date"] = time.strftime("%Y-%m-%d")
            options.json.write_text(json.dumps({"rows": rows, "meta": meta}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
