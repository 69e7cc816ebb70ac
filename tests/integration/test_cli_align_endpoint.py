"""rarec align with a judge behind an endpoint, over real HTTP on loopback; it sees the prompt and nothing else."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rarec.align.checkpoint import digest
from rarec.align.journal import read_log
from rarec.cli.app import app
from rarec.conversations import write_jsonl
from rarec.embed import OpenAIEmbedder
from rarec.retriever.bundle import load_retriever
from rarec.testing import FakeOpenAIServer, PromptJudge, Reply
from rarec.testing.prompt_judge import ReadPrompt
from rarec.testing.second_domain import SecondDomain, second_domain

runner = CliRunner(env={"COLUMNS": "200", "OPENAI_API_KEY": "not-a-key"})
CONCURRENCY = 4
BODY = {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "response_format"}

RECIPE = """
name = "endpoint"
seeds = [3]
[data]
name = "games"
folder = "{folder}/data"
report_turns = 4
[embedder]
kind = "openai"
model = "words"
base_url = "{vectors}"
dimension = 32
[judge]
kind = "endpoint"
model = "fake-model"
base_url = "{judge}"
prices = {{ input = 100.0, output = 200.0 }}
concurrency = {concurrency}
deadline_s = {deadline_s}
max_tokens = 60
[learner]
name = "ca-pg"
[sets]
n = 5
groups = 2
ranked = 5
max_degraded = {max_degraded}
[loop]
iterations = {iterations}
batch = 6
proposal = 30
learning_rate = 1e-2
validate_every = 2
judged_turns = 4
[budget]
{budget}
"""


class Run:
    """A recipe in a folder, with the judge at some server."""

    def __init__(self, folder: Path, vectors: str, bundle: Path) -> None:
        self.folder, self._vectors, self._bundle = folder, vectors, bundle

    def words(self, judge: FakeOpenAIServer, out: str = "run", *more: str, **values: Any) -> list[str]:
        """The command's words after `rarec`; writes the recipe."""
        given: dict[str, Any] = {
            "deadline_s": 60, "max_degraded": 0.1, "iterations": 3, "budget": "", "concurrency": CONCURRENCY, **values,
        }  # fmt: skip
        text = RECIPE.format(folder=self.folder, vectors=self._vectors, judge=judge.url, **given)
        path = self.folder / "recipe.toml"
        path.write_text(text, encoding="utf-8")
        places = ["--out", str(self.folder / out), "--bundle", str(self._bundle)]
        return ["align", str(path), *places, "--cache", str(self.folder / "cache.sqlite"), "--threads", "1", *more]

    def __call__(
        self, judge: FakeOpenAIServer, out: str = "run", *more: str, code: int = 0, **values: Any
    ) -> tuple[str, str]:
        return self.again(self.words(judge, out, *more, **values), code=code)

    def again(self, words: list[str], *, code: int = 0) -> tuple[str, str]:
        result: Result = runner.invoke(app, words)
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
        return " ".join(result.stdout.split()), " ".join(result.stderr.split())

    def weights(self, out: str = "run") -> str:
        name = OpenAIEmbedder("words", base_url=self._vectors, dimension=32).name
        state = load_retriever(self.folder / out / "seed-3" / "bundle", embedder=name).state_dict()
        assert all(tensor.isfinite().all() for tensor in state.values())
        return digest(state)

    def figures(self, out: str = "run") -> dict[str, Any]:
        found = json.loads((self.folder / out / "figures.json").read_text())["seeds"]["3"]
        return dict(found)

    def log(self, out: str = "run") -> list[dict[str, Any]]:
        return list(read_log(self.folder / out / "seed-3" / "log.jsonl"))


@pytest.fixture(scope="module")
def domain() -> SecondDomain:
    return second_domain(3)


Make = Callable[[Path], Run]


@pytest.fixture(scope="module")
def make(domain: SecondDomain, small_bundle: Path, vector_server: FakeOpenAIServer) -> Make:
    def made(folder: Path) -> Run:
        write_jsonl(folder / "data", items=domain.items, splits={"train": domain.train[:12], "valid": domain.valid[:8]})
        return Run(folder, vector_server.url, small_bundle)

    return made


@pytest.fixture
def run(tmp_path: Path, make: Make) -> Run:
    return make(tmp_path)


@dataclass(frozen=True)
class Whole:
    """What an uninterrupted run asks, costs and learns."""

    asked: frozenset[str]
    usd: float
    weights: str


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, make: Make) -> Whole:
    run = make(tmp_path_factory.mktemp("whole"))
    with judge_server() as server:
        run(server)
        return Whole(frozenset(prompts(server)), run.figures()["usd"], run.weights())


def judge_server(**options: Any) -> FakeOpenAIServer:
    return FakeOpenAIServer([PromptJudge(year=1990)], **options)


def prompts(server: FakeOpenAIServer) -> list[str]:
    return [json.dumps(request.body["messages"]) for request in server.requests_to("completions")]


def test_plan_run_and_replay_with_the_server_shut_down(run: Run, domain: SecondDomain) -> None:
    with judge_server(key="not-a-key") as server:
        words = run.words(server)
        told, _ = run(server, "run", "--dry-run")
        assert not server.requests, "a dry run asks nothing"
        planned = int(told.partition("calls │ ")[2].split()[0])
        done, shown = run(server)
        asked = prompts(server)
        assert "USD" in shown
        # Equal sets that are shown in one order are one prompt, and that is paid for once.
        assert len(set(asked)) == len(asked) <= planned
    bodies = [request.body for request in server.requests_to("completions")]
    assert {key for body in bodies for key in body} <= BODY
    assert not any(str(item.id) in asked[0] for item in domain.items if str(item.id) not in item.title)
    figures = run.figures()
    assert figures["calls"] == len(asked)
    used = [_words(body) for body in bodies]
    assert figures["usd"] == pytest.approx(sum(100e-6 * read + 200e-6 * 5 for read in used), rel=0.2)
    assert any(line.get("position slope") is not None for line in run.log())
    again, _ = run.again([*words, "--replay"])  # nobody listens any more
    assert "equal bit for bit" in again
    assert "after the judge" in done
    assert run.weights() == figures["weights"]


def _words(body: Mapping[str, Any]) -> int:
    return sum(len(message["content"].split()) for message in body["messages"])


def test_a_budget_in_dollars_is_never_passed_and_a_larger_one_goes_on(run: Run, whole: Whole) -> None:
    with judge_server() as server:
        _, said = run(server, "run", code=6, budget="usd = 2.0")
        assert "the budget of the run allows 2 USD: " in said
        assert "raise budget.usd in the recipe and run the same command again" in said
        first = prompts(server)
        spent = sum(100e-6 * _words(request.body) + 200e-6 * 9 for request in server.requests_to("completions"))
        assert 0 < len(first) < len(whole.asked)
        assert spent <= 2.0 < whole.usd
        run(server, budget="usd = 100.0")
        assert set(prompts(server)) == whole.asked
        assert len(prompts(server)) == len(whole.asked)
    assert run.figures()["usd"] == pytest.approx(whole.usd)
    assert run.weights() == whole.weights


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_what_was_answered_before_the_end_came_is_not_paid_again(run: Run, whole: Whole, how: signal.Signals) -> None:
    def slow(body: Mapping[str, Any]) -> Reply:
        return Reply(PromptJudge(year=1990)(body), delay_s=0.02)

    with FakeOpenAIServer([slow]) as server:
        words = run.words(server)
        script = f"import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); " \
            f"from rarec.cli import main; sys.argv = {['rarec', *words]!r}; main()"  # fmt: skip
        with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True) as child:
            until = time.monotonic() + 60
            while time.monotonic() < until and child.poll() is None and len(prompts(server)) < 12:
                time.sleep(0.005)
            child.send_signal(how)
            _, said = child.communicate(timeout=60)
        assert child.returncode == (130 if how is signal.SIGINT else -signal.SIGKILL), said
        assert ("run the same command again" in " ".join(said.split())) == (how is signal.SIGINT)
        assert len(prompts(server)) < len(whole.asked)
        run.again(words)
        times = Counter(prompts(server))
    assert times.keys() == whole.asked
    assert sum(times.values()) - len(times) <= CONCURRENCY, "only what was on its way is asked again"
    assert run.weights() == whole.weights


def test_a_server_that_refuses_all_stops_the_run_in_its_words(run: Run) -> None:
    willing: list[bool] = []

    def answer(body: Mapping[str, Any]) -> str | Reply:
        return PromptJudge(year=1990)(body) if willing else Reply(refusal="I would rather not.")

    with FakeOpenAIServer([answer]) as server:
        _, said = run(server, code=6)
        assert "I would rather not" in said
        refused = len(prompts(server))
        assert refused <= CONCURRENCY
        assert not (run.folder / "run" / "seed-3" / "bundle").exists()
        willing.append(True)
        run(server)
        assert run.figures()["calls"] == len(prompts(server)), "refused calls are booked too"
    run.weights()


def test_a_server_that_times_out_half_of_the_time(run: Run) -> None:
    def moody(body: Mapping[str, Any]) -> Reply:
        odd = sum(ReadPrompt.of(body).candidates[0].line.encode()) % 2
        return Reply(hang=True) if odd else Reply(PromptJudge(year=1990)(body))

    with FakeOpenAIServer([moody]) as server:
        _, said = run(server, "strict", code=6, deadline_s=1, concurrency=32)
        assert "no answer within 1 s" in said
        words = run.words(server, deadline_s=1, concurrency=32, max_degraded=0.95, iterations=1)
        run.again(words)
    shares = [line["degraded"] for line in run.log() if "kind" not in line]
    assert all(0 < share < 1 for share in shares)
    run.weights()
    replayed, _ = run.again([*words, "--replay"])
    assert "equal bit for bit" in replayed


def test_a_judge_that_repeats_the_order_shown_has_its_slope_reported(run: Run) -> None:
    def same(body: Mapping[str, Any]) -> str:
        return json.dumps({"ranking": list(range(1, ReadPrompt.of(body).wanted + 1)), "reply": ""})

    with FakeOpenAIServer([same]) as server:
        run(server)
    assert [line["position slope"] for line in run.log() if "kind" not in line] == [1.0, 1.0, 1.0]
    run.weights()


GARBAGE: list[str | Reply] = [
    '{"ranking": [NaN, null, -1, 1e999, 0.5], "reply": NaN}',
    Reply(raw=b"NaN"),
    "NaN",
    '{"ranking": {"a": "b"}, "reply": [[[[',
    Reply(raw=b'{"choices": [{"message": {"content": 7}}]}'),
]


def test_garbage_stops_the_run_or_if_that_is_wanted_teaches_nothing(run: Run) -> None:
    def garbage(body: Mapping[str, Any]) -> str | Reply:
        return GARBAGE[len(json.dumps(body["messages"])) % len(GARBAGE)]

    with FakeOpenAIServer([garbage]) as server:
        _, said = run(server, "strict", code=6, deadline_s=2)
        assert "have no usable answer" in said
        run(server, max_degraded=1.0, iterations=1, deadline_s=2)
    (line,) = (line for line in run.log() if "kind" not in line)
    assert line["degraded"] == 1.0
    assert math.isfinite(line["loss"])
    run.weights()
