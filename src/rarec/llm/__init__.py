"""Language models behind one method."""

from rarec.llm.dialect import Dialect
from rarec.llm.http import HttpLLM, HttpOptions
from rarec.llm.protocol import LLM, OnText

__all__ = ["LLM", "Dialect", "HttpLLM", "HttpOptions", "OnText"]
