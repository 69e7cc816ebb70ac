"""What the retriever learns: the next item of a sequence, then what a recommender mentions next."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from rarec.errors import InputError
from rarec.retriever.associations import Associations, AssociationScores, AssociationWeights
from rarec.retriever.data import ConversationData, Interactions, ItemTable, TokenSequence
from rarec.retriever.features import EXTRA_FEATURES
from rarec.retriever.fused import mean_sampled_softmax_loss
from rarec.retriever.losses import softmax_loss
from rarec.retriever.model import Retriever, Tokens
from rarec.retriever.sequence import ITEM, MESSAGE, START


class PretrainConfig(BaseModel):
    """Settings of `NextItem`.

    Attributes:
        batch: sequences a step.
        length: longest window taken from a sequence, a new one each epoch.
        negatives: shared samples a step from the whole catalogue.
        popular_share: share of the negatives drawn in proportion to count^0.75, the rest uniformly.
        scored_share: share of the positions that enter the loss of a step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch: int = Field(default=64, gt=0)
    length: int = Field(default=100, gt=1)
    negatives: int = Field(default=1500, gt=0)
    popular_share: float = Field(default=0.5, ge=0, le=1)
    scored_share: float = Field(default=0.5, gt=0, le=1)


class FinetuneConfig(BaseModel):
    """Settings of `NextMention`.

    Attributes:
        batch: conversations a step.
        negatives: items drawn uniformly from the whole catalogue, beside `candidates`.
        hide_sentiment: chance that a mention's sentiment is hidden; when serving it is mostly unknown.
        hide_message, hide_item: chance that a token is hidden, so that words and items each stand alone.
        text_noise: length of what is added at random to each item's text vector, itself of length 1. The tower then
            learns less by heart how much each item is asked for: items that arrive later fare better, the others worse.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch: int = Field(default=64, gt=0)
    negatives: int = Field(default=1500, ge=0)
    hide_sentiment: float = Field(default=0.7, ge=0, le=1)
    hide_message: float = Field(default=0.1, ge=0, le=1)
    hide_item: float = Field(default=0.1, ge=0, le=1)
    text_noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)


HIDE_FEATURE = 0.1
AS_THEY_ARE = AssociationWeights(*(1.0 for _ in AssociationWeights._fields))


def hide_features(features: Tensor, generator: torch.Generator, *, noise: float = 0.0) -> Tensor:
    """Make popularity, and year, unknown for a tenth of the items each: catalogues often lack them.

    Args:
        features: from `rarec.retriever.features.item_features`, shape (n, d + 4); left as they are.
        noise: expected length of what is added to each text vector, >= 0.
    Returns:
        the same shape.
    """
    result = features.clone()
    text = features.shape[1] - EXTRA_FEATURES
    if noise:
        result[:, :text] += torch.randn(len(result), text, generator=generator) * (noise / math.sqrt(text))
    for first in (text, text + 2):
        hidden = torch.rand(len(result), generator=generator) < HIDE_FEATURE
        result[hidden, first : first + 2] = 0
    return result


def filled(features: Tensor) -> Tensor:
    """In bfloat16 with rows of zeros behind, up to a multiple of 256: there each new size of a product is dear."""
    if not torch.is_autocast_enabled("cpu"):
        return features
    return F.pad(features, (0, 0, 0, -len(features) % 256))


def epoch_order(n: int, seed: int, epoch: int) -> list[int]:
    """The order in which n examples are visited in an epoch."""
    generator = torch.Generator().manual_seed((seed * 7_368_787 + epoch) % 2**63)
    return torch.randperm(n, generator=generator).tolist()


class NextItem:
    """Predict each next item of interaction sequences; negatives come from the whole catalogue.

    Raises:
        InputError: nobody has two interactions.
    Source: RAR (arXiv 2604.04457), pretraining stage; loss as in `losses.sampled_softmax_loss`.
    """

    def __init__(
        self,
        model: Retriever,
        items: ItemTable,
        people: Sequence[Interactions],
        config: PretrainConfig,
        *,
        seed: int = 0,
    ) -> None:
        self._model, self._items, self._config, self._seed = model, items, config, seed
        self._people = [p for p in people if len(p.rows) > 1]
        if not self._people:
            raise InputError(f"none of {len(people)!r} people has two interactions; there is no next item to learn")
        counts = np.bincount(np.concatenate([p.rows for p in self._people]), minlength=len(items)) ** 0.75
        share = config.popular_share
        proposal = share * counts / counts.sum() + (1 - share) / len(items)
        self._proposal = torch.from_numpy(proposal)
        self._log_expected = torch.log(self._proposal * config.negatives).float()

    def steps(self) -> int:
        return math.ceil(len(self._people) / self._config.batch)

    def loss(self, epoch: int, step: int, generator: torch.Generator) -> Tensor:
        size = self._config.batch
        order = epoch_order(len(self._people), self._seed, epoch)[step * size : (step + 1) * size]
        windows = [self._window(self._people[i], generator) for i in order]
        time, batch = max(len(w.rows) for w in windows), len(windows)
        rows, sentiment = torch.full((time, batch), -1), torch.zeros(time, batch, dtype=torch.long)
        for b, window in enumerate(windows):
            rows[: len(window.rows), b] = torch.from_numpy(window.rows)
            sentiment[: len(window.rows), b] = torch.from_numpy(window.sentiment)
        # Half of the sequences come without sentiment, as most do when serving.
        sentiment[:, torch.rand(batch, generator=generator) < 0.5] = 0
        drawn = torch.multinomial(self._proposal, self._config.negatives, replacement=True, generator=generator)
        negative, times = torch.unique(drawn, return_counts=True)
        real = rows >= 0
        used, place = torch.unique(torch.cat([rows[real], negative]), return_inverse=True)
        vectors = self._model.items(filled(hide_features(self._items.features[used], generator)))
        local = torch.zeros(time, batch, dtype=torch.long)
        local[real], sampled = place[: -len(negative)], place[-len(negative) :]
        queries = self._model.queries(self._inputs(vectors, local, sentiment))
        scored = real & (torch.rand(time, batch, generator=generator) < self._config.scored_share)
        if not scored.any():  # a mean over nothing would be NaN
            scored = real
        target = local[scored]
        column = torch.full((len(used),), -1)
        column[sampled] = torch.arange(len(negative))
        return mean_sampled_softmax_loss(
            F.embedding(torch.nonzero(scored.flatten())[:, 0], queries.flatten(0, 1)),
            F.embedding(target, vectors),
            vectors[sampled],
            positive_log_q=self._log_expected[used[target]],
            negative_log_q=self._log_expected[negative] - times.log(),
            hit=column[target],
        )

    def _window(self, person: Interactions, generator: torch.Generator) -> Interactions:
        room = len(person.rows) - self._config.length
        start = int(torch.randint(room + 1, (1,), generator=generator)) if room > 0 else 0
        end = start + self._config.length
        return Interactions(person.rows[start:end], person.sentiment[start:end])

    def _inputs(self, vectors: Tensor, local: Tensor, sentiment: Tensor) -> Tokens:
        """START, then every item but the last: the query at a position predicts the item there."""
        time, batch = local.shape
        width = self._model.config.width
        kind = torch.full((time, batch), ITEM)
        kind[0] = START
        first = torch.zeros(1, batch, width)
        return Tokens(
            kind=kind,
            role=torch.zeros_like(kind),
            sentiment=torch.cat([torch.zeros(1, batch, dtype=torch.long), sentiment[:-1]]),
            item=torch.cat([first, F.embedding(local[:-1], vectors[:, :width])]),
            text=torch.zeros(1, 1, self._model.config.text_dimension).expand(time, batch, -1),
        )


class NextMention:
    """Predict which items a recommender mentions next, among `candidates` and a sample of the whole catalogue.

    Args:
        candidates: rows that compete in every step, shape (n,); usually the data set's items.
    Raises:
        InputError: there is nothing to predict.
    """

    def __init__(
        self,
        model: Retriever,
        items: ItemTable,
        data: ConversationData,
        candidates: NDArray[np.int64],
        config: FinetuneConfig,
        *,
        seed: int = 0,
    ) -> None:
        if not data.sequences:
            raise InputError("no conversation has an item to predict; link the mentions, and check the catalogue's ids")
        self._model, self._items, self._data, self._config, self._seed = model, items, data, config, seed
        self._candidates = torch.from_numpy(candidates)

    def steps(self) -> int:
        return math.ceil(len(self._data.sequences) / self._config.batch)

    def loss(self, epoch: int, step: int, generator: torch.Generator) -> Tensor:
        size = self._config.batch
        order = epoch_order(len(self._data.sequences), self._seed, epoch)[step * size : (step + 1) * size]
        chunk = [self._data.sequences[i] for i in order]
        codes = pad(chunk)
        used = self._rows_in_play(chunk, codes, generator)
        features = hide_features(self._items.features[used], generator, noise=self._config.text_noise)
        vectors = self._model.items(filled(features))
        local = torch.zeros(len(self._items), dtype=torch.long)
        local[used] = torch.arange(len(used))
        hide(codes, self._config, generator)
        queries = self._model.queries(tokens(codes, vectors, local, self._data.messages))
        flat = [(target, b) for b, sequence in enumerate(chunk) for target in sequence.targets]
        position = torch.tensor([t.position for t, _ in flat])
        owner = torch.tensor([b for _, b in flat])
        with torch.autocast("cpu", enabled=False):  # scores of 10 would be rounded to sixteenths
            scores = queries[position, owner] @ vectors[: len(used)].T
        excluded = torch.zeros(scores.shape, dtype=torch.bool)
        for line, (target, _) in enumerate(flat):
            excluded[line, local[list(target.seen)]] = True
        losses = softmax_loss(scores, local[torch.tensor([t.row for t, _ in flat])], excluded)
        weight = torch.tensor([t.weight for t, _ in flat])
        result: Tensor = (losses * weight).sum() / weight.sum()
        return result

    def _rows_in_play(self, chunk: Sequence[TokenSequence], codes: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.randint(len(self._items), (self._config.negatives,), generator=generator)
        mentioned = codes[3][codes[0] == ITEM]
        targets = torch.tensor([t.row for s in chunk for t in s.targets])
        result: Tensor = torch.unique(torch.cat([self._candidates, drawn, mentioned, targets]))
        return result


def pad(sequences: Sequence[TokenSequence]) -> Tensor:
    """Codes of a batch, padded at the end with START, shape (4, time, batch)."""
    time = max(s.codes.shape[1] for s in sequences)
    codes = torch.zeros(4, time, len(sequences), dtype=torch.long)
    codes[0] = START
    for b, sequence in enumerate(sequences):
        codes[:, : sequence.codes.shape[1], b] = torch.from_numpy(sequence.codes)
    return codes


def hide(codes: Tensor, config: FinetuneConfig, generator: torch.Generator) -> None:
    """Hide sentiments, messages and items at random, in place; a hidden token becomes START."""
    kind, _, sentiment, _ = codes
    chance = torch.rand(3, *kind.shape, generator=generator)
    sentiment[chance[0] < config.hide_sentiment] = 0
    hidden = ((kind == MESSAGE) & (chance[1] < config.hide_message)) | ((kind == ITEM) & (chance[2] < config.hide_item))
    kind[hidden] = START


def tokens(codes: Tensor, vectors: Tensor, local: Tensor, messages: Tensor) -> Tokens:
    """Look up the vectors of a padded batch.

    Args:
        codes: from `pad`.
        vectors: projected items, shape (m, width + 1).
        local: item row -> row of `vectors`.
        messages: shape (k, text_dimension).
    """
    kind, role, sentiment, row = codes
    item = vectors[local[torch.where(kind == ITEM, row, 0)]][..., :-1]
    text = messages[torch.where(kind == MESSAGE, row, 0)]
    return Tokens(kind, role, sentiment, item, text)


def validation_ranks(
    model: Retriever, items: ItemTable, data: ConversationData, candidates: NDArray[np.int64], *, batch: int = 64
) -> NDArray[np.int64]:
    """The 1-based rank of every target among `candidates`, seen items excluded; the worst on ties.

    Returns:
        shape (targets,), in the order of the sequences; a target outside `candidates` has rank
        len(candidates) + 1.
    """
    ranks: NDArray[np.int64] = ranks_by_weight(
        model, items, data, candidates, model.associations, [AS_THEY_ARE], batch=batch
    )[0]
    return ranks


def ranks_by_weight(
    model: Retriever,
    items: ItemTable,
    data: ConversationData,
    candidates: NDArray[np.int64],
    associations: Associations,
    factors: Sequence[AssociationWeights],
    *,
    batch: int = 64,
) -> NDArray[np.int64]:
    """As `validation_ranks`, with other associations than the model's own.

    Args:
        factors: of the weights of the associations.
    Returns:
        shape (factors, targets).
    """
    model.eval()
    vectors = model.project(items.features)
    among = vectors[torch.from_numpy(candidates)]
    place = torch.full((len(items),), -1)
    place[torch.from_numpy(candidates)] = torch.arange(len(candidates))
    ids = list(items.rows)
    columns = [items.items[row] for row in candidates] if associations else []
    features = items.features[torch.from_numpy(candidates)].numpy() if associations else None
    associated = AssociationScores(associations, columns, features, mentioned=items.items)
    identity, ranks = torch.arange(len(items)), []
    for start in range(0, len(data.sequences), batch):
        chunk = data.sequences[start : start + batch]
        with torch.inference_mode():
            queries = model.queries(tokens(pad(chunk), vectors, identity, data.messages))
        for b, sequence in enumerate(chunk):
            for target in sequence.targets:
                if (own := int(place[target.row])) < 0:
                    ranks.append([len(candidates) + 1] * len(factors))
                    continue
                scores = (among @ queries[target.position, b]).numpy()
                seen = place[list(target.seen)].numpy()
                scores[seen[seen >= 0]] = -np.inf
                totals = [scores] * len(factors)
                if associations:
                    context = data.context(sequence, target.position, ids)
                    totals = list(scores + np.asarray(factors, dtype=np.float32) @ associated.each(context))
                ranks.append([int((total >= total[own]).sum()) for total in totals])
    return np.array(ranks, dtype=np.int64).reshape(len(ranks), len(factors)).T


def ndcg_gains(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@10 of each target alone, shape (targets,): 1 / log2(1 + rank) where the rank is at most 10, else 0."""
    return np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0)


def ndcg_at_10(ranks: NDArray[np.int64]) -> float:
    """The mean of `ndcg_gains`; no ranks give 0."""
    return float(ndcg_gains(ranks).mean()) if len(ranks) else 0.0
