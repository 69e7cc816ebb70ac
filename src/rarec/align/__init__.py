"""Alignment: the retriever learns from what the language model could use."""
