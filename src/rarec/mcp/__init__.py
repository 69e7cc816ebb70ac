"""The tools of the service for agents, over the Model Context Protocol; see docs/mcp.md.

What they do is asked of the rooms below, as the HTTP API asks it: the same limits, sessions, words and books.
"""

from rarec.mcp.http import http_app
from rarec.mcp.stdio import run_stdio

__all__ = ["http_app", "run_stdio"]
