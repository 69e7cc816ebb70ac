"""Invented films, each from its number alone: no list of them is ever held, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Final, Literal

from rarec.errors import InputError
from rarec.testing.dumps import words

Planted = Literal["", "namesake", "twin", "remake", "tv", "duplicate"]
"""Why a thing is hard to tell from another: of another year; of the same year, or one beside it; a new film of the same
title, some of them a year or two later; a series of a film's title; one thing that stands twice in a source."""

SOURCES: Final = (
    "imdb", "tmdb", "kaggle", "tmdb_json", "tmdb_ids", "wikipedia", "extracts", "wikidata", "movielens", "cmu",
    "merged", "table",
)  # fmt: skip
"""Names of the dumps, and of the sources in the recipe that comes with them."""

_SHARES: Final = {
    "tmdb": 0.55, "kaggle": 0.1, "tmdb_json": 0.15, "tmdb_ids": 0.5, "wikipedia": 0.15, "extracts": 0.15,
    "wikidata": 0.4, "movielens": 0.2, "cmu": 0.1, "merged": 0.6, "table": 0.1,
}  # fmt: skip
_NO_IMDB: Final = 0.05
_BEFORE: Final = 7
"""Films are planted beside the one so many before them."""
_SHORT: Final = len(words.ADJECTIVES) * len(words.NOUNS)
_PLACES: Final = len(words.PLACE_STARTS) * len(words.PLACE_ENDS)
_MIDDLE: Final = len(words.NOUNS) * _PLACES
_LONG: Final = _SHORT * _PLACES
_STEP: Final = 1_000_003
"""A prime that divides no number of titles: steps of it reach each title once."""
_SYLLABLES: Final = 6
MAX_FILMS: Final = 4_000_000
FIRST_YEAR, LAST_YEAR = 1915, 2025


@dataclass(frozen=True, slots=True)
class DumpOptions:
    """What is invented. Shares are of the films, from 0 to 1.

    Attributes:
        films: how many things there are; series are among them.
        namesakes, twins, remakes: share that has the title of another film, see `Planted`.
        tv: share that is a series with the title of a film, known to IMDb alone.
        foreign: share with an original title in another language.
        duplicates: share that stands twice in the main TMDB dump.
        missing_ids: share of the ids of others that a source does not give.
        damaged: share of broken lines put between the good ones of text files.
        messy: share of years written as a range and of texts with HTML, in files where that happens.
        packed: whether text files are gzip archives, as published.
        first_id: added to the numbers of IMDb, TMDB and MovieLens, so that none is one of a real film.
    """

    films: int = 1000
    seed: int = 0
    namesakes: float = 0.03
    twins: float = 0.01
    remakes: float = 0.02
    tv: float = 0.02
    foreign: float = 0.3
    duplicates: float = 0.01
    missing_ids: float = 0.1
    damaged: float = 0.0
    messy: float = 0.0
    packed: bool = True
    first_id: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.films <= MAX_FILMS:
            raise InputError(f"films must be from 1 to {MAX_FILMS:,}, got {self.films!r}")
        shares = {
            name: getattr(self, name)
            for name in (
                "namesakes", "twins", "remakes", "tv", "foreign", "duplicates", "missing_ids", "damaged", "messy"
            )
        }  # fmt: skip
        if wrong := [f"{name} = {share!r}" for name, share in shares.items() if not 0 <= share <= 1]:
            raise InputError(f"shares must be from 0 to 1, got {', '.join(wrong)}")
        if self.namesakes + self.twins + self.remakes + self.tv > 1:
            raise InputError("namesakes, twins, remakes and tv together must be at most 1")
        if not 0 <= self.first_id <= 1_000_000_000:
            raise InputError(f"first_id must be from 0 to 1,000,000,000, got {self.first_id!r}")


@dataclass(frozen=True, slots=True)
class Film:
    """Something with a title.

    Attributes:
        number: from 0.
        title: in English.
        original: its title in its own language; the same as `title` for an English one.
        akas: titles in other languages: (language, title).
        kind: as IMDb says, ``movie`` or another.
        directors, cast: numbers of people, the most important first.
        sources: which dumps have it.
        imdb, tmdb, wikidata, movielens, freebase, page, page_number: what it is called there; empty where it has none.
        double: its other number in the main TMDB dump; 0 if it stands there once.
        votes: of IMDb; 0 if too few.
        plot, story: a short and a longer text.
        withheld: (source, namespace) pairs of ids that are left out.
        messy: its year is written as a range, its texts with HTML.
    """

    number: int
    title: str
    original: str
    akas: tuple[tuple[str, str], ...]
    year: int
    kind: str
    planted: Planted
    runtime: int
    genres: tuple[str, ...]
    keywords: tuple[str, ...]
    directors: tuple[int, ...]
    cast: tuple[int, ...]
    language: str
    sources: frozenset[str]
    imdb: str
    tmdb: int
    double: int
    wikidata: str
    movielens: int
    freebase: str
    page: str
    page_number: int
    votes: int
    plot: str
    story: str
    withheld: frozenset[tuple[str, str]]
    messy: bool

    def id_in(self, source: str, namespace: str) -> str:
        """An id of another publisher, as a source gives it; empty if it does not."""
        if (source, namespace) in self.withheld:
            return ""
        found = {
            "imdb": self.imdb, "tmdb": self.tmdb, "wikidata": self.wikidata, "freebase": self.freebase,
            "wikipedia": self.page,
        }[namespace]  # fmt: skip
        return str(found or "")


class World:
    """All films and people of some options."""

    def __init__(self, options: DumpOptions) -> None:
        self.options = options
        self.people = max(40, options.films // 2)

    @cached_property
    def _ids(self) -> int:
        """A power of two above the number of films: multiples of an odd number reach each residue once."""
        return 1 << max(10, (4 * self.options.films - 1).bit_length())

    def film(self, number: int) -> Film:
        """The film of a number from 0."""
        options = self.options
        rng = Random((options.seed << 32) + number)
        planted = self._planted(number)
        model = number - _BEFORE if planted else number
        title, title_number = _title(model), model
        year = self._year(number, planted)
        language, original = "en", title
        if rng.random() < options.foreign:
            language = rng.choice(tuple(words.SYLLABLES))
            original = foreign_title(title_number, language)
        tmdb = options.first_id + 1 + (number * 2_654_435_761 + 40_503) % self._ids
        sources = self._sources(rng, planted)
        place = _place(rng.randrange(_PLACES))
        return Film(
            number=number,
            title=title,
            original=original,
            akas=_akas(rng, title_number, language, original),
            year=year,
            kind="tvSeries" if planted == "tv" else "tvMovie" if rng.random() < 0.03 else "movie",
            planted=planted,
            runtime=rng.randrange(62, 190),
            genres=tuple(sorted(rng.sample(words.GENRES, rng.choice((1, 1, 2, 2, 3))))),
            keywords=tuple(rng.sample(words.KEYWORDS, rng.randrange(0, 5))),
            directors=self._some_people(rng, rng.choice((1, 1, 1, 1, 2))),
            cast=self._some_people(rng, rng.randrange(2, 7)),
            language=language,
            sources=sources,
            imdb="" if "imdb" not in sources else f"tt{options.first_id + 10_000 + 3 * number:07d}",
            tmdb=0 if planted == "tv" else tmdb,
            double=self._ids + tmdb if rng.random() < options.duplicates and "tmdb" in sources else 0,
            wikidata=f"Q{1_000_000 + (number * 40_503 + 7) % self._ids}",
            movielens=options.first_id + number + 1,
            freebase=f"/m/0{number:06x}",
            page=title if not planted else f"{title} ({year} {words.COUNTRIES[language][2]} {_what(planted)})",
            page_number=20_000 + (number * 69_069 + 5) % self._ids,
            votes=_votes(rng),
            plot=_plot(rng, place, sentences=2),
            story=_plot(rng, place, sentences=6),
            withheld=self._withheld(rng),
            messy=rng.random() < options.messy,
        )

    def person(self, number: int) -> str:
        """The name of somebody; a few people are called the same."""
        rng = Random(number * 7_919 + self.options.seed)
        middle = f" {rng.choice('ABDEFGHJKLMNPRST')}." if rng.random() < 0.3 else ""
        return f"{rng.choice(words.FIRST_NAMES)}{middle} {rng.choice(words.LAST_STARTS)}{rng.choice(words.LAST_ENDS)}"

    def names(self, numbers: Sequence[int]) -> list[str]:
        """The names of people, in order."""
        return [self.person(number) for number in numbers]

    def _planted(self, number: int) -> Planted:
        """A planted film stands behind one that is not: no title is used three times."""
        drawn, first = self._drawn(number), number
        while first >= _BEFORE and self._drawn(first):
            first -= _BEFORE
        return drawn if (number - first) // _BEFORE % 2 else ""

    def _drawn(self, number: int) -> Planted:
        options, at = self.options, Random(number * 104_729 + self.options.seed).random()
        shares: tuple[tuple[Planted, float], ...] = (
            ("namesake", options.namesakes), ("twin", options.twins), ("remake", options.remakes), ("tv", options.tv),
        )  # fmt: skip
        for planted, share in shares:
            if at < share:
                return planted
            at -= share
        return ""

    def _year(self, number: int, planted: Planted) -> int:
        rng = Random(number * 15_485_863 + self.options.seed)
        year = LAST_YEAR - min(LAST_YEAR - FIRST_YEAR, int(rng.expovariate(1 / 25)))
        if not planted:
            return year
        first = self._year(number - _BEFORE, "")
        if planted == "twin":
            return first + rng.choice((0, 0, 1))
        gaps = {"remake": (1, 1, 2, 2, 12, 25, 40), "namesake": range(4, 40), "tv": (0, 1, 2)}
        gap = rng.choice(gaps[planted])
        return first - gap if first + gap > LAST_YEAR or (planted == "namesake" and rng.random() < 0.5) else first + gap

    def _sources(self, rng: Random, planted: Planted) -> frozenset[str]:
        drawn = [name for name, share in _SHARES.items() if rng.random() < share]
        without = rng.random() < _NO_IMDB
        if planted == "tv":
            return frozenset(("imdb",))
        return frozenset({"tmdb", *drawn} if without else {"imdb", *drawn})

    def _withheld(self, rng: Random) -> frozenset[tuple[str, str]]:
        share = self.options.missing_ids
        return frozenset(pair for pair in _GIVEN if rng.random() < share)

    def _some_people(self, rng: Random, count: int) -> tuple[int, ...]:
        """Some are in many films, most in few."""
        return tuple(dict.fromkeys(int(self.people * rng.random() ** 2) for _ in range(count)))


_GIVEN: Final = (
    ("tmdb", "imdb"), ("kaggle", "imdb"), ("tmdb_json", "imdb"), ("tmdb_json", "wikidata"), ("wikidata", "imdb"),
    ("wikidata", "tmdb"), ("wikidata", "freebase"), ("wikidata", "wikipedia"), ("movielens", "tmdb"),
    ("merged", "tmdb"), ("table", "imdb"),
)  # fmt: skip
"""(source, namespace) of ids that a source says of others, and may leave out."""


def foreign_title(number: int, language: str) -> str:
    """The title of a number in a language; another number has another one."""
    syllables = words.SYLLABLES[language]
    parts: list[str] = []
    rest = number * _STEP % len(syllables) ** _SYLLABLES
    for _ in range(_SYLLABLES):
        rest, at = divmod(rest, len(syllables))
        parts.append(syllables[at])
    first, second = "".join(parts[:3]), "".join(parts[3:])
    return f"{first.capitalize()} {second.capitalize()}"


def _title(number: int) -> str:
    """The title of a number; another number has another one, with or without its article."""
    turn, of_ten = divmod(number, 10)
    article = "The " if number % 2 else ""
    if of_ten < 3 and (at := 3 * turn + of_ten) < _SHORT:
        return article + _short(at * _STEP % _SHORT)
    if of_ten < 6 and (at := 3 * turn + of_ten - 3) < _MIDDLE:
        noun, place = divmod(at * _STEP % _MIDDLE, _PLACES)
        return f"{article}{words.NOUNS[noun]} of {_place(place)}"
    short, place = divmod(number * _STEP % _LONG, _PLACES)
    return f"{article}{_short(short)} of {_place(place)}"


def _short(number: int) -> str:
    adjective, noun = divmod(number, len(words.NOUNS))
    return f"{words.ADJECTIVES[adjective]} {words.NOUNS[noun]}"


def _place(number: int) -> str:
    start, end = divmod(number, len(words.PLACE_ENDS))
    return words.PLACE_STARTS[start] + words.PLACE_ENDS[end]


def _akas(rng: Random, number: int, language: str, original: str) -> tuple[tuple[str, str], ...]:
    others = rng.sample(tuple(words.SYLLABLES), rng.choice((0, 0, 1, 2)))
    found = {other: foreign_title(number, other) for other in others if other != language}
    return tuple({**found, **({language: original} if language != "en" else {})}.items())


def _what(planted: Planted) -> str:
    return "TV series" if planted == "tv" else "film"


def _votes(rng: Random) -> int:
    votes = int(rng.lognormvariate(5.0, 2.2))
    return votes if votes >= 5 else 0


def _plot(rng: Random, place: str, *, sentences: int) -> str:
    first = f"In {place}, {rng.choice(words.HEROES)} {rng.choice(words.EVENTS)}."
    middle = [f"{rng.choice(words.TURNS)}." for _ in range(sentences - 1)]
    return " ".join([first, *middle, f"{rng.choice(words.ENDS)}."]).replace("{place}", place)
