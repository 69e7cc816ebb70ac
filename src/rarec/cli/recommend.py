"""`rarec recommend`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import command
from rarec.cli.console import out, plain, print_json
from rarec.cli.options import (
    LLM,
    STORE,
    AsJson,
    BaseUrl,
    Count,
    FilterExpressions,
    Model,
    Store,
    Words,
    llm_flags,
)
from rarec.types import Recommendation

if TYPE_CHECKING:
    from rarec.constraints.result import Constraints


@command
def recommend(
    text: Annotated[str | None, typer.Argument(help="What the user says; the last turn of the conversation.")] = None,
    conversation: Annotated[
        str | None,
        typer.Option(metavar="FILE", help='JSON list of {"role", "content"}; - reads stdin.'),
    ] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="An item the user knows: ID, ID:liked or ID:disliked. May be repeated."),
    ] = None,
    n: Count = 10,
    filter: FilterExpressions = None,
    words: Words = True,
    llm: LLM = None,
    model: Model = None,
    base_url: BaseUrl = None,
    store: Store = STORE,
    as_json: AsJson = False,
) -> None:
    """Answer one conversation: items, reasons and a reply.

    The conversation is the history, then the turns of the file, then the text; each may be left out, and without any
    of them the answer is a mix to start with. With --json the whole answer is written, including timings, what was
    repaired in the model's answer, and whether it is degraded to the retriever's order. What the user's words ask for
    is shown and held to beside the filters.

    Example: rarec recommend "Something like Alien, but newer" --filter 'year>=2000' -n 5
    """
    from rarec.cli.conversation import conversation_of
    from rarec.cli.filters import check_expressions, parse_filters
    from rarec.cli.opening import easer, opened, vocabulary_of, word_reader
    from rarec.constraints.result import Constraints

    asked = conversation_of(text, conversation, history or ())
    check_expressions(filter or ())
    with opened(store, flags=llm_flags(llm, model, base_url)) as recommender:
        filters = parse_filters(filter or (), vocabulary=vocabulary_of(recommender))
        if history:  # a mistyped id would otherwise be skipped in silence
            recommender.engine.catalogue.get_many(m.item for m in asked.turns[0].mentions or ())
        understood = word_reader(recommender)(asked) if words else Constraints()
        understood = easer(recommender)(understood, asked, filters)
        answer = recommender.reply(asked, n=n, filters=understood.on(filters), words=False)
    if as_json:
        from rarec.cli.output import understood_document
        from rarec.documents import answer_document

        print_json({**answer_document(answer), "understood": understood_document(understood)})
    else:
        _show(answer, understood)


def _show(answer: Recommendation, understood: Constraints) -> None:
    from rarec.cli.output import degraded_line, items_table, timings_line

    console = out()
    if summary := understood.summary():
        console.print(plain(f"Understood: {summary}   (--no-words to ignore it)"), style="dim")
    if answer.items:
        console.print(items_table(answer))
        console.print()
    console.print(plain(answer.reply))
    if not answer.items and understood.hard:
        console.print(plain(f"To loosen: say less than {understood.loosenings()[0].label!r}, or --no-words."))
    if note := degraded_line(answer):
        console.print(note, style="yellow")
    console.print(timings_line(answer), style="dim")
