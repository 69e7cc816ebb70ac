"""Scalars in the event files that TensorBoard reads, without its package.

A file is a sequence of records: length, its checksum, an `Event` message of protocol buffers, its checksum. Only the
few fields that scalars need are written.

Source: the TFRecord format and tensorboard/compat/proto/event.proto, as published.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import cache
from math import isfinite
from pathlib import Path

from rarec.errors import StoreError


class EventFile:
    """One event file; scalars are on the disk's way when `add` returns.

    Args:
        path: its name must contain ``tfevents``; an older file is replaced.
    Raises:
        StoreError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._put(_record(_field(1, 1, struct.pack("<d", 0.0)) + _text(3, b"brain.Event:2")), "wb")

    def add(self, step: int, values: Mapping[str, float], *, wall_time: float) -> None:
        """Append scalars; what is not finite is left out.

        Args:
            wall_time: seconds since 1970.
        """
        summary = b"".join(
            _text(1, _text(1, name.encode()) + _field(2, 5, struct.pack("<f", value)))
            for name, value in values.items()
            if isfinite(value)
        )
        event = _field(1, 1, struct.pack("<d", wall_time)) + _field(2, 0, _varint(step)) + _text(5, summary)
        self._put(_record(event), "ab")

    def _put(self, data: bytes, mode: str) -> None:
        try:
            with self._path.open(mode) as file:
                file.write(data)
        except OSError as error:
            raise StoreError(f"cannot write {str(self._path)!r}: {error.strerror}; check the disk") from error


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", _masked(length)) + data + struct.pack("<I", _masked(data))


def _field(number: int, wire: int, data: bytes) -> bytes:
    return _varint(number << 3 | wire) + data


def _text(number: int, data: bytes) -> bytes:
    return _field(number, 2, _varint(len(data)) + data)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table, crc = _table(), 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    rows: list[int] = []
    for row in range(256):
        for _ in range(8):
            row = row >> 1 ^ 0x82F63B78 if row & 1 else row >> 1
        rows.append(row)
    return tuple(rows)
