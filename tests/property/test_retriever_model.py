"""The retriever reads a sequence alike in a batch, alone, padded, and token by token."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.retriever.features import EXTRA_FEATURES
from rarec.retriever.model import Retriever, RetrieverConfig, Tokens

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = RetrieverConfig(text_dimension=6, width=8, item_hidden=10)
SEEDS = st.integers(0, 2**31)
TOLERANCE = 5e-5  # queries have length 10


def random_tokens(time: int, batch: int, seed: int) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    kind, role, sentiment = (torch.randint(n, (time, batch), generator=generator) for n in (3, 2, 3))
    item, text = (torch.randn(time, batch, d, generator=generator) for d in (CONFIG.width, CONFIG.text_dimension))
    return Tokens(kind, role, sentiment, item, text)


def cut(tokens: Tokens, times: slice, columns: slice = slice(None)) -> Tokens:
    """Part of a batch."""
    return Tokens(*(getattr(tokens, name)[times, columns] for name in ("kind", "role", "sentiment", "item", "text")))


@settings(deadline=None, max_examples=25)
@given(time=st.integers(1, 40), batch=st.integers(1, 4), seed=SEEDS)
def test_token_by_token_equals_all_at_once(time: int, batch: int, seed: int) -> None:
    model = Retriever(CONFIG, seed=seed).eval()
    tokens, state = random_tokens(time, batch, seed), model.start(batch)
    with torch.inference_mode():
        expected = model.queries(tokens)
        for t in range(time):
            query, state = model.step(cut(tokens, slice(t, t + 1)), state)
            torch.testing.assert_close(query, expected[t], rtol=0, atol=TOLERANCE)
    assert expected.shape == (time, batch, CONFIG.width + 1)


@settings(deadline=None, max_examples=25)
@given(pieces=st.lists(st.integers(1, 20), min_size=1, max_size=5), batch=st.integers(1, 3), seed=SEEDS)
def test_a_state_carried_over_pieces_of_any_size_equals_all_at_once(pieces: list[int], batch: int, seed: int) -> None:
    model = Retriever(CONFIG, seed=seed).eval()
    tokens, carried, stepped, at = random_tokens(sum(pieces), batch, seed), model.start(batch), model.start(batch), 0
    with torch.inference_mode():
        expected = model.queries(tokens)
        for size in pieces:
            query, carried = model.advance(cut(tokens, slice(at, at + size)), carried)
            for t in range(at, at + size):
                _, stepped = model.step(cut(tokens, slice(t, t + 1)), stepped)
            at += size
            torch.testing.assert_close(query, expected[at - 1], rtol=0, atol=TOLERANCE)
            for one, other in zip(carried, stepped, strict=True):
                assert one.shape == (batch, CONFIG.width)
                torch.testing.assert_close(one, other, rtol=0, atol=TOLERANCE)


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=5), seed=SEEDS)
def test_a_padded_batch_gives_each_sequence_what_it_gives_alone(lengths: list[int], seed: int) -> None:
    model = Retriever(CONFIG, seed=seed).eval()
    tokens = random_tokens(max(lengths), len(lengths), seed)
    for b, length in enumerate(lengths):
        tokens.item[length:, b], tokens.text[length:, b] = torch.nan, torch.inf
    with torch.inference_mode():
        together = model.queries(tokens)
        for b, length in enumerate(lengths):
            alone = model.queries(cut(tokens, slice(length), slice(b, b + 1)))
            torch.testing.assert_close(together[:length, b], alone[:, 0], rtol=0, atol=TOLERANCE)


@settings(deadline=None, max_examples=20)
@given(n=st.integers(0, 30), batch=st.integers(1, 9), seed=SEEDS)
def test_projecting_in_batches_equals_items(n: int, batch: int, seed: int) -> None:
    model = Retriever(CONFIG, seed=seed).eval()
    features = torch.randn(n, CONFIG.text_dimension + EXTRA_FEATURES, generator=torch.Generator().manual_seed(seed))
    found = model.project(features, batch=batch)
    assert found.shape == (n, CONFIG.width + 1)
    torch.testing.assert_close(found, model.items(features).detach(), rtol=0, atol=1e-5)
    torch.testing.assert_close(found[:, :-1].norm(dim=1), torch.ones(n), rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=10)
@given(seed=SEEDS, noise=SEEDS)
def test_the_seed_alone_decides_the_initial_weights(seed: int, noise: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(noise)
        first = Retriever(CONFIG, seed=seed)
        torch.manual_seed(noise + 1)
        second, other = Retriever(CONFIG, seed=seed), Retriever(CONFIG, seed=seed + 1)
    weights = [m.state_dict() for m in (first, second, other)]
    assert all(torch.equal(t, weights[1][name]) for name, t in weights[0].items())
    assert any(not torch.equal(t, weights[2][name]) for name, t in weights[0].items())


def test_sentiment_is_read_for_items_and_for_nothing_else() -> None:
    model = Retriever(CONFIG).eval()
    tokens = random_tokens(3, 1, 0)
    for kind in range(3):
        tokens.kind[:] = kind
        queries = []
        for sentiment in range(3):
            tokens.sentiment[:] = sentiment
            queries.append(model.queries(tokens).detach())
        same = torch.equal(queries[0], queries[1]) and torch.equal(queries[0], queries[2])
        assert same == (kind != 0)
