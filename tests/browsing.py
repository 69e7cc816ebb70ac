"""A real browser without a window, for the pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

AXE = Path(__file__).parents[1] / "web" / "node_modules" / "axe-core" / "axe.min.js"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True, slots=True)
class NoBrowser:
    """Why there is none."""

    reason: str


@contextmanager
def chromium() -> Iterator[Any]:
    """Playwright's own Chromium, else the one of the machine; `NoBrowser` if there is neither."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        yield NoBrowser("Playwright is not installed; pip install playwright")
        return
    with sync_playwright() as playwright:
        found = next((path for name in _NAMES if (path := shutil.which(name))), None)
        try:
            own = Path(playwright.chromium.executable_path).exists()
            started = playwright.chromium.launch(executable_path=None if own else found, args=["--no-sandbox"])
        except Error as error:
            yield NoBrowser(f"no Chromium could be started; playwright install chromium: {str(error)[:200]}")
            return
        try:
            yield started
        finally:
            started.close()


@dataclass(slots=True)
class Visit:
    """One visitor: the page, and what it asked for and complained about."""

    page: Any
    url: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def check(self) -> None:
        """No request has left the host, and nothing broke or was kept out by the page's policy."""
        strange = [url for url in self.requests if not url.startswith((self.url + "/", "blob:", "data:"))]
        assert strange == []
        assert self.complaints == []

    def ask(self, text: str) -> None:
        """Type, send, and wait until the answer is whole."""
        answers = self.page.locator(".answer").count()
        self.page.get_by_label("What are you looking for?").fill(text)
        self.page.keyboard.press("Enter")
        self.answered(answers + 1)

    def answered(self, count: int) -> None:
        """Wait until there are so many answers, all of them whole."""
        self.page.wait_for_function(
            "n => document.querySelectorAll('.answer').length === n && !document.querySelector('[aria-busy=true]')",
            arg=count,
        )

    def titles(self) -> list[str]:
        """Of the cards of the last answer."""
        return [str(t) for t in self.page.locator(".answer").last.locator(".card-title").all_inner_texts()]


@contextmanager
def visiting(browser: Any, url: str, **options: Any) -> Iterator[Visit]:
    """A visitor with nothing stored; `check` is called at the end."""
    context = browser.new_context(accept_downloads=True, **options)
    context.set_default_timeout(30_000)
    try:
        page = context.new_page()
        visit = Visit(page, url)
        page.on("request", lambda request: visit.requests.append(request.url))
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        page.on("console", lambda message: _note(visit, message.text))
        yield visit
        visit.check()
    finally:
        context.close()


def _note(visit: Visit, text: str) -> None:
    if "Content Security Policy" in text or "Refused to" in text:
        visit.complaints.append(text)


def axe_violations(page: Any) -> list[str]:
    """What axe-core finds wrong on the page as it is, one line each."""
    page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {n['html'][:160]} {n['failureSummary'][:200]}" for v in found["violations"] for n in v["nodes"]
    ]
