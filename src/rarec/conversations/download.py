"""Fetching one file that the user names: resumable, and only what has the expected hash is kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from rarec.errors import InputError, StoreError
from rarec.files import write_text

Progress = Callable[[int, int], None]
"""Called with (bytes had, bytes in all); the total is 0 where the server does not say."""

TIMEOUT_S = 30.0
_CHUNK_BYTES = 1 << 18
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SCHEMES = ("http", "https")
_AGENT = "rarec"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was done.

    Attributes:
        path: the file, with the expected hash.
        size: its bytes.
        received: bytes that came over the network this time; 0 if the file was there already.
        resumed: it went on where an earlier call had stopped.
    """

    path: Path
    size: int
    received: int
    resumed: bool


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a partial file came from; it is only continued from there, and only if that has not changed."""

    url: str
    validator: str


def fetch(
    url: str, target: str | Path, *, sha256: str, timeout_s: float = TIMEOUT_S, progress: Progress | None = None
) -> Fetched:
    """Download `url` to `target` unless a file with that hash is there already.

    What has come is kept beside the target, in ``<name>.part``, until it is complete; the next call goes on from
    there if the server can (byte ranges, and the same ETag or date as before, if it sends them), else it begins
    again. The target
    changes in one step, and only to a file with the hash. A part that is complete with another hash is deleted.

    Args:
        url: http or https; redirects elsewhere are refused.
        sha256: of the whole file, 64 hexadecimal digits.
        timeout_s: for connecting, and for each time that nothing comes; > 0.
    Raises:
        InputError: the URL or hash is not one, the server refuses, it cannot be reached, the connection broke (what
            came is kept), or the file has another hash (both are named; what was at the target stays).
        StoreError: the folder or the disk cannot be written.
    """
    wanted, path = checked_hash(sha256), Path(target)
    _check_url(url)
    if path.is_dir() or not path.parent.is_dir():
        what = "a folder" if path.is_dir() else "in a folder that does not exist"
        raise InputError(f"{str(path)!r} is {what}; name the file to write, in a folder that exists")
    with _writing(path):
        if path.is_file() and hash_of(path) == wanted:
            return Fetched(path, path.stat().st_size, 0, resumed=False)
        part = path.with_name(path.name + ".part")
        received, resumed, found = 0, part.is_file(), hash_of(part) if part.is_file() else ""
        if found != wanted:  # else it was stopped just before its end
            received, resumed = _complete(url, part, timeout_s, progress)
            found = hash_of(part)
        if found != wanted:
            _forget(part)
            raise InputError(
                f"{url!r} has the wrong content: sha256 is {found}, expected {wanted}; nothing was kept. Check the "
                "address and the hash"
            )
        size = part.stat().st_size
        part.replace(path)
        _forget(part)
    return Fetched(path, size, received, resumed)


def hash_of(path: Path) -> str:
    """The sha256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked_hash(text: str) -> str:
    """The hash in small letters.

    Raises:
        InputError: it is not 64 hexadecimal digits.
    """
    found = text.strip().lower().removeprefix("sha256:")
    if not _SHA256.fullmatch(found):
        raise InputError(f"{text!r} is no sha256; give its 64 hexadecimal digits")
    return found


def _complete(url: str, part: Path, timeout_s: float, progress: Progress | None) -> tuple[int, bool]:
    """Fill the part to its end; the bytes that came, and whether some were there before."""
    origin = _origin_of(part)
    start = part.stat().st_size if origin is not None and origin.url == url else 0
    with _asking(url), _request(url, start, origin, timeout_s) as response:
        resumed = response.status == 206 and _continues(response, start)
        if response.status == 206 and not resumed:
            raise InputError(f"{url!r} sent another part than was asked for; delete {str(part)!r} and try again")
        if not resumed:
            start = 0
            _forget(part)
        write_text(_notes(part), json.dumps(asdict(_Origin(url, _validator(response)))))
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else 0
        received = _receive(response, part, start, total, progress)
    if total and start + received != total:
        raise InputError(
            f"{url!r} broke off after {start + received:,} of {total:,} bytes; call again to go on where it stopped"
        )
    return received, resumed


def _receive(response: IO[bytes], part: Path, start: int, total: int, progress: Progress | None) -> int:
    received = 0
    if progress is not None:
        progress(start, total)
    with part.open("ab") as file:
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            received += len(chunk)
            if progress is not None:
                progress(start + received, total)
        file.flush()
        os.fsync(file.fileno())
    return received


def _validator(response: HTTPResponse) -> str:
    """What names this version of the content; empty if nothing does, and then the hash alone will tell."""
    tag = response.headers.get("ETag") or ""
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified") or ""


def _continues(response: HTTPResponse, start: int) -> bool:
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")


@contextmanager
def _request(url: str, start: int, origin: _Origin | None, timeout_s: float) -> Iterator[HTTPResponse]:
    headers = {"User-Agent": _AGENT, "Accept-Encoding": "identity"}
    if start and origin is not None:
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": origin.validator} if origin.validator else {})
    try:
        response = _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()  # the part is no part of what is there now
        headers = {name: value for name, value in headers.items() if name not in ("Range", "If-Range")}
        response = _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout_s)
    with response:
        yield response


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_SafeRedirects)


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, and never from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        before, after = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if after not in _SCHEMES or (before == "https" and after == "http"):
            raise InputError(f"{req.full_url!r} leads to {newurl!r}, from {before} to {after}; this is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextmanager
def _asking(url: str) -> Iterator[None]:
    """Faults of the network as InputError; what came before is kept."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise InputError(f"{url!r} answered {error.code} {error.reason}; check the address") from None
    except urllib.error.URLError as error:
        raise InputError(f"cannot reach {url!r}: {error.reason}; check the address and the network") from error
    except (TimeoutError, HTTPException, ConnectionError) as error:
        raise InputError(f"{url!r} broke off: {error or type(error).__name__}; call again to go on") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {str(path)!r}: {error.strerror or error}; free some space or choose another folder"
        ) from error


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SCHEMES and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise InputError(f"{url!r} is no http or https address; give one, with a host")


def _notes(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _origin_of(part: Path) -> _Origin | None:
    """Where the part came from; None if there is no part that can be continued."""
    try:
        told = json.loads(_notes(part).read_text(encoding="utf-8"))
        return _Origin(str(told["url"]), str(told["validator"])) if part.stat().st_size else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)
