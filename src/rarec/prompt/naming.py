"""Which of the shown items a reply speaks of."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rarec.types import Mention, RankedItem


def named_items(reply: str, items: Iterable[RankedItem]) -> tuple[Mention, ...]:
    """The items whose titles a reply names, in order of appearance, each once, with its span.

    The longest title wins where two overlap. A title of one word must have its own capitals, or "it" and "her" would
    name films; a longer one may be written in any case.
    """
    found: list[Mention] = []
    taken: list[tuple[int, int]] = []
    for ranked in sorted(items, key=lambda r: -len(r.item.title)):
        title = " ".join(ranked.item.title.split())
        flags = re.IGNORECASE if " " in title else re.NOFLAG
        for match in re.finditer(rf"(?<!\w){re.escape(title)}(?!\w)", reply, flags):
            if all(match.end() <= start or end <= match.start() for start, end in taken):
                taken.append(match.span())
                found.append(Mention(ranked.item.id, span=match.span()))
                break
    return tuple(sorted(found, key=lambda mention: mention.span or (0, 0)))
