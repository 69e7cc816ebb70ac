"""Dropout against what its share promises."""

from __future__ import annotations

import pytest
import torch

from rarec.retriever.dropout import Dropout


def test_so_many_are_dropped_and_the_mean_stays() -> None:
    torch.manual_seed(0)
    x = torch.ones(1000, 333)
    found = Dropout(0.2)(x)
    dropped = float((found == 0).float().mean())
    assert dropped == pytest.approx(51 / 256, abs=0.003)
    assert float(found.mean()) == pytest.approx(1, abs=0.005)
    assert len(found.unique()) == 2


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(0)
    zero = Dropout(0.5)(torch.ones(200_000)) == 0
    for apart in range(1, 17):  # eight of them are bytes of one draw
        both = float((zero[:-apart] & zero[apart:]).float().mean())
        assert both == pytest.approx(0.25, abs=0.006), apart


def test_the_gradient_passes_where_the_activation_does() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 7, dtype=torch.float64, requires_grad=True)
    found = Dropout(0.3)(x)
    found.sum().backward()
    torch.testing.assert_close(x.grad, (found / x).detach())


def test_nothing_is_dropped_in_evaluation_or_without_a_share() -> None:
    x = torch.randn(4, 5)
    assert Dropout(0.0)(x) is x
    assert Dropout(0.9).eval()(x) is x
    assert Dropout(0.9)(torch.empty(0, 3)).shape == (0, 3)


def test_the_seed_decides() -> None:
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(Dropout(0.5)(torch.ones(99)))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share must be at least 0 and less than 1"):
        Dropout(share)
