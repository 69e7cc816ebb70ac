"""Which conversations are held back."""

from __future__ import annotations

import pytest

from rarec.conversations import held_back

IDS = [f"dialogue_{number}" for number in range(4000)]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_about_the_share_is_held_back(share: float) -> None:
    found = sum(held_back(one, share) for one in IDS) / len(IDS)
    assert abs(found - share) < 4 * (share * (1 - share) / len(IDS)) ** 0.5


def test_none_and_all() -> None:
    assert not any(held_back(one, 0.0) for one in IDS)
    assert all(held_back(one, 1.0) for one in IDS)


def test_a_larger_share_holds_back_all_of_a_smaller_one() -> None:
    assert {one for one in IDS if held_back(one, 0.2)} < {one for one in IDS if held_back(one, 0.4)}


def test_it_hangs_on_the_id_alone() -> None:
    """Pinned: a bundle says which share it held back, and a later version must find the same conversations."""
    assert [held_back(one, 0.5) for one in IDS[:8]] == PINNED
    held_back("\ud800", 0.5)  # ids are untrusted text


PINNED = [False, True, False, False, True, False, True, True]
