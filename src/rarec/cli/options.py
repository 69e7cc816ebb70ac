"""Options that several commands share."""

from __future__ import annotations

import enum
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from rarec.errors import InputError

Store = Annotated[Path, typer.Option("--store", metavar="FOLDER", envvar="RAREC_STORE", help="Folder of the store.")]
STORE = Path("rarec-store")


def store_option(path: Path) -> str:
    """The option as it stands behind a command that is shown to be pasted; empty for the default."""
    return "" if path == STORE else f" --store {shlex.quote(str(path))}"


Database = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="RAREC_DATABASE",
        help="The service's database, postgresql+psycopg://user:password@host/database, or a file. Default: as "
        "rarec.toml says, else service.sqlite in the store's folder.",
        show_envvar=True,
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document to stdout instead of text.")]

FilterExpressions = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="EXPR",
        help="What may be recommended: 'year>=2000', 'year=1990..1999', 'genres=Drama,Comedy' or 'genres!=Horror'; "
        "of numbers also 'price<=50' or 'price=20..50'. May be repeated; all must hold.",
    ),
]

Words = Annotated[
    bool,
    typer.Option(
        "--words/--no-words",
        help="Take wishes such as 'from the 90s, not horror' for filters, show them, and hold to them.",
    ),
]

Count = Annotated[int, typer.Option("-n", "--n", metavar="N", min=1, max=1000, help="How many items.")]


class LLMKind(enum.StrEnum):
    """Who ranks and replies."""

    local = "local"
    http = "http"
    none = "none"


LLM = Annotated[
    LLMKind | None,
    typer.Option(
        "--llm",
        metavar="local|http|none",
        help="Who ranks and replies: the local ranker, any OpenAI-compatible endpoint (http), or nobody (none: the "
        "retriever's order). Default: as rarec.toml says.",
    ),
]
Model = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="The model's name at the endpoint; implies --llm http.")
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="The endpoint, up to and with /v1; implies --llm http. The key comes from the environment variable "
        "OPENAI_API_KEY.",
    ),
]


def llm_flags(llm: LLMKind | None, model: str | None, base_url: str | None) -> dict[str, Any]:
    """The three options as settings flags; None leaves what the settings say.

    Raises:
        InputError: a model or an endpoint is named for what is none.
    """
    for option, value in (("--model", model), ("--base-url", base_url)):
        if value and llm not in (None, LLMKind.http):
            raise InputError(f"{option} {value} is of --llm http, not of --llm {llm}; leave one of the two out")
    implied = LLMKind.http if llm is None and (model or base_url) else llm
    return {"llm.kind": implied and implied.value, "llm.model": model, "llm.base_url": base_url}


Data = Annotated[
    Path,
    typer.Option(
        "--data", metavar="FOLDER", envvar="RAREC_DATA", help="Folder with corpus/, mapping/ and the data sets."
    ),
]
DATA = Path("../shared/data")
