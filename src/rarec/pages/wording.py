"""How figures and names are written, the same in every report."""

from __future__ import annotations

import unicodedata

DASH = "–"
MINUS = "−"
# Characters that turn the direction of the text around them: a name could make other figures read backwards.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean(text: object) -> str:
    """Untrusted text without control characters, lone surrogates and direction marks; line breaks become spaces."""
    return "".join(_shown(character) for character in str(text)).strip()


def _shown(character: str) -> str:
    if character in "\t\n\r\v\f\u0085\u2028\u2029":
        return " "
    if character in _TURNING or unicodedata.category(character) in ("Cc", "Cs"):
        return "\ufffd"
    return character


def number(value: float | None, *, lower_bound: bool = False) -> str:
    """Three digits without the leading zero: ``.118``, ``1.000``, ``−.012``; a dash where nothing is known."""
    if value is None:
        return DASH
    text = f"{abs(value):.3f}"
    sign = MINUS if value < 0 and float(text) else ""
    return ("≥ " if lower_bound else "") + sign + text.removeprefix("0")


def signed(value: float | None) -> str:
    """A difference: ``+.012``, ``−.012``, ``.000``."""
    text = number(value)
    return f"+{text}" if value is not None and value > 0 and text != ".000" else text


def span(low: float | None, high: float | None) -> str:
    """An interval: ``[.106, .130]``; a dash where it is not known."""
    return DASH if low is None or high is None else f"[{number(low)}, {number(high)}]"


def signed_span(low: float, high: float) -> str:
    return f"[{signed(low)}, {signed(high)}]"


def percent(share: float | None) -> str:
    """``3.4 %``; a dash where nothing is known."""
    return DASH if share is None else f"{share * 100:.1f} %"


def level_text(level: float) -> str:
    """``95 %``, ``99.5 %``."""
    return f"{level * 100:.4g} %"


def quantity(value: float | None, *, digits: int = 0) -> str:
    """A count or a duration with thousands separated; a dash where nothing is known."""
    return DASH if value is None else f"{value:,.{digits}f}"


def money(value: float | None) -> str:
    """US dollars with three digits that count: ``0.00213``; a dash where nothing is known."""
    if value is None:
        return DASH
    if value == 0:
        return "0"
    text = f"{value:.3g}"
    return f"{value:.8f}".rstrip("0") if "e-" in text else text


def shortened(text: str, width: int) -> str:
    """At most `width` characters, with an ellipsis at the end where something is cut."""
    return text if len(text) <= width else text[: width - 1] + "…"
