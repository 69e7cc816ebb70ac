"""Top-n search over items under filters."""

from rarec.index.exact import ExactIndex
from rarec.index.protocol import Hits, Index

__all__ = ["ExactIndex", "Hits", "Index"]
