"""A run that is killed at any moment: every answer that it had is on the disk, and the next run reads them all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rarec.llm.cached import AnswerFile
from rarec.types import Completion

WRITER = """
import sys
from rarec.llm.cached import AnswerFile
from rarec.types import Completion
answers = AnswerFile(sys.argv[1])
for number in range(1_000_000):
    answers.add(str(number), Completion("jam " * 20_000 + str(number), "m"))
    print(number, flush=True)
"""


@pytest.mark.parametrize("acknowledged", [1, 3, 7, 12])
def test_a_killed_run_loses_no_answer_that_it_had(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "answers.jsonl"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(acknowledged):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        known = acknowledged + sum(line.isdecimal() for line in writer.stdout.read().split("\n"))
    answers = AnswerFile(path)
    assert len(answers) in (known, known + 1), "the one in flight may have been written"
    assert answers.damaged <= 1
    for number in range(known):
        found = answers.get(str(number))
        assert found is not None
        assert found.text.endswith(f"jam {number}")
    answers.add("next", Completion("jam", "m"))
    assert AnswerFile(path).get("next") == Completion("jam", "m")


INTERRUPTED = """
import asyncio, sys, time
from rarec.conversations import Example
from rarec.llm.cached import AnswerFile, CachedLLM
from rarec.evaluate.asking import Asking
from rarec.evaluate.llm_systems import LLMAlone
from rarec.types import Completion, Conversation, Item, ItemId, Turn

class Slow:
    name = "slow"
    async def complete(self, request, *, on_text=None):
        number = int(request.task.conversation.id)
        await asyncio.sleep(0.01 if number < 2 else 60)
        print(number, flush=True)
        return Completion("1. Jam", "slow")

def example(number):
    said = Conversation((Turn("user", f"Number {number}?"),))
    return Example(str(number), number, "d", "t", said, (), frozenset(), ())

llm = CachedLLM(Slow(), AnswerFile(sys.argv[1]))
system = LLMAlone(llm, [Item(ItemId("j"), "Jam")], asking=Asking(concurrency=4))
try:
    system.answers([example(number) for number in range(8)], n=3)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_the_calls_and_keeps_the_answers(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(path)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert {run.stdout.readline(), run.stdout.readline()} == {"0\n", "1\n"}
        while len(AnswerFile(path)) < 2:
            pass
        run.send_signal(signal.SIGINT)
        assert run.stdout.read() == "interrupted\n"
        assert run.wait(timeout=20) == 0
    assert len(AnswerFile(path)) == 2
