"""Rules: the words of one turn -> what they ask for, refuse and take back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from rarec.catalogue.folding import words_of
from rarec.constraints.atoms import MAX_CHARACTERS, Atom, atoms_of, people
from rarec.constraints.events import Event, Subject, TakeBack, Want
from rarec.constraints.lexicon import key, lexicon, singular, spoken_names, unit_of
from rarec.constraints.numbers import Amount, amounts_in
from rarec.constraints.result import YEAR, Constraint, Unenforced, flag_label, values_label, years_label
from rarec.constraints.vocabulary import Meaning, Sort, Span, Vocabulary

_WEAK_WISHES = frozenset(("any", "some", "more", "next"))
_MOST_NAMESAKES = 8
_MOST_AMOUNTS = 20  # of a turn; each looks at all numbers of its attribute
_LONGEST_CLAUSE = 100  # atoms; so that looking around in it keeps the time linear in the text
_FEWEST = 10  # a keyword that fewer items have is a lean: it would leave less than an answer
_ENDS_A_KIND = frozenset(
    ("comma", "trail", "link", "fine", "refused", "soft", "subject", "person", "wish", "negation", "also")
)
_INTRODUCES = frozenset(("negation", "wish", "drop", "only", "like", "also", "soft"))
_INDEFINITE = ("a", "an", "some", "good")
_MAKERS = ("by", "starring")
_JOINS = ("and", "or", "plus", "as well as")
_PLACES = ("in", "at", "on", "about")  # behind what is inside a thing, as in "and a dog in it"
_ADDS = frozenset(("and", "or", "plus"))  # at the beginning of a turn
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
        self._numeric = _names_of_numbers(vocabulary.numeric)
        self._attributes = self._numeric | self._attributes

    def read(self, text: str, turn: int, titles: Sequence[tuple[int, int]] = ()) -> list[Event]:
        """The events of a turn in order of appearance; see `rarec.constraints.understand`."""
        text = text[:MAX_CHARACTERS]
        words = words_of(text)
        amounts = {a.first: a for a in islice(amounts_in(text, words, self._numeric), _MOST_AMOUNTS)}
        bounds = frozenset(at for a in amounts.values() if a.bound for at in range(a.first, a.last + 1))
        events: list[Event] = []
        for atoms in _clauses(atoms_of(text, self._vocabulary, titles)):
            reader = _ClauseReader(self._vocabulary, self._attributes, text, turn, _Clause(atoms), bounds)
            events += reader.read()
            covered = range(atoms[0].first, atoms[-1].last + 1)
            for at in covered:
                if at in amounts and reader.tells_a_wish:
                    events += reader.amount(amounts[at], words.starts, words.ends)
        return events


def _names_of_numbers(attributes: Sequence[str]) -> dict[str, str]:
    """What people call attributes of numbers -> these; "price" is also the only one that counts money."""
    names: dict[str, str] = {}
    counted: dict[str, list[str]] = {}
    for attribute in attributes:
        for name in spoken_names(attribute):
            names.setdefault(name, attribute)
        if known := unit_of(attribute):
            counted.setdefault(known[0].name, []).append(attribute)
    for unit in lexicon().units:
        if len(only := counted.get(unit.name, [])) == 1:
            names = {name: only[0] for name in unit.attributes} | names
    return names


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
        self,
        vocabulary: Vocabulary,
        attributes: dict[str, str],
        text: str,
        turn: int,
        clause: _Clause,
        bounds: frozenset[int],
    ) -> None:
        self._vocabulary, self._attributes, self._bounds = vocabulary, attributes, bounds
        self._text, self._turn, self._clause = text, turn, clause
        self._lexicon = lexicon()
        wishes = [i for i, a in enumerate(clause.atoms) if "wish" in a.does and a.text not in _WEAK_WISHES]
        reports = [i for i, a in enumerate(clause.atoms) if "report" in a.does]
        takes_back = clause.has("drop", "fine")
        self._from = wishes[0] if wishes and reports and reports[0] < wishes[0] else 0
        aside = clause.has("aside") and not clause.has("drop")
        self.tells_a_wish = not aside and (bool(wishes) or not reports or takes_back)
        first = clause.atoms[0]
        self._adds = first.first == 0 and first.text in _ADDS  # "and a bench"
        adds_a_thing = self._adds and any("light" in a.does for a in clause.atoms[1:2])
        self._states = clause.has("states") and not wishes and not clause.has("wish") and not adds_a_thing
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
            if not self._counts(clause.atoms[at]):
                self._take(at)
        if subject := self._subject():
            clause.events.append(subject)
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

    def _counts(self, atom: Atom) -> bool:
        """Whether it is part of a bound, such as "not over 50 euros", whose words do nothing else."""
        return atom.years is None and atom.first in self._bounds

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
        clause = self._clause
        means = self._licensed(at)
        if not means:
            return False
        attribute = means[0].attribute
        values = tuple(dict.fromkeys(m.value for m in means))
        flag = self._vocabulary.sort(attribute) is Sort.FLAG
        if clause.unsure or clause.blocked:
            clause.blocked = False
        elif clause.drop:
            clause.events.append(TakeBack(attribute, () if flag else values))
        elif self._fine_behind(at):
            clause.events.append(TakeBack(attribute) if flag else TakeBack(attribute, values, only_negated=True))
        else:
            self._wish(at, self._constraint(at, attribute, means))
            behind = clause.behind(at)
            if flag and not (behind is not None and "link" in behind.does):
                self._settle()  # "not hardy plants" are plants
        return True

    def _constraint(self, at: int, attribute: str, means: Sequence[Meaning]) -> Constraint:
        """What a value asks for where it stands."""
        atom, values = self._clause.atoms[at], tuple(dict.fromkeys(m.value for m in means))
        negated = self._clause.neg or self._refused_behind(at)
        soft = not negated and (at > self._likes_from or self._states or atom.near)
        sort = self._vocabulary.sort(attribute)
        if not negated and sort is Sort.WIDE:
            soft = soft or sum(map(self._vocabulary.count, means)) < _FEWEST
        hard = not (soft or self._soft(at))
        label = values_label(values, negated=negated)
        if sort is Sort.FLAG:
            label = flag_label(attribute, negated=negated)
            if negated and (no := self._vocabulary.flag(attribute, negated=True)):
                values, negated = no, False
        return Constraint(attribute, values, label, self._turn, atom.span, negated, hard=hard)

    def _wish(self, at: int, constraint: Constraint) -> None:
        """Ask for it, beside what the same words ask for."""
        clause = self._clause
        also = not constraint.negated and (self._adds or any("also" in a.does for a in clause.atoms))
        other = self._unread_half(at, constraint)
        if other is not None:
            constraint = replace(constraint, hard=False)
            clause.events = [_as_lean(event, constraint.attribute) for event in clause.events]
        if self._joins_the_one_before(at, constraint):
            before = clause.events.pop()
            assert isinstance(before, Want)
            clause.events.append(replace(before, constraint=replace(before.constraint, required=True)))
            constraint = replace(constraint, required=True)
        clause.events.append(Want(constraint, also))
        if other is not None:
            why = f"no value is called this; {constraint.label!r} alone would leave it out, and is a lean"
            clause.events.append(Unenforced(self._text[slice(*other.span)], why, self._turn, other.span))

    def _unread_half(self, at: int, wish: Constraint) -> Atom | None:
        """Of "herbs and tomatoes" the half that is no value: a filter on the other half alone would shut it out."""
        clause = self._clause
        if wish.negated or not wish.hard or self._vocabulary.sort(wish.attribute) is not Sort.NARROW:
            return None
        ahead: Sequence[Atom] = clause.atoms[at + 1 :]
        while ahead and "noun" in ahead[0].does and not ahead[0].means:
            ahead = ahead[1:]
        if ahead and ahead[0].does & {"link", "comma"}:
            others, article = _past_articles(ahead[1:])
            ends = len(others) < 2 or bool(others[1].does & _ENDS_A_KIND) or others[1].first in self._bounds
            last = len(others) < 2 or bool(others[1].does & {"link", "comma"})
            listed = "link" in ahead[0].does or (len(others) > 1 and "link" in others[1].does)
            if others and listed and ends and self._says_nothing(others[0]):
                plural = _is_plural(others[0].text) or (last and _is_plural(clause.atoms[at].text))
                return others[0] if article or plural else None
        back, article = _past_articles(clause.atoms[:at][::-1])
        if len(back) > 1 and "link" in back[0].does and back[0].text in _JOINS and self._says_nothing(back[1]):
            return back[1] if article or _is_plural(back[1].text) else None
        return None

    def _subject(self) -> Subject | None:
        """What "and a bench to sit on" or "a lemon tree instead" names, if it is no value and titles have it."""
        clause, vocabulary = self._clause, self._vocabulary
        rest, article = _past_articles(clause.atoms[int(self._adds) :])
        if not article or not (self._adds or any(a.text == "instead" for a in clause.atoms)):
            return None
        count = 0
        while count < len(rest) and self._says_nothing(rest[count]):
            count += 1
        behind = rest[count] if count < len(rest) else None
        if not count or (behind is not None and behind.text in _PLACES):
            return None
        if not vocabulary.in_titles(singular(rest[count - 1].text)):
            return None
        span = rest[0].span[0], rest[count - 1].span[1]
        kinds = tuple(name for name in vocabulary.attributes if vocabulary.sort(name) in (Sort.NARROW, Sort.WIDE))
        return Subject(self._text[slice(*span)], self._turn, span, kinds)

    def _says_nothing(self, atom: Atom) -> bool:
        """Whether it is a word of its own that the vocabulary does not know."""
        nothing = not (atom.does or atom.means or atom.years) and atom.first not in self._bounds
        return nothing and atom.text.isalpha() and len(atom.text) > 2 and atom.text not in self._lexicon.function

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
        narrow = by_sort.get(Sort.NARROW, []) or by_sort.get(Sort.FLAG, [])
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
        before, behind, means = clause.before(at), clause.behind(at), clause.atoms[at].means
        if behind is not None and "noun" in behind.does and not behind.means:
            return True
        if self._introduced(at, "drop"):
            return True
        ends = behind is None or bool(behind.does & _ENDS_A_KIND or behind.years or behind.means)
        ends = ends or (behind is not None and behind.first in self._bounds)
        if not ends:
            return False
        if before is None or "comma" in before.does or (at == 1 and before.text in _INDEFINITE):
            return behind is None or behind.text not in _STATES
        if before.means or before.years or before.does & _INTRODUCES:
            return True
        if self._introduced(at, "negation") and any(key(m.value) == key(clause.atoms[at].text) for m in means):
            return True  # "not the roses"
        if "link" in before.does and at >= 2:
            return bool(clause.atoms[at - 2].means)
        if "subject" in before.does:
            asked = at >= 2 and bool(clause.atoms[at - 2].does & {"wish", "noun"})  # "something with spies"
            return before.text not in _LOOSE_SUBJECTS or asked
        if not before.does and at >= 2:  # an adjective: "a light comedy"
            return clause.atoms[at - 2].text in _INDEFINITE
        asked = clause.has("wish", "negation", "like", "soft")
        return bool(before.does & {"light", "filler"}) and before.text != "the" and asked

    def _introduced(self, at: int, kind: str) -> bool:
        """Whether such a word stands before, with no more than "the" or the like between: "forget the roses"."""
        place = at - 1
        while place >= 0 and "light" in self._clause.atoms[place].does:
            place -= 1
        return place >= 0 and kind in self._clause.atoms[place].does

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
        """A number that is asked for: the values that pass, or why none can be told."""
        span = starts[amount.first], ends[amount.last]
        text = self._text[slice(*span)]
        counts = amount.unit is not None and amount.unit.covers
        if not amount.bound and not counts:  # "a 90 minute film" is hardly meant to the minute
            if amount.unit is not None and amount.unit.usual and not self._clause.has("states"):
                yield Unenforced(text, "say whether it is the most or the least", self._turn, span)
            return
        atom = next(i for i, a in enumerate(self._clause.atoms) if a.last >= amount.first)
        before = self._clause.before(atom)
        if (before is not None and before.text in ("about", "after")) or "title" in self._clause.atoms[atom].does:
            return
        attribute, why = amount.attribute, ""
        if amount.unit is None and not attribute:
            attribute, why = self._most_likely(amount, atom)
        known = self._known_numbers(amount, attribute)
        name = amount.unit.name if amount.unit is not None else attribute
        if not known:
            why = why or ("" if counts or not name else f"no item says its {name}")
            if amount.bound and why:
                yield Unenforced(text, why, self._turn, span)
            return
        passing = [meaning for meaning, value in known if _passes(value, amount)]
        if not passing:
            yield Unenforced(text, f"no item has such {name}", self._turn, span)
            return
        said = key(text).split()[-1]
        home = next((m.attribute for m in passing if key(m.attribute).split()[-1:] == [said]), passing[0].attribute)
        values = tuple(m.value for m in passing if m.attribute == home)
        unit = amount.unit.name if amount.unit is not None else _own_unit(home)
        label = _amount_label(amount, unit) if unit else f"{home} {_amount_label(amount, '')}"
        yield Want(Constraint(home, values, label, self._turn, span, hard=not self._soft(atom)), narrows=amount.bound)

    def _known_numbers(self, amount: Amount, attribute: str) -> list[tuple[Meaning, Span]]:
        """The values that the number may be about, with what they say in its unit."""
        if amount.unit is None:
            return list(self._vocabulary.spans(attribute)) if attribute else []
        known = list(self._vocabulary.numbers(amount.unit))
        return [one for one in known if one[0].attribute == attribute] or known

    def _most_likely(self, amount: Amount, atom: int) -> tuple[str, str]:
        """The attribute that a bound without unit and name is about; empty, and why, if that cannot be told.

        Both are empty where the words are most likely no wish: "more than one film", "I am under 30".
        """
        clause, vocabulary = self._clause, self._vocabulary
        inside = [a for a in clause.atoms if amount.first <= a.last and a.first <= amount.last]
        behind = clause.atoms[clause.atoms.index(inside[-1]) + 1 :][:1]
        if any(a.years is not None and a.years.cued for a in inside) or any(
            "noun" in a.does or a.means for a in behind
        ):
            return "", ""
        if clause.has("states") and not clause.has("wish"):
            return "", ""
        counted = any(not a.does & _ENDS_A_KIND or a.text == "of" for a in behind)
        if counted:
            return "", f"no item says its {behind[0].text}"
        before = clause.before(atom)
        usual = [name for name in vocabulary.numeric if (unit := unit_of(name)) is not None and unit[0].usual]
        homes = usual if len(usual) == 1 else vocabulary.numeric
        if len(homes) == 1 and (before is None or before.does or before.means or before.years):
            return homes[0], ""
        names = " or ".join(vocabulary.numeric)
        return "", f"say of what: {names}" if names else "no item says a number"

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


def _as_lean(event: Event, attribute: str) -> Event:
    """A wish for values of an attribute as a lean; anything else as it is."""
    if isinstance(event, Want) and event.constraint.attribute == attribute and not event.constraint.negated:
        return replace(event, constraint=replace(event.constraint, hard=False))
    return event


def _past_articles(atoms: Sequence[Atom]) -> tuple[Sequence[Atom], bool]:
    """What follows "a", "some" or the like, and whether there was one."""
    count = 0
    while count < len(atoms) and "light" in atoms[count].does:
        count += 1
    return atoms[count:], count > 0


def _is_plural(text: str) -> bool:
    last = text.split()[-1]
    return singular(last) != last


def _passes(value: Span, amount: Amount) -> bool:
    covers = amount.unit is not None and amount.unit.covers
    low, high = amount.low, amount.high
    if covers and low is not None and high is not None:
        return value.low <= low and value.high >= high
    least = value.high if covers else value.low
    if amount.strict:
        return (low is None or least > low) and (high is None or value.high < high)
    return (low is None or least >= low) and (high is None or value.high <= high)


def _own_unit(attribute: str) -> str:
    """The unit in which the values of an attribute are written, if its name says so."""
    known = unit_of(attribute)
    return known[0].name if known is not None and known[1] == 1 else ""


def _amount_label(amount: Amount, unit: str) -> str:
    low, high, behind = amount.low, amount.high, f" {unit}" if unit else ""
    if low is not None and high is not None:
        return f"{low:g}{behind}" if low == high else f"{low:g}-{high:g}{behind}"
    words = ("over", "under") if amount.strict else ("at least", "at most")
    return f"{words[0]} {low:g}{behind}" if low is not None else f"{words[1]} {high:g}{behind}"
