"""Results -> a page, a table in the terminal, a table in the documentation."""

from rarec.evaluate.reports.html import write_html
from rarec.evaluate.reports.markdown import markdown_generation, markdown_notes, markdown_table
from rarec.evaluate.reports.terminal import render

__all__ = ["markdown_generation", "markdown_notes", "markdown_table", "render", "write_html"]
