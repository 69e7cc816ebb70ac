"""What of a row was put right while it was read: the value, and a note for whoever made the file."""

from __future__ import annotations

from rarec.catalogue.validation import shortened
from rarec.corpus.files import SourceFile
from rarec.corpus.record import Problem
from rarec.corpus.sources.values import is_nothing, number_of, plain_text, year_of


class Notes:
    """Values of one row.

    Attributes:
        found: what was put right, or left out.
    """

    def __init__(self, file: SourceFile, line: int) -> None:
        self._file, self._line = file, line
        self.found: list[Problem] = []

    def year(self, value: object) -> int | None:
        """A year, see `year_of`."""
        year, note = year_of(value)
        if note:
            self.add(note, "write one year")
        return year

    def text(self, value: object) -> str:
        """A text without HTML."""
        text, marked = plain_text("" if value is None else str(value))
        if marked:
            self.add("HTML was taken out of the text", "write plain text if words are missing")
        return text

    def number(self, name: str, value: object) -> float | None:
        """A count; None if there is none, or what stands there is none."""
        number = number_of(value)
        if number is None and not is_nothing(value):
            self.add(f"{name} is no number of at least 0: {shortened(value)}", "it is left out; correct it")
        return number

    def add(self, reason: str, remedy: str) -> None:
        """Something else that was put right."""
        self.found.append(self._file.problem(self._line, reason, remedy, used=True))
