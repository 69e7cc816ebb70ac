"""The embedded default behind the language model protocol: a learned ranker with templated replies.

It is not a language model and does not pretend to be one: it ranks the offered candidates with a small trained model
and writes its reply from templates, in English, out of evidence that a person can check.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio
import anyio.to_thread
import numpy as np
import torch
from pydantic import ValidationError

from rarec.embed.protocol import Embedder
from rarec.errors import BundleError, InputError, LLMTimeout
from rarec.llm.protocol import OnText
from rarec.prompt import one_line
from rarec.ranker.evidence import Evidence, telling, why
from rarec.ranker.features import FeatureMaker, ItemEmbeddings
from rarec.ranker.model import Ranker, RankerConfig
from rarec.retriever.bundle import fill, load_model
from rarec.types import Completion, CompletionRequest, RankingTask, Usage

NAME = "local-ranker"
_REASON_CHARACTERS = 300
_BRACKETS = str.maketrans("[]", "()")


class LocalRanker:
    """Ranks the candidates of a request's task and answers in the JSON that the prompt asks for.

    Args:
        model: put into evaluation mode.
        embedder: of the messages.
        item_embeddings: items -> embeddings of their texts by the same embedder; read for every candidate.
    """

    free = True
    """Nobody is paid for an answer."""

    def __init__(self, model: Ranker, embedder: Embedder, item_embeddings: ItemEmbeddings) -> None:
        self._model = model.eval()
        self._features = FeatureMaker(embedder, item_embeddings)

    @staticmethod
    def load(folder: Path, embedder: Embedder, item_embeddings: ItemEmbeddings) -> LocalRanker:
        """Read the ranker of a bundle.

        Raises:
            BundleError: it is missing, damaged, or trained with another embedder.
        """
        saved = load_model(folder, "ranker", embedder=embedder.name)
        try:
            model = Ranker(RankerConfig.model_validate(saved.manifest.config))
        except ValidationError as error:
            raise BundleError(f"the ranker's config in {str(folder)!r} is wrong: {error.errors()[0]}") from error
        fill(model, saved, folder)
        return LocalRanker(model, embedder, item_embeddings)

    @property
    def name(self) -> str:
        return NAME

    def order(self, task: RankingTask) -> list[int]:
        """Positions of all candidates, best first; ties in the offered order.

        Raises:
            InputError: there are no candidates.
        """
        if not task.candidates:
            raise InputError("a ranking task needs at least one candidate")
        given = self._features(task)
        with torch.inference_mode():
            scores = self._model(
                torch.from_numpy(given.dense)[None],
                torch.from_numpy(given.items)[None],
                torch.from_numpy(given.context)[None],
            )[0].numpy()
        return [int(i) for i in np.argsort(-scores, kind="stable")]

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """Rank `request.task` in a worker thread.

        Raises:
            InputError: the request has no task; this model does not read messages.
            LLMTimeout: the deadline passed.
        """
        task = request.task
        if task is None:
            raise InputError("the local ranker reads the structured task of a request, and this one has none")
        started = time.perf_counter()
        try:
            with anyio.fail_after(request.deadline_s):
                text = await anyio.to_thread.run_sync(self._answer, task, abandon_on_cancel=True)
        except TimeoutError as error:
            raise LLMTimeout(f"the local ranker did not finish within {request.deadline_s!r} s") from error
        if on_text:
            on_text(text)
        return Completion(text, self.name, Usage(calls=1), (time.perf_counter() - started) * 1000)

    def _answer(self, task: RankingTask) -> str:
        order = self.order(task)[: task.n]
        return json.dumps({"ranking": [i + 1 for i in order], "reply": write_reply(task, order)})


def write_reply(task: RankingTask, order: list[int]) -> str:
    """Two or three sentences about the first of the ranked candidates; numbers stand in brackets."""
    evidence = Evidence.of(task.conversation, task.mentioned)
    first = task.candidates[order[0]].item
    # Words of the catalogue: brackets in them must not read as references.
    reason = one_line(why(first, evidence, telling(task.candidates)), limit=_REASON_CHARACTERS).translate(_BRACKETS)
    if not evidence.words and not evidence.mentioned:
        opening = f"Here is a mix to start with, for example [{order[0] + 1}]."
        return f"{opening} What are you in the mood for, or what did you enjoy lately?"
    sentences = [f"My first suggestion is [{order[0] + 1}]{reason and f', {reason}'}."]
    if len(order) > 2:
        sentences.append(f"You could also look at [{order[1] + 1}] or [{order[2] + 1}].")
    elif len(order) == 2:
        sentences.append(f"You could also look at [{order[1] + 1}].")
    if not evidence.mentioned:
        sentences.append("If you name one that you liked, I can come closer.")
    return " ".join(sentences)
