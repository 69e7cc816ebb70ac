"""matplotlib figures as SVG that takes its colours and its font from the page that it stands in."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
# Plots are drawn in these stand-ins; each becomes a variable of the page's style sheet, with a value for light paper.
INK, MUTED, GRID, GREY, BAND = "#000a01", "#000a02", "#000a03", "#000a04", "#000a05"
SERIES = ("#000b01", "#000b02", "#000b03", "#000b04", "#000b05", "#000b06")
_VARIABLES = {
    INK: "var(--ink, #1b1f24)",
    MUTED: "var(--muted, #59636e)",
    GRID: "var(--line, #d5dae0)",
    GREY: "var(--grey, #a9b1ba)",
    BAND: "var(--band, #eef1f4)",
    "#000b01": "var(--s1, #0072b2)",
    "#000b02": "var(--s2, #d55e00)",
    "#000b03": "var(--s3, #009e73)",
    "#000b04": "var(--s4, #b3478f)",
    "#000b05": "var(--s5, #1b1f24)",
    "#000b06": "var(--s6, #3d9bd6)",
}
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_FONT = re.compile(r"'DejaVu Sans'[^;]*")
_COLOUR = re.compile("|".join(_VARIABLES))


@dataclass(frozen=True, slots=True)
class Drawing:
    """One inline SVG.

    Attributes:
        key: unique in the page; the ids inside begin with it.
        width: natural width in CSS pixels.
        title, description: for those who cannot see it; `description` says what is drawn, not what it shows.
    """

    key: str
    title: str
    description: str
    width: int
    markup: str = field(repr=False)


@contextmanager
def drawing_style() -> Iterator[None]:
    """matplotlib's own defaults, whatever the user's are, and text that stays text."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The page's font draws the text, not the one that only measures it here.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": "rarec",
                "font.family": ["DejaVu Sans"],
                "font.size": 11,
                "axes.edgecolor": GRID,
                "axes.labelcolor": MUTED,
                "axes.linewidth": 1,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "grid.color": GRID,
                "grid.linewidth": 0.7,
                "text.color": INK,
                "xtick.color": GRID,
                "ytick.color": GRID,
                "xtick.labelcolor": MUTED,
                "ytick.labelcolor": MUTED,
                "xtick.major.size": 0,
                "ytick.major.size": 0,
                "xtick.minor.size": 0,
            }
        )
        yield


def drawn(figure: Figure, *, key: str, title: str, description: str, names: Mapping[str, str] | None = None) -> Drawing:
    """The figure as markup for an HTML page; equal figures give equal bytes.

    `names` maps the gid of a part of the figure to the text that is shown when somebody points at it.
    """
    buffer = io.BytesIO()
    FigureCanvasSVG(figure)
    figure.savefig(
        buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    root = ElementTree.fromstring(buffer.getvalue())
    _strip(root)
    _isolate(root, key, names or {})
    _theme(root)
    width = round(figure.get_figwidth() * 72)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{key}-title {key}-desc")
    for name, text in (("desc", description), ("title", title)):
        element = ElementTree.Element(f"{{{SVG}}}{name}", {"id": f"{key}-{name}"})
        element.text = text
        root.insert(0, element)
    return Drawing(key, title, description, width, _serialised(root))


def _strip(root: ElementTree.Element) -> None:
    """Remove metadata, matplotlib's style sheet (it would hold for the whole page) and what paints nothing."""
    for parent in list(root.iter()):
        for child in list(parent):
            tag = child.tag.rpartition("}")[2]
            empty = tag == "path" and child.get("style") in ("fill: none", "fill: none; opacity: 0", "opacity: 0")
            sheet = tag == "defs" and any(part.tag == f"{{{SVG}}}style" for part in child)
            if tag == "metadata" or sheet or empty:
                parent.remove(child)
    while _without_empty_groups(root):
        pass


def _without_empty_groups(root: ElementTree.Element) -> bool:
    empty = [
        (parent, child)
        for parent in root.iter()
        for child in parent
        if child.tag in (f"{{{SVG}}}g", f"{{{SVG}}}defs") and not len(child)
    ]
    for parent, child in empty:
        parent.remove(child)
    return bool(empty)


def _isolate(root: ElementTree.Element, key: str, names: Mapping[str, str]) -> None:
    """Ids that nothing refers to go, the others begin with the key, and named parts get their text."""
    used = {match for element in root.iter() for match in _references(element)}
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{key}-{own}")
        elif own is not None and own in names:
            element.set("class", "series")
            title = ElementTree.Element(f"{{{SVG}}}title")
            title.text = names[own]
            element.insert(0, title)
        linked = element.attrib.pop(f"{{{XLINK}}}href", None)
        if linked is not None:
            element.set("href", f"#{key}-{linked.removeprefix('#')}")
        for name in ("clip-path", "style", "fill"):
            if name in element.attrib:
                element.set(name, _REFERENCE.sub(rf"url(#{key}-\1)", element.attrib[name]))


def _references(element: ElementTree.Element) -> list[str]:
    linked = element.get(f"{{{XLINK}}}href", "")
    inside = [match for value in element.attrib.values() for match in _REFERENCE.findall(value)]
    return [*inside, *([linked.removeprefix("#")] if linked.startswith("#") else [])]


def _theme(root: ElementTree.Element) -> None:
    for element in root.iter():
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        for name, value in element.attrib.items():
            value = _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.2f}", value)
            if name == "style":
                value = _FONT.sub("var(--font, sans-serif)", value)
                value = _COLOUR.sub(lambda match: _VARIABLES[match[0]], value)
            element.set(name, value)


def _serialised(root: ElementTree.Element) -> str:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        if element.tag not in ("text", "tspan", "title", "desc"):
            element.text = None
        element.tail = None
    return ElementTree.tostring(root, encoding="unicode")
