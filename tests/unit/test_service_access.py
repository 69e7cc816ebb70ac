"""What is believed for how long, and the lower of two ceilings."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.errors import InputError, StoreError
from rarec.service.access import FRESH_S, STALE_S, Lately, is_loopback
from rarec.state import Ceiling, in_money, lower, parse_limits


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Gives a value, or is gone; counts how often it was asked."""

    def __init__(self, value: str | None) -> None:
        self.value, self.gone, self.asked = value, False, 0

    async def __call__(self) -> str | None:
        self.asked += 1
        if self.gone:
            raise StoreError("gone")
        return self.value


def test_what_was_found_is_believed_for_a_while() -> None:
    clock, source = Clock(), Source("a")
    lately = Lately[str](clock)

    def get() -> str | None:
        return asyncio.run(lately.get("x", source))

    assert [get(), get()] == ["a", "a"]
    assert source.asked == 1
    clock.now, source.value = FRESH_S, "b"
    assert get() == "b"
    clock.now, source.value = 2 * FRESH_S, None
    assert get() is None, "it was revoked"
    source.gone = True
    with pytest.raises(StoreError):
        get()


def test_while_the_database_is_gone_it_is_believed_for_longer_and_hardly_asked() -> None:
    clock, source = Clock(), Source("a")
    lately = Lately[str](clock)
    asyncio.run(lately.get("x", source))
    source.gone, clock.now = True, STALE_S - 1
    assert [asyncio.run(lately.get("x", source)) for _ in range(3)] == ["a"] * 3
    assert source.asked == 2
    clock.now = STALE_S + FRESH_S
    with pytest.raises(StoreError):
        asyncio.run(lately.get("x", source))


def test_it_does_not_grow_without_end() -> None:
    lately, source = Lately[str](Clock()), Source("a")

    async def fill() -> None:
        for number in range(1500):
            await lately.get(str(number), source)

    asyncio.run(fill())
    assert len(lately._found) == 1000


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("", False), ("0.0.0.0", False),
     ("192.0.2.1", False), ("::", False), ("localhost.example", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(host: str, here: bool) -> None:
    assert is_loopback(host) is here


CEILINGS = st.builds(
    Ceiling,
    calls=st.none() | st.integers(0, 9),
    tokens=st.none() | st.integers(0, 9),
    usd=st.none() | st.floats(0, 9),
)


@settings(deadline=None)
@given(CEILINGS, CEILINGS)
def test_the_lower_ceiling_keeps_both(first: Ceiling, second: Ceiling) -> None:
    both = lower(first, second)
    assert both == lower(second, first)
    for name in Ceiling.model_fields:
        given_ = [value for value in (getattr(first, name), getattr(second, name)) if value is not None]
        assert getattr(both, name) == (min(given_) if given_ else None)


def test_ceilings_as_people_write_them() -> None:
    limits = parse_limits(["day.usd=2.5", "request.calls=2", "request.calls=3"], source="here")
    assert (limits.day.usd, limits.request.calls) == (2.5, 3)
    assert in_money(limits)
    assert not in_money(parse_limits(["request.calls=2"], source="here"))
    for wrong in ("day", "day.usd=", "day.usd=x", "day.usd=inf", "day.usd=-1", "week.usd=1", "day.calls=1.5", ".=1"):
        with pytest.raises(InputError, match=r"^here"):
            parse_limits([wrong], source="here")
