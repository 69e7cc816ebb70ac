"""Conversations as they are when serving."""

from __future__ import annotations

from dataclasses import replace

from rarec.types import Conversation


def as_served(conversation: Conversation) -> Conversation:
    """Without the sentiments of its mentions, which a linker does not know; itself where there are none."""
    if all(mention.sentiment == "mentioned" for mention in conversation.mentions()):
        return conversation
    turns = tuple(
        replace(
            t, mentions=None if t.mentions is None else tuple(replace(m, sentiment="mentioned") for m in t.mentions)
        )
        for t in conversation.turns
    )
    return replace(conversation, turns=turns)
