"""Opening files that are packed or not, and their lines, none of which is kept when it is too long."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from rarec.errors import InputError, MissingExtra

COMPRESSED = (".gz", ".bz2", ".zst", ".zip")
"""Endings of files that are unpacked while they are read."""

Damaged = (OSError, EOFError, zipfile.BadZipFile)
"""What reading a damaged archive raises, beside `zlib.error`."""

MAX_LINE_BYTES = 1_000_000
_MARK = b"\xef\xbb\xbf"
_SHOWN_MEMBERS = 5


@contextmanager
def open_bytes(path: Path, *, members: Collection[str] = ()) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The content of a file, unpacked by its ending, and the file as it lies on the disk, whose place tells how far.

    Args:
        members: names, without folders, of the file that is meant in a zip archive with several.
    Raises:
        InputError: a zip archive has several files and not exactly one of `members`.
        MissingExtra: zstandard is not installed.
        OSError: it cannot be opened; reading raises one of `Damaged` or `zlib.error`.
    """
    with path.open("rb") as raw, ExitStack() as stack:
        yield stack.enter_context(_unpacked(path, raw, members)), raw


def plain_suffix(path: Path) -> str:
    """The ending of a file's name in small letters, without that of its compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def numbered_lines(file: BinaryIO, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines with their ends; None for one that is too long, which is skipped without being kept."""
    number = 0
    while line := file.readline(max_bytes + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(_MARK)
        if len(line) <= max_bytes or line.endswith(b"\n"):
            yield number, line
            continue
        while (rest := file.readline(max_bytes)) and not rest.endswith(b"\n"):
            pass
        yield number, None


def _unpacked(path: Path, raw: BinaryIO, members: Collection[str]) -> AbstractContextManager[BinaryIO]:
    ending = path.suffix.lower()
    if ending == ".gz":
        return cast(AbstractContextManager[BinaryIO], gzip.GzipFile(fileobj=raw))
    if ending == ".bz2":
        return cast(AbstractContextManager[BinaryIO], bz2.BZ2File(raw))
    if ending == ".zst":
        return _zstandard(raw)
    return _zipped(path, raw, members) if ending == ".zip" else nullcontext(raw)


@contextmanager
def _zipped(path: Path, raw: BinaryIO, members: Collection[str]) -> Iterator[BinaryIO]:
    with zipfile.ZipFile(raw) as archive:
        files = [entry for entry in archive.infolist() if not entry.is_dir() and "__MACOSX" not in entry.filename]
        meant = [entry for entry in files if PurePosixPath(entry.filename).name in members] if len(files) > 1 else files
        if len(meant) != 1:
            held = ", ".join(entry.filename for entry in files[:_SHOWN_MEMBERS]) or "nothing"
            wanted = f"; one of them must be called {' or '.join(members)}" if members else ""
            raise InputError(
                f"{str(path)!r} does not say which of its files is meant: it holds {held}{wanted}. Unpack it and name "
                "the file"
            )
        if meant[0].flag_bits & 0x1:
            raise InputError(f"{str(path)!r} is encrypted; unpack it and name the file")
        try:
            opened = archive.open(meant[0])
        except NotImplementedError as error:  # Windows packs files of more than 2 GB so
            raise InputError(f"{str(path)!r} is packed in a way that is not read here: {error}; unpack it") from None
        with opened as file:
            yield cast(BinaryIO, io.BufferedReader(cast(Any, file)))


@contextmanager
def _zstandard(raw: BinaryIO) -> Iterator[BinaryIO]:
    try:
        import zstandard
    except ImportError:
        raise MissingExtra.of("zstandard", "train", "reading .zst files") from None
    try:
        yield cast(BinaryIO, io.BufferedReader(_Frames(raw, zstandard.ZstdDecompressor())))
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from error


class _Frames(io.RawIOBase):
    """The content of a zstandard file of any number of frames; one that is cut short is an error, not its end."""

    def __init__(self, file: BinaryIO, decompressor: Any) -> None:
        self._file = file
        self._decompressor = decompressor
        self._frame: Any = None
        self._input = b""
        self._output = io.BytesIO()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not (size := self._output.readinto(buffer)):
            # Little at a time: a kilobyte can hold thirty megabytes.
            self._input = self._input or self._file.read(1024)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("it ends in the middle of a frame")
                return 0
            self._frame = self._frame or self._decompressor.decompressobj()
            self._output = io.BytesIO(self._frame.decompress(self._input))
            self._input = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = None
        return size
