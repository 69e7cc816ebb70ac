"""Downloads against a real server on loopback that can do ranges or not, breaks off, lies and redirects."""

import contextlib
import errno
import hashlib
import http.server
import io
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import Any, cast

import pytest

from rarec.conversations.download import Fetched, _chunk, _SafeRedirects, checked_hash, fetch, hash_of
from rarec.errors import InputError, StoreError

CONTENT = bytes(range(256)) * 4000
HASH = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """How the server answers; `asked` are the Range headers that it got."""

    content: bytes = CONTENT
    ranges: bool = True
    validator: bool = True
    weak: bool = False
    length: bool | str = True
    cut_after: int | None = None
    status: int = 200
    location: str = ""
    heeds_version: bool = True
    unasked_part: bool = False
    shifted: int = 0
    asked: list[str | None] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    how: Behaviour

    def do_GET(self) -> None:
        how = self.how
        asked = self.headers.get("Range")
        how.asked.append(asked)
        if how.location or how.status >= 400:
            self.send_response(302 if how.location else how.status)
            if how.location:
                self.send_header("Location", how.location)
            self.end_headers()
            return
        tag = ("W/" if how.weak else "") + '"' + hashlib.sha256(how.content).hexdigest()[:8] + '"'
        start = int(asked.split("=")[1].rstrip("-")) if asked and how.ranges else 0
        if start and how.heeds_version and self.headers.get("If-Range", tag) != tag:
            start = 0
        if start >= len(how.content):
            self.send_response(416)
            self.end_headers()
            return
        body = how.content[start:]
        self.send_response(206 if start or how.unasked_part else 200)
        if start or how.unasked_part:
            self.send_header("Content-Range", f"bytes {start + how.shifted}-{len(how.content) - 1}/{len(how.content)}")
        if how.validator:
            self.send_header("ETag", tag)
        if how.length:
            self.send_header("Content-Length", str(len(body)) if how.length is True else how.length)
        self.end_headers()
        if how.cut_after is not None:
            body, how.cut_after = body[: how.cut_after], None
        with contextlib.suppress(ConnectionError):  # who asked may have left
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[tuple[str, Behaviour]]:
    how = Behaviour()
    handler = type("Answers", (Handler,), {"how": how})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/file.bin", how
        running.shutdown()
        thread.join()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_fetched_with_its_hash_and_progress(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, _how = server
    told: list[tuple[int, int]] = []
    done = fetch(url, tmp_path / "x", sha256=HASH.upper(), progress=lambda *at: told.append(at))
    assert done == Fetched(tmp_path / "x", len(CONTENT), len(CONTENT), resumed=False)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert names(tmp_path) == ["x"]
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert told == sorted(told)


def test_a_finished_file_is_not_fetched_again_and_an_old_one_is_replaced(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, how = server
    (tmp_path / "x").write_bytes(b"an older file")
    assert fetch(url, tmp_path / "x", sha256=HASH).received == len(CONTENT)
    assert fetch(url, tmp_path / "x", sha256=HASH) == Fetched(tmp_path / "x", len(CONTENT), 0, resumed=False)
    assert how.asked == [None]


@pytest.mark.parametrize("weak", [False, True])
@pytest.mark.parametrize("validator", [True, False])
def test_a_broken_download_goes_on_where_it_stopped(
    server: tuple[str, Behaviour], tmp_path: Path, validator: bool, weak: bool
) -> None:
    url, how = server
    how.cut_after, how.validator, how.weak = 300_000, validator, weak
    with pytest.raises(InputError, match=r"broke off after 300,000 of 1,024,000 bytes; call again"):
        fetch(url, tmp_path / "x", sha256=HASH)
    assert names(tmp_path) == ["x.part", "x.part.json"]
    told: list[tuple[int, int]] = []
    done = fetch(url, tmp_path / "x", sha256=HASH, progress=lambda *at: told.append(at))
    assert (done.received, done.resumed) == (len(CONTENT) - 300_000, True)
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert how.asked == [None, "bytes=300000-"]
    assert told[0] == (300_000, len(CONTENT))
    assert names(tmp_path) == ["x"]


def test_a_server_without_ranges_begins_again(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, how = server
    how.cut_after, how.ranges = 300_000, False
    with pytest.raises(InputError, match="broke off"):
        fetch(url, tmp_path / "x", sha256=HASH)
    done = fetch(url, tmp_path / "x", sha256=HASH)
    assert (done.received, done.resumed) == (len(CONTENT), False)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_what_has_changed_on_the_server_begins_again(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, how = server
    how.content, how.cut_after = CONTENT[::-1], 300_000
    with pytest.raises(InputError, match="broke off"):
        fetch(url, tmp_path / "x", sha256=HASH)
    how.content = CONTENT
    done = fetch(url, tmp_path / "x", sha256=HASH)
    assert (done.received, done.resumed) == (len(CONTENT), False)


def test_a_part_of_another_address_is_not_continued(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, how = server
    how.cut_after = 300_000
    with pytest.raises(InputError, match="broke off"):
        fetch(f"{url}?old", tmp_path / "x", sha256=HASH)
    assert not fetch(url, tmp_path / "x", sha256=HASH).resumed
    assert how.asked == [None, None]


def test_a_part_that_was_complete_is_only_renamed(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, how = server
    (tmp_path / "x.part").write_bytes(CONTENT)
    assert fetch(url, tmp_path / "x", sha256=HASH) == Fetched(tmp_path / "x", len(CONTENT), 0, resumed=True)
    assert how.asked == []
    assert names(tmp_path) == ["x"]


def test_a_part_that_is_too_long_begins_again(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, how = server
    how.cut_after, how.validator = 300_000, False
    with pytest.raises(InputError, match="broke off"):
        fetch(url, tmp_path / "x", sha256=HASH)
    (tmp_path / "x.part").write_bytes(CONTENT + b"more")
    assert fetch(url, tmp_path / "x", sha256=HASH).received == len(CONTENT)
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_wrong_hash_names_both_and_leaves_what_was_there(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, _how = server
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(InputError, match=f"sha256 is {HASH}, expected {'0' * 64}; nothing was kept"):
        fetch(url, tmp_path / "x", sha256="0" * 64)
    assert (tmp_path / "x").read_bytes() == b"mine"
    assert names(tmp_path) == ["x"]


def test_a_file_without_a_stated_size_is_fetched(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, how = server
    how.length = False
    told: list[int] = []
    assert fetch(url, tmp_path / "x", sha256=HASH, progress=lambda had, total: told.append(total)).size == len(CONTENT)
    assert set(told) == {0}


def test_what_the_server_refuses_is_said(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, how = server
    how.status = 404
    with pytest.raises(InputError, match=r"file\.bin' answered 404 Not Found"):
        fetch(url, tmp_path / "x", sha256=HASH)
    assert names(tmp_path) == []


@pytest.mark.parametrize("length", ["\xb2", "9" * 5000, "-5", "many"])
def test_a_size_that_is_none_counts_as_not_stated(server: tuple[str, Behaviour], tmp_path: Path, length: str) -> None:
    url, how = server
    how.length = length
    assert fetch(url, tmp_path / "x", sha256=HASH).size == len(CONTENT)


def test_a_changed_file_begins_again_where_the_server_does_not_heed_the_version(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, how = server
    how.content, how.cut_after, how.heeds_version = CONTENT[::-1], 300_000, False
    with pytest.raises(InputError, match="broke off"):
        fetch(url, tmp_path / "x", sha256=HASH)
    how.content = CONTENT
    done = fetch(url, tmp_path / "x", sha256=HASH)
    assert (done.received, done.resumed) == (len(CONTENT), False)
    assert how.asked == [None, "bytes=300000-", None]


def test_another_part_than_was_asked_for_begins_again(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, how = server
    how.cut_after = 300_000
    with pytest.raises(InputError, match="broke off"):
        fetch(url, tmp_path / "x", sha256=HASH)
    how.shifted = 5
    assert fetch(url, tmp_path / "x", sha256=HASH).resumed is False
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_part_that_nobody_asked_for_is_not_added_to_that_of_another_address(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, how = server
    how.cut_after = 300_000
    with pytest.raises(InputError, match="broke off"):
        fetch(f"{url}?old", tmp_path / "x", sha256=HASH)
    how.unasked_part = True
    assert fetch(url, tmp_path / "x", sha256=HASH).resumed is False
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [True, False])
def test_a_server_that_does_not_end_is_left(server: tuple[str, Behaviour], tmp_path: Path, length: bool) -> None:
    url, how = server
    how.length = length
    with pytest.raises(InputError, match=r"sends more than the 500,000 bytes that are allowed; nothing was kept"):
        fetch(url, tmp_path / "x", sha256=HASH, max_bytes=500_000)
    assert names(tmp_path) == []
    assert fetch(url, tmp_path / "x", sha256=HASH, max_bytes=len(CONTENT)).size == len(CONTENT)


def test_two_at_once_do_not_spoil_one_file(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, _how = server
    begun, go_on = threading.Event(), threading.Event()

    def wait(_had: int, _total: int) -> None:
        begun.set()
        go_on.wait(20)

    first = threading.Thread(target=lambda: fetch(url, tmp_path / "x", sha256=HASH, progress=wait))
    first.start()
    assert begun.wait(20)
    try:
        with pytest.raises(InputError, match=r"another download is writing '.*x'; wait for it"):
            fetch(url, tmp_path / "x", sha256=HASH)
    finally:
        go_on.set()
        first.join()
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert names(tmp_path) == ["x"]


def test_a_fault_of_the_network_is_not_one_of_the_disk() -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            raise OSError(errno.EHOSTUNREACH, "no route to host")

    with pytest.raises(HTTPException, match="no route to host"):
        _chunk(cast(HTTPResponse, Broken()))


@pytest.mark.parametrize("url", ["http://127.0.0.1:x/y", f"http://{'a' * 70}.x/", "http://127.0.0.1:1/a b"])
def test_addresses_that_cannot_be_asked_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="is no address to ask"):
        fetch(url, tmp_path / "x", sha256=HASH)


def test_a_redirect_to_nowhere_is_refused(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, how = server
    how.location = "http://[::1/"
    with pytest.raises(InputError, match="leads to one that is none"):
        fetch(url, tmp_path / "x", sha256=HASH)


@pytest.mark.parametrize("location", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:text/plain,x"])
def test_redirects_to_other_schemes_are_refused(server: tuple[str, Behaviour], tmp_path: Path, location: str) -> None:
    url, how = server
    how.location = location
    with pytest.raises(
        InputError, match=r"leads to '.*', from http to ftp; this is not followed|url '.*' is not allowed"
    ):
        fetch(url, tmp_path / "x", sha256=HASH)
    assert names(tmp_path) == []


def test_a_redirect_from_https_to_http_is_refused() -> None:
    request = urllib.request.Request("https://127.0.0.1/x")
    with pytest.raises(InputError, match=r"'http://127\.0\.0\.1/y', from https to http; this is not followed"):
        _SafeRedirects().redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), "http://127.0.0.1/y")


def test_redirects_to_http_are_followed(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, _how = server
    other = Behaviour(location=url)
    handler = type("Redirects", (Handler,), {"how": other})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as first:
        thread = threading.Thread(target=first.handle_request)
        thread.start()
        fetch(f"http://127.0.0.1:{first.server_port}/", tmp_path / "x", sha256=HASH)
        thread.join()
    assert (tmp_path / "x").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/hostname",
        "ftp://x/y",
        "redial.zip",
        "http://",
        "http://[::1",
        "HTTPS:/x",
        "http://127.0.0.1/é",
        "http://x/\r\nA: b",
    ],
)
def test_only_http_addresses_are_taken(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="is no http or https address"):
        fetch(url, tmp_path / "x", sha256=HASH)


def test_what_cannot_be_reached_is_said(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        port = server.server_port
    with pytest.raises(InputError, match="cannot reach"):
        fetch(f"http://127.0.0.1:{port}/x", tmp_path / "x", sha256=HASH)


def test_silence_is_not_waited_for_without_end(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:  # accepts and never answers
        url = f"http://127.0.0.1:{server.server_port}/x"
        with pytest.raises(InputError, match=r"timed out"):
            fetch(url, tmp_path / "x", sha256=HASH, timeout_s=0.2)


def test_targets_that_cannot_be_written_are_refused_before_asking(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, _how = server
    with pytest.raises(InputError, match="is a folder"):
        fetch(url, tmp_path, sha256=HASH)
    with pytest.raises(InputError, match="in a folder that does not exist"):
        fetch(url, tmp_path / "no" / "x", sha256=HASH)
    (tmp_path / "x.part").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        fetch(url, tmp_path / "x", sha256=HASH)
    assert (tmp_path / "x").exists() is False


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, HASH + "0"])
def test_what_is_no_hash_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no sha256"):
        checked_hash(text)


def test_hashes_are_read_in_the_usual_forms(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(CONTENT)
    assert checked_hash(f" sha256:{HASH.upper()}\n") == HASH == hash_of(tmp_path / "x")
