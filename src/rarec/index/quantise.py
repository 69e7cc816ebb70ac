"""Rows as int8 codes, with a proven bound on what the rounding can change in an inner product.

A row x is kept as s * c, c integers in -127..127. For a query q kept the same way as t * e,

    |q.x - s t (e.c)|  <=  |q - t e| |x|  +  (|q| + |q - t e|) |x - s c| ,

so two numbers a row, its length |x| and its residual |x - s c|, are enough to say which rows could be among the best.
Lengths are rounded up, so that the bound also covers the rounding of the arithmetic itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEVELS = 127
ROUNDING = np.float32(4e-6)
"""Part of a row's length that stands for every fp32 rounding on the way from codes to a score."""

MAX_NORM = 1e18
"""Longest vector accepted: the product of two of them is still an fp32 number."""


@dataclass(frozen=True, slots=True)
class Quantised:
    """Codes, shape (rows, d), and per row: the scale s, an upper bound of |x - s c|, and one of |x|."""

    codes: NDArray[np.int8]
    scale: Floats
    residual: Floats
    norm: Floats


def quantise(rows: Floats) -> Quantised:
    """Round each row to 255 levels of its own largest value; shape (rows, d), d may be 0."""
    largest, unit = _unit(rows)
    codes = np.rint(unit * np.float32(LEVELS))
    norm = _lengths(unit)
    unit -= codes / np.float32(LEVELS)
    residual = _lengths(unit) * np.float32(1 + 1e-4) + ROUNDING * norm
    scale = largest / np.float32(LEVELS)
    return Quantised(codes.astype(np.int8), scale, residual * largest, norm * largest * np.float32(1 + 1e-5))


def norms(rows: Floats) -> Floats:
    """The length of each row, rounded up a little; no overflow or underflow on the way."""
    largest, unit = _unit(rows)
    lengths: Floats = _lengths(unit) * largest * np.float32(1 + 1e-5)
    return lengths


def _unit(rows: Floats) -> tuple[Floats, Floats]:
    """The largest magnitude of each row, and the rows divided by it."""
    largest: Floats = np.max(np.abs(rows), axis=1, initial=0.0).astype(np.float32)
    unit: Floats = rows / np.where(largest > 0, largest, np.float32(1)).astype(np.float32)[:, None]
    return largest, unit


def _lengths(rows: Floats) -> Floats:
    lengths: Floats = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return lengths
