"""Take the pictures of the chat page that the docs show.

    rarec demo --no-open --port 8911 &
    python docs/generate_images.py http://127.0.0.1:8911/

Needs playwright and a Chromium. The picture of the owner's page is of a scripted service and is not taken here.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import ViewportSize, sync_playwright

IMAGES = Path(__file__).parent / "images"
EARLIER = ("A western with a woman in the lead", "What should I show my kids?", "Something like Spirited Away")
REQUEST = "I loved Alien and The Thing. Something tense from the 80s or later, not a comedy?"
DESKTOP, PHONE = ViewportSize(width=1280, height=860), ViewportSize(width=390, height=844)


def say(page: Any, text: str) -> None:
    """Send a message, and wait for the cards of its answer."""
    page.get_by_role("textbox").first.fill(text)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Like", exact=True).first.wait_for()
    page.wait_for_timeout(1500)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of the chat page")
    url = parser.parse_args().url
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=DESKTOP)
        page.goto(url)
        for text in (*EARLIER, REQUEST):
            page.get_by_role("button", name="New conversation").first.click()
            say(page, text)
        page.get_by_role("button", name="Like", exact=True).nth(0).click()
        page.get_by_role("button", name="Not for me", exact=True).nth(1).click()
        page.mouse.move(0, 0)
        page.wait_for_timeout(800)
        page.screenshot(path=IMAGES / "chat-light.png")
        page.emulate_media(color_scheme="dark")
        page.wait_for_timeout(500)
        page.screenshot(path=IMAGES / "chat-dark.png")
        page.emulate_media(color_scheme="light")
        page.get_by_role("button", name="Why these?").last.click()
        page.wait_for_timeout(1000)
        page.screenshot(path=IMAGES / "chat-trace.png")
        page.keyboard.press("Escape")
        page.set_viewport_size(PHONE)
        page.wait_for_timeout(800)
        page.screenshot(path=IMAGES / "chat-phone.png")
        browser.close()


if __name__ == "__main__":
    main()
