"""The files of invented dumps: text that may be packed, with broken lines between the good ones where asked."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, Literal, cast

from rarec.files import atomic_write
from rarec.testing.dumps.films import DumpOptions

Form = Literal["tsv", "csv", "dat", "json", "array"]
_SEPARATORS: Mapping[Form, str] = {"tsv": "\t", "csv": ",", "dat": "::"}
_LEVEL = 1


class TextFile:
    """A text file of a dump.

    Args:
        form: of its lines; ``array`` is JSON objects between brackets, as Wikidata publishes them.
        once: each line has an id of its own, so that a repeated one is a mistake.
    """

    def __init__(self, file: BinaryIO, name: str, form: Form, options: DumpOptions, *, once: bool) -> None:
        self.name = name
        self.broken: list[tuple[int, str]] = []
        self._file, self._form, self._share = file, form, options.damaged
        self._random = Random(f"{options.seed} {name}")
        self._once = once
        self._line = 0
        self._begun = False

    def head(self, columns: Sequence[str]) -> None:
        """The line that names the columns."""
        self._write(self._joined(columns).encode())

    def add(self, row: Sequence[object] | Mapping[str, Any]) -> None:
        """One row, and perhaps a broken one behind it."""
        text = json.dumps(row, ensure_ascii=False) if isinstance(row, Mapping) else self._joined(row)
        if self._form == "array":
            self._file.write((",\n" if self._begun else "[\n").encode() + text.encode())
            self._begun = True
            return
        self._write(text.encode())
        if self._share and self._random.random() < self._share:
            self._break(text)

    def close(self) -> None:
        """What stands at the end."""
        if self._form == "array":
            self._file.write(b"\n]\n" if self._begun else b"[]\n")

    def _joined(self, row: Sequence[object]) -> str:
        cells = ["" if cell is None else str(cell) for cell in row]
        if self._form != "csv":
            return _SEPARATORS[self._form].join(cells)
        written = io.StringIO()
        csv.writer(written, lineterminator="").writerow(cells)
        return written.getvalue()

    def _write(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._line += 1 + line.count(b"\n")

    def _break(self, text: str) -> None:
        plain = text.replace("\n", " ").replace('"', "") if self._form == "csv" else text
        half = max(1, len(plain) // 2)
        ways: dict[str, Callable[[], bytes]] = {
            "cut": lambda: self._cut(plain),
            "nul": lambda: (plain[:half] + "\0" + plain[half:]).encode(),
            "encoding": lambda: plain[:half].encode() + b"\xe9\xff" + plain[half:].encode(),
        }
        if self._once:
            ways["repeated"] = lambda: text.encode()
        way = self._random.choice(list(ways))
        self.broken.append((self._line + 1, way))
        self._write(ways[way]())

    def _cut(self, text: str) -> bytes:
        if self._form == "json":
            return text[: len(text) // 2].encode()
        return text.partition(_SEPARATORS[self._form])[0].encode()


class DumpFolder:
    """Makes the files of dumps in a folder; all of them are there when the block ends, or none that was begun.

    Attributes:
        texts: the text files that were made.
    """

    def __init__(self, path: Path, options: DumpOptions) -> None:
        self.path = path
        self.texts: list[TextFile] = []
        self._options = options
        self._stack = ExitStack()

    def __enter__(self) -> DumpFolder:
        return self

    def __exit__(self, *error: Any) -> bool | None:
        if error[0] is None:
            for text in self.texts:
                text.close()
        return self._stack.__exit__(*error)

    def binary(self, name: str) -> BinaryIO:
        """A new file."""
        return self._stack.enter_context(atomic_write(self.path / name))

    def text(self, name: str, form: Form, *, once: bool = False, packed: bool | None = None) -> TextFile:
        """A new text file, a gzip archive if the options say so; see `TextFile`."""
        packed = self._options.packed if packed is None else packed
        name = f"{name}.gz" if packed else name
        file = self.binary(name)
        if packed:
            archive = gzip.GzipFile("", "wb", _LEVEL, file, mtime=0)
            file = cast(BinaryIO, self._stack.enter_context(io.BufferedWriter(cast(Any, archive), 1 << 16)))
        made = TextFile(file, name, form, self._options, once=once)
        self.texts.append(made)
        return made
