"""Parts of a split that stay the same whatever is read beside them."""

from __future__ import annotations

import hashlib


def held_back(dialogue: str, share: float) -> bool:
    """Whether a training conversation is kept from supervised training, for alignment to learn from.

    It hangs on the conversation's id alone, so training and alignment agree without a list of ids.

    Args:
        dialogue: id of the conversation.
        share: of all conversations, from 0 (none) to 1 (all).
    """
    digest = hashlib.sha256(f"held back {dialogue}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64
