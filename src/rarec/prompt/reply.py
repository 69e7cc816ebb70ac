"""Numbers in brackets in a reply -> titles of the candidates that they mean."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from rarec.prompt.render import label
from rarec.prompt.text import one_line
from rarec.types import Candidate

_REFERENCE = re.compile(r"( {0,2})\[[\s#,]{0,8}[0-9][\s#,0-9]{0,54}\]")
_UNFINISHED = re.compile(r" {0,2}(?:\[[\s#,0-9]{0,63})?$")
_DIGITS = re.compile(r"[0-9]+")
_MARKS = "\"'*_“”‘’«»"
_YEAR = re.compile(r" ?\([0-9]{4}\)$")
_TITLE_CHARS = 120
_LOOK_BACK = 2 * _TITLE_CHARS


def reply_text(reply: str, candidates: Sequence[Candidate]) -> str:
    """Replace ``[3]`` by the title of candidate 3, and remove numbers in brackets that were not offered.

    ``[3, 5]`` becomes both titles. Where the model wrote the title as well (``Heat [3]``, ``[3] Heat``) only the
    reference goes. The year is added if two candidates share the title. Titles that are put in are not read again, so a
    title cannot smuggle in a reference. Other brackets stay. Empty gives empty.
    """
    replacer = ReplyText(candidates)
    return replacer.feed(reply) + replacer.close()


class ReplyText:
    """Does what `reply_text` does while the reply is being streamed; the pieces add up to the same text.

    Characters are held back only while they may still belong to a reference or to a title that repeats one.
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._titles = [one_line(c.item.title, limit=_TITLE_CHARS) for c in candidates]
        times = Counter(title.casefold() for title in self._titles)
        self._labels = [
            label(c.item, title_chars=_TITLE_CHARS) if times[title.casefold()] > 1 else title
            for c, title in zip(candidates, self._titles, strict=True)
        ]
        self._held = ""
        self._tail = ""
        self._drop_blank = False

    def feed(self, piece: str) -> str:
        """Take the next piece of the reply; return what can be shown."""
        return self._take(piece, final=False)

    def close(self) -> str:
        """What was still held back."""
        return self._take("", final=True)

    def _take(self, piece: str, *, final: bool) -> str:
        text, self._held = self._held + piece, ""
        out: list[str] = []
        at = 0
        for reference in _REFERENCE.finditer(text):
            self._show(text[at : reference.start()], out)
            at = reference.start()
            end = self._resolve(text, reference, out, final=final)
            if end is None:
                self._held = text[at:]
                return "".join(out)
            at = end
        rest = text[at:]
        if not final and (unfinished := _UNFINISHED.search(rest, max(0, len(rest) - 66))):
            self._held = rest[unfinished.start() :]
            rest = rest[: unfinished.start()]
        self._show(rest, out)
        return "".join(out)

    def _show(self, piece: str, out: list[str]) -> None:
        if piece and self._drop_blank:
            piece = piece.removeprefix(" ")
            self._drop_blank = False
        out.append(piece)
        self._tail = (self._tail + piece)[-_LOOK_BACK:]

    def _resolve(self, text: str, reference: re.Match[str], out: list[str], *, final: bool) -> int | None:
        """Show what a reference stands for; the offset to go on from, or None to wait for more text."""
        blanks, end = reference.group(1), reference.end()
        known = self._known(reference.group())
        if len(known) == 1 and (follows := _follows(text, end, self._titles[known[0]], final=final)) is not False:
            if follows is None:
                return None
            self._show(blanks, out)
            self._drop_blank = True
            return end
        fresh = [position for position in known if not self._said(self._titles[position])]
        if fresh:
            self._show(blanks + ", ".join(self._labels[position] for position in fresh), out)
        else:  # no blank is left over at the start or beside another one
            self._drop_blank = not self._tail or self._tail[-1].isspace()
        return end

    def _known(self, reference: str) -> list[int]:
        numbers = (int(digits) for digits in _DIGITS.findall(reference))
        return [number - 1 for number in numbers if 1 <= number <= len(self._titles)]

    def _said(self, title: str) -> bool:
        """Whether what was shown last is this title, perhaps in quotes and with a year."""
        shown = _YEAR.sub("", self._tail.rstrip().rstrip(_MARKS)).rstrip(_MARKS).casefold()
        before = shown.removesuffix(title.casefold())
        return bool(title) and len(before) < len(shown) and not before[-1:].isalnum()


def _follows(text: str, at: int, title: str, *, final: bool) -> bool | None:
    """Whether the title comes next in the text; None if more text is needed to tell."""
    after = text[at : at + len(title) + 8]
    body = after.removeprefix(" ").lstrip(_MARKS)
    said, wanted = body[: len(title)].casefold(), title.casefold()
    if said == wanted:
        if len(body) == len(title) and not final:
            return None
        return not body[len(title) :][:1].isalnum()
    return None if not final and len(body) < len(title) and wanted.startswith(said) else False
