"""Ranking tasks -> messages for a language model; its answers -> rankings of what was offered."""

from rarec.prompt.parse import ParsedAnswer, parse
from rarec.prompt.ranking import ranking_request, read_ranking
from rarec.prompt.render import MAX_CHARS, answer_schema, check_task, label, render, render_titles, titles_schema
from rarec.prompt.reply import ReplyText, reply_text
from rarec.prompt.stream import ReplyStream
from rarec.prompt.template import PromptTemplate, TitlesTemplate, template_names
from rarec.prompt.text import middle_cut, one_line
from rarec.prompt.titles import NamedTitle, ParsedTitles, parse_titles

__all__ = [
    "MAX_CHARS",
    "NamedTitle",
    "ParsedAnswer",
    "ParsedTitles",
    "PromptTemplate",
    "ReplyStream",
    "ReplyText",
    "TitlesTemplate",
    "answer_schema",
    "check_task",
    "label",
    "middle_cut",
    "one_line",
    "parse",
    "parse_titles",
    "ranking_request",
    "read_ranking",
    "render",
    "render_titles",
    "reply_text",
    "template_names",
    "titles_schema",
]
