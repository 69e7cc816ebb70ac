"""Checks of tensors at the door of a loss; every message names the row."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from rarec.errors import InputError


def check_scores(scores: Tensor, temperature: float) -> None:
    """Scores are a matrix of numbers or -inf, the temperature a number above 0.

    Raises:
        InputError: they are not; the row (from 0) of the first bad score is named.
    """
    if scores.ndim != 2:
        raise InputError(f"scores must have the shape (rows, items), got {tuple(scores.shape)}")
    if not (isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature must be a number above 0, got {temperature!r}; 1.0 takes the scores as they are")
    bad = scores.isnan() | (scores == torch.inf)
    if bool(bad.any()):
        row, column = (int(v) for v in bad.nonzero()[0])
        raise InputError(
            f"row {row} has the score {float(scores[row, column])!r} at item {column};"
            " scores are numbers, or -inf for an item that cannot be drawn"
        )


def check_finite(values: Tensor, what: str, remedy: str) -> None:
    """All values are finite.

    Raises:
        InputError: one is not; its row (from 0) is named.
    """
    if not bool(values.isfinite().all()):
        place = tuple(int(v) for v in (~values.isfinite()).nonzero()[0])
        row = place[0] if place else 0
        raise InputError(f"{what} of row {row} has {float(values[place])!r} at {place}; {remedy}")


def check_same_shape(**tensors: Tensor) -> None:
    """All have one shape.

    Raises:
        InputError: they have not; all shapes are named.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"shapes differ: {', '.join(f'{name} {shape}' for name, shape in shapes.items())}")


def check_sets(scores: Tensor, sets: Tensor) -> None:
    """Sets are distinct columns of the scores, shape (rows, groups, n) with n >= 1.

    Raises:
        InputError: they are not; the row is named.
    """
    if sets.ndim != 3 or sets.shape[0] != scores.shape[0] or sets.shape[2] < 1:
        raise InputError(
            f"sets must have the shape (rows, groups, n) with {scores.shape[0]} rows and n >= 1,"
            f" got {tuple(sets.shape)}"
        )
    outside = (sets < 0) | (sets >= scores.shape[1])
    if bool(outside.any()):
        row, group, place = (int(v) for v in outside.nonzero()[0])
        raise InputError(
            f"row {row}, set {group} holds item {int(sets[row, group, place])}, but the proposal has"
            f" {scores.shape[1]} items; sets hold places in the proposal, not catalogue rows"
        )
    ordered = sets.sort(dim=-1).values
    twice = (ordered[..., 1:] == ordered[..., :-1]).any(-1)
    if bool(twice.any()):
        row, group = (int(v) for v in twice.nonzero()[0])
        raise InputError(f"row {row}, set {group} holds an item twice: {sets[row, group].tolist()}; items are distinct")


def check_enough(scores: Tensor, n: int, name: str) -> None:
    """Every row has n items that may be drawn.

    Raises:
        InputError: it has not; n, the row and what it has are named.
    """
    if n < 1:
        raise InputError(f"{name} must be at least 1, got {n!r}")
    if scores.shape[1] < n:
        raise InputError(f"{name} = {n} items are wanted, but there are only {scores.shape[1]}; lower {name}")
    left = (scores > -torch.inf).sum(-1)
    if bool((left < n).any()):
        row = int((left < n).nonzero()[0])
        raise InputError(
            f"{name} = {n} items are wanted, but row {row} has only {int(left[row])} of {scores.shape[1]} that may be"
            f" drawn; lower {name} or widen the proposal"
        )


def without(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Scores with -inf where the mask is True.

    Raises:
        InputError: the mask is not bool or has another shape.
    """
    if mask is None:
        return scores
    if mask.shape != scores.shape or mask.dtype != torch.bool:
        raise InputError(
            f"mask must be bool of the shape {tuple(scores.shape)}, got {mask.dtype} {tuple(mask.shape)};"
            " True marks an item that may not be drawn"
        )
    return scores.masked_fill(mask, -torch.inf)


def check_rewards(rewards: Tensor) -> None:
    """Rewards are finite numbers, shape (rows, groups) with at least one group.

    Raises:
        InputError: they are not; the row is named.
    """
    if rewards.ndim != 2 or rewards.shape[1] < 1:
        raise InputError(f"rewards must have the shape (rows, groups) with a group or more, got {tuple(rewards.shape)}")
    check_finite(rewards, "rewards", "give a failed rollout a reward of its own, or leave its row out")
