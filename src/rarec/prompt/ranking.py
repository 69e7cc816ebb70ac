"""What every caller does with a ranking task: the request that asks it, and the places that an answer names."""

from __future__ import annotations

from pathlib import Path

from rarec.prompt.parse import parse
from rarec.prompt.render import answer_schema, render
from rarec.prompt.template import PromptTemplate
from rarec.types import CompletionRequest, ParseReport, RankingTask


def ranking_request(
    task: RankingTask,
    *,
    template: str | Path | PromptTemplate = "default",
    max_tokens: int = 800,
    temperature: float = 0.0,
    deadline_s: float = 20.0,
) -> CompletionRequest:
    """The request that asks a model to rank the candidates of a task; raises as `render` does."""
    return CompletionRequest(
        render(task, template=template),
        schema=answer_schema(task),
        max_tokens=max_tokens,
        temperature=temperature,
        deadline_s=deadline_s,
        task=task,
    )


def read_ranking(text: str, task: RankingTask) -> tuple[tuple[int, ...], ParseReport]:
    """The places (from 0) of the candidates that a model's answer itself ranks, best first, and what was repaired.

    At most `task.n`, each once; empty if the answer names none. What is missing is not filled up here: in which order
    that is done is for the caller to say. Never raises because of the text.
    """
    answer = parse(text, offered=len(task.candidates), n=task.n)
    return answer.order[: task.n - answer.report.missing], answer.report
