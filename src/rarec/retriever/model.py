"""The retriever: items and conversations in one space, by a stack of linear recurrent units.

A conversation is a sequence of tokens, in order: each message, followed by the items that it mentions. Both enter as
embeddings of their text, so no parameter hangs on an item id and an item that nobody has seen scores like any other.

Source: RAR (arXiv 2604.04457), section on the retriever: LRURec over text-embedded items. Differs from the paper in
that messages are tokens too, that scores have a part for popularity whose weight depends on the conversation, and that
counts of what goes together may stand beside the vectors (`rarec.retriever.associations`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from rarec.retriever.associations import Associations
from rarec.retriever.dropout import Dropout
from rarec.retriever.features import EXTRA_FEATURES
from rarec.retriever.lru import LRU
from rarec.retriever.sequence import ITEM, MESSAGE, START


class RetrieverConfig(BaseModel):
    """Shape of a retriever; part of every bundle.

    Attributes:
        text_dimension: of the embedder's vectors.
        width: of tokens, states and the space in which items and queries meet.
        item_hidden: hidden units of the item tower.
        blocks: recurrent blocks.
        dropout: share of activations dropped in training.
        r_min, r_max: ring of the initial eigenvalues (LRURec uses 0.8 and 0.99).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    text_dimension: int = Field(gt=0)
    width: int = Field(default=128, gt=0)
    item_hidden: int = Field(default=512, gt=0)
    blocks: int = Field(default=2, gt=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    r_min: float = Field(default=0.8, ge=0, lt=1)
    r_max: float = Field(default=0.99, gt=0, lt=1)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A batch of token sequences, time first; what follows a sequence's end is ignored.

    Attributes:
        kind: ITEM, MESSAGE or START, int64, shape (time, batch).
        role: 0 user, 1 assistant, int64, shape (time, batch).
        sentiment: 0 mentioned, 1 liked, 2 disliked, int64, shape (time, batch); read for items only.
        item: item vectors from `Retriever.items` without their last column, shape (time, batch, width).
        text: message embeddings, shape (time, batch, text_dimension).
    """

    kind: Tensor
    role: Tensor
    sentiment: Tensor
    item: Tensor
    text: Tensor


class ItemTower(nn.Module):
    """Item features -> a unit vector and one number for how much the item is asked for at all."""

    def __init__(self, config: RetrieverConfig) -> None:
        super().__init__()
        features = config.text_dimension + EXTRA_FEATURES
        self.straight = nn.Linear(config.text_dimension, config.width, bias=False)
        self.hidden = nn.Linear(features, config.item_hidden)
        self.bend = nn.Linear(config.item_hidden, config.width)
        self.demand = nn.Linear(config.item_hidden, 1)
        self.dropout = Dropout(config.dropout)

    def forward(self, features: Tensor) -> Tensor:
        """(..., text_dimension + 4) -> (..., width + 1)."""
        text = features[..., : self.straight.in_features]
        hidden = self.dropout(F.gelu(self.hidden(features)))
        vector = F.normalize((self.straight(text) + self.bend(hidden)).to(features.dtype), dim=-1)
        return torch.cat([vector, self.demand(hidden).to(features.dtype)], dim=-1)


class TokenEncoder(nn.Module):
    """Tokens -> (time, batch, width)."""

    def __init__(self, config: RetrieverConfig) -> None:
        super().__init__()
        width = config.width
        # One map for each sentiment: a disliked item must be able to push the query away.
        self.item = nn.Linear(width, 3 * width)
        self.message = nn.Sequential(nn.Linear(config.text_dimension, width), nn.GELU(), nn.Linear(width, width))
        self.kind_role = nn.Embedding(6, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: Tokens) -> Tensor:
        # How many tokens are of a kind differs from step to step, and in bfloat16 each new size of a product is dear.
        with torch.autocast("cpu", enabled=False):
            content = self._content(tokens)
        result: Tensor = self.dropout(self.norm(content + self.kind_role(tokens.kind * 2 + tokens.role)))
        return result

    def _content(self, tokens: Tokens) -> Tensor:
        kind, items = tokens.kind.flatten(), tokens.item.flatten(0, 1)
        # Each map where it is needed: most tokens have one sentiment, and half of them are messages.
        at = [torch.nonzero(kind == START)[:, 0]]
        parts = [items.new_zeros(len(at[0]), self.kind_role.embedding_dim)]
        maps = zip(self.item.weight.chunk(3), self.item.bias.chunk(3), strict=True)
        for sentiment, (weight, bias) in enumerate(maps):
            at.append(torch.nonzero((kind == ITEM) & (tokens.sentiment.flatten() == sentiment))[:, 0])
            # Rows as of a table: the gradient of an index by booleans takes several times as long.
            parts.append(F.linear(F.embedding(at[-1], items), weight, bias))
        # Without messages no gradient: the optimiser would take one of zeros for a reason to decay the weights.
        if len(messages := torch.nonzero(kind == MESSAGE)[:, 0]):
            at.append(messages)
            parts.append(self.message(tokens.text.flatten(0, 1)[messages]))
        return F.embedding(torch.argsort(torch.cat(at)), torch.cat(parts)).view(*tokens.kind.shape, -1)


class Block(nn.Module):
    """Recurrence and position-wise network, each with a residual."""

    def __init__(self, config: RetrieverConfig, generator: torch.Generator) -> None:
        super().__init__()
        width = config.width
        self.lru = LRU(width, width, r_min=config.r_min, r_max=config.r_max, generator=generator)
        self.before_lru = nn.LayerNorm(width)
        self.before_wide = nn.LayerNorm(width)
        self.wide = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), Dropout(config.dropout), nn.Linear(4 * width, width)
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.lru(self.before_lru(x)))
        return self._wide(x)

    def advance(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        out, h = self.lru.advance(self.before_lru(x), h)
        return self._wide(x + self.dropout(out)), h

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        out, h = self.lru.step(self.before_lru(x), h)
        return self._wide(x + self.dropout(out)), h

    def _wide(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.dropout(self.wide(self.before_wide(x)))
        return result


State = tuple[Tensor, ...]
"""The recurrent state of a conversation: one complex tensor (batch, width) a block. Its size never grows."""


class Retriever(nn.Module):
    """Scores items for a conversation as inner products of `queries` and `items`, and by `associations`.

    Args:
        config: the shape.
        seed: of the initial weights.
    Attributes:
        associations: what mentioned items and words add to the scores of items; counted, not learned, and no weights
            of the model. Empty unless training counted some. Whoever ranks adds them to the inner products.
    """

    def __init__(self, config: RetrieverConfig, *, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.config = config
        self.associations = Associations()
        self.tower = ItemTower(config)
        self.tokens = TokenEncoder(config)
        self.blocks = nn.ModuleList(Block(config, generator) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.query = nn.Linear(config.width, config.width)
        self.demand_weight = nn.Linear(config.width, 1)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and ".lru." not in f".{name}.":
                nn.init.xavier_uniform_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.02, generator=generator)

    def items(self, features: Tensor) -> Tensor:
        """Item vectors: (n, text_dimension + 4) -> (n, width + 1)."""
        result: Tensor = self.tower(features)
        return result

    def project(self, features: Tensor, *, batch: int = 8192) -> Tensor:
        """`items` without gradient, in batches, so that a whole catalogue fits; no items give no rows."""
        with torch.inference_mode():
            parts = [self.items(chunk) for chunk in torch.split(features, batch)]
        return torch.cat(parts)

    def queries(self, tokens: Tokens) -> Tensor:
        """The query after each token: (time, batch, width + 1)."""
        x: Tensor = self.tokens(tokens)
        for block in self.blocks:
            x = block(x)
        return self._query(x)

    def start(self, batch: int = 1) -> State:
        """The state before the first token."""
        zero = torch.zeros(batch, self.config.width, dtype=torch.complex64)
        return tuple(zero for _ in self.blocks)

    def advance(self, tokens: Tokens, state: State) -> tuple[Tensor, State]:
        """Read the tokens that follow a state by the parallel scan; time >= 1.

        Returns:
            the query after the last token, shape (batch, width + 1), and the state there.
        """
        x: Tensor = self.tokens(tokens)
        after: list[Tensor] = []
        for block, h in zip(self.blocks, state, strict=True):
            x, h = block.advance(x, h)  # type: ignore[operator]
            after.append(h)
        return self._query(x[-1]), tuple(after)

    def step(self, tokens: Tokens, state: State) -> tuple[Tensor, State]:
        """Read one token of each conversation, shapes as in `Tokens` with time 1, in O(1).

        Returns:
            the query, shape (batch, width + 1), and the next state.
        """
        x: Tensor = self.tokens(tokens)[0]
        after: list[Tensor] = []
        for block, h in zip(self.blocks, state, strict=True):
            x, h = block.step(x, h)  # type: ignore[operator]
            after.append(h)
        return self._query(x), tuple(after)

    def _query(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        direction = F.normalize(self.query(x).to(x.dtype), dim=-1) * self.log_scale.exp()
        weight = F.softplus(self.demand_weight(x).to(x.dtype) + 0.5413)  # softplus(0.5413) = 1
        return torch.cat([direction, weight], dim=-1)
