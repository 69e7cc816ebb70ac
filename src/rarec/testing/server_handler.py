"""The HTTP side of the fake server."""

from __future__ import annotations

import base64
import json
import random
import socket
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rarec.testing.embedder import hash_vector
from rarec.testing.replies import Recorded, Reply

if TYPE_CHECKING:
    from rarec.testing.server import FakeOpenAIServer


class _Dropped(Exception):
    """The reply says to cut the connection here."""


class Handler(BaseHTTPRequestHandler):
    """One connection; kept alive, so that the client's connection pool is exercised too."""

    fake: ClassVar[FakeOpenAIServer]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        if self.path.endswith("/models"):
            self._json(200, {"object": "list", "data": [{"id": "fake-model", "object": "model"}]})
        else:
            self._error(404, "not_found", f"no such path: {self.path}")

    def do_POST(self) -> None:
        try:
            self._post()
        except (_Dropped, ConnectionError, TimeoutError):
            self.close_connection = True
            self._reset()

    def handle(self) -> None:
        self.fake.count_connection()
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def _post(self) -> None:
        body = self._body()
        if body is None:
            return self._error(400, "invalid_json", "the body is not a JSON object")
        request = Recorded(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.fake.record(request)
        sent = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.fake.key is not None and sent != self.fake.key:
            return self._error(401, "invalid_api_key", f"Incorrect API key provided: {sent}")
        if self.path.endswith("/chat/completions"):
            return self._chat(body)
        if self.path.endswith("/embeddings"):
            return self._embeddings(body)
        return self._error(404, "not_found", f"no such path: {self.path}")

    def _body(self) -> dict[str, Any] | None:
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    # chat

    def _chat(self, body: dict[str, Any]) -> None:
        if rejected := self._rejected(body):
            return self._error(400, "unsupported_parameter", f"Unsupported parameter: '{rejected}'", param=rejected)
        reply = self.fake.next_reply(body)
        self._misbehave(reply)
        if reply.status >= 400:
            return self._error(reply.status, reply.code, reply.message, headers=reply.headers)
        if reply.raw is not None:
            return self._send(200, reply.raw, headers=reply.headers)
        return self._stream(body, reply) if body.get("stream") else self._answer(body, reply)

    def _rejected(self, body: Mapping[str, Any]) -> str:
        kind = (body.get("response_format") or {}).get("type")
        if kind in self.fake.rejects:
            return "response_format"
        return next((name for name in sorted(self.fake.rejects) if name in body), "")

    def _misbehave(self, reply: Reply) -> None:
        if reply.hang:
            self.fake.closing.wait()
            raise _Dropped
        if reply.delay_s and self.fake.closing.wait(reply.delay_s):
            raise _Dropped

    def _answer(self, body: Mapping[str, Any], reply: Reply) -> None:
        if reply.drop_after is not None:
            raise _Dropped
        message = {"role": "assistant", "content": None if reply.refusal else reply.text, "refusal": reply.refusal}
        choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
        answer = {
            "id": "chatcmpl-fake",
            "object": "chat.completion",
            "created": 0,
            "model": reply.model,
            "choices": [choice] if reply.choices else [],
        }
        if reply.usage:
            answer["usage"] = _usage(body, reply)
        self._json(200, answer, headers=reply.headers)

    def _stream(self, body: Mapping[str, Any], reply: Reply) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for number, event in enumerate(_events(body, reply)):
            if reply.drop_after is not None and number >= reply.drop_after:
                raise _Dropped
            if reply.piece_delay_s and self.fake.closing.wait(reply.piece_delay_s):
                raise _Dropped
            self._chunk(f"data: {json.dumps(event)}\n\n".encode())
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    # embeddings

    def _embeddings(self, body: Mapping[str, Any]) -> None:
        options = self.fake.embeddings
        if (fault := self.fake.next_embeddings_fault()) is not None:
            self._misbehave(fault)
            if fault.status >= 400:
                return self._error(fault.status, fault.code, fault.message, headers=fault.headers)
            if fault.raw is not None:
                return self._send(200, fault.raw, headers=fault.headers)
            if fault.drop_after is not None:
                raise _Dropped
        texts = [body["input"]] if isinstance(body.get("input"), str) else body.get("input")
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            return self._error(400, "invalid_input", "'input' must be a text or a list of texts that is not empty")
        if options.refuse_empty and "" in texts:
            return self._error(400, "invalid_input", "'input' cannot hold an empty text")
        if options.max_batch is not None and len(texts) > options.max_batch:
            return self._error(
                400, "batch_too_large", f"batch of {len(texts)} is larger than the allowed {options.max_batch}"
            )
        dimension = int(body.get("dimensions") or options.dimension) + options.wrong_dimension
        rows = [self._row(text, dimension, number) for number, text in enumerate(texts)]
        as_base64 = body.get("encoding_format") == "base64"
        data = [
            {"object": "embedding", "index": i, "embedding": _base64(row) if as_base64 else row.tolist()}
            for i, row in enumerate(rows)
        ]
        if options.shuffle:
            random.Random(len(texts)).shuffle(data)
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return self._json(200, {"object": "list", "model": body.get("model", ""), "data": data, "usage": usage})

    def _row(self, text: str, dimension: int, number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        row = hash_vector(text, dimension=dimension)
        return row if self.fake.embeddings.unit else row * np.float32(number + 2)

    # bytes

    def _json(self, status: int, value: object, *, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), headers=headers or {})

    def _error(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": param, "code": code or None}
        self._json(status, {"error": error}, headers=headers)

    def _send(self, status: int, data: bytes, *, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _reset(self) -> None:
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client was faster


def _usage(body: Mapping[str, Any], reply: Reply) -> dict[str, int]:
    """Tokens counted as words."""
    read = sum(len(str(message.get("content", "")).split()) for message in body.get("messages", ()))
    written = len(reply.text.split())
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _events(body: Mapping[str, Any], reply: Reply) -> Iterator[dict[str, Any]]:
    base = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 0, "model": reply.model}
    if reply.choices:
        yield base | {"choices": [_choice({"role": "assistant", "content": ""})]}
        if reply.refusal:
            yield base | {"choices": [_choice({"refusal": reply.refusal})]}
        else:
            for at in range(0, len(reply.text), reply.piece_chars):
                yield base | {"choices": [_choice({"content": reply.text[at : at + reply.piece_chars]})]}
        yield base | {"choices": [_choice({}, finish=reply.finish_reason)]}
    if reply.usage and (body.get("stream_options") or {}).get("include_usage"):
        yield base | {"choices": [], "usage": _usage(body, reply)}


def _choice(delta: Mapping[str, Any], *, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _base64(row: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode("ascii")
