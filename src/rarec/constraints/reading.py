"""Rules: the words of one turn -> what they ask for, refuse and take back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from rarec.catalogue.folding import words_of
from rarec.constraints.atoms import MAX_CHARACTERS, Atom, atoms_of, people
from rarec.constraints.events import Event, TakeBack, Want
from rarec.constraints.lexicon import key, lexicon, singular
from rarec.constraints.numbers import Amount, amounts_in
from rarec.constraints.result import YEAR, Constraint, Unenforced, values_label, years_label
from rarec.constraints.vocabulary import Meaning, Sort, Vocabulary

_WEAK_WISHES = frozenset(("any", "some", "more", "next"))
_MOST_NAMESAKES = 8
_LONGEST_CLAUSE = 100  # atoms; so that looking around in it keeps the time linear in the text
_FEWEST = 10  # a keyword that fewer items have is a lean: it would leave less than an answer
_ENDS_A_KIND = frozenset(
    ("comma", "trail", "link", "fine", "refused", "soft", "subject", "person", "wish", "negation", "also")
)
_INTRODUCES = frozenset(("negation", "wish", "drop", "only", "like", "also", "soft"))
_INDEFINITE = ("a", "an", "some", "good")
_MAKERS = ("by", "starring")
_STATES = ("is", "are", "on", "in", "that", "this", "where", "would", "has", "around")
_LOOSE_SUBJECTS = ("with", "has", "have", "on", "around")
_CARRIES = frozenset(("filler", "light", "subject", "person", "noun", "link", "comma"))
_UNSURE_WORDS = 4  # between a negation and a value, until the negation is forgotten


@dataclass(slots=True)
class _Clause:
    atoms: list[Atom]
    neg: bool = False
    drop: bool = False
    unsure: int = 0
    blocked: bool = False
    events: list[Event] = field(default_factory=list[Event])

    def has(self, *kinds: str) -> bool:
        return any(atom.does & set(kinds) for atom in self.atoms)

    def before(self, at: int) -> Atom | None:
        return self.atoms[at - 1] if at else None

    def behind(self, at: int) -> Atom | None:
        return self.atoms[at + 1] if at + 1 < len(self.atoms) else None


class TurnReader:
    """Reads the turns of one user against one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._lexicon = lexicon()
        self._attributes = {key(name): name for name in vocabulary.attributes}
        self._attributes |= {word: YEAR for word in ("year", "decade", "era", "age", "date")}

    def read(self, text: str, turn: int, titles: Sequence[tuple[int, int]] = ()) -> list[Event]:
        """The events of a turn in order of appearance; see `rarec.constraints.understand`."""
        text = text[:MAX_CHARACTERS]
        words = words_of(text)
        amounts = {a.first: a for a in amounts_in(text, words)}
        events: list[Event] = []
        for atoms in _clauses(atoms_of(text, self._vocabulary, titles)):
            reader = _ClauseReader(self._vocabulary, self._attributes, text, turn, _Clause(atoms))
            events += reader.read()
            covered = range(atoms[0].first, atoms[-1].last + 1)
            for at in covered:
                if at in amounts and reader.tells_a_wish:
                    events += reader.amount(amounts[at], words.starts, words.ends)
        return events


def _clauses(atoms: Sequence[Atom]) -> Iterator[list[Atom]]:
    clause: list[Atom] = []
    for atom in atoms:
        ends = atom.does & {"break", "turn"} and not atom.means
        if clause and (ends or len(clause) == _LONGEST_CLAUSE):
            yield clause
            clause = []
        if not ends:
            clause.append(atom)
    if clause:
        yield clause


class _ClauseReader:
    def __init__(
        self, vocabulary: Vocabulary, attributes: dict[str, str], text: str, turn: int, clause: _Clause
    ) -> None:
        self._vocabulary, self._attributes = vocabulary, attributes
        self._text, self._turn, self._clause = text, turn, clause
        self._lexicon = lexicon()
        wishes = [i for i, a in enumerate(clause.atoms) if "wish" in a.does and a.text not in _WEAK_WISHES]
        reports = [i for i, a in enumerate(clause.atoms) if "report" in a.does]
        takes_back = clause.has("drop", "fine")
        self._from = wishes[0] if wishes and reports and reports[0] < wishes[0] else 0
        aside = clause.has("aside") and not clause.has("drop")
        self.tells_a_wish = not aside and (bool(wishes) or not reports or takes_back)
        self._states = clause.has("states") and not wishes and not clause.has("wish")
        likes = [i for i, a in enumerate(clause.atoms) if "like" in a.does]
        self._likes_from = likes[0] if likes and not wishes else len(clause.atoms)

    def read(self) -> list[Event]:
        if not self.tells_a_wish:
            return []
        clause = self._clause
        if clause.has("everything"):
            return [TakeBack(None)]
        if event := self._any_of_all():
            return [event]
        for at in range(self._from, len(clause.atoms)):
            self._take(at)
        return clause.events

    def _any_of_all(self) -> Event | None:
        """ "any year is ok", "forget the genre", "the language doesn't matter"."""
        atoms = self._clause.atoms
        for at, atom in enumerate(atoms):
            name = self._attributes.get(singular(atom.text))
            if name is None or atom.means or atom.years:
                continue
            before = [a for a in atoms[max(0, at - 3) : at] if a.does & {"any", "drop"}]
            fine = any("fine" in a.does for a in atoms[at + 1 : at + 3])
            dont_care = any("care" in a.text for a in atoms[max(0, at - 4) : at])
            if fine or dont_care or before:
                return TakeBack(name)
        return None

    def _take(self, at: int) -> None:
        atom = self._clause.atoms[at]
        if atom.years is not None:
            self._year(at)
        elif not ((atom.means or self._surname(at)) and self._value(at)):
            self._move(at)

    def _move(self, at: int) -> None:
        """What a word that is no value does to the state."""
        clause, atom = self._clause, self._clause.atoms[at]
        does = atom.does
        if "vague" in does:
            why = "say from which year on"
            clause.events.append(Unenforced(self._text[slice(*atom.span)], why, self._turn, atom.span))
        elif "drop" in does:
            clause.drop, clause.neg = True, False
        elif "harmless" in does:
            clause.blocked, clause.neg = True, False
        elif "negation" in does:
            clause.neg, clause.unsure = True, 0
        elif self._ends_a_list(at):
            self._settle()
        elif clause.neg and not does & _CARRIES:
            clause.unsure += 1
            if clause.unsure > _UNSURE_WORDS:
                self._settle()

    def _ends_a_list(self, at: int) -> bool:
        """Whether what stood before, such as a negation, does not speak of what follows."""
        clause, atom = self._clause, self._clause.atoms[at]
        if "only" in atom.does:
            return True
        if "comma" in atom.does:
            return clause.unsure > 0 or not self._list_goes_on(at)
        if "link" in atom.does:
            behind = clause.behind(at)
            return atom.text in ("and", "plus") and (behind is None or not behind.means)
        return "wish" in atom.does and atom.text not in _WEAK_WISHES and "filler" not in atom.does

    def _settle(self) -> None:
        self._clause.neg = self._clause.drop = self._clause.blocked = False
        self._clause.unsure = 0

    def _list_goes_on(self, at: int) -> bool:
        """Whether a comma stands inside "horror, war or romance": values only, and a link before the last."""
        clause = self._clause
        before = clause.before(at)
        if before is None or not before.means:
            return False
        linked = False
        for atom in clause.atoms[at + 1 :]:
            if "link" in atom.does and not atom.means:
                linked = True
            elif atom.means:
                if linked:
                    return True
            elif "comma" not in atom.does:
                return False
        return False

    # Values

    def _value(self, at: int) -> bool:
        """Take a value, if it is one here."""
        clause, atom = self._clause, self._clause.atoms[at]
        means = self._licensed(at)
        if not means:
            return False
        attribute = means[0].attribute
        values = tuple(dict.fromkeys(m.value for m in means))
        if clause.unsure or clause.blocked:
            clause.blocked = False
            return True
        if clause.drop:
            clause.events.append(TakeBack(attribute, values))
            return True
        if self._fine_behind(at):
            clause.events.append(TakeBack(attribute, values, only_negated=True))
            return True
        negated = clause.neg or self._refused_behind(at)
        soft = not negated and (at > self._likes_from or self._states or atom.near)
        if not negated and self._vocabulary.sort(attribute) is Sort.WIDE:
            soft = soft or sum(map(self._vocabulary.count, means)) < _FEWEST
        hard = not (soft or self._soft(at))
        constraint = Constraint(
            attribute, values, values_label(values, negated=negated), self._turn, atom.span, negated, hard=hard
        )
        also = any("also" in a.does for a in clause.atoms) and not negated
        if self._joins_the_one_before(at, constraint):
            before = clause.events.pop()
            assert isinstance(before, Want)
            clause.events.append(replace(before, constraint=replace(before.constraint, required=True)))
            constraint = replace(constraint, required=True)
        clause.events.append(Want(constraint, also))
        return True

    def _joins_the_one_before(self, at: int, new: Constraint) -> bool:
        """Whether both values are meant at once: "horror comedy", "with Tom Hanks and Meg Ryan"."""
        clause = self._clause
        last = clause.events[-1] if clause.events else None
        if not isinstance(last, Want) or len(new.values) != 1 or new.negated:
            return False
        old = last.constraint
        if (old.attribute, old.hard, old.negated, len(old.values)) != (new.attribute, new.hard, False, 1):
            return False
        together = at > 0 and clause.atoms[at - 1].span == old.span
        linked = at > 1 and clause.atoms[at - 1].text == "and" and clause.atoms[at - 2].span == old.span
        return together or (linked and self._vocabulary.sort(new.attribute) is Sort.PEOPLE)

    def _licensed(self, at: int) -> tuple[Meaning, ...]:
        """The values that the words mean here, all of one attribute; none if they are most likely just words."""
        atom = self._clause.atoms[at]
        by_sort: dict[Sort, list[Meaning]] = {}
        for meaning in atom.means:
            if self._vocabulary.count(meaning):
                by_sort.setdefault(self._vocabulary.sort(meaning.attribute), []).append(meaning)
        before = self._clause.before(at)
        if before is not None and "own" in before.does:
            return ()
        narrow = by_sort.get(Sort.NARROW, [])
        if narrow and (not self._ordinary(atom.text) or self._as_category(at)):
            return self._of_one_attribute(narrow)
        wide = by_sort.get(Sort.WIDE, [])
        if wide and self._as_subject(at):
            return self._of_one_attribute(narrow or wide)
        named = by_sort.get(Sort.PEOPLE, [])
        if named and (self._asks_for_people(at) if " " in atom.text else self._is_surname(at)):
            return self._in_role(at, named)
        if not atom.means:
            return self._surname(at)
        return () if narrow else self._inside(atom, as_category=self._as_category(at))

    def _inside(self, atom: Atom, *, as_category: bool) -> tuple[Meaning, ...]:
        """The category within words that are no keyword here: "a black comedy", "a war film"."""
        words = atom.text.split() if " " in atom.text else []
        for at in range(len(words) - 1, -1, -1):
            as_kind = "noun" in self._lexicon.cues.get(" ".join(words[at + 1 :]), ())
            if self._ordinary(words[at]) and not as_kind and not (as_category and at == len(words) - 1):
                continue
            found = self._vocabulary.find(singular(words[at]))
            if narrow := [m for m in found if self._vocabulary.sort(m.attribute) is Sort.NARROW]:
                return self._of_one_attribute(narrow)
        return ()

    def _of_one_attribute(self, means: Sequence[Meaning]) -> tuple[Meaning, ...]:
        if not means:
            return ()
        home = means[0].attribute  # exact spellings come first
        return tuple(m for m in means if m.attribute == home)

    def _ordinary(self, text: str) -> bool:
        """Whether the words may well stand there without meaning a value: an everyday word, or only function words."""
        words = text.split()
        common = self._lexicon.ordinary if len(words) == 1 else self._lexicon.function
        return all(singular(word) in common or len(word) < 3 for word in words)

    def _as_category(self, at: int) -> bool:
        """Whether an ordinary word is used as a kind: "a war movie", "some action, please", "not family"."""
        clause = self._clause
        before, behind = clause.before(at), clause.behind(at)
        if behind is not None and "noun" in behind.does and not behind.means:
            return True
        ends = behind is None or bool(behind.does & _ENDS_A_KIND or behind.years or behind.means)
        if not ends:
            return False
        if before is None or "comma" in before.does or (at == 1 and before.text in _INDEFINITE):
            return behind is None or behind.text not in _STATES
        if before.means or before.years or before.does & _INTRODUCES:
            return True
        if "link" in before.does and at >= 2:
            return bool(clause.atoms[at - 2].means)
        if "subject" in before.does:
            asked = at >= 2 and bool(clause.atoms[at - 2].does & {"wish", "noun"})  # "something with spies"
            return before.text not in _LOOSE_SUBJECTS or asked
        if not before.does and at >= 2:  # an adjective: "a light comedy"
            return clause.atoms[at - 2].text in _INDEFINITE
        asked = clause.has("wish", "negation", "like", "soft")
        return bool(before.does & {"light", "filler"}) and before.text != "the" and asked

    def _as_subject(self, at: int) -> bool:
        """Whether a keyword is asked for: "about revenge", "heist movies", "no zombies", "set in Paris"."""
        clause = self._clause
        behind, place = clause.behind(at), at - 1
        if behind is not None and "noun" in behind.does and not behind.means:
            return True
        if " " in clause.atoms[at].text:
            first, *_, last = clause.atoms[at].text.split()
            kind = "light" not in self._lexicon.cues.get(first, ())
            kind = kind and "noun" in self._lexicon.cues.get(last, ()) and clause.has("wish", "like", "negation")
            if kind or self._stands_alone(at):
                return True
        while place >= 0 and clause.atoms[place].does & {"light"} and not clause.atoms[place].does & {"subject"}:
            place -= 1
        if place < 0:
            return False
        before = clause.atoms[place]
        if before.does & {"subject", "negation", "drop"}:
            return before.text not in ("with", "has", "have", "on", "around") or not self._ordinary(
                clause.atoms[at].text
            )
        if before.does & {"link", "comma"} and place:
            earlier = clause.atoms[place - 1]
            return bool(earlier.means) and self._as_subject(place - 1)
        return False

    def _stands_alone(self, at: int) -> bool:
        """Whether it is all that stands between commas."""
        before, behind = self._clause.before(at), self._clause.behind(at)
        return (before is None or "comma" in before.does) and (behind is None or "comma" in behind.does)

    # People

    def _person_cue(self, at: int) -> str:
        """The words before a name that say it is one: "by", "starring"; empty if there are none."""
        place = at - 1
        while place >= 0 and (self._clause.atoms[place].does & {"link"} or self._clause.atoms[place].means):
            place -= 1
        before = self._clause.atoms[place] if place >= 0 else None
        return before.text if before is not None and "person" in before.does else ""

    def _asks_for_people(self, at: int) -> bool:
        """Whether a full name is wished for or refused, and not just spoken of: "is Jim Carrey in that?"."""
        clause = self._clause
        if clause.neg or clause.drop or clause.has("wish", "like", "refused", "soft", "fine"):
            return True
        if clause.has("states"):
            return False
        others = (atom for place, atom in enumerate(clause.atoms) if place != at)
        known = all(atom.does or atom.means or atom.years for atom in others)
        return known or (bool(self._person_cue(at)) and clause.has("noun"))

    def _is_surname(self, at: int) -> bool:
        """Whether one word behind a cue may be a name: "by Hitchcock", but not "with you"."""
        atom = self._clause.atoms[at]
        cue, word = self._person_cue(at), singular(atom.text)
        if not cue or " " in word or len(word) < 3 or word in self._lexicon.ordinary or "title" in atom.does:
            return False
        return (cue.endswith(_MAKERS) or self._text[atom.span[0]].isupper()) and self._asks_for_people(at)

    def _surname(self, at: int) -> tuple[Meaning, ...]:
        if not self._is_surname(at):
            return ()
        found = people(self._vocabulary, self._vocabulary.surname(singular(self._clause.atoms[at].text)))
        return self._in_role(at, found) if found else ()

    def _in_role(self, at: int, named: Sequence[Meaning]) -> tuple[Meaning, ...]:
        """Of people of one name: in the attribute that the cue speaks of, else where most items are; the best known."""
        counts = {m: self._vocabulary.count(m) for m in named}
        total: dict[str, int] = {}
        for meaning, count in counts.items():
            total[meaning.attribute] = max(total.get(meaning.attribute, 0), count)
        cue = self._person_cue(at).split()
        roles: tuple[str, ...] = ()
        while cue and not roles:
            roles, cue = self._lexicon.roles.get(" ".join(cue), ()), cue[1:]
        home = next((name for name in roles if name in total), max(total, key=lambda name: total[name]))
        here = sorted((m for m in named if m.attribute == home), key=lambda m: -counts[m])
        if len(here) > 1 and (len(here) > _MOST_NAMESAKES or counts[here[0]] >= 3 * counts[here[1]]):
            here = here[:1]
        return tuple(here)

    # Years

    def _year(self, at: int) -> None:
        clause, atom = self._clause, self._clause.atoms[at]
        years = atom.years
        assert years is not None
        text = self._text[slice(*atom.span)]
        behind, before = clause.behind(at), clause.before(at)
        neighbour = (behind and (behind.means or behind.does & {"noun"})) or (before and before.means)
        if not years.cued and not neighbour and not clause.neg and not clause.drop:
            return
        if clause.drop:
            clause.events.append(TakeBack(YEAR))
            return
        if self._fine_behind(at):
            return
        if clause.unsure:
            return
        low, high = years.low, years.high
        negated = clause.neg or self._refused_behind(at)
        if negated and (low is None or high is None):
            low, high, negated = (
                (None, low - 1, False) if low is not None else (high + 1 if high else None, None, False)
            )
        if negated:
            why = f"years cannot be left out ({years_label(low, high)}); only a first and a last year can be given"
            clause.events.append(Unenforced(text, why, self._turn, atom.span))
        elif not self._vocabulary.has_years:
            clause.events.append(Unenforced(text, "no item has a year", self._turn, atom.span))
        else:
            hard = not (years.loose or at > self._likes_from or self._soft(at))
            label = years_label(low, high)
            clause.events.append(
                Want(Constraint(YEAR, (), label, self._turn, atom.span, year_min=low, year_max=high, hard=hard))
            )

    # Numbers

    def amount(self, amount: Amount, starts: Sequence[int], ends: Sequence[int]) -> Iterator[Event]:
        """A number with a unit: the values that pass, or that the catalogue has none."""
        span = starts[amount.first], ends[amount.last]
        unit = amount.unit
        if not amount.bound and not unit.covers:
            return  # "a 90 minute film" is hardly meant to the minute
        atom = next(i for i, a in enumerate(self._clause.atoms) if a.last >= amount.first)
        before = self._clause.before(atom)
        if before is not None and before.text in ("about", "after"):
            return
        known = list(self._vocabulary.numbers(unit))
        if not known:
            if amount.bound and not unit.covers:
                yield Unenforced(self._text[slice(*span)], f"no item says its {unit.name}", self._turn, span)
            return
        low, high = amount.low, amount.high
        passing = [m for m, value in known if _passes(value.low, value.high, low, high, covers=unit.covers)]
        if not passing:
            yield Unenforced(self._text[slice(*span)], f"no item has such {unit.name}", self._turn, span)
            return
        home = passing[0].attribute
        values = tuple(m.value for m in passing if m.attribute == home)
        label = _amount_label(low, high, unit.name)
        yield Want(Constraint(home, values, label, self._turn, span, hard=not self._soft(atom)))

    # What stands around

    def _soft(self, at: int) -> bool:
        """Whether "preferably", "if possible" or the like speaks of this part: up to the commas around it."""
        atoms = self._clause.atoms
        first, last = at, at
        while first > 0 and "comma" not in atoms[first - 1].does:
            first -= 1
        while last + 1 < len(atoms) and "comma" not in atoms[last + 1].does:
            last += 1
        if any("soft" in atom.does for atom in atoms[first : last + 1]):
            return True
        if first == 2 and "soft" in atoms[0].does:
            return True
        behind = atoms[last + 2 :]
        return bool(behind) and "soft" in behind[0].does and (len(behind) == 1 or "comma" in behind[1].does)

    def _fine_behind(self, at: int) -> bool:
        return self._behind_list(at, "fine")

    def _refused_behind(self, at: int) -> bool:
        return self._behind_list(at, "refused")

    def _behind_list(self, at: int, kind: str) -> bool:
        for atom in self._clause.atoms[at + 1 :]:
            if kind in atom.does:
                return True
            if not (atom.means or atom.years or atom.does & {"link", "noun"}):
                return False
        return False


def _passes(first: float, last: float, low: float | None, high: float | None, *, covers: bool) -> bool:
    if covers and low is not None and high is not None:
        return first <= low and last >= high
    return (low is None or (last if covers else first) >= low) and (high is None or last <= high)


def _amount_label(low: float | None, high: float | None, unit: str) -> str:
    if low is not None and high is not None:
        return f"{low:g} {unit}" if low == high else f"{low:g}-{high:g} {unit}"
    return f"at least {low:g} {unit}" if low is not None else f"at most {high:g} {unit}"
