"""Item vectors that lie beside a data folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarec.conversations.parquet import read_columns
from rarec.errors import InputError
from rarec.types import ItemId


def stored_vectors(folder: str | Path, ids: Sequence[ItemId]) -> NDArray[np.float32]:
    """The unit vectors of `ids` from ``minilm_f16.npy`` and ``texts.parquet``, shape (len(ids), 384).

    Rows are normalised again, because they are stored with half precision.

    Raises:
        InputError: a file is missing or damaged, the two do not fit each other, or an item has no vector.
    """
    path = Path(folder) / "minilm_f16.npy"
    (stored,) = read_columns(Path(folder) / "texts.parquet", ("id",), purpose="reading stored vectors")
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}; is the file complete?") from None
    if matrix.ndim != 2 or len(matrix) != len(stored):
        raise InputError(f"{str(path)!r} has shape {matrix.shape!r}, its texts have {len(stored)} rows; they differ")
    row = {ItemId(str(item)): at for at, item in enumerate(stored)}
    if missing := [item for item in ids if item not in row]:
        raise InputError(f"{str(path)!r} has no vector of {missing[0]!r} (and {len(missing) - 1} more); embed them")
    vectors = np.asarray(matrix[[row[item] for item in ids]], np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
