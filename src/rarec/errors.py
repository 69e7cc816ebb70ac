"""Every error that rarec raises on purpose. A message says what happened, the value, and what to do.

RarecError
├── InputError          the caller's data or arguments are wrong          exit code 2
│   ├── ImportRejected  rows of a catalogue file were refused
│   ├── UnknownItem     an id is not in the catalogue
│   ├── UnknownSession  a key has no session of this id
│   └── Conflict        something else stands there already
├── SettingsError       rarec.toml, an environment variable or a flag      exit code 2
├── StoreError          the store is missing, locked, full or damaged      exit code 3
├── BundleError         a model bundle is damaged or does not fit          exit code 3
├── MissingExtra        an optional package is not installed               exit code 4
├── EmbedderError       an embedder failed                                 exit code 5
├── LLMError            a language model failed                            exit code 6
│   ├── LLMTimeout
│   ├── LLMUnavailable
│   └── LLMRefused
├── BudgetExceeded      a call could pass a ceiling; it was not made       exit code 6
└── ReplayDiffers       a run that was done again came out otherwise       exit code 8
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rarec.types import Usage


class RarecError(Exception):
    """Base of all our errors. `exit_code` is what the command line returns for it."""

    exit_code = 1


class InputError(RarecError, ValueError):
    """The caller's data or arguments are wrong."""

    exit_code = 2


class ImportRejected(InputError):
    """Rows of a catalogue file were refused; nothing was imported."""


class UnknownItem(InputError, KeyError):
    """An id is not in the catalogue."""

    __str__ = Exception.__str__  # KeyError would show the message quoted


class UnknownSession(InputError):
    """A key has no session, or no turn in it, of this name; whether another key has one is not told."""


class Conflict(InputError):
    """What is to be written stands there already, with other content."""


class SettingsError(RarecError, ValueError):
    """rarec.toml, an environment variable or a flag has a wrong value."""

    exit_code = 2


class StoreError(RarecError):
    """The store is missing, locked, full or damaged."""

    exit_code = 3


class BundleError(RarecError):
    """A model bundle is damaged or does not fit this store."""

    exit_code = 3


class MissingExtra(RarecError, ImportError):
    """An optional package is not installed; the message names the exact pip command."""

    exit_code = 4

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> MissingExtra:
        return cls(f"{purpose} needs the package {package!r}; run in a checkout of rarec: pip install -e '.[{extra}]'")


class EmbedderError(RarecError):
    """An embedder failed or gave vectors of the wrong shape."""

    exit_code = 5


class LLMError(RarecError):
    """A language model failed; a turn still gets the retriever's order.

    Attributes:
        usage: what the provider counts for an answer that had begun and was no use; None where none had.
    """

    exit_code = 6
    usage: Usage | None = None


class LLMTimeout(LLMError):
    """No complete answer inside the deadline."""


class LLMUnavailable(LLMError):
    """Not reachable, overloaded, or no key."""


class LLMRefused(LLMError):
    """The provider rejected the request or the model refused to answer."""


class BudgetExceeded(RarecError):
    """A call could pass a ceiling of calls, tokens or money, so it was not made; the model itself did not fail.

    Args:
        passing: only calls in flight stand in the way: what they leave over may be enough.
    """

    exit_code = 6

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class ReplayDiffers(RarecError):
    """A run that was done again from what it wrote down came out otherwise."""

    exit_code = 8
