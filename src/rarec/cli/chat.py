"""`rarec chat`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rarec.cli.command import command
from rarec.cli.console import interactive, out
from rarec.cli.options import LLM, STORE, BaseUrl, Count, FilterExpressions, Model, Store, Words, llm_flags

if TYPE_CHECKING:
    from rarec.cli.session import Session
    from rarec.pipeline import Recommender


@command
def chat(
    store: Store = STORE,
    n: Count = 10,
    filter: FilterExpressions = None,
    words: Words = True,
    llm: LLM = None,
    model: Model = None,
    base_url: BaseUrl = None,
) -> None:
    """Chat with the catalogue in the terminal.

    The reply is written as it arrives, followed by the numbered items. /help lists what can be typed, such as /why 2,
    /like 3 or /filter year>=2000. What your words ask for ("from the 90s, not horror") is shown and held
    to; /filters lists it. Without a terminal the lines of stdin are answered one after the other.

    Example: rarec chat --filter genres=Drama
    """
    from rarec.cli.filters import check_expressions, parse_filters
    from rarec.cli.opening import easer, filter_check, opened, vocabulary_of, word_reader
    from rarec.cli.session import Session

    check_expressions(filter or ())
    with opened(Path(store), flags=llm_flags(llm, model, base_url)) as recommender:
        session = Session(
            recommender,
            n=n,
            filters=parse_filters(filter or (), vocabulary=vocabulary_of(recommender)),
            check_filters=filter_check(recommender),
            understand=word_reader(recommender) if words else None,
            ease=easer(recommender),
            vocabulary=vocabulary_of(recommender),
        )
        if interactive():
            known = len(recommender.engine.index)
            out().print(f"{known:,} items. What are you in the mood for? /help lists commands.")
        converse(session, recommender)


def converse(session: Session, recommender: Recommender) -> None:
    """Run a session on the terminal, or on the lines of stdin."""
    from rarec.cli.chat_loop import ChatLoop, piped_lines, typed_lines

    catalogue = recommender.engine.catalogue
    loop = ChatLoop(
        session,
        titles=lambda mentions: {i.id: i for i in catalogue.get_many((m.item for m in mentions), missing="skip")},
    )
    loop.run(typed_lines() if interactive() else piped_lines())
