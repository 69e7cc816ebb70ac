"""What the items of a catalogue are like: how full, how alike, and which of them look wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rarec.corpus.either import Items
from rarec.corpus.origins import Origins, origins_of
from rarec.corpus.signs import has_control_characters, has_html, has_mojibake, script_of
from rarec.corpus.tallies import Hashes, Lengths, Names, hash_of, quantile_of
from rarec.progress import OnProgress
from rarec.types import Item

EXAMPLES = 8
MEMBERS = 4
MANY = 3
"""A text that so many items share says little of any of them."""
_LEAST_MARGIN = 10
_LANGUAGES = ("language", "languages", "lang")

FINDINGS: Mapping[str, str] = {
    "shared text": f"The text is that of {MANY} items or more.",
    "title is the text": "The text says nothing but the title.",
    "nothing but a title": "Neither text nor attributes: nothing to be found by.",
    "HTML": "A tag or a character reference is left in the title or the text.",
    "mojibake": "UTF-8 was read as another encoding, or characters were lost.",
    "control characters": "Characters that nobody sees stand in the title or the text.",
    "title without a letter": "The title has neither a letter nor a digit.",
    "title far longer": "The title is more than three times as long as 99 % of them are, and over 100 characters.",
    "year ahead": "The year lies more than a year ahead of when the corpus was made.",
    "year far from the rest": "The year lies as far again from the first or last hundredth as that from the median.",
}


@dataclass(frozen=True, slots=True)
class Filled:
    """A field: how many items have it, how many values these have on average, and how many items have it of a source.

    Attributes:
        sources: source -> items; empty where no evidence says it.
    """

    name: str
    items: int
    values: float
    sources: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Group:
    """Items that are alike: how many, what they share, and the first few as lines."""

    items: int
    shared: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alike:
    """How many groups of items are alike, how many items are in them, and some of them."""

    groups: int
    items: int
    examples: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Items that look wrong: a key of `FINDINGS`, how many, and the first few as lines."""

    kind: str
    items: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """Everything that the report says.

    Attributes:
        fields: title, year, text, popularity (filled: above 0), then attributes by how many items have them.
        sources: source -> how many items have a record of it; empty without evidence.
        title_year: items of one title, case aside, and one year (or none).
        same_text: items with the same text, word for word.
        languages: as an attribute says; empty if none does.
        scripts: of titles and the beginning of texts.
        years: year -> items.
        text_quantiles: quantile -> length of the text in characters, of items that have one.
        text_lengths: (from, up to and without, items); the first is of items without text.
        year_fences: outside of these a year counts as far from the rest; None without years.
        findings: every kind, those without items too.
    """

    name: str
    made: str
    items: int
    fields: tuple[Filled, ...]
    sources: Mapping[str, int]
    title_year: Alike
    same_text: Alike
    languages: Mapping[str, int]
    scripts: Mapping[str, int]
    years: Mapping[int, int]
    text_quantiles: Mapping[float, float]
    text_lengths: tuple[tuple[int, int, int], ...]
    year_fences: tuple[int, int] | None
    findings: tuple[Finding, ...]


def examine(items: Items, tell: OnProgress) -> Quality:
    """Look at all items, twice at most; memory grows by some twenty bytes an item.

    Raises:
        InputError, StoreError: the items cannot be read.
    """
    first = _First()
    for item in items.read(lambda done, total: tell("Look at the items", done, total, "")):
        first.take(item)
    second = _Second(first, this_year=_year_of(items.made))
    if second.needed:
        for item in items.read(lambda done, total: tell("Find examples", done, total, "")):
            second.take(item)
    origins = Origins({}, {}) if items.evidence is None else origins_of(items.evidence, tell)
    return Quality(
        name=items.name,
        made=items.made,
        items=first.items,
        fields=first.fields(origins.fields),
        sources=origins.items,
        title_year=second.title_year.found(),
        same_text=second.same_text.found(),
        languages=first.languages.counts(),
        scripts=first.scripts.counts(),
        years=dict(sorted(first.years.items())),
        text_quantiles=first.text_lengths.quantiles(),
        text_lengths=((0, 1, first.items - first.filled["text"]), *first.text_lengths.histogram()[1:]),
        year_fences=second.fences,
        findings=second.findings(),
    )


def line_of(item: Item) -> str:
    """``ID  Title (year)``."""
    return f"{item.id}  {item.title}" + ("" if item.year is None else f" ({item.year})")


class _Findings:
    """Counts and first examples by kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, kind: str, item: Item) -> None:
        self.counts[kind] += 1
        lines = self.examples.setdefault(kind, [])
        if len(lines) < EXAMPLES:
            lines.append(line_of(item))


class _First:
    """What one look at every item tells."""

    def __init__(self) -> None:
        self.items = 0
        self.filled: Counter[str] = Counter()
        self.values: Counter[str] = Counter()
        self.years: Counter[int] = Counter()
        self.text_lengths, self.title_lengths = Lengths(), Lengths()
        self.title_years, self.texts = Hashes(), Hashes()
        self.languages, self.scripts = Names(), Names()
        self.findings = _Findings()

    def take(self, item: Item) -> None:
        self.items += 1
        self.filled.update(
            [
                "title",
                *(["year"] if item.year is not None else []),
                *(["text"] if item.text.strip() else []),
                *(["popularity"] if item.popularity > 0 else []),
            ]
        )
        for name, values in item.attributes.items():
            if values:
                self.filled[f"attributes.{name}"] += 1
                self.values[f"attributes.{name}"] += len(values)
            if name.casefold() in _LANGUAGES:
                for value in values:
                    self.languages.add(value)
        if item.year is not None:
            self.years[item.year] += 1
        self.title_lengths.add(len(item.title))
        self.title_years.add(title_year_hash(item))
        if item.text.strip():
            self.text_lengths.add(len(item.text))
            self.texts.add(hash_of(item.text))
        self.scripts.add(script_of(f"{item.title} {item.text[:200]}") or "none")
        for kind in _kinds_of(item):
            self.findings.add(kind, item)

    def fields(self, sources: Mapping[str, Mapping[str, int]]) -> tuple[Filled, ...]:
        own = ("title", "year", "text", "popularity")
        others = sorted((name for name in self.filled if name not in own), key=lambda name: (-self.filled[name], name))
        return tuple(
            Filled(
                name,
                self.filled[name],
                self.values[name] / self.filled[name] if self.values[name] else float(bool(self.filled[name])),
                dict(sources.get(name, {})),
            )
            for name in (*own, *others)
        )


def title_year_hash(item: Item) -> int:
    """Equal for items of one title, case and white space aside, and one year."""
    return hash_of(" ".join(item.title.casefold().split()), item.year)


def _kinds_of(item: Item) -> list[str]:
    """What can be seen by looking at one item alone."""
    title, text = item.title, item.text
    has_attributes = any(item.attributes.values())
    seen = {
        "title is the text": bool(text.strip()) and text.strip().casefold() == title.strip().casefold(),
        "nothing but a title": not text.strip() and not has_attributes,
        "HTML": has_html(title) or has_html(text),
        "mojibake": has_mojibake(title) or has_mojibake(text),
        "control characters": has_control_characters(title) or has_control_characters(text),
        "title without a letter": not any(map(str.isalnum, title)),
    }
    return [kind for kind, is_so in seen.items() if is_so]


class _Chosen:
    """Members of some groups, found on the second look."""

    def __init__(self, hashes: Hashes, *, largest: bool, shared: Callable[[Item], str]) -> None:
        self._repeated = hashes.repeated(EXAMPLES, largest=largest)
        self._shared = shared
        self._members: dict[int, list[str]] = {value: [] for value in self._repeated.chosen}
        self._what: dict[int, str] = {}

    @property
    def any(self) -> bool:
        return bool(self._members)

    def take(self, value: int, item: Item) -> None:
        if value in self._members:
            self._what.setdefault(value, self._shared(item))
            if len(self._members[value]) < MEMBERS:
                self._members[value].append(line_of(item))

    def found(self) -> Alike:
        groups = (
            Group(count, self._what.get(value, ""), tuple(self._members[value]))
            for value, count in self._repeated.chosen.items()
        )
        return Alike(self._repeated.groups, self._repeated.items, tuple(groups))


class _Second:
    """What only stands out against all the others."""

    def __init__(self, first: _First, *, this_year: int) -> None:
        self.title_year = _Chosen(first.title_years, largest=False, shared=lambda item: item.title)
        self.same_text = _Chosen(first.texts, largest=True, shared=lambda item: item.text[:160])
        self.fences = year_fences(first.years)
        self._latest = this_year + 1
        longest = first.title_lengths.quantiles().get(0.99, 0.0)
        self._longest = max(100.0, 3 * longest)
        self._many = first.texts.repeated(first.items, largest=True, least=MANY)
        self._findings = first.findings
        self._first = first

    @property
    def needed(self) -> bool:
        """Whether there is anything to find."""
        years = self._first.years
        low, high = self.fences or (0, 0)
        strange = bool(years) and (min(years) < low or max(years) > min(high, self._latest))
        long = self._first.title_lengths.quantiles().get(1.0, 0.0) > self._longest
        return self.title_year.any or self.same_text.any or strange or long

    def take(self, item: Item) -> None:
        self.title_year.take(title_year_hash(item), item)
        if item.text.strip():
            value = hash_of(item.text)
            self.same_text.take(value, item)
            if value in self._many.chosen:
                self._findings.add("shared text", item)
        if len(item.title) > self._longest:
            self._findings.add("title far longer", item)
        if item.year is None or self.fences is None:
            return
        if item.year > self._latest:
            self._findings.add("year ahead", item)
        elif not self.fences[0] <= item.year <= self.fences[1]:
            self._findings.add("year far from the rest", item)

    def findings(self) -> tuple[Finding, ...]:
        counts, examples = self._findings.counts, self._findings.examples
        return tuple(Finding(kind, counts[kind], tuple(examples.get(kind, ()))) for kind in FINDINGS)


def year_fences(years: Mapping[int, int]) -> tuple[int, int] | None:
    """The first and last hundredth, each moved out by its distance to the median (ten years at least); None if empty.

    >>> year_fences({1950: 1, 2000: 98, 2020: 1})
    (1900, 2010)
    """
    if not years:
        return None
    low, middle, high = (quantile_of(years, share) for share in (0.01, 0.5, 0.99))
    return low - max(_LEAST_MARGIN, middle - low), high + max(_LEAST_MARGIN, high - middle)


def _year_of(made: str) -> int:
    return int(made[:4]) if made[:4].isdecimal() else datetime.now(UTC).year
