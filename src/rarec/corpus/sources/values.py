"""What stands in the cells of dumps -> values: years, plain text out of HTML, lists, numbers, titles."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Iterator

from rarec.catalogue.validation import YEAR_MAX, YEAR_MIN, shortened

_WHOLE = re.compile(r"[+-]?[0-9]{1,4}(?:\.0{1,6})?")
_DATE = re.compile(r"([0-9]{4})-[0-9]{1,2}(?:-[0-9]{1,2})?(?:[T ].*)?")
_FOUR = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")
_SPACES = re.compile(r"[ \t\r\f\v\u00a0]+")
_LINES = re.compile(r" ?\n[ \n]*")
_BLOCKS = frozenset((
    "address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li",
    "ol", "p", "pre", "table", "td", "th", "tr", "ul",
))  # fmt: skip
_INLINE = (
    "a", "abbr", "acronym", "aside", "audio", "b", "bdi", "bdo", "big", "body", "button", "caption", "center", "cite",
    "code", "col", "colgroup", "data", "del", "details", "dfn", "em", "embed", "figcaption", "figure", "font", "footer",
    "form", "head", "header", "html", "i", "iframe", "img", "input", "ins", "kbd", "label", "link", "main", "mark",
    "meta", "nav", "nobr", "noscript", "nowiki", "object", "param", "picture", "q", "ref", "rp", "rt", "ruby", "s",
    "samp", "section", "small", "source", "span", "strike", "strong", "sub", "summary", "sup", "svg", "tbody", "tfoot",
    "thead", "time", "title", "tt", "u", "var", "video", "wbr",
)  # fmt: skip
# What only looks like a tag (a name that is none, no end) is text: to take it out would lose what stands behind it.
_TAG = re.compile(
    rf"""</?({"|".join((*_BLOCKS, *_INLINE, "script", "style", "template", "[a-z]+:[a-z]+"))})"""
    r"""(?:\s(?:"[^"]{0,2000}"|'[^']{0,2000}'|[^<>"'])*+)?/?>""",
    re.IGNORECASE,
)
_UNSEEN = re.compile(
    r"<!--.{0,10000}?-->|<(script|style|template|title)\b[^<>]*>.{0,10000}?</\1\s*>|<!doctype[^<>]*>",
    re.IGNORECASE | re.DOTALL,
)
_REFERENCE = re.compile(r"&#?[a-zA-Z0-9]{2,31};")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")
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
    >>> plain_text("if a <b or c, run")
    ('if a <b or c, run', False)
    """
    text = text.replace("\r\n", "\n")
    if "<" not in text and "&" not in text:
        return text.strip(), False
    plain = _TAG.sub(lambda tag: "\n" if tag[1].lower() in _BLOCKS else "", _UNSEEN.sub("", text))
    plain = _REFERENCE.sub(lambda reference: html.unescape(reference[0]), plain)
    if plain == text:
        return text.strip(), False
    return _LINES.sub("\n", _SPACES.sub(" ", plain)).strip(), True


def is_nothing(value: object) -> bool:
    """Whether a cell is empty, as any tool writes it."""
    return value is None or str(value).strip().casefold() in _NOTHING


def number_of(value: object) -> float | None:
    """A finite number of at least 0; None for anything else.

    >>> number_of("1,234"), number_of("12.5"), number_of("12,5"), number_of(-1), number_of("nan")
    (1234.0, 12.5, None, None, None)
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        text = str(value).strip()
        number = float(text.replace(",", "") if _GROUPED.fullmatch(text) else text)
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
