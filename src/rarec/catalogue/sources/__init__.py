"""Readers of published catalogues, one a file."""

from rarec.catalogue.sources.corpus import corpus_items

__all__ = ["corpus_items"]
