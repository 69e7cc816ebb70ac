"""Templates of pages: what they print is cleaned and escaped, and nothing that they make asks for anything."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from rarec.errors import MissingExtra
from rarec.pages.wording import clean

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(package: str) -> Environment:
    """Templates of a package; those that it lacks are the shared ones beside this module.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError:
        raise MissingExtra.of("jinja2", "bench", "the HTML report") from None

    def finalised(value: object) -> object:
        """Every value that is not markup of our own is cleaned, and then escaped."""
        return value if isinstance(value, Markup) else clean(value)

    return Environment(
        loader=FunctionLoader(lambda name: _source(package, name)),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalised,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def need_matplotlib() -> None:
    """Raises MissingExtra if it is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtra.of("matplotlib", "bench", "the HTML report") from None


def _source(package: str, name: str) -> str | None:
    for place in (package, __package__):
        file = resources.files(place).joinpath(name)
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return None
