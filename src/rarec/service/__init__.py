"""The HTTP service: an OpenAI-compatible chat, recommendations and items, on top of everything else.

What the rooms below do is only asked for here: no ranking, no SQL, no prompt.
"""

from rarec.service.access import Access, Caller, KeyAccess
from rarec.service.app import create_app

__all__ = ["Access", "Caller", "KeyAccess", "create_app"]
