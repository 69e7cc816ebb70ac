"""What stands in the cells of dumps -> values: years, plain text out of HTML, lists, numbers, titles."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser

from rarec.catalogue.validation import YEAR_MAX, YEAR_MIN, shortened

_WHOLE = re.compile(r"[+-]?[0-9]{1,4}(?:\.0{1,6})?")
_DATE = re.compile(r"([0-9]{4})-[0-9]{1,2}(?:-[0-9]{1,2})?(?:[T ].*)?")
_FOUR = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")
_MARKUP = re.compile(r"<[a-zA-Z/!]|&#?[a-zA-Z0-9]{2,31};")
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_LINES = re.compile(r" ?\n[ \n]*")
_BLOCKS = frozenset((
    "address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "table", "td", "th", "tr", "ul",
))  # fmt: skip
_SILENT = frozenset(("script", "style", "template", "title"))
_ARTICLES = (
    "The", "A", "An", "La", "Le", "Les", "L'", "L’", "Il", "Lo", "Gli", "I", "El", "Los", "Las", "Die", "Der", "Das",
    "Den", "Det", "De", "Het", "Een", "En", "Ett", "Un", "Une", "Una", "Um", "Uma", "O", "Os",
)  # fmt: skip
_ARTICLE = re.compile(f"(.+), ({'|'.join(_ARTICLES)})")
_NOTHING = ("", "nan", "none", "null", "\\n")
_LONGEST_TITLE = 2000


def year_of(value: object) -> tuple[int | None, str]:
    """A year, and what was wrong with it; no text if nothing was.

    Years, dates that begin with one and numbers such as ``1999.0`` are taken as they are. Of anything else the first
    four digits are taken, and that is said.

    >>> year_of("2019-2021")
    (2019, "year '2019-2021' is taken as 2019")
    >>> year_of("1999-03-30"), year_of(""), year_of("soon")
    ((1999, ''), (None, ''), (None, "year 'soon' is none"))
    """
    if value is None or isinstance(value, bool):
        return None, ""
    text = str(value).strip()
    if text.casefold() in _NOTHING:
        return None, ""
    if _WHOLE.fullmatch(text):
        year = int(text.partition(".")[0])
        good = YEAR_MIN <= year <= YEAR_MAX and year != 0
        return (year, "") if good else (None, f"year {shortened(value)} is none")
    if found := _DATE.fullmatch(text):
        year = int(found[1])
        return (year, "") if 0 < year <= YEAR_MAX else (None, f"year {shortened(value)} is none")
    if (four := _FOUR.search(text[:200])) and 0 < int(four[0]) <= YEAR_MAX:
        return int(four[0]), f"year {shortened(value)} is taken as {int(four[0])}"
    return None, f"year {shortened(value)} is none"


def plain_text(text: str) -> tuple[str, bool]:
    """Text without HTML, and whether there was any; spaces are single then, and blocks are lines.

    >>> plain_text("A <b>bold</b> plan<br>goes wrong &amp; ends.")
    ('A bold plan\\ngoes wrong & ends.', True)
    >>> plain_text("if a < b, run")
    ('if a < b, run', False)
    """
    text = text.replace("\r\n", "\n")
    if ("<" not in text and "&" not in text) or not _MARKUP.search(text):
        return text.strip(), False
    parser = _Words()
    parser.feed(text)
    parser.close()
    return _LINES.sub("\n", _SPACES.sub(" ", "".join(parser.parts))).strip(), True


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        if tag in _SILENT:
            self._silent += 1
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def is_nothing(value: object) -> bool:
    """Whether a cell is empty, as any tool writes it."""
    return value is None or str(value).strip().casefold() in _NOTHING


def number_of(value: object) -> float | None:
    """A finite number of at least 0; None for anything else.

    >>> number_of("1,234"), number_of("12.5"), number_of(-1), number_of("nan")
    (1234.0, 12.5, None, None)
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value.replace(",", "") if isinstance(value, str) else str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def distinct(values: Iterable[object]) -> tuple[str, ...]:
    """Texts without outer spaces, each once, in order; empty ones and nulls are left out."""
    return tuple(dict.fromkeys(_texts(values)))


def _texts(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        text = "" if value is None else " ".join(str(value).split())
        if text:
            yield text


def split_list(value: object, separator: str) -> tuple[str, ...]:
    """The values of a cell: a list, of texts or of objects with a ``name``, or a text that is split."""
    if value is None:
        return ()
    if isinstance(value, str):
        return distinct(value.split(separator) if separator else (value,))
    if isinstance(value, (list, tuple)):
        return distinct(_named(part) for part in value)
    return distinct((_named(value),))


def _named(part: object) -> object:
    """A text or number as it is, the name of an object; nothing that would be written as Python has it."""
    name = part.get("name") if isinstance(part, dict) else part
    return None if isinstance(name, (dict, list, tuple)) else name


def title_in_order(title: str) -> str:
    """A title with its article in front.

    >>> title_in_order("Third Man, The"), title_in_order("Good, the Bad")
    ('The Third Man', 'Good, the Bad')
    """
    found = _ARTICLE.fullmatch(title[:_LONGEST_TITLE])
    if found is None:
        return title
    article = found[2]
    return f"{article}{found[1]}" if article.endswith(("'", "’")) else f"{article} {found[1]}"
