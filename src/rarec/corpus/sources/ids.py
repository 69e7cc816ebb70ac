"""Ids as other publishers write them -> one spelling each, so that they meet."""

from __future__ import annotations

import re
from urllib.parse import unquote

_IMDB = re.compile(r"(?:.*/)?(?:tt)?0*([1-9][0-9]{0,9})(?:\.0)?/?")
_WHOLE = re.compile(r"0*([1-9][0-9]{0,11})(?:\.0)?")
_ENTITY = re.compile(r"(?:.*/)?(Q[1-9][0-9]{0,9})")
_WIKI = re.compile(r"(?:https?:)?//(?:(?P<language>[a-z-]+)\.)?(?:m\.)?wikipedia\.org/wiki/")
_ENGLISH = (None, "en", "www")


def imdb_id(value: object) -> str:
    """The id of a title at IMDb; empty if it is none.

    >>> imdb_id("tt0000012"), imdb_id(12), imdb_id("0000012"), imdb_id("nm0000012")
    ('tt0000012', 'tt0000012', 'tt0000012', '')
    """
    found = _IMDB.fullmatch(str(value).strip())
    return f"tt{int(found[1]):07d}" if found else ""


def number_id(value: object) -> str:
    """A number above 0 that names something, as text; empty if it is none.

    >>> number_id("12"), number_id(12.0), number_id("12.5"), number_id("")
    ('12', '12', '', '')
    """
    found = _WHOLE.fullmatch(str(value).strip())
    return found[1] if found else ""


def entity_id(value: object) -> str:
    """The id of an item of Wikidata, or of its address; empty if it is none.

    >>> entity_id("Q7"), entity_id("http://www.wikidata.org/entity/Q7"), entity_id("nan")
    ('Q7', 'Q7', '')
    """
    found = _ENTITY.fullmatch(str(value or "").strip())
    return found[1] if found else ""


def page_title(value: object) -> str:
    """The title of a page of Wikipedia, of its address or its part behind ``/wiki/``; empty if there is none.

    Titles of other languages than English have that of the language in front: they name other things.

    >>> page_title("https://en.wikipedia.org/wiki/Two_Words_(film)#Plot"), page_title("//fr.wikipedia.org/wiki/Deux")
    ('Two Words (film)', 'fr:Deux')
    """
    text = str(value or "").strip()
    address = _WIKI.match(text)
    text = (text[address.end() :] if address else text).partition("#")[0]
    title = " ".join(unquote(text).replace("_", " ").split())
    language = address["language"] if address else None
    return ("" if language in _ENGLISH or not title else f"{language}:") + title[:1].upper() + title[1:]
