"""Ranking tasks -> messages for a language model; its answers -> rankings of what was offered."""

from rarec.prompt.parse import ParsedAnswer, parse
from rarec.prompt.render import MAX_CHARS, answer_schema, check_task, label, render
from rarec.prompt.reply import ReplyText, reply_text
from rarec.prompt.stream import ReplyStream
from rarec.prompt.template import PromptTemplate, template_names
from rarec.prompt.text import middle_cut, one_line

__all__ = [
    "MAX_CHARS",
    "ParsedAnswer",
    "PromptTemplate",
    "ReplyStream",
    "ReplyText",
    "answer_schema",
    "check_task",
    "label",
    "middle_cut",
    "one_line",
    "parse",
    "render",
    "reply_text",
    "template_names",
]
