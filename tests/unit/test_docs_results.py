"""The figures in the documents are those of the committed result files."""

from pathlib import Path

import pytest

from rarec.errors import InputError
from rarec.evaluate.results import Band, Block, Figure, Results, SystemResult
from scripts import load_script

ROOT = Path(__file__).parents[2]


def invented(protocol: str = "new-targets", n10: float = 0.1) -> Results:
    measures = ("R@1", "R@5", "R@10", "R@20", "R@50", "N@10")
    figures = dict.fromkeys(measures, Figure(value=n10, low=n10 - 0.05, high=n10 + 0.05))
    systems = [SystemResult(system=name, depth=50, figures=figures) for name in ("shelf", "oracle")]
    block = Block(
        data_set="teapots", split="valid", protocol=protocol, sentence="all of them", rows=12, examples=10, dialogues=4,
        catalogue=99, unmapped=0, measures=measures, headline="N@10", level=0.9, samples=100, seed=0, systems=systems,
    )  # fmt: skip
    return Results(blocks=[block], meta={"date": "2031-05-06T07:08"})


def test_no_document_is_stale() -> None:
    for path, text in load_script("docs/generate_results.py").documents().items():
        assert path.exists(), f"no {path}; run: python docs/generate_results.py"
        assert path.read_text(encoding="utf-8") == text, f"{path} is stale; run: python docs/generate_results.py"


def test_the_prose_around_the_marks_is_kept_and_what_was_between_them_is_not() -> None:
    module = load_script("docs/generate_results.py")
    before = f"# A title\n\nfirst\n\n{module.START}\nold\n{module.END}\n\nlast\n"
    after = module.replaced(before, "new")
    assert after.startswith("# A title\n\nfirst\n\n")
    assert after.endswith("\n\nlast\n")
    assert "old" not in after
    assert module.replaced(after, "new") == after


@pytest.mark.parametrize("wrong", ["", "{START}", "{END}{START}", "{START}{START}{END}"])
def test_a_document_without_its_marks_is_refused(wrong: str) -> None:
    module = load_script("docs/generate_results.py")
    with pytest.raises(ValueError, match="each once"):
        module.replaced(wrong.format(START=module.START, END=module.END), "new")


def test_a_run_is_copied_without_what_no_table_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_script("docs/generate_results.py")
    monkeypatch.setattr(module, "METRICS", tmp_path / "metrics.json")
    bands = {"turn": (Band(band="1", n=2, figures={"N@10": Figure(value=0.1)}),)}
    blocks = []
    for protocol in ("new-targets", "all-targets"):
        (made,) = invented(protocol).blocks
        systems = [s.model_copy(update={"slices": bands, "recall_curve": (0.1, 0.2)}) for s in made.systems]
        blocks.append(made.model_copy(update={"systems": tuple(systems)}))
    run = Results(blocks=blocks, meta={"date": "2031-05-06", "files": {"a.parquet": "99ff"}})
    run.write(tmp_path / "run.json")
    module.copied(tmp_path / "run.json")
    text = module.METRICS.read_text(encoding="utf-8")
    assert text.count("\n") == 1
    kept = Results.read(module.METRICS)
    assert kept.meta == run.meta
    assert kept.blocks[0] == run.blocks[0]
    assert kept.blocks[1].systems[0].slices == {}
    assert kept.blocks[1].systems[0].recall_curve == ()
    assert module.full_tables(kept) == module.full_tables(run)
    with pytest.raises(InputError, match="no file"):
        module.copied(tmp_path / "gone.json")


def test_counts_in_place_of_letters_are_explained_in_the_short_table() -> None:
    module = load_script("docs/generate_results.py")
    (made,) = invented().blocks
    for group, said in (("abcdefg", True), ("ab", False)):
        systems = tuple(system.model_copy(update={"group": group}) for system in made.systems)
        text = module.short_tables(Results(blocks=[made.model_copy(update={"systems": systems})]), systems=("oracle",))
        assert ("| 1 of 1 |" in text) == said
        assert ("The whole table has 2 systems; level with: how many of the other" in text) == said


def test_metrics_give_both_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_script("docs/generate_results.py")
    readme, page, metrics = tmp_path / "README.md", tmp_path / "results.md", tmp_path / "metrics.json"
    readme.write_text(f"{module.START}\n{module.END}\n", encoding="utf-8")
    invented().write(metrics)
    for name, value in {"README": readme, "PAGE": page, "METRICS": metrics, "SYSTEMS": ("oracle",)}.items():
        monkeypatch.setattr(module, name, value)
    texts = module.documents()
    assert "| oracle | .100 |" in texts[readme]
    assert "shelf" not in texts[readme]
    assert "## teapots valid, new-targets" in texts[page]
    assert "| shelf | .100<br><sub>[.050, .150]</sub> |" in texts[page]
    assert "Computed on 2031-05-06." in texts[page]


def test_the_short_tables_have_one_protocol_and_the_systems_asked_for() -> None:
    module = load_script("docs/generate_results.py")
    text = module.short_tables(invented(), systems=("oracle",))
    assert "| oracle | .100 | .100 | .100 | .100 | .100 | .100 | [.050, .150] |" in text
    assert "shelf" not in text
    assert module.short_tables(invented("all-targets"), systems=("oracle",)) == ""
    with pytest.raises(InputError, match="no system 'gone'"):
        module.short_tables(invented(), systems=("gone",))
