"""Any OpenAI-compatible endpoint: one deadline, bounded retries, and whatever structure the server can hold."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import anyio

from rarec.errors import LLMError, LLMRefused, LLMTimeout, LLMUnavailable, MissingExtra, SettingsError
from rarec.llm.answer import Answer, read_stream
from rarec.llm.dialect import Dialect
from rarec.llm.protocol import OnText
from rarec.llm.retry import backoff_s, retry_after_s
from rarec.llm.spans import call_span
from rarec.types import Completion, CompletionRequest

if TYPE_CHECKING:
    from openai import APIError, APIStatusError, AsyncOpenAI

log = logging.getLogger(__name__)

KEY_VARIABLE = "OPENAI_API_KEY"
URL_VARIABLE = "OPENAI_BASE_URL"
OPENAI_URL = "https://api.openai.com/v1"

_BUSY = frozenset({408, 409, 425, 429})
_UNSUPPORTED = frozenset({400, 404, 415, 422, 501})
# A request refused for one of these reasons is refused in any form.
_FINAL_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "model_not_found", "content_filter", "insufficient_quota"}
)


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How requests travel.

    Attributes:
        backoff_s: the wait before the first repeat when the server does not say; doubles each time, with jitter.
        headers: sent with every request, e.g. for a gateway.
        dialect: where the search for what the server takes begins.
    """

    backoff_s: float = 0.5
    headers: Mapping[str, str] | None = None
    dialect: Dialect = field(default_factory=Dialect)


class HttpLLM:
    """A model behind an OpenAI-compatible endpoint (OpenAI, vLLM, Ollama, llama.cpp and others).

    Every call keeps `request.deadline_s` over all its repeats and waits. A server that refuses a JSON schema is asked
    for any JSON object and then for plain text; the same goes for other parameters that not all servers take. What
    worked is remembered in this object. `request.task` is never sent. Works from several event loops (asyncio) and
    threads at once; connections are opened on the first call, one pool a loop: use ``async with`` or `aclose` in it.

    Args:
        model: as the server calls it.
        base_url: up to and with ``/v1``; default: the variable OPENAI_BASE_URL, else OpenAI.
        api_key: default: the variable OPENAI_API_KEY. A server on this machine needs none. It never shows in a
            representation, an error or a log.
        max_retries: repeats after a busy or failing server or a lost connection, all within the deadline.
    Raises:
        SettingsError: the model, the URL or the key cannot be right.
        MissingExtra: the package openai is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        max_retries: int = 2,
        options: HttpOptions | None = None,
    ) -> None:
        if not model.strip():
            raise SettingsError(
                f"the model's name is empty ({model!r}); give the name that the server knows, e.g. 'gpt-4o'"
            )
        _load_client()
        self._model = model
        self._base_url = _checked_url(base_url or os.environ.get(URL_VARIABLE) or OPENAI_URL)
        self._key = _checked_key(api_key or os.environ.get(KEY_VARIABLE) or "")
        if max_retries < 0:
            raise SettingsError(f"max_retries must be >= 0, got {max_retries!r}; 2 is usual")
        self._max_retries = max_retries
        self._options = options or HttpOptions()
        self._dialect = self._options.dialect
        self._rng = random.Random()
        self._clients: dict[asyncio.AbstractEventLoop, AsyncOpenAI] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._model

    @property
    def dialect(self) -> Dialect:
        """What the server is known to take so far."""
        return self._dialect

    def __repr__(self) -> str:
        return f"HttpLLM({self._model!r}, base_url={self._where!r})"

    @property
    def _where(self) -> str:
        parts = urlsplit(self._base_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """Ask the server; with `on_text` the answer is streamed.

        Once a piece was passed on, a lost connection is not repeated: the pieces would no longer add up.

        Raises:
            LLMTimeout, LLMUnavailable, LLMRefused: see `LLM.complete`.
        """
        if not request.deadline_s > 0:
            raise LLMTimeout(f"no time is left for {self._model!r}: deadline_s is {request.deadline_s!r}")
        with call_span(self._model, self._base_url, request) as note:
            completion, finish = await self._in_time(request, on_text)
            note(completion, finish)
            return completion

    async def _in_time(self, request: CompletionRequest, on_text: OnText | None) -> tuple[Completion, str]:
        """The answer and why it ended, within the deadline."""
        start = time.perf_counter()
        call = _Call(request, on_text, deadline=anyio.current_time() + request.deadline_s)
        with anyio.move_on_after(request.deadline_s) as scope:
            client = self._client()
            answer = await self._persist(client, call)
            try:
                text = answer.checked_text(f"{self._model!r}")
            except LLMError as error:
                error.usage = answer.begun
                raise
            latency_ms = (time.perf_counter() - start) * 1000
            return Completion(text, answer.model or self._model, answer.usage, latency_ms), answer.finish
        assert scope.cancelled_caught
        raise LLMTimeout(
            f"{self._model!r} at {self._where} gave no complete answer within {request.deadline_s:g} s; "
            "raise the deadline or choose a faster model"
        )

    async def aclose(self) -> None:
        """Close the connections of this event loop; those of other loops may be in use. Later calls open new ones."""
        with self._lock:
            client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def check_key(self) -> None:
        """Raises LLMUnavailable if there is no key and the server is not on this machine."""
        if not self._key and not _is_loopback(self._base_url):
            raise LLMUnavailable(
                f"there is no key for {self._where}; set the environment variable {KEY_VARIABLE} "
                "(to any text if the server asks for none)"
            )

    def _client(self) -> AsyncOpenAI:
        self.check_key()
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        loop = asyncio.get_running_loop()
        with self._lock:
            self._clients = {known: c for known, c in self._clients.items() if not known.is_closed()}
            if loop not in self._clients:
                # Deadline and repeats are ours: the client has neither. No proxy stands between us and this machine.
                local = DefaultAsyncHttpxClient(trust_env=False, timeout=None) if _is_loopback(self._base_url) else None
                self._clients[loop] = AsyncOpenAI(
                    api_key=self._key or "none-needed",
                    base_url=self._base_url,
                    max_retries=0,
                    timeout=None,
                    http_client=local,
                    default_headers=self._options.headers,
                )
            return self._clients[loop]

    async def _persist(self, client: AsyncOpenAI, call: _Call) -> Answer:
        """Ask until there is an answer: again when the server is busy, in other words when it does not understand."""
        dialect = started = self._dialect
        repeats, first_refusal = 0, None
        while True:
            try:
                answer = await self._once(client, call, dialect)
            except _Unsupported as error:
                first_refusal = first_refusal or error.refusal
                simpler = dialect.without(
                    error.complaint, structured=call.request.schema is not None, stream=call.on_text is not None
                )
                if simpler is None:
                    raise first_refusal from None
                log.info("%s at %s refused %s; trying %s", self._model, self._where, dialect, simpler)
                dialect = simpler
            except _Busy as error:
                if repeats >= self._max_retries or call.pieces:
                    raise error.failure from None
                await self._wait(error, repeats, call)
                repeats += 1
            else:
                if dialect is not started:  # another call may have learnt something else meanwhile
                    self._dialect = dialect
                return answer

    async def _wait(self, error: _Busy, repeats: int, call: _Call) -> None:
        wait_s = error.wait_s
        if wait_s is None:
            wait_s = backoff_s(repeats, first_s=self._options.backoff_s, rng=self._rng)
        left_s = call.deadline - anyio.current_time()
        if wait_s >= left_s > 0:  # at 0 the time was over while the server was asked, and the sleep is cancelled
            late = LLMUnavailable(
                f"{error.failure}; the next try is in {wait_s:.1f} s, but the deadline leaves {left_s:.1f} s"
            )
            late.usage = error.failure.usage
            raise late from None
        log.info("%s at %s: %s; again in %.1f s", self._model, self._where, error.failure, wait_s)
        await anyio.sleep(wait_s)

    async def _once(self, client: AsyncOpenAI, call: _Call, dialect: Dialect) -> Answer:
        import openai

        answer = Answer()
        body = dialect.parameters(call.request, stream=call.on_text is not None)
        try:
            response: Any = await client.chat.completions.create(model=self._model, **body)
            if call.on_text is None:
                answer.take(response, part="message")
            else:
                async with response:
                    await read_stream(response, answer, call.pass_on)
        except openai.APIStatusError as error:
            raise self._status_error(error) from None
        except openai.APIError as error:
            raise self._broken(error, answer) from None
        except Exception as error:
            # The client lets through what its parts raise on malformed answers and lost connections.
            if error is call.listener_error:
                raise
            raise self._broken(error, answer) from None
        return answer

    def _broken(self, error: Exception, answer: Answer) -> _Busy:
        """No answer, or none that can be read: the connection failed, broke, or carried something else."""
        detail = self._redacted(str(getattr(error, "body", None) or error.__cause__ or error))
        failure = LLMUnavailable(
            f"{self._model!r} at {self._where} gave no usable answer ({type(error).__name__}: {detail}); "
            "check that the server runs and that base_url is right"
        )
        failure.usage = answer.begun
        return _Busy(failure)

    def _status_error(self, error: APIStatusError) -> LLMError | _Busy | _Unsupported:
        status, detail = error.status_code, self._redacted(error.message)
        said = f"{self._model!r} at {self._where} answered {status}: {detail}"
        codes = {str(error.code), str(error.type)}
        if status in (401, 403):
            return LLMUnavailable(f"{said}; check the key in the environment variable {KEY_VARIABLE}")
        if status == 402 or "insufficient_quota" in codes:
            return LLMUnavailable(f"{said}; the account has no quota left")
        if status in _UNSUPPORTED and not codes & _FINAL_CODES:
            return _Unsupported(LLMRefused(f"{said}; check the model's name and the request"), _complaint(error))
        if status in _BUSY or status >= 500:
            return _Busy(LLMUnavailable(said), retry_after_s(error.response.headers))
        return LLMRefused(f"{said}; check the model's name and the request")

    def _redacted(self, text: str) -> str:
        """Some servers repeat the key in their errors."""
        return (text.replace(self._key, "***") if self._key else text)[:300]


class _Call:
    """One call of `complete` and what has become of it."""

    def __init__(self, request: CompletionRequest, on_text: OnText | None, *, deadline: float) -> None:
        self.request = request
        self.on_text = on_text
        self.deadline = deadline
        self.pieces = 0
        self.listener_error: Exception | None = None

    def pass_on(self, piece: str) -> None:
        assert self.on_text is not None
        self.pieces += 1
        try:
            self.on_text(piece)
        except Exception as error:
            self.listener_error = error
            raise


class _Busy(Exception):
    """The same request may succeed later; `wait_s` is what the server asks for."""

    def __init__(self, failure: LLMUnavailable, wait_s: float | None = None) -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.wait_s = wait_s


class _Unsupported(Exception):
    """The server does not take the request in this form."""

    def __init__(self, refusal: LLMRefused, complaint: str) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal
        self.complaint = complaint


def _load_client() -> None:
    """Import the client now: it takes a second, which the first turn's deadline should not pay."""
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise MissingExtra.of("openai", "serve", "a remote language model") from error


def _complaint(error: APIError) -> str:
    return f"{error.param or ''} {error.message}"


def is_address(url: str) -> bool:
    """Whether an endpoint can be there: an absolute address of HTTP."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:  # e.g. a bracket without its other, or a port that is none
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0


def _checked_url(url: str) -> str:
    if not is_address(url):
        raise SettingsError(f"base_url is not an http address: {url!r}; it looks like 'http://127.0.0.1:8000/v1'")
    return url.strip().rstrip("/")


def _checked_key(key: str) -> str:
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(f"the key has characters that no key has; copy it again ({KEY_VARIABLE}, not shown here)")
    return key


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
