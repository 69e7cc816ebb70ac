"""The moving average of weights."""

from __future__ import annotations

import pytest
import torch

from rarec.retriever.averaging import WeightAverage
from rarec.retriever.model import Retriever, RetrieverConfig


def model() -> Retriever:
    return Retriever(RetrieverConfig(text_dimension=4, width=4, item_hidden=4, blocks=1), seed=0)


def filled(of: Retriever, value: float) -> None:
    with torch.no_grad():
        for parameter in of.parameters():
            parameter.fill_(value)


def test_it_is_the_sum_of_the_recursion() -> None:
    of = model()
    filled(of, 0.0)
    average = WeightAverage(of, 0.5)
    expected = 0.0
    for step, value in enumerate([1.0, 2.0, 4.0, 8.0, 16.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0]):
        filled(of, value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
        assert float(average.model.log_scale.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(of.log_scale.detach()) == 13.0  # what learns is left alone


def test_it_goes_on_from_a_copy() -> None:
    of = model()
    one, other = WeightAverage(of, 0.9), WeightAverage(of, 0.9)
    filled(of, 1.0)
    one.update(3)
    other.load(one.weights())
    filled(of, 2.0)
    one.update(4)
    other.update(4)
    assert all(torch.equal(a, b) for a, b in zip(one.weights().values(), other.weights().values(), strict=True))


def test_it_learns_nothing_by_itself() -> None:
    of = model()
    average = WeightAverage(of, 0.9)
    average.update(0)
    assert not average.model.training
    assert all(torch.allclose(own, of.state_dict()[name]) for name, own in average.weights().items())
