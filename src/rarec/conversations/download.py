"""Fetching one file that the user names: resumable, and only what has the expected hash is kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

from rarec.errors import InputError, RarecError, StoreError
from rarec.files import try_lock, write_text

Progress = Callable[[int, int], None]
"""Called with (bytes had, bytes in all); the total is 0 where the server does not say."""

TIMEOUT_S = 30.0
MAX_BYTES = 20_000_000_000
"""What a file may have, unless the caller says otherwise; a server may send without end."""

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
    url: str,
    target: str | Path,
    *,
    sha256: str,
    timeout_s: float = TIMEOUT_S,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
) -> Fetched:
    """Download `url` to `target` unless a file with that hash is there already.

    What has come is kept beside the target, in ``<name>.part``, until it is complete; the next call goes on from
    there if the server can (byte ranges, and the same ETag or date as before, if it sends them), else it begins
    again. The target changes in one step, and only to a file with the hash. A part that is complete with another hash
    is deleted, and so is one that grows over `max_bytes`.

    Args:
        url: http or https; redirects elsewhere are refused.
        sha256: of the whole file, 64 hexadecimal digits.
        timeout_s: for connecting, and for each time that nothing comes; > 0.
    Raises:
        InputError: the URL or hash is not one, the server refuses, it cannot be reached, the connection broke (what
            came is kept), the file is larger than `max_bytes` or has another hash (both are named; what was at the
            target stays), or another call is writing the same file.
        StoreError: the folder or the disk cannot be written.
    """
    wanted, path = checked_hash(sha256), Path(target)
    _check_url(url)
    with _writing(path):
        if path.is_dir() or not path.parent.is_dir():
            what = "a folder" if path.is_dir() else "in a folder that does not exist"
            raise InputError(f"{str(path)!r} is {what}; name the file to write, in a folder that exists")
        if path.is_file() and hash_of(path) == wanted:
            return Fetched(path, path.stat().st_size, 0, resumed=False)
        part = path.with_name(path.name + ".part")
        with _alone(part, path):
            received, resumed, found = 0, part.is_file(), hash_of(part) if part.is_file() else ""
            if found != wanted:  # else it was stopped just before its end
                received, resumed = _complete(url, part, timeout_s, max_bytes, progress)
                found = hash_of(part)
            if found != wanted:
                _forget(part)
                raise InputError(
                    f"{url!r} has the wrong content: sha256 is {found}, expected {wanted}; nothing was kept. Check "
                    "the address and the hash"
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


def _complete(url: str, part: Path, timeout_s: float, max_bytes: int, progress: Progress | None) -> tuple[int, bool]:
    """Fill the part to its end; the bytes that came, and whether some were there before."""
    origin = _origin_of(part)
    start = part.stat().st_size if origin is not None and origin.url == url else 0
    with _asking(url):
        response, resumed = _answer(url, start, origin, timeout_s)
        with response:
            if not resumed:
                start = 0
                _forget(part)
            write_text(_notes(part), json.dumps(asdict(_Origin(url, _validator(response)))))
            length = _length(response)
            total = start + length if length else 0
            received = 0
            for received in _received(response, part, most=max_bytes - start):
                if progress is not None:
                    progress(start + received, total)
    if start + received > max_bytes:
        _forget(part)
        raise InputError(
            f"{url!r} sends more than the {max_bytes:,} bytes that are allowed; nothing was kept. Check the address, "
            "or allow more"
        )
    if total and start + received != total:
        raise InputError(
            f"{url!r} broke off after {start + received:,} of {total:,} bytes; call again to go on where it stopped"
        )
    return received, resumed


def _received(response: HTTPResponse, part: Path, *, most: int) -> Iterator[int]:
    """Add what comes to the part; how many bytes that are so far, from 0. It stops after more than `most`."""
    received = 0
    yield received
    with part.open("ab") as file:
        while received <= most and (chunk := _chunk(response)):
            file.write(chunk)
            received += len(chunk)
            yield received
        file.flush()
        os.fsync(file.fileno())


def _chunk(response: HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except OSError as error:  # of the network, whatever its kind; the disk is not at fault
        raise HTTPException(str(error) or type(error).__name__) from error


def _length(response: HTTPResponse) -> int:
    """How many bytes the server says that it sends; 0 if it does not say, or nothing that is a size."""
    text = response.headers.get("Content-Length") or ""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else 0


def _validator(response: HTTPResponse) -> str:
    """What names this version of the content; empty if nothing does, and then the hash alone will tell."""
    tag = response.headers.get("ETag") or ""
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified") or ""


def _continues(response: HTTPResponse, start: int, origin: _Origin) -> bool:
    """Whether the answer goes on at `start`, in the version that the part is of: not every server heeds If-Range."""
    same = not origin.validator or _validator(response) in ("", origin.validator)
    return same and (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")


def _answer(url: str, start: int, origin: _Origin | None, timeout_s: float) -> tuple[HTTPResponse, bool]:
    """The answer, and whether it goes on at `start`; else it is asked for from the beginning."""
    if not start or origin is None:
        return _opened(url, {}, timeout_s), False
    version = {"If-Range": origin.validator} if origin.validator else {}
    try:
        response = _opened(url, {"Range": f"bytes={start}-", **version}, timeout_s)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        error.close()  # the part is no part of what is there now
    else:
        if response.status != 206:
            return response, False
        if _continues(response, start, origin):
            return response, True
        response.close()
    return _opened(url, {}, timeout_s), False


def _opened(url: str, headers: Mapping[str, str], timeout_s: float) -> HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers})
    try:
        return cast(HTTPResponse, _opener().open(request, timeout=timeout_s))
    except RarecError:
        raise
    except (InvalidURL, ValueError) as error:
        raise InputError(f"{url!r} is no address to ask, or leads to one that is none: {error}; check it") from error


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


@contextmanager
def _alone(part: Path, path: Path) -> Iterator[None]:
    """Hold a lock: two that add to one part would spoil it, and the file that it becomes."""
    lock = part.with_name(part.name + ".lock")
    with lock.open("a") as file:
        mine = try_lock(file.fileno())
        # Who held it may have removed it meanwhile, and a third begun a new one.
        if not (mine and lock.exists() and os.path.samestat(lock.stat(), os.fstat(file.fileno()))):
            raise InputError(f"another download is writing {str(path)!r}; wait for it, or name another file")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SCHEMES and bool(parts.hostname) and url.isascii() and url.isprintable()
    except ValueError:
        good = False
    if not good:
        raise InputError(
            f"{url!r} is no http or https address; give one, with a host, and write what is not ASCII as %XX"
        )


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
