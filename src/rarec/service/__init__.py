"""The HTTP service: an OpenAI-compatible chat, recommendations and items, on top of everything else.

What the rooms below do is only asked for here: no ranking, no SQL, no prompt.
"""

from rarec.service.access import Access, Caller, OpenAccess
from rarec.service.app import create_app

__all__ = ["Access", "Caller", "OpenAccess", "create_app"]
