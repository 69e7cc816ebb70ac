"""The page, the terminal table and the Markdown table of invented results."""

import io
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rarec.errors import InputError
from rarec.evaluate.fusion import fuse, oracle_union
from rarec.evaluate.gold import Gold, GoldExample, GoldItem
from rarec.evaluate.predictions import Predictions
from rarec.evaluate.reports import markdown_generation, markdown_notes, markdown_table, render, write_html
from rarec.evaluate.reports.html import page
from rarec.evaluate.reports.plots import reliability, styles_of
from rarec.evaluate.reports.reading import chosen_reference, coloured_systems, group_column, leads, reference_of
from rarec.evaluate.results import Band, Block, Figure, Generation, Pair, Results, SystemResult
from rarec.evaluate.runner import finish
from rarec.pages.wording import clean, money, number, signed
from rarec.types import ItemId

MEASURES = ("R@1", "R@10", "R@50", "N@10")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$\\frac{",
    "]]></style><b>",
    "{{ 7*7 }} {% raw %}",
    "a\x00b\x1b[31mc\u202ed\ud800e\n| **f** |",
    "[red]商品[/red] & \u200f$",
)


def figure(value: float) -> Figure:
    return Figure(value=value, low=value - 0.0111, high=value + 0.0222)


def band(name: str, n: int, value: float | None = None) -> Band:
    return Band(band=name, n=n, figures={} if value is None else {"R@10": figure(value)})


def system(name: str, at: float, **changes: Any) -> SystemResult:
    given: dict[str, Any] = {
        "system": name,
        "depth": 50,
        "figures": {measure: figure(at + place * 0.01) for place, measure in enumerate(MEASURES)},
        "recall_curve": tuple(at * k**0.4 for k in range(1, 51)),
        "slices": {
            "turn": (Band(band="1–3", n=7, figures={"R@10": figure(at * 1.3)}), Band(band="4+", n=0, figures={}))
        },
        "beyond": {"coverage@10": at * 2, "diversity@10": None},
        "group": "a",
    }
    return SystemResult(**(given | changes))


def pair(a: str, b: str, delta: float, **changes: Any) -> Pair:
    given = {"measure": "N@10", "low": delta - 0.0333, "high": delta + 0.0333, "minimum_detectable": 0.0477}
    return Pair(**({"a": a, "b": b, "delta": delta, "a_only": 0.0711, "b_only": 0.0822} | given | changes))


def block(*systems: SystemResult, pairs: list[Pair] | None = None, **changes: Any) -> Block:
    made = [pair(a.system, b.system, 0.0123) for a, b in combinations(systems, 2)] if pairs is None else pairs
    given: dict[str, Any] = {
        "data_set": "teapots", "split": "valid", "protocol": "new-targets", "sentence": "targets not named yet",
        "rows": 1234, "examples": 987, "dialogues": 76, "catalogue": 5432, "unmapped": 3, "measures": MEASURES,
        "headline": "N@10", "level": 0.95, "samples": 1000, "seed": 0, "systems": systems, "pairs": made,
    }  # fmt: skip
    return Block(**(given | changes))


GENERATION = Generation(
    calls=987, named_per_turn=19.4, ungrounded=0.0377, repeated=0.0021, repaired=0.0512, degraded=0.0033,
    latency_ms_p50=1234.0, latency_ms_p95=5678.0, input_tokens=811.0, output_tokens=155.0, cost_usd=0.00214,
)  # fmt: skip


def realistic() -> Results:
    short = {measure: figure(0.3) if measure != "R@50" else Figure(value=None) for measure in MEASURES}
    systems = (
        system("shelf", 0.1),
        system("dice", 0.02, seeds=5, seed_sd={"N@10": 0.0044}, group="b"),
        system("both", 0.31, lower_bound=True, beyond={}, slices={}, recall_curve=(0.1, 0.2)),
        system("oracle", 0.3, figures=short, depth=20, note="Asked in spring.", generation=GENERATION),
    )
    blocks = [block(*systems), block(*systems, protocol="all-targets", rows=2345)]
    return Results(blocks=blocks, meta={"name": "Tea", "date": "2031-05-06", "hashes": {"a.jsonl": "sha256:99ff"}})


@pytest.fixture(scope="module")
def realistic_page() -> str:
    return page(realistic())


@dataclass
class Seen:
    """What a parser found in a page."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)


class Parser(HTMLParser):
    """Fails on a tag that is closed in the wrong place."""

    VOID = frozenset({"meta", "br", "img", "link", "input", "hr"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen, self.open = Seen(), []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.tags.append((tag, dict(attrs)))
        self.seen.ids += [value for name, value in attrs if name == "id" and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.seen.texts.append(data)


def parsed(text: str) -> Seen:
    parser = Parser()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser.seen


def test_the_page_is_balanced_and_its_ids_and_links_fit(realistic_page: str) -> None:
    seen = parsed(realistic_page)
    assert len(seen.ids) == len(set(seen.ids))
    for tag, attributes in seen.tags:
        links = [attributes[name] or "" for name in ("href", "xlink:href") if name in attributes]
        links += re.findall(r"url\(([^)]*)\)", " ".join(value or "" for value in attributes.values()))
        for link in links:
            assert link.startswith("#"), f"<{tag}> points at {link}"
            assert link[1:] in seen.ids, f"<{tag}> points at {link}, which is not there"


def test_nothing_in_the_page_asks_for_anything(realistic_page: str) -> None:
    text = realistic_page
    assert "@import" not in text
    tags = parsed(text).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object", "embed", "base", "image"}
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on") or name == "src"]
    policy = next(a["content"] for tag, a in tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    # Names of namespaces are no addresses; nothing else looks like one.
    assert not re.sub(r'xmlns(:\w+)?="[^"]*"', "", text).count("//")


def test_every_figure_is_in_the_page(realistic_page: str) -> None:
    results = realistic()
    texts = {text.strip() for text in parsed(realistic_page).texts}
    for one in results.blocks[0].systems:
        bound = one.lower_bound
        bands = [band for bands in one.slices.values() for band in bands]
        for value in [*one.figures.values(), *(f for band in bands for f in band.figures.values())]:
            assert number(value.value, lower_bound=bound) in texts
            if value.low is not None:
                assert f"[{number(value.low)}, {number(value.high)}]" in texts
        assert {number(value) for value in one.beyond.values()} <= texts
        assert {f"±{number(value)}" for value in one.seed_sd.values()} <= texts
    for value in results.blocks[0].pairs:
        assert {signed(value.delta), number(value.minimum_detectable), number(value.a_only)} <= texts
    assert {"987", "19.4", "3.8 %", "0.2 %", "5.1 %", "0.3 %", "1,234", "5,678", "811", "155", "0.00214"} <= texts
    assert {"Asked in spring.", "sha256:99ff", "hashes.a.jsonl", "Tea", "targets not named yet"} <= texts


def test_what_a_lower_bound_hides_is_not_said() -> None:
    systems = (system("both", 0.2, lower_bound=True), system("low", 0.1), system("high", 0.4))
    made = block(*systems, pairs=[pair("both", "low", 0.1), pair("both", "high", -0.1), pair("low", "high", -0.3)])
    text = page(Results(blocks=[made]))
    assert "≥ .230" in text
    assert "every figure is a lower bound" in text
    rows = re.findall(r'<tr><th scope="row">(\w+)</th><td class="text">(\w+)</td>.*?<td>(yes|no)</td>', text)
    assert rows == [("both", "low", "yes"), ("both", "high", "no"), ("low", "high", "yes")]
    assert "≥ −.100" in text
    assert not leads(made, systems[2], "N@10")


def test_bold_needs_a_separated_difference_from_every_other_system() -> None:
    systems = (system("low", 0.1), system("high", 0.4))
    apart = block(*systems, pairs=[pair("low", "high", -0.3)])
    level = block(*systems, pairs=[pair("low", "high", -0.01)])
    assert page(Results(blocks=[apart])).count("<strong>.430</strong>") == 1
    assert page(Results(blocks=[apart])).count("<strong>") == 1  # other measures were not compared
    assert "<strong>" not in page(Results(blocks=[level]))
    assert not leads(block(systems[0], pairs=[]), systems[0], "N@10")


def test_hostile_text_stays_text() -> None:
    systems = [
        system(name, 0.1, note=name, generation=GENERATION, slices={name: (band(name, 2, 0.1),)}, beyond={name: 0.5})
        for name in HOSTILE
    ]
    made = block(*systems, data_set=HOSTILE[0], split=HOSTILE[1], protocol=HOSTILE[3], sentence=HOSTILE[2])
    meta = {"name": HOSTILE[0], "date": HOSTILE[1], HOSTILE[0]: {HOSTILE[4]: [HOSTILE[1]]}}
    results = Results(blocks=[made], meta=meta)
    text = page(results)
    seen = parsed(text)
    assert not {tag for tag, _ in seen.tags} & {"script", "img", "b"}
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    written = "".join(seen.texts)
    for name in HOSTILE:
        assert clean(name) in written
    assert not re.search("[\x00\x1b\u202e\u200f\ud800]", text)
    text.encode("utf-8")
    assert "49" not in [t.strip() for t in seen.texts]


NOTHING = dict.fromkeys(MEASURES, Figure(value=None))
ZEROS = dict.fromkeys(MEASURES, Figure(value=0.0, low=0.0, high=0.0))
FREE = GENERATION.model_copy(update={"cost_usd": 0.0, "latency_ms_p50": 0.0, "latency_ms_p95": None})
EQUAL = pair("a", "b", 0.0, low=0.0, high=0.0, minimum_detectable=0.0, a_only=0.0, b_only=0.0)
A, B = system("a", 0.1), system("b", 0.1)
SPARSE: dict[str, tuple[Block, ...]] = {
    "no-blocks": (),
    "no-systems": (block(),),
    "one": (block(A),),
    "zeros": (block(system("zero", 0.0, figures=ZEROS)),),
    "nothing-known": (
        block(
            system("none", 0.1, figures=NOTHING, recall_curve=(), slices={}, beyond={}),
            system("bare", 0.1, figures={}),
            pairs=[],
        ),
    ),
    "equal": (block(A, B, pairs=[EQUAL]),),
    "free": (block(system("a", 0.1, generation=FREE)),),
    "curve-of-one": (block(system("a", 0.1, recall_curve=(0.2,))),),
}


@pytest.mark.parametrize("blocks", SPARSE.values(), ids=SPARSE)
def test_sparse_results_still_make_a_page_and_a_table(blocks: tuple[Block, ...]) -> None:
    results = Results(blocks=blocks)
    text = page(results)
    parsed(text)
    assert "nan" not in text.lower()
    printed(render(results), 80)
    for one in results.blocks:
        markdown_table(one, intervals="all")
        markdown_notes(one)


def test_equal_results_give_equal_bytes_whatever_the_user_s_style(tmp_path: Path) -> None:
    write_html(realistic(), tmp_path / "a.html")
    script = (
        "import sys, matplotlib; matplotlib.rcParams['font.size'] = 30; matplotlib.rcParams['axes.grid'] = True\n"
        "from rarec.evaluate.reports import write_html; from rarec.evaluate.results import Results\n"
        "write_html(Results.read(sys.argv[1]), sys.argv[2]); assert matplotlib.rcParams['font.size'] == 30"
    )
    realistic().write(tmp_path / "metrics.json")
    arguments = [sys.executable, "-c", script, str(tmp_path / "metrics.json"), str(tmp_path / "b.html")]
    subprocess.run(arguments, check=True)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_figures_have_words_and_tables_have_captions(realistic_page: str) -> None:
    seen = parsed(realistic_page)
    for tag, attributes in seen.tags:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert set((attributes["aria-labelledby"] or "").split()) <= set(seen.ids)
    names = [tag for tag, _ in seen.tags]
    assert names.count("table") == names.count("caption")
    assert all("scope" in attributes for tag, attributes in seen.tags if tag == "th")


def test_systems_keep_their_order(realistic_page: str) -> None:
    written = realistic_page
    main = written[written.index('class="main"') :]
    names = re.findall(r'<th scope="row">(\w+)', main)[:4]
    assert names == ["shelf", "dice", "both", "oracle"]


def test_the_reference_is_the_last_language_model_or_the_first_system() -> None:
    made = realistic().blocks[0]
    assert reference_of(made) == "oracle"
    assert reference_of(made, "dice") == "dice"
    assert reference_of(block(system("a", 0.1), system("b", 0.2))) == "a"
    assert reference_of(block(system("a", 0.1), system("b", 0.2, beyond={}), system("c", 0.1))) == "b"
    assert reference_of(block(system("a", 0.1), pairs=[])) is None


def test_the_reference_is_the_system_that_the_run_compared_on_all_measures() -> None:
    systems = [system("a", 0.1), system("b", 0.2), system("c", 0.1, beyond={})]
    headline = [pair(x.system, y.system, 0.1) for x, y in combinations(systems, 2)]
    asked = [pair("a", "b", 0.1, measure="R@1"), pair("b", "c", 0.1, measure="R@1")]
    assert reference_of(block(*systems, pairs=headline)) == "c"
    assert reference_of(block(*systems, pairs=headline + asked)) == "b"
    assert reference_of(block(*systems, pairs=headline + asked), "a") == "a"


def test_a_reference_answers_for_itself_and_the_page_says_why_it_is_the_one() -> None:
    shelf, model = system("shelf", 0.1), system("mind", 0.3, generation=FREE)
    mute = system("mute", 0.1, generation=FREE.model_copy(update={"degraded": 1.0}))
    mixed = system("mixed", 0.4, beyond={}, note="interleaved: the first 9 of 'mind', the first 9 of 'shelf'")
    best = system("best", 0.5, beyond={}, note="an oracle, not a system: the better rank of 'mind' and 'shelf'")
    assert reference_of(block(shelf, model, mute, mixed, best)) == "mind"
    liked = system("popularity of last year", 0.1)
    alone = chosen_reference(block(shelf, liked, mute, mixed, best), "gone")
    assert alone is not None
    assert alone.system == "popularity of last year"
    assert "gone, which the run names, is not in this table" in alone.why
    assert reference_of(block(shelf, mute)) == "shelf"
    text = page(Results(blocks=[block(shelf, model)]), reference="shelf")
    assert "Compared with shelf, which the run names." in text
    assert "Compared with mind, the last row of a language model" in page(Results(blocks=[block(shelf, model)]))


def test_fusions_and_oracles_are_known_by_their_own_notes() -> None:
    ids = [ItemId(letter) for letter in "abc"]
    gold = Gold(
        "teapots", "test", (GoldExample("x", "d", "1", (ids[0],), frozenset(), (), turns=1),),
        {item: GoldItem(item, None, 0, in_data_set=True) for item in ids},
    )  # fmt: skip
    members = [Predictions(name, 3, lists={"x": tuple(ids)}) for name in ("one", "two")]
    made = [fuse(members, gold, method="interleave"), fuse(members, gold, method="rrf"), oracle_union(*members, gold)]
    for predictions in made:
        last = system(predictions.system, 0.3, beyond={}, note=f"Slow; {predictions.note}")
        assert reference_of(block(system("a", 0.1), last)) == "a", predictions.note


def test_the_page_of_a_run_is_against_what_the_run_names(tmp_path: Path) -> None:
    finish(tmp_path, realistic(), against="dice")
    assert "Compared with dice, which the run names." in (tmp_path / "report.html").read_text(encoding="utf-8")
    finish(tmp_path, realistic(), against="gone")
    assert "Compared with oracle" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_too_many_letters_become_a_count_in_every_report() -> None:
    few = block(system("a", 0.1, group="abcdef"), system("b", 0.1, group="f"))
    column = group_column(few, aligned=True)
    assert column is not None
    assert (column.head, column.cells) == ("group", ("abcdef", "     f"))
    groups = {"a": "abcdefg", "b": "g", "c": "h", "d": "gh", "e": ""}
    many = block(*(system(name, 0.1, group=group) for name, group in groups.items()))
    column = group_column(many)
    assert column is not None
    assert column.cells == ("2 of 3", "2 of 3", "1 of 3", "3 of 3", "")
    sentence = "level with: how many of the other systems it does not separate from on N@10 (paired bootstrap"
    html, terminal, markdown = page(Results(blocks=[many])), printed(render(many), 200), markdown_table(many)
    assert "3\u00a0of\u00a03" in html
    assert re.search(r"d +3 of 3 ", terminal)
    assert markdown.splitlines()[5].endswith("| 3 of 3 |")
    assert markdown.splitlines()[6].endswith("|  |")
    for text in (html, terminal, markdown_notes(many)):
        assert sentence in " ".join(text.split())
        assert "share a letter" not in text
    for text in (html, terminal, markdown):
        assert "level with" in text
        assert "abcdefg" not in text
    assert group_column(block(system("a", 0.1, group=""))) is None


FAILED = GENERATION.model_copy(update={"calls": 28, "degraded": 1.0, "repaired": 1.0})
MENDED = GENERATION.model_copy(update={"calls": 28, "degraded": 0.0, "repaired": 1.0})
FINE = GENERATION.model_copy(update={"calls": 28, "degraded": 0.0, "repaired": 27 / 28})


def test_rows_whose_calls_failed_are_marked_in_every_report() -> None:
    made = block(*(system(n, 0.1, generation=g) for n, g in (("lost", FAILED), ("mended", MENDED), ("fine", FINE))))
    html, terminal = page(Results(blocks=[made])), printed(render(made), 200)
    markdown = markdown_table(made) + markdown_notes(made)
    for text in (" ".join(written.split()) for written in (html, terminal, markdown)):
        assert "lost †" in text
        assert "mended †" in text
        assert "fine †" not in text
        assert "no answer for 28 of 28 calls; their lists are those of the system behind it" in text
        assert "each of its 28 answers was repaired" in text
        assert "27 of 28" not in text
    some = FAILED.model_copy(update={"degraded": 1 / 28})
    said = " ".join(printed(render(block(system("some", 0.1, generation=some))), 200).split())
    assert "† some: no answer for 1 of 28 calls" in said


@pytest.mark.parametrize("width", [50, 80, 160])
def test_the_terminal_says_what_language_models_did(width: int) -> None:
    unpriced = GENERATION.model_copy(update={"cost_usd": None, "degraded": 0.0})
    text = printed(render(block(system("shelf", 0.1), system("mind", 0.1, generation=unpriced))), width)
    below = text[text.index("Language models") :]
    row = next(line for line in below.splitlines() if line.startswith(" mind"))
    shown = re.search(r"Not shown for want of room: ([^.]*)\.", " ".join(below.split()))
    hidden = shown[1].split(", ") if shown else []
    for head, value in (("named", "19.4"), ("ungrounded", "3.8 %"), ("p95 ms", "5,678"), ("tokens out", "155")):
        assert (value in row) != (head in hidden)
    assert "shelf" not in below
    assert "Not known: dollars." in below
    assert "entries that are no item of this catalogue; real things" in " ".join(below.split())
    assert "Language models" not in printed(render(block(system("shelf", 0.1))), width)


def test_the_page_and_markdown_say_what_ungrounded_means() -> None:
    made = realistic().blocks[0]
    said = "ungrounded: entries that are no item of this catalogue; real things outside the catalogue count too."
    assert said in page(realistic())
    assert said in markdown_generation(made)
    assert "| oracle † | 987 | 19.4 | 3.8 % |" in markdown_generation(made)
    assert markdown_generation(block(system("a", 0.1))) == ""


def test_lines_do_not_cross_bands_of_few_rows_or_without_an_interval() -> None:
    def drawn(*bands: Band) -> str:
        made = block(system("a", 0.1, slices={"turn": bands}), pairs=[])
        (panel,) = reliability(made, styles_of(["a"]), key="k")
        series = re.search(r'<g class="series">.*?<path d="([^"]*)"', panel.markup, re.DOTALL)
        return series[1] if series else ""

    joined = drawn(*(band(str(n), 10 + n, 0.1) for n in range(4)))
    assert (joined.count("M "), joined.count("L ")) == (1, 3)
    few = drawn(band("a", 50, 0.1), band("b", 50, 0.1), band("c", 9, 0.9), band("d", 50, 0.1), band("e", 50, 0.1))
    assert (few.count("M "), few.count("L ")) == (2, 2)
    bare = Band(band="c", n=50, figures={"R@10": Figure(value=0.2)})
    assert drawn(band("a", 50, 0.1), band("b", 50, 0.1), bare).count("L ") == 1
    assert "Bands of fewer than 10 rows" in page(realistic())


def test_few_rows_do_not_stretch_the_axis() -> None:
    def ticks(*bands: Band) -> list[str]:
        (panel,) = reliability(block(system("a", 0.1, slices={"turn": bands}), pairs=[]), styles_of(["a"]), key="k")
        return re.findall(r"<text[^>]*>(\.\d+|1\.\d+)</text>", panel.markup)

    firm, thin = band("a", 50, 0.1), band("b", 3, 0.95)
    assert max(map(float, ticks(firm, thin))) < 0.2
    assert max(map(float, ticks(thin))) > 0.5


def test_a_cut_off_at_the_catalogue_is_said() -> None:
    whole = block(system("a", 0.1), catalogue=50)
    for text in (page(Results(blocks=[whole])), printed(render(whole), 200), markdown_notes(whole)):
        assert "R@50: the cut-off reaches the whole catalogue of 50 items" in text
        assert "R@10, R@50" not in text
    assert "cut-off reaches" not in markdown_notes(block(system("a", 0.1), catalogue=51))


def test_at_most_six_systems_are_coloured_and_the_reference_always_is() -> None:
    systems = [system(f"s{place}", 0.01 * place) for place in range(1, 10)]
    assert coloured_systems(Results(blocks=[block(*systems)]), ["s1"]) == ["s1", "s5", "s6", "s7", "s8", "s9"]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="no system 'gone'"):
        page(realistic(), reference="gone")
    with pytest.raises(InputError, match="no system 'gone'"):
        page(realistic(), coloured=["shelf", "gone"])
    with pytest.raises(InputError, match="no system 'gone'"):
        render(realistic(), against="gone")
    many = Results(blocks=[block(*(system(f"s{place}", 0.1) for place in range(8)), pairs=[])])
    with pytest.raises(InputError, match="too many"):
        page(many, coloured=[f"s{place}" for place in range(7)])


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_is_a_missing_extra(package: str) -> None:
    script = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from rarec.evaluate.reports import write_html; from rarec.evaluate.results import Results\n"
        "try:\n    write_html(Results(blocks=[]), 'never.html')\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install -e '.[bench]'" in done.stdout


def printed(what: Any, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(what)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines()), default=0) <= width
    return text


@pytest.mark.parametrize("width", [50, 60, 80, 100, 160])
def test_no_width_of_the_terminal_cuts_a_figure(width: int) -> None:
    made = realistic()
    text = printed(render(made, against="oracle"), width)
    row = next(line for line in text.splitlines() if line.startswith(" shelf"))
    assert ".130" in row
    assert "[.119, .152]" in row
    assert "…" not in text
    found = re.search(r"Not shown for want of room: ([^.]*)\.", " ".join(text.split()))
    hidden = found[1].split(", ") if found else []
    for measure, value in zip(MEASURES, (".100", ".110", ".120", ".130"), strict=True):
        assert (value in row.split()) != (measure in hidden)
    differs = "+.012 [−.021, +.046]" in row
    assert differs != ("differences from oracle" in hidden)


def test_the_terminal_table_says_what_it_stands_on() -> None:
    text = printed(render(realistic().blocks[0]), 200)
    assert "teapots valid · new-targets · n = 1,234" in text
    assert "Systems that share a letter do not separate on N@10" in text
    assert "Minimum detectable difference in N@10: .048" in text
    assert re.search(r"both .*≥ \.340", text)
    assert re.search(r"oracle .*–", text)


def test_names_in_the_terminal_are_no_markup() -> None:
    text = printed(render(block(*(system(name, 0.1) for name in HOSTILE), pairs=[])), 200)
    assert "[red]商品[/red]" in text
    assert "\x1b" not in text
    assert "\x00" not in text


def test_markdown_rounds_and_marks() -> None:
    made = realistic().blocks[0]
    lines = markdown_table(made).splitlines()
    assert lines[0] == "| system | R@1 | R@10 | R@50 | N@10 | N@10 95 % | group |"
    assert lines[2] == "| shelf | .100 | .110 | .120 | .130 | [.119, .152] | `a` |"
    assert "| dice | .020 | .030 | .040 | .050 ±.004 |" in lines[3]
    assert "| both | ≥ .310 |" in lines[4]
    assert "| oracle † | .300 | .300 | – | .300 |" in lines[5]
    chosen = markdown_table(made, measures=["N@10"], systems=["oracle"], intervals="all").splitlines()
    assert chosen[2:] == ["| oracle † | .300<br><sub>[.289, .322]</sub> | `a` |"]
    with pytest.raises(InputError, match="no measure 'R@7'"):
        markdown_table(made, measures=["R@7"])


def test_markdown_holds_hostile_names_in_their_cell() -> None:
    made = block(*(system(name, 0.1) for name in HOSTILE), pairs=[])
    lines = markdown_table(made).splitlines()
    assert len(lines) == 2 + len(HOSTILE)
    for line in lines[2:]:
        assert len(re.findall(r"(?<!\\)\|", line)) == 8
        assert not re.search(r"(?<!\\)[<>]", line)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.11849, ".118"), (0.1185001, ".119"), (1.0, "1.000"), (0.0, ".000"), (-0.0004, ".000"), (-0.012, "−.012")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_signs_and_money() -> None:
    assert [signed(v) for v in (0.012, -0.012, 0.0001, None)] == ["+.012", "−.012", ".000", "–"]
    assert [money(v) for v in (None, 0.0, 0.00214, 0.0000004, 12.3456)] == ["–", "0", "0.00214", "0.0000004", "12.3"]
