"""The pages for people, at / and /admin: files built from web/ and committed, so that installing needs no Node.

They load nothing but themselves and call nothing but this service; the policy that is sent with them makes the browser
hold to that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from rarec.service.problems import of_status

FOLDER = Path(__file__).parent / "web"
PAGES = {"/": "chat.html", "/admin": "admin.html"}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".woff2": "font/woff2",
}
_HEADERS = {
    "Cache-Control": "no-cache",  # kept, and asked about by its ETag
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    headers: dict[str, str]


def site() -> APIRouter:
    """Routes for the pages and their files, which are read now."""
    router = APIRouter(include_in_schema=False)
    files = {path.name: _read(path) for path in FOLDER.iterdir() if path.suffix in _TYPES}

    def page(name: str) -> None:
        file = files[PAGES[name]]

        @router.api_route(name, methods=["GET", "HEAD"])
        async def _(request: Request) -> Response:
            return _answer(request, file)

    for name in PAGES:
        page(name)

    @router.api_route("/web/{name}", methods=["GET", "HEAD"])
    async def _(request: Request, name: str) -> Response:
        file = files.get(name)
        if file is None:
            raise of_status(404, "")
        return _answer(request, file)

    return router


def _read(path: Path) -> _File:
    content = path.read_bytes()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, {**_HEADERS, "ETag": tag, "Content-Type": _TYPES[path.suffix]})


def _answer(request: Request, file: _File) -> Response:
    tag = file.headers["ETag"]
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known or "*" in known:
        kept = {name: value for name, value in file.headers.items() if name != "Content-Type"}
        return Response(status_code=304, headers=kept)
    return Response(file.content, headers=file.headers)
