"""A fake OpenAI-compatible server on loopback, for the faults that no real server produces on demand."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from rarec.testing.replies import Answer, FakeEmbeddings, Recorded, Reply
from rarec.testing.server_handler import Handler


class FakeOpenAIServer:
    """Serves ``/v1/chat/completions``, ``/v1/embeddings`` and ``/v1/models`` while its ``with`` block lasts.

    Args:
        script: replies to chat requests, one each, in order; when it has run out the last one is repeated.
        embeddings: how embeddings behave.
        embeddings_script: faults for embedding requests, in order; None entries and the time after are healthy.
        rejects: parameters that get status 400 and use up no reply: ``json_schema``, ``json_object`` (kinds of
            response_format) or names of the body such as ``stream_options``, ``max_tokens``, ``temperature``.
        key: if set, requests without it get status 401 (which repeats the wrong key, as some servers do).
    """

    def __init__(
        self,
        script: Iterable[Answer] = ("Hello.",),
        *,
        embeddings: FakeEmbeddings | None = None,
        embeddings_script: Iterable[Reply | None] = (),
        rejects: Iterable[str] = (),
        key: str | None = None,
    ) -> None:
        self.requests: list[Recorded] = []
        self.connections = 0
        """How many connections clients have opened."""
        self.embeddings = embeddings or FakeEmbeddings()
        self.rejects = frozenset(rejects)
        self.key = key
        self.closing = threading.Event()
        self._script = iter(script)
        self._last: Answer = "Hello."
        self._embeddings_script = iter(embeddings_script)
        self._lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base_url to give to a client, ending in ``/v1``."""
        if self._http is None:
            raise RuntimeError("the server runs only inside its with block")
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def requests_to(self, ending: str) -> list[Recorded]:
        """Recorded requests whose path ends so, e.g. ``embeddings``."""
        return [request for request in self.requests if request.path.endswith(ending)]

    def record(self, request: Recorded) -> None:
        with self._lock:
            self.requests.append(request)

    def count_connection(self) -> None:
        with self._lock:
            self.connections += 1

    def next_reply(self, body: Mapping[str, Any]) -> Reply:
        """The reply that the script has for this chat request."""
        with self._lock:
            self._last = next(self._script, self._last)
            answer = self._last
        reply = answer(body) if callable(answer) else answer
        return Reply(text=reply) if isinstance(reply, str) else reply

    def next_embeddings_fault(self) -> Reply | None:
        with self._lock:
            return next(self._embeddings_script, None)

    def __enter__(self) -> Self:
        self.closing.clear()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"fake": self}))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()
        self._http = self._thread = None
