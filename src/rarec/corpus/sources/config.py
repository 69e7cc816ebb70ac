"""What the settings of all sources have in common."""

from __future__ import annotations

import codecs
import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Protocol
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rarec.corpus.record import Problem, Record
from rarec.progress import OnProgress


class Part(BaseModel):
    """A table of a recipe: nothing else may stand in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Named = Annotated[dict[str, Path], Field(min_length=1)]
"""Files by names that the recipe chooses; all of one form."""


class Address(Part):
    """Where a file can be downloaded; see `rarec corpus fetch`.

    Attributes:
        url: http or https.
        sha256: of the whole file, 64 hexadecimal digits.
    """

    url: str
    sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            good = False
        if not good:
            raise ValueError("is no http or https address; give one with a host")
        return url


class SourceConfig(Part):
    """A source: files of one publisher in one form. Each kind has a class of its own, with the files that it reads.

    Attributes:
        name: of the source in the recipe, in evidence and in the ids of items that have no other.
        kind: its reader.
        files: name -> path, relative to the recipe's folder of files. A file that has an address and is not named here
            is called as in its address.
        urls: name of a file -> where it can be downloaded.
        date: of the dump; None goes by the newest of its files.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    kind: str
    files: BaseModel | dict[str, Path]
    urls: dict[str, Address] = Field(default_factory=dict)
    date: datetime.date | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_files_of_urls(cls, values: Any) -> Any:
        urls = values.get("urls") if isinstance(values, Mapping) else None
        if not isinstance(urls, Mapping):
            return values
        files = values.get("files", {})
        named = {name: last for name, address in urls.items() if (last := _last_part(address))}
        return {**values, "files": {**named, **files}} if isinstance(files, Mapping) else values

    def named_files(self) -> dict[str, Path]:
        """Name -> path as the recipe writes it, in the order of the reader; optional ones only if they are given."""
        given = self.files if isinstance(self.files, dict) else dict(self.files)
        return {name: path for name, path in given.items() if path is not None}

    def namespaces(self) -> frozenset[str]:
        """Whose ids its records can have."""
        raise NotImplementedError

    def counts(self) -> frozenset[str]:
        """Names of the counts that its records can have."""
        raise NotImplementedError

    def attributes(self) -> frozenset[str]:
        """Names of the attributes that its records can have."""
        raise NotImplementedError


class TextSourceConfig(SourceConfig):
    """A source of text files.

    Attributes:
        encoding: of the text; all files of a source have one.
    """

    encoding: str = "utf-8"

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            name = codecs.lookup(encoding).name
            if "\n{,".encode(name) == b"\n{,":
                return name
        except (LookupError, UnicodeError):
            pass
        raise ValueError(
            "is no encoding in which lines can be told apart; use utf-8, latin-1, windows-1252 or the like, or save "
            "the file as UTF-8"
        )


class Reader(Protocol):
    """Reads a source.

    Args:
        source: its settings, of the class that belongs to the reader.
        files: name -> where it lies now, for the names of ``source.named_files()``.
        scratch: an empty folder for its own use; what is left in it may be deleted.
        progress: called with ("NAME: FILE", bytes read, bytes in all, "N rows").
        rows: is told how many rows each file has, by the name of the file; None is not told.
    Yields:
        records in an order that depends on the files alone, each key once, and what is wrong when it is found.
    Raises:
        MissingExtra: a package that the form needs is not installed.
        StoreError: the scratch folder cannot be written.
    """

    def __call__(
        self,
        source: Any,
        files: Mapping[str, Path],
        *,
        scratch: Path,
        progress: OnProgress,
        rows: dict[str, int] | None = None,
    ) -> Iterator[Record | Problem]: ...


def _last_part(address: object) -> str:
    url = address.get("url") if isinstance(address, Mapping) else None
    try:
        return PurePosixPath(unquote(urlsplit(url).path)).name if isinstance(url, str) else ""
    except ValueError:
        return ""
