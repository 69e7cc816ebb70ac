"""The pages in a real browser, against the service as it is; only the language model is a fake one on loopback."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from browsing import AXE, NoBrowser, Visit, axe_violations, chromium, visiting
from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.settings import ServeSettings
from rarec.state import StateDatabase, add_key
from rarec.testing import FakeOpenAIServer, Reply
from rarec.testing.replies import Answer
from serving import Running, running, until

MakeStore = Callable[[str], Path]
Serve = Callable[..., Running]
Go = Callable[..., Visit]
GOOD = json.dumps({"ranking": [1, 2, 3, 4, 5, 6], "reply": "Go for **[1]**, then [2]."})
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
EVIL = '<img src=x onerror="window.hit=1"><script>window.hit=2</script>'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        if isinstance(found, NoBrowser):
            pytest.skip(found.reason)
        yield found


@pytest.fixture
def serve(make_store: MakeStore, tmp_path: Path) -> Iterator[Serve]:
    """Serves a store with a fake model behind: its answers, and limits."""
    with ExitStack() as open_:

        def start(*answers: Answer, before: Callable[[Path], None] = lambda _: None, **limits: Any) -> Running:
            fake = open_.enter_context(FakeOpenAIServer(answers or (GOOD,)))
            store = make_store("shop")
            before(store)
            flags = {"llm.kind": "http", "llm.model": "fake", "llm.base_url": fake.url}
            recommender = open_.enter_context(Recommender.open(store, flags=flags))
            settings = ServeSettings(**{"requests_per_minute": 0, "cached_answers": 0, **limits})
            served = open_.enter_context(running(create_app(recommender, settings)))
            until(lambda: served.ask("GET", "/readyz").status == 200)
            return served

        yield start


@pytest.fixture
def go(browser: Any) -> Iterator[Go]:
    """Opens a page for a visitor of its own."""
    with ExitStack() as open_:

        def visit(served: Running, path: str = "/", **options: Any) -> Visit:
            visitor = open_.enter_context(visiting(browser, served.url, **options))
            visitor.page.goto(served.url + path)
            return visitor

        yield visit


def test_a_whole_conversation(serve: Serve, go: Go) -> None:
    served = serve()
    visit = go(served)
    page = visit.page
    suggestion = page.locator(".starters button").first
    first = suggestion.inner_text()
    suggestion.click()
    visit.answered(1)
    assert page.locator(".mine").inner_text().endswith(first)
    titles = visit.titles()
    assert len(set(titles)) == 6
    assert page.locator(".prose strong").inner_text() == titles[0]
    assert page.locator(".card").first.locator(".cover").count() == 1
    visit.ask("And something about the sea?")
    assert page.locator(".answer").count() == 2
    assert not set(visit.titles()) & set(titles[:2]), "what a reply has named is not offered again"

    page.get_by_role("button", name="Why these?").last.click()
    trace = page.get_by_role("dialog", name="Why these?")
    trace.locator("tr.chosen").first.wait_for()
    assert trace.locator("tr.chosen").count() == 6
    assert "Chosen by the model" in trace.inner_text()
    page.keyboard.press("Escape")

    with page.expect_download() as saving:
        page.get_by_role("button", name="Export as JSON").click()
    kept = json.loads(Path(saving.value.path()).read_bytes())
    assert [turn["role"] for turn in kept["turns"]] == ["user", "assistant"] * 2

    page.get_by_role("button", name="Like").first.click()
    page.locator(".sidebar").get_by_role("button", name="New conversation").click()
    assert page.locator(".answer").count() == 0
    page.locator(".past").first.click()
    visit.answered(2)
    assert page.locator(".answer").first.locator(".card-title").all_inner_texts() == titles
    assert page.locator(".answer").first.get_by_role("button", name="Like", pressed=True).count() == 1
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete this conversation").click()
    page.locator(".past").first.wait_for(state="detached")
    until(lambda: served.ask("GET", "/v1/sessions").json["sessions"] == [])


def test_verdicts_change_the_next_list(serve: Serve, go: Go) -> None:
    visit = go(serve())
    page = visit.page
    visit.ask("Anything with trams?")
    refused, liked, seen = visit.titles()[2:5]
    for title, verdict in ((refused, "Not for me"), (liked, "Like"), (seen, "Know it")):
        page.get_by_role("group", name=f"What you think of {title}").get_by_role("button", name=verdict).click()
    page.get_by_text("3 changes since the last list.").wait_for()
    assert page.locator(".card.refuse .card-title").inner_text() == refused
    page.get_by_role("button", name="Update the list").click()
    visit.answered(2)
    assert not {refused, liked, seen} & set(visit.titles())
    page.get_by_role("button", name="Why these?").last.click()
    trace = page.get_by_role("dialog", name="Why these?")
    trace.locator(".mark.liked").wait_for()
    assert liked in trace.locator(".mark.liked").inner_text()
    assert refused in trace.locator(".mark.disliked").inner_text()


def years(visit: Visit) -> list[int]:
    facts = visit.page.locator(".answer").last.locator(".card-facts").all_inner_texts()
    return [int(found[0]) for fact in facts if (found := re.findall(r"\d{4}", fact))]


def test_filters_by_words_and_by_hand(serve: Serve, go: Go) -> None:
    visit = go(serve())
    page = visit.page
    visit.ask("Something from the 90s, not horror, under two hours")
    shown = years(visit)
    assert shown
    assert all(1990 <= year <= 1999 for year in shown)
    assert "Horror" not in " ".join(page.locator(".card-facts").all_inner_texts())
    assert [chip.strip() for chip in page.locator(".chip.read").all_inner_texts()] == ["1990-1999", "not Horror"]
    page.get_by_role("button", name="Remove the filter 1990-1999").click()
    page.get_by_role("button", name="Update the list").click()
    visit.answered(2)
    assert any(not 1990 <= year <= 1999 for year in years(visit))
    assert [chip.strip() for chip in page.locator(".chip.read").all_inner_texts()] == ["not Horror"]

    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("dialog").get_by_text("Genres", exact=True).click()
    page.get_by_role("button", name="Comedy", exact=True).click()
    page.get_by_label("From", exact=True).fill("1985")
    page.get_by_role("button", name="Done").click()
    page.get_by_role("button", name="Remove the filter Comedy").wait_for()
    page.get_by_role("button", name="Update the list").click()
    visit.answered(3)
    facts = page.locator(".answer").last.locator(".card-facts").all_inner_texts()
    assert facts
    assert all("Comedy" in fact for fact in facts)
    assert min(years(visit)) >= 1985


def test_a_model_that_is_down(serve: Serve, go: Go) -> None:
    visit = go(serve(Reply(status=500)))
    visit.ask("Anything?")
    assert len(visit.titles()) == 6
    assert "did not take part" in visit.page.locator(".note.warn").inner_text()
    visit.page.get_by_role("button", name="Why these?").click()
    visit.page.get_by_text("No language model took part").wait_for()


def test_a_reply_is_shown_while_it_is_written_and_can_be_stopped(serve: Serve, go: Go) -> None:
    slow = json.dumps({"ranking": [1], "reply": "Take [1]. " + "And so on. " * 400})
    visit = go(serve(Reply(slow, piece_chars=6, piece_delay_s=0.03)))
    page = visit.page
    page.get_by_label("What are you looking for?").fill("Anything?")
    page.keyboard.press("Enter")
    page.locator(".answer.waiting .prose").wait_for()
    early = page.locator(".prose").inner_text()
    page.wait_for_function("n => document.querySelector('.prose').innerText.length > n", arg=len(early))
    assert page.locator(".card").count() == 0
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("Stopped.").wait_for()
    assert page.get_by_role("button", name="Send").count() == 1


def overflow(visit: Visit) -> int:
    return int(visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_phone_width(serve: Serve, go: Go) -> None:
    served = serve()
    visit = go(served, **PHONE)
    page = visit.page
    page.locator(".starters").wait_for()
    assert overflow(visit) == 0
    assert not page.locator(".sidebar").is_visible()
    visit.ask("Anything with trams, from the 90s, with a title long enough for the list of conversations?")
    assert overflow(visit) == 0
    for button in page.locator(".card").first.get_by_role("button").all():
        box = button.bounding_box() if button.is_visible() else None
        assert box is None or 0 <= box["x"] <= box["x"] + box["width"] <= 390
    page.get_by_role("button", name="Why these?").click()
    page.locator("tr.chosen").first.wait_for()
    assert overflow(visit) == 0
    within = "(d => d.scrollWidth - d.clientWidth)(document.querySelector('dialog'))"
    assert page.evaluate(within) == 0
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Conversations").click()
    page.get_by_role("dialog").locator(".past").wait_for()
    assert page.evaluate(within) == 0
    page.get_by_role("dialog").get_by_role("button", name="New conversation").click()
    assert page.locator(".answer").count() == 0
    page.goto(served.url + "/admin")
    page.locator(".tile").first.wait_for()
    assert overflow(visit) == 0


def tab_to(page: Any, name: str, *, most: int = 60) -> None:
    """Press Tab until something of that name has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        found = page.evaluate("(e => e.getAttribute('aria-label') || e.innerText || '')(document.activeElement)")
        if found.strip() == name:
            return
    raise AssertionError(f"{name!r} cannot be reached")


def test_keyboard_only(serve: Serve, go: Go) -> None:
    visit = go(serve())
    page = visit.page
    page.locator(".starters").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skip to the field
    page.keyboard.type("Anything with trams?")
    page.keyboard.press("Enter")
    visit.answered(1)
    refused = visit.titles()[0]
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "Not for me")
    page.keyboard.press("Space")
    page.locator(".card.refuse").wait_for()
    tab_to(page, "Why these?")
    page.keyboard.press("Enter")
    page.locator("tr.chosen").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.innerText") == "Why these?"
    tab_to(page, "Update the list")
    page.keyboard.press("Enter")
    visit.answered(2)
    assert refused not in visit.titles()


def test_markup_in_titles_and_replies_stays_text(serve: Serve, go: Go) -> None:
    served = serve(json.dumps({"ranking": [1, 2, 3, 4, 5, 6], "reply": f"{EVIL} Take [1]."}))
    item = {"title": f"{EVIL} Tram", "text": EVIL, "year": 1995, "attributes": {"genres": [EVIL, "Drama"]}}
    assert served.ask("PUT", "/v1/items/evil", item).status == 201
    visit = go(served)
    page = visit.page
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_label("From", exact=True).fill("1995")
    page.get_by_label("To", exact=True).fill("1995")
    page.get_by_role("button", name="Done").click()
    visit.ask(f"{EVIL} please")
    assert visit.titles() == [f"{EVIL} Tram"]
    assert EVIL in page.locator(".prose").inner_text()
    assert EVIL in page.locator(".mine").inner_text()
    page.locator(".card-title").click()
    page.locator(".details-text").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Why these?").click()
    page.locator("tr.chosen").wait_for()
    for path in ("/admin#catalogue", "/admin#turns"):
        page.goto(served.url + path)
        page.locator("tbody tr").first.wait_for()
    assert page.evaluate("window.hit") is None
    assert page.locator("img, iframe, object").count() == 0


def test_words_and_links_are_of_the_shop(serve: Serve, go: Go) -> None:
    served = serve()
    address = "https://shop.example/tram?a=1&b=2"
    for number, link in enumerate((address, "javascript:window.hit=3")):
        item = {"title": f"Linked Tram {number}", "year": 1701, "attributes": {"url": [link], "genres": ["Drama"]}}
        assert served.ask("PUT", f"/v1/items/linked-{number}", item).status == 201
    visit = go(served)
    page = visit.page
    page.locator(".sidebar").get_by_role("link", name="Admin").wait_for()  # without keys whoever is here is the owner
    hint = page.get_by_label("What are you looking for?").get_attribute("placeholder")
    assert re.fullmatch(r"[^,]+, not [^,]+ …", hint)
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_label("To", exact=True).fill("1701")
    page.get_by_role("button", name="Done").click()
    visit.ask("Linked Tram, please")
    assert page.locator("a.card-title").count() + page.locator("button.card-title").count() == len(visit.titles())
    link = page.locator("a.card-title")
    assert (link.get_attribute("href"), link.get_attribute("rel")) == (address, "noopener noreferrer")
    assert page.locator("button.card-title").inner_text() == "Linked Tram 1", "no other scheme is followed"
    page.get_by_role("button", name="Details of Linked Tram 0").click()
    assert page.locator(".details-link a").get_attribute("href") == address
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_label("To", exact=True).fill("1700")
    page.get_by_role("button", name="Done").click()
    visit.ask("And now?")
    last = page.locator(".answer").last
    assert last.inner_text().count("Nothing in the catalogue") == 1
    assert last.locator(".note").count() == 0


def test_who_types_at_once_after_a_dialog_is_not_interrupted(serve: Serve, go: Go) -> None:
    visit = go(serve())
    page = visit.page
    for takes_focus, holder in ((True, "say"), (False, "Filters")):
        page.get_by_role("button", name="Filters", exact=True).click()
        page.locator("dialog[open]").wait_for()
        page.evaluate(
            """takes => {
                document.querySelector("dialog").close();
                if (takes) document.getElementById("say").focus();
            }""",
            takes_focus,
        )
        page.locator("dialog").wait_for(state="detached")
        page.evaluate("() => new Promise(requestAnimationFrame)")
        focused = page.evaluate("document.activeElement.id || document.activeElement.ariaLabel")
        assert focused == holder


def test_a_key_is_asked_for_and_kept_in_the_tab(serve: Serve, go: Go, tmp_path: Path) -> None:
    place = str(tmp_path / "keys.sqlite")
    with StateDatabase.open(place) as database:
        _, secret = add_key(database, "visitor")
        _, owner = add_key(database, "owner", admin=True)
    served = serve(database=place)
    visit = go(served)
    page = visit.page
    page.get_by_label("Key").fill("wrong")
    page.get_by_role("button", name="Use this key").click()
    page.get_by_text("The key was not accepted.").wait_for()
    page.get_by_label("Key").fill(secret)
    page.get_by_role("button", name="Use this key").click()
    visit.ask("Anything?")
    assert len(visit.titles()) == 6
    assert page.get_by_role("link", name="Admin").count() == page.get_by_role("link", name="API").count() == 0
    page.reload()
    page.locator(".starters").wait_for()
    assert page.evaluate("JSON.stringify(localStorage).includes(sessionStorage.getItem('rarec.key'))") is False
    page.goto(served.url + "/admin")
    page.get_by_text("this key may not do that").wait_for()
    page.get_by_label("Key").fill(owner)
    page.get_by_role("button", name="Use this key").click()
    page.locator(".tile").first.wait_for()
    page.goto(served.url)
    page.locator(".sidebar").get_by_role("link", name="Admin").wait_for()


def test_too_many_requests_say_when_to_come_back(serve: Serve, go: Go) -> None:
    visit = go(serve(requests_per_minute=1, burst=20))
    page = visit.page
    for number in range(1, 8):
        visit.ask(f"Anything number {number}?")
        if page.locator(".trouble").count():
            break
    assert "Too many requests" in page.locator(".trouble").inner_text()
    assert re.search(r"Try again in \d+ s", page.locator(".trouble button").inner_text())
    assert page.locator(".trouble button").is_disabled()


def test_a_service_that_is_gone(serve: Serve, go: Go) -> None:
    served = serve()
    visit = go(served)
    page = visit.page
    visit.ask("Anything?")
    served.server.should_exit = True
    until(lambda: not served.server.started or _gone(served))
    visit.ask("And now?")
    assert "The service does not answer" in page.locator(".trouble").inner_text()
    assert page.get_by_role("button", name="Try again").is_enabled()
    assert page.locator(".card").count() == 6, "what was there stays"


def _gone(served: Running) -> bool:
    try:
        served.ask("GET", "/healthz")
    except OSError:
        return True
    return False


def test_an_empty_catalogue(serve: Serve, go: Go, small_catalogue: Any) -> None:
    served = serve()
    ids = [item.id for item in small_catalogue]
    assert served.ask("POST", "/v1/items/delete", {"ids": ids}).json["deleted"] == len(ids)
    asked = {"model": "rarec", "messages": [{"role": "user", "content": "Anything?"}]}
    assert served.ask("POST", "/v1/chat/completions", asked).json["rarec"]["items"] == []
    visit = go(served)
    visit.page.get_by_role("heading", name="The catalogue is empty").wait_for()


def test_the_theme_follows_the_system_and_can_be_switched(serve: Serve, go: Go) -> None:
    visit = go(serve(), color_scheme="dark")
    page = visit.page
    page.locator(".starters").wait_for()
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(colour)
    assert dark != light
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate(colour) == dark
    page.reload()
    page.locator(".starters").wait_for()
    assert page.evaluate(colour) == dark, "the choice is remembered"


def rows(page: Any, count: int) -> None:
    """Wait until the table has so many."""
    page.wait_for_function("n => document.querySelectorAll('tbody tr').length === n", arg=count)


def test_admin_edits_the_catalogue(serve: Serve, go: Go) -> None:
    served = serve()
    visit = go(served, "/admin#catalogue")
    page = visit.page
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Search by words of the title").fill("salt")
    rows(page, 2)
    page.get_by_role("button", name="Add an item").click()
    page.get_by_label("Title", exact=True).fill("Salt Teahouse")
    page.get_by_label("Id", exact=True).fill("tea/house 1")
    page.get_by_label("Year").fill("2001")
    page.get_by_label("Attributes").fill("genres Drama")
    page.get_by_role("button", name="Store").click()
    page.get_by_role("alert").get_by_text("no name and colon").wait_for()
    page.get_by_label("Attributes").fill("genres: Drama | Comedy")
    page.get_by_role("button", name="Store").click()
    rows(page, 3)
    stored = served.ask("GET", "/v1/items?id=tea/house%201").json["items"][0]
    assert (stored["year"], stored["attributes"]) == (2001, {"genres": ["Drama", "Comedy"]})
    page.get_by_role("button", name="Salt Teahouse").click()
    page.get_by_label("Year").fill("2002")
    page.get_by_role("button", name="Store").click()
    page.get_by_role("cell", name="2002").wait_for()
    page.get_by_role("button", name="Salt Teahouse").click()
    page.get_by_role("button", name="Delete").click()
    rows(page, 2)
    assert served.ask("GET", "/v1/items?id=tea/house%201").json["items"] == []


def test_admin_shows_figures_and_the_last_turns(serve: Serve, go: Go) -> None:
    served = serve(GOOD, Reply(status=500))
    visit = go(served)
    page = visit.page
    visit.ask("Anything?")
    page.get_by_role("button", name="Like").first.click()
    page.get_by_text("One change since the last list.").wait_for()
    visit.ask("And else?")
    page.goto(served.url + "/admin")
    page.locator(".tile").first.wait_for()
    tiles = dict(
        zip(page.locator(".tile dt").all_inner_texts(), page.locator(".tile dd").all_inner_texts(), strict=True)
    )
    assert tiles["Items"] == "20"
    assert tiles["Turns"].startswith("2")
    assert tiles["Degraded"].startswith("50 %")
    assert tiles["Likes"].startswith("1")
    assert page.locator(".plot").count() == 4
    page.get_by_role("tab", name="Turns").click()
    page.locator("tbody tr").first.wait_for()
    assert page.locator("tbody .badge").all_inner_texts() == ["degraded", "ok"]
    page.locator(".row-title").last.click()
    page.locator("tr.chosen").first.wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")  # gives the focus back
    page.get_by_role("tab", name="Turns").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_label("Search by words of the title").wait_for()


def test_admin_switches_bundles_after_asking(serve: Serve, go: Go, small_bundle: Path) -> None:
    def second(store: Path) -> None:
        shutil.copytree(small_bundle, store / "bundles" / "0001-other")

    visit = go(serve(before=second), "/admin#bundles")
    page = visit.page
    page.locator(".bundle-live").wait_for(timeout=90_000)
    before = page.locator(".bundle-live b").inner_text()
    page.get_by_role("button", name="Promote").click()
    page.get_by_role("button", name="Leave it").click()
    page.locator("dialog").wait_for(state="detached")
    assert page.evaluate("document.activeElement.textContent").strip() == "Promote"
    assert page.locator(".bundle-live b").inner_text() == before
    page.get_by_role("button", name="Promote").click()
    page.get_by_role("button", name="Make it live").click()
    page.wait_for_function("b => document.querySelector('.bundle-live b').innerText !== b", arg=before)
    assert page.locator(".bundle-live b").inner_text() == "bundles/0001-other"
    page.get_by_role("button", name=re.compile("^Roll back")).click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^Roll back$")).click()
    page.wait_for_function("b => document.querySelector('.bundle-live b').innerText === b", arg=before)


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed; npm ci --prefix web")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(serve: Serve, go: Go, scheme: str) -> None:
    served = serve(GOOD, Reply(status=500))
    visit = go(served, color_scheme=scheme, reduced_motion="reduce")
    page = visit.page
    page.locator(".fan").wait_for()
    found = {"welcome": axe_violations(page)}
    visit.ask("Something from the 90s, not horror, under two hours")
    for verdict in ("Like", "Not for me", "Know it"):
        page.get_by_role("button", name=verdict).nth({"Like": 0, "Not for me": 1, "Know it": 2}[verdict]).click()
    visit.ask("And else?")
    found["talk"] = axe_violations(page)
    page.get_by_role("button", name="Why these?").first.click()
    page.locator("tr.chosen").first.wait_for()
    found["trace"] = axe_violations(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Filters", exact=True).click()
    page.get_by_role("dialog").get_by_text("Genres", exact=True).click()
    page.get_by_role("button", name="Comedy", exact=True).click()
    found["filters"] = axe_violations(page)
    page.goto(served.url + "/admin")
    for name, ready in (
        ("Overview", ".tile"),
        ("Catalogue", "tbody tr"),
        ("Turns", "tbody tr"),
        ("Bundles", ".bundle-live"),
    ):
        page.get_by_role("tab", name=name).click()
        page.locator(ready).first.wait_for(timeout=90_000)
        found[name] = axe_violations(page)
    assert {place: wrong for place, wrong in found.items() if wrong} == {}
