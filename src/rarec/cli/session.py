"""A chat as a state machine, without input or output."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal, Protocol

from rarec.cli.filters import parse_filters
from rarec.constraints.result import Constraint, Constraints
from rarec.constraints.vocabulary import Vocabulary
from rarec.errors import InputError
from rarec.prompt.naming import named_items
from rarec.types import Conversation, Filters, Mention, RankedItem, Recommendation, Turn

OnText = Callable[[str], None]
Understand = Callable[[Conversation], Constraints]
Ease = Callable[[Constraints, Conversation, Filters], Constraints]
SAID = {"liked": "I liked {}.", "disliked": "I did not like {}."}


class Recommends(Protocol):
    """What answers a conversation; `rarec.Recommender` does."""

    def reply(
        self,
        conversation: Conversation,
        *,
        n: int = ...,
        filters: Filters | None = ...,
        words: bool = ...,
        on_text: OnText | None = ...,
    ) -> Recommendation: ...


class Session:
    """A conversation that grows, with the filters and the list length of its answers.

    Each answer becomes an assistant's turn whose text is the reply and whose mentions are the shown items that the
    reply names by title. These count as mentioned, so they are not offered again; items that were shown without being
    named may come back.

    Whatever raises leaves the session as it was.

    Args:
        n: how many items an answer has.
        check_filters: raises InputError for filters that make no sense for the catalogue.
        understand: reads what the user's words ask for, which then holds beside the filters; None reads nothing.
        ease: lets earlier wishes go where all of them leave nothing beside the filters; None lets none go.
        vocabulary: of the catalogue, for filters that compare numbers.
    """

    def __init__(
        self,
        recommender: Recommends,
        *,
        n: int = 10,
        filters: Filters | None = None,
        check_filters: Callable[[Filters], None] | None = None,
        understand: Understand | None = None,
        ease: Ease | None = None,
        vocabulary: Callable[[], Vocabulary] | None = None,
    ) -> None:
        self._recommender, self._check = recommender, check_filters
        self._understand, self._ease, self._vocabulary = understand, ease, vocabulary
        self.understood = Constraints()
        self._dropped: set[str] = set()
        self.conversation = Conversation()
        self.last: Recommendation | None = None
        self.filters = Filters()
        self.n = 0
        self.set_length(n)
        self._use(filters or Filters())

    @property
    def waiting(self) -> bool:
        """Whether the user's last turn has not been answered yet, as after `feel`."""
        turns = self.conversation.turns
        return bool(turns) and turns[-1].role == "user"

    def ask(
        self,
        text: str = "",
        *,
        on_text: OnText | None = None,
        on_understood: Callable[[Constraints], None] | None = None,
    ) -> Recommendation:
        """Add the user's words, if any, and answer.

        Args:
            on_understood: receives what all words so far ask for, before the answer is looked for.
        Raises:
            RarecError: as the recommender does.
        """
        turns = self.conversation.turns + ((Turn("user", text),) if text.strip() else ())
        asked = replace(self.conversation, turns=turns)
        understood = self._understand(asked).without(self._dropped) if self._understand else Constraints()
        if self._ease is not None:
            understood = self._ease(understood, asked, self.filters)
        if on_understood is not None:
            on_understood(understood)
        filters = understood.on(self.filters)
        answer = self._recommender.reply(asked, n=self.n, filters=filters, words=False, on_text=on_text)
        self.understood = understood
        said = Turn("assistant", answer.reply, named_items(answer.reply, answer.items))
        self.conversation = replace(asked, turns=(*asked.turns, said))
        self.last = answer
        return answer

    def item(self, number: int) -> RankedItem:
        """The item of that 1-based number in the last answer.

        Raises:
            InputError: there is no such number.
        """
        shown = self.last.items if self.last else ()
        if not shown:
            raise InputError(f"no item {number!r}: nothing was recommended yet; ask for something first")
        if not 1 <= number <= len(shown):
            raise InputError(f"no item {number!r} in the last answer; its numbers are 1 to {len(shown)}")
        return shown[number - 1]

    def feel(self, number: int, sentiment: Literal["liked", "disliked"]) -> RankedItem:
        """Add a turn in which the user likes or dislikes a shown item; the next answer knows it.

        Raises:
            InputError: there is no such number.
        """
        ranked = self.item(number)
        before, _, behind = SAID[sentiment].partition("{}")
        title = ranked.item.title
        mention = Mention(ranked.item.id, sentiment, (len(before), len(before) + len(title)))
        turn = Turn("user", before + title + behind, (mention,))
        self.conversation = replace(self.conversation, turns=(*self.conversation.turns, turn))
        return ranked

    def add_filters(self, expressions: Iterable[str]) -> Filters:
        """Narrow what the next answers may contain; see `parse_filters`.

        Raises:
            InputError: an expression is wrong, or names an attribute that no item has.
        """
        self._use(parse_filters(expressions, base=self.filters, vocabulary=self._vocabulary))
        return self.filters

    def drop(self, number: int) -> Constraint:
        """Give up what was understood, by its number, from 1; the next answers do without it.

        Raises:
            InputError: there is no such number.
        """
        parts = self.understood.parts
        if not 1 <= number <= len(parts):
            raise InputError(f"there is no wish {number!r}; {len(parts)} are understood, /filters lists them")
        part = parts[number - 1]
        self._dropped.add(part.id)
        self.understood = self.understood.without({part.id})
        return part

    def clear_filters(self) -> None:
        """Allow everything again, also what the words so far ruled out."""
        self.filters = Filters()
        self._dropped |= {part.id for part in self.understood.parts}
        self.understood = Constraints()

    def set_length(self, n: int) -> None:
        """How many items the next answers have. Raises: InputError if it is not 1 to 1000."""
        if not 1 <= n <= 1000:
            raise InputError(f"an answer can have 1 to 1000 items, not {n!r}")
        self.n = n

    def reset(self) -> None:
        """Forget the conversation; filters and the list length stay."""
        self.conversation, self.last = Conversation(), None
        self.understood = Constraints()
        self._dropped.clear()

    def _use(self, filters: Filters) -> None:
        if self._check is not None:
            self._check(filters)
        self.filters = filters
