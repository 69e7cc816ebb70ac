"""The inner loop of the int8 scan, in whichever library is installed. All give the same integers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError, MissingExtra

EngineName = Literal["numkong", "torch", "numpy"]
Scan = Callable[[NDArray[np.int8], NDArray[np.int8]], NDArray[np.int32]]
"""(codes of shape (rows, d), one query's codes of shape (d,)) -> inner products, shape (rows,)."""

ORDER: tuple[EngineName, ...] = ("numkong", "torch", "numpy")


def load_engine(name: EngineName | None = None) -> tuple[EngineName, Scan | None]:
    """The named engine, or the first that is installed; the scan is None for numpy, which has no fast int8 product.

    Raises:
        InputError: no engine has this name.
        MissingExtra: the named engine is not installed or computes wrongly on this processor.
    """
    if name is not None and name not in ORDER:
        raise InputError(f"no engine is called {name!r}; choose one of {', '.join(ORDER)}")
    for candidate in ORDER if name is None else (name,):
        if candidate == "numpy":
            return candidate, None
        scan = _try(candidate)
        if scan is not None and _is_right(scan):
            return candidate, scan
    raise MissingExtra.of(str(name), "serve", f"the index engine {name!r}")


def _try(name: EngineName) -> Scan | None:
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    return _numkong_scan(module) if name == "numkong" else _torch_scan(module)


def _numkong_scan(numkong: Any) -> Scan:
    def scan(codes: NDArray[np.int8], query: NDArray[np.int8]) -> NDArray[np.int32]:
        packed = numkong.dots_pack(query.reshape(1, -1))
        return np.asarray(numkong.dots_packed(codes, packed)).reshape(-1)

    return scan


def _torch_scan(torch: Any) -> Scan:
    def scan(codes: NDArray[np.int8], query: NDArray[np.int8]) -> NDArray[np.int32]:
        # The column must be contiguous: _int_mm reads uninitialised memory for a stride of 0.
        column = torch.from_numpy(np.ascontiguousarray(query.reshape(-1, 1)))
        dots: NDArray[np.int32] = torch._int_mm(torch.from_numpy(codes), column).numpy().reshape(-1)
        return dots

    return scan


def _is_right(scan: Scan) -> bool:
    """Whether the largest sums come out exactly: some int8 kernels saturate on processors without VNNI."""
    codes = np.repeat(np.array([[127], [-127], [1]], dtype=np.int8), 128, axis=1)
    codes = np.ascontiguousarray(np.tile(codes, (8, 1)))
    for sign in (127, -127):
        query = np.full(128, sign, dtype=np.int8)
        if not np.array_equal(scan(codes, query), codes.astype(np.int32) @ query.astype(np.int32)):
            return False
    return True
