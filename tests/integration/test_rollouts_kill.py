"""A run that is killed or interrupted: what it had is on the disk, and nothing is paid twice."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rarec.align.ledger import Ledger, read_ledger
from rarec.align.rollout import Rollout, RolloutReward, RolloutSettings, RolloutTask
from rarec.align.rollouts import collect
from rarec.llm.budget import Budget
from rarec.llm.cached import AnswerFile
from rarec.llm.metered import Metered
from rarec.llm.protocol import OnText
from rarec.types import Completion, CompletionRequest, Conversation, Item, ItemId, Turn, Usage

WRITER = """
import sys
from rarec.align.ledger import Ledger, Prompt
from rarec.align.rollout import Rollout, RolloutReward, RolloutSettings, RolloutTask
from rarec.align.rollouts import collect
from rarec.llm.budget import Budget
from rarec.llm.cached import AnswerFile
from rarec.llm.metered import Metered
from rarec.llm.protocol import OnText
from rarec.types import Completion, CompletionRequest, Conversation, Item, ItemId, Turn, Usage
from rarec.types import ItemId, Message
ledger = Ledger(sys.argv[1], recipe="r")
a = ItemId("a")
for number in range(1_000_000):
    prompt = Prompt(str(number), (Message("user", "jam " * 60_000),))
    def rollout(group):
        return Rollout(0, str(number), group, (a,), (a,), (a,), -1.0, 1.0, 9, str(number), answer="jam " * 9_000)
    ledger.add([rollout(group) for group in range(3)], [prompt])
    print(number, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 4, 9])
def test_a_kill_loses_at_most_the_batch_in_flight(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "ledger.jsonl"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledged):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        known = acknowledged + sum(line.isdecimal() for line in writer.stdout.read().split("\n"))
    ledger = Ledger(path, recipe="r")
    assert 3 * known <= len(ledger) <= 3 * known + 3, "of the one in flight a part may have been written"
    for number in range(known):
        for group in range(3):
            assert ledger.find((0, str(number), group)) is not None
            assert ledger.has_prompt(str(number))


def test_a_line_that_a_kill_cut_is_passed_over(tmp_path: Path) -> None:
    """The kill comes inside a write: the process has a file limit that ends in the middle of a line."""
    script = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n" + WRITER
    path = tmp_path / "ledger.jsonl"
    ended = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False)
    assert ended.returncode != 0
    assert path.stat().st_size == 1_000_000
    assert not path.read_bytes().endswith(b"\n")
    written = ended.stdout.split()
    ledger = Ledger(path, recipe="r")
    assert len(ledger) >= 3 * len(written)
    before = len(ledger)
    ledger.add([Rollout(1, "next", 0, (), (), (), -1.0, 1.0, 9, "p")])
    assert len(Ledger(path, recipe="r")) == before + 1


ITEMS = tuple(Item(ItemId(f"i{n}"), f"Title {n}") for n in range(12))


class Slow:
    """Writes down what it answered where another process can count it, whatever becomes of this one."""

    name = "slow"

    def __init__(self, folder: Path, latency_s: float) -> None:
        self._folder, self._latency_s = folder, latency_s

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        await asyncio.sleep(self._latency_s)
        task = request.task
        assert task is not None
        numbers = sorted(range(1, 5), key=lambda number: task.candidates[number - 1].item.title)
        with (self._folder / "calls").open("a", encoding="utf-8") as calls:
            calls.write(f"{task.conversation.id} {[c.item.id for c in task.candidates]}\n")
        return Completion(str(numbers), "slow", Usage(1, 100, 10), 1.0)


def task(number: int) -> RolloutTask:
    said = Conversation((Turn("user", f"Number {number}?"),), str(number))
    return RolloutTask(str(number), said, {}, (ITEMS[1].id,), ITEMS, tuple(-0.1 * place for place in range(12)))


def collected(folder: Path, budget: Budget, *, latency_s: float = 0.0) -> list[Rollout]:
    llm = Metered(Slow(folder, latency_s), answers=AnswerFile(folder / "answers"), budgets=[budget])
    return collect(
        [task(number) for number in range(30)],
        llm,
        iteration=0,
        reward=RolloutReward.of({"ndcg@3": 1.0}),
        settings=RolloutSettings(n=4, groups=4, ranked=4, concurrency=8),
        ledger=Ledger(folder / "ledger", recipe="r"),
    )


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_goes_on_without_paying_twice(tmp_path: Path, how: signal.Signals) -> None:
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    broken.mkdir()
    whole.mkdir()
    with subprocess.Popen([sys.executable, __file__, str(broken)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        until = time.monotonic() + 60
        while lines(broken / "ledger") < 20 and time.monotonic() < until:
            time.sleep(0.01)
        run.send_signal(how)
        said = run.stdout.read()
        run.wait(timeout=60)
    assert said == ("interrupted 0\n" if how == signal.SIGINT else "")
    kept = sum(isinstance(record, Rollout) for record in read_ledger(broken / "ledger"))
    assert 0 < kept < 120
    answered = lines(broken / "answers")
    assert collected(broken, Budget(calls=120)) == collected(whole, Budget(calls=120))
    asked = (broken / "calls").read_text(encoding="utf-8").splitlines()
    # Only an answer that came between the model's last word and the disk can be asked again: one a call in flight.
    assert len(asked) - len(set(asked)) <= 8
    assert lines(broken / "answers") - answered <= 120 - answered
    assert len(set(asked)) == 120


if __name__ == "__main__":  # the run that the test above breaks off
    account = Budget(calls=120)
    try:
        collected(Path(sys.argv[1]), account, latency_s=0.05)
    except KeyboardInterrupt:
        sys.stdout.write(f"interrupted {account.reserved.calls}\n")
