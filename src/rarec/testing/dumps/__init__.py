"""Invented dumps of films in the real formats, with the truth about which records are the same film."""

from rarec.testing.dumps.films import SOURCES, DumpOptions
from rarec.testing.dumps.writing import DAMAGE, RECIPE, TRUTH, write_dumps

__all__ = ["DAMAGE", "RECIPE", "SOURCES", "TRUTH", "DumpOptions", "write_dumps"]
