"""Rollouts a second with a model that takes a second to answer, against the ideal of in flight / latency.

Everything but the model is real: prompts, parsing, rewards, answers and ledger on disk. Run it as
``python benchmarks/rollouts.py``; memory is the peak of the whole process, with torch.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rarec.align.ledger import Ledger
from rarec.align.rollout import RolloutReward, RolloutSettings, RolloutTask
from rarec.align.rollouts import collect
from rarec.llm.budget import Budget, Prices
from rarec.llm.cached import AnswerFile
from rarec.llm.metered import Metered
from rarec.llm.protocol import OnText
from rarec.types import Completion, CompletionRequest, Conversation, Item, ItemId, Turn, Usage

WORDS = (
    "quiet", "harbour", "winter", "tram", "copper", "lantern", "orchard", "paper", "glass", "umbrella", "ferry", "moth",
)  # fmt: skip


class Slow:
    """Ranks at random after a fixed time, without a server in between."""

    name = "slow"

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._random = random.Random(0)

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:  # noqa: ARG002
        await asyncio.sleep(self._latency_s)
        task = request.task
        assert task is not None
        order = self._random.sample(range(1, len(task.candidates) + 1), task.n)
        text = json.dumps({"ranking": order, "reply": f"Try [{order[0]}]."})
        return Completion(text, self.name, Usage(1, 900, 60), self._latency_s * 1000)


def tasks(options: argparse.Namespace) -> list[RolloutTask]:
    """Turns of an invented catalogue: dialogues of six messages, items with a text and attributes."""
    chosen = random.Random(options.seed)

    def words(count: int) -> str:
        return " ".join(chosen.choices(WORDS, k=count))

    items = [
        Item(ItemId(f"item-{i}"), words(3).title(), words(30), 1960 + i % 60, {"genres": (words(1), words(1))})
        for i in range(4 * options.proposal)
    ]
    made: list[RolloutTask] = []
    for number in range(options.turns):
        said = tuple(Turn(("user", "assistant")[i % 2], f"{words(20)}?", ()) for i in range(6))
        proposal = tuple(chosen.sample(items, options.proposal))
        scores = tuple(sorted((chosen.gauss(0, 1) for _ in proposal), reverse=True))
        made.append(RolloutTask(f"turn-{number}", Conversation(said), {}, (proposal[number % 9].id,), proposal, scores))
    return made


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One collection from nothing, then the same from the answers and from the ledger."""
    given = tasks(options)
    settings = RolloutSettings(
        n=options.n, groups=options.groups, concurrency=options.in_flight, deadline_s=60 * (options.latency or 1.0)
    )

    def run(ledger: str) -> tuple[float, float]:
        llm = Metered(
            Slow(options.latency),
            answers=AnswerFile(folder / "answers.jsonl"),
            budgets=[Budget(usd=1e6)],
            prices=Prices(2.5, 10.0),
        )
        held = Ledger(folder / ledger, recipe="benchmark")
        wall, cpu = time.perf_counter(), time.process_time()
        reward = RolloutReward.of({"ndcg@10": 1.0})
        collect(given, llm, iteration=0, reward=reward, settings=settings, ledger=held)
        return time.perf_counter() - wall, time.process_time() - cpu

    rollouts = options.turns * options.groups
    asked_s, asked_cpu_s = run("ledger.jsonl")
    cached_s, _ = run("second.jsonl")
    replayed_s, _ = run("ledger.jsonl")
    # The last answers come one latency after they were asked, whatever we do: whole waves are the ideal.
    ideal_s = -(-rollouts // options.in_flight) * options.latency
    return {
        "rollouts": rollouts,
        "per_second": rollouts / asked_s,
        "ideal_per_second": rollouts / ideal_s if ideal_s else None,
        "ratio": ideal_s / asked_s if ideal_s else None,
        "cpu_ms_per_rollout": 1000 * asked_cpu_s / rollouts,
        "cached_per_second": rollouts / cached_s,
        "replayed_per_second": rollouts / replayed_s,
        "ledger_kb_per_rollout": (folder / "ledger.jsonl").stat().st_size / rollouts / 1000,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=2560)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--proposal", type=int, default=200)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds; with 0 it is our own work alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> int:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(options, Path(folder))
    print(f"{options.in_flight} in flight, {options.latency:g} s a call, sets of {options.n}, {os.cpu_count()} cores")
    ideal = f" of {found['ideal_per_second']:.1f}, ratio {found['ratio']:.3f}" if options.latency else ""
    print(
        f"{found['rollouts']:,} rollouts: {found['per_second']:.1f} a second{ideal}, "
        f"{found['cpu_ms_per_rollout']:.2f} ms of processor each"
    )
    print(
        f"from answers on disk {found['cached_per_second']:,.0f} a second, from the ledger "
        f"{found['replayed_per_second']:,.0f}; the ledger has {found['ledger_kb_per_rollout']:.1f} kB a rollout"
    )
    print(f"peak memory {found['peak_mib']:.0f} MiB")
    if options.json:
        settings = {name: value for name, value in vars(options).items() if name != "json"}
        meta = settings | {"cores": os.cpu_count(), "date": time.strftime("%Y-%m-%d")}
        options.json.write_text(json.dumps({"rows": [found], "meta": meta}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
