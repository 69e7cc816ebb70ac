"""Conversational recommendation over your own catalogue, with any LLM."""

__version__ = "0.1.0"
