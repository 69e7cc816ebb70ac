"""Opening a store for answering turns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarec.cli.console import err, plain
from rarec.cli.progress import counting

if TYPE_CHECKING:
    from rarec.constraints import Constraints, Vocabulary
    from rarec.pipeline import Recommender
    from rarec.settings import LLMSettings, ServeSettings
    from rarec.state import Key
    from rarec.types import Conversation, Filters

_LISTED = 5


@contextmanager
def opened(store: Path, *, flags: Mapping[str, Any] | None = None) -> Iterator[Recommender]:
    """A recommender over the store; items without a vector are embedded first, with a progress bar.

    Raises:
        StoreError, BundleError, SettingsError, MissingExtra, EmbedderError: each says what to do.
    """
    from rarec.pipeline import Recommender

    with counting("Embedding items", unit="texts") as progress:
        recommender = Recommender.open(store, flags=flags, progress=progress)
    with recommender:
        # The embedder loads its model on its first query; that belongs here, not into the first turn's deadline.
        recommender.engine.embedder.embed(["ready"], kind="query")
        if note := key_note(recommender.settings.llm):
            err().print(note, style="yellow")
        yield recommender


def key_note(settings: LLMSettings) -> str:
    """That OpenAI would be asked without a key, which it refuses; else nothing. Other servers may need none."""
    from rarec.llm.http import OPENAI_URL, URL_VARIABLE

    if settings.kind != "http" or os.environ.get(settings.api_key_env):
        return ""
    if (settings.base_url or os.environ.get(URL_VARIABLE) or OPENAI_URL).rstrip("/") != OPENAI_URL:
        return ""
    return (
        f"Warning: the environment variable {settings.api_key_env} is not set, so OpenAI will refuse to answer, and "
        "every list will be the retriever's alone (degraded). Set it, or name another endpoint with --base-url."
    )


def prices_note(settings: LLMSettings, keys: Sequence[Key]) -> str:
    """That the model will not be asked for some keys: a ceiling is in dollars, and nobody knows what a call costs."""
    from rarec.state import in_money

    named = [key.name for key in keys if key.revoked is None and in_money(key.limits)]
    if settings.priced or not named:
        return ""
    shown = ", ".join(named[:_LISTED]) + (f" and {len(named) - _LISTED} more" if len(named) > _LISTED else "")
    return (
        f"Warning: ceilings in usd ({plain(shown)}), but the prices of the model are not known: a model that is paid "
        "will not be asked for them, and every list will be the retriever's alone (degraded). Set input_usd and "
        "output_usd in the table [llm] of rarec.toml (US dollars for a million tokens), or make keys with ceilings "
        "of calls or tokens."
    )


def filter_check(recommender: Recommender) -> Callable[[Filters], None]:
    """What raises InputError for filters that the catalogue cannot have, before they are used."""
    import numpy as np

    index = recommender.engine.index

    def check(filters: Filters) -> None:
        index.search(np.zeros((1, index.dimension), np.float32), n=1, filters=filters)

    return check


def vocabulary_of(recommender: Recommender) -> Callable[[], Vocabulary]:
    """What gives the vocabulary of the live catalogue, which is read when it is first needed."""
    return lambda: recommender.engine.vocabulary


def easer(recommender: Recommender) -> Callable[[Constraints, Conversation, Filters], Constraints]:
    """What lets earlier wishes go where all of them leave nothing of the live catalogue beside filters."""
    from rarec.constraints import eased

    engine = recommender.engine

    def ease(found: Constraints, conversation: Conversation, on: Filters) -> Constraints:
        return eased(found, conversation, on=on, leaves_any=lambda filters: engine.leaves_any(filters, conversation))

    return ease


def word_reader(recommender: Recommender) -> Callable[[Conversation], Constraints]:
    """What reads the constraints of a conversation, whose turns it links; rules, in terms of the live catalogue."""
    from rarec.constraints import understand

    engine = recommender.engine

    def read(conversation: Conversation) -> Constraints:
        engine.refresh()
        return understand(engine.link(conversation), engine.vocabulary)

    return read


def service_database(place: str) -> str | Path:
    """The database of a service: that of a store in a folder, or the place itself, a URL or a file."""
    from rarec.settings import StorePaths, read_settings

    if "://" in place or Path(place).is_file():
        return place
    return StorePaths(Path(place)).database(read_settings(Path(place)).serve)


def has_service_keys(store: Path, flags: Mapping[str, Any]) -> bool:
    """Whether the service's database has a key; it is made if it is missing, and what is wrong with it is said now."""
    from rarec.settings import StorePaths, read_settings
    from rarec.state import StateDatabase, has_keys, list_keys

    settings = read_settings(store, flags)
    with StateDatabase.open(StorePaths(store).database(settings.serve)) as opened:
        if settings.llm.kind == "http" and (note := prices_note(settings.llm, list_keys(opened))):
            err().print(note, style="yellow")
        return has_keys(opened)


def reached_by(limits: ServeSettings, host: str) -> ServeSettings:
    """The limits of a service that is asked for by the name that it was told to listen on."""
    return limits if host in limits.hosts else limits.model_copy(update={"hosts": (*limits.hosts, host)})
