"""Lines of ReDial's own files -> conversations."""

from __future__ import annotations

import html
import re
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass

from rarec.conversations.data_set import Watch
from rarec.conversations.lines import Record
from rarec.types import Conversation, ItemId, Mention, Role, Sentiment, Turn

SENTIMENT: Mapping[int, Sentiment] = {0: "disliked", 1: "liked", 2: "mentioned"}
"""ReDial's answers to "did you like it"."""

_MARK = re.compile(r"@(\d+)")


@dataclass(frozen=True, slots=True)
class Movies:
    """What is known of ReDial's movie ids beside the dialogues.

    Attributes:
        titles: movie id -> "Title (year)".
        ids: movie id -> item; None makes the movie ids the item ids.
    """

    titles: dict[str, str]
    ids: Mapping[str, ItemId] | None = None

    def item(self, movie: str) -> ItemId | None:
        """The item of a movie id; None if it could not be mapped."""
        return ItemId(movie) if self.ids is None else self.ids.get(movie)


def official_conversation(record: Record, movies: Movies, watch: Watch) -> Conversation:
    """One dialogue; "@12345" becomes the film's title, and a mention that spans it.

    Who began the dialogue is the seeker. `movieMentions` and the two questionnaires may be objects by movie id,
    or, as converted copies have them, lists of objects with a ``movieId``. A mark that neither the dialogue nor
    `movies` knows a title for stays as it is, and is no mention.

    Raises:
        InputError: a field is missing or wrong; it is named.
    """
    titles = ChainMap(mentioned_titles(record), movies.titles)
    sentiments = _sentiments(record)
    roles: dict[str, Role] = {record.name("respondentWorkerId"): "assistant", record.name("initiatorWorkerId"): "user"}
    turns = []
    for message in record.records("messages"):
        text, found = _marked(message.text("text"), titles)
        mentions = []
        for movie, span in found:
            item = movies.item(movie)
            watch.mention(mapped=item is not None)
            if item is not None:
                mentions.append(Mention(item, sentiments.get(movie, "mentioned"), span))
        sender = message.name("senderWorkerId")
        if sender not in roles:
            raise message.error("senderWorkerId", f"{sender!r} is neither the initiator nor the respondent")
        turns.append(Turn(roles[sender], text, tuple(mentions)))
    return Conversation(tuple(turns), id=official_id(record))


def official_id(record: Record) -> str:
    """The id that the merged files give the same dialogue."""
    return f"redial_{record.name('conversationId')}"


def mentioned_titles(record: Record) -> dict[str, str]:
    """Movie id -> "Title (year)", of a dialogue's `movieMentions`; a film without a title is left out."""
    value = record.get("movieMentions")
    titles: dict[str, str] = {}
    if isinstance(value, dict):
        mentions = record.record("movieMentions")
        titles = {movie: mentions.text(movie) for movie in mentions.value if mentions.has(movie)}
    elif value is not None:
        found = record.records("movieMentions")
        titles = {m.name("movieId"): m.text("movieName") for m in found if m.has("movieName")}
    return {movie: " ".join(html.unescape(title).split()) for movie, title in titles.items() if title.strip()}


def _marked(text: str, titles: Mapping[str, str]) -> tuple[str, list[tuple[str, tuple[int, int]]]]:
    """The text with titles for marks, and where each film stands in it."""
    parts: list[str] = []
    found: list[tuple[str, tuple[int, int]]] = []
    length = end = 0
    for match in _MARK.finditer(text):
        movie = match[1]
        if movie not in titles:
            continue
        before = html.unescape(text[end : match.start()])
        length += len(before)
        found.append((movie, (length, length + len(titles[movie]))))
        parts += (before, titles[movie])
        length += len(titles[movie])
        end = match.end()
    return "".join((*parts, html.unescape(text[end:]))), found


def _sentiments(record: Record) -> dict[str, Sentiment]:
    """Movie id -> what the seeker answered, or else the recommender."""
    found: dict[str, Sentiment] = {}
    for field in ("respondentQuestions", "initiatorQuestions"):  # the seeker's come last and win
        for movie, answer in _answers(record, field).items():
            if not answer.has("liked"):
                continue
            code = answer.whole("liked")
            if code not in SENTIMENT:
                raise answer.error("liked", f"is {code!r}; ReDial's codes are 0 no, 1 yes, 2 did not say")
            found[movie] = SENTIMENT[code]
    return found


def _answers(record: Record, field: str) -> dict[str, Record]:
    if not record.has(field):
        return {}
    if isinstance(record.get(field), dict):
        answers = record.record(field)
        return {movie: answers.record(movie) for movie in answers.value}
    return {answer.name("movieId"): answer for answer in record.records(field)}
