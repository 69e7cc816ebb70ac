"""Recipes of a training run."""

from __future__ import annotations

from pathlib import Path

import pytest

from rarec.errors import InputError, SettingsError
from rarec.training import TrainingRecipe, card, load_recipe, train_bundle

SHIPPED = Path(__file__).parents[2] / "recipes" / "film.toml"


def test_no_recipe_is_that_of_the_shipped_bundle() -> None:
    assert load_recipe(None) == TrainingRecipe()


@pytest.mark.skipif(not SHIPPED.exists(), reason="recipes are not installed with the package")
def test_the_shipped_recipe_says_what_the_defaults_are() -> None:
    assert load_recipe(SHIPPED) == TrainingRecipe()


def test_all_mistakes_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("folds = 1\nfilms = 3\n[retriever]\nwidth = 'wide'\n[ranker_loop]\nepochs = 0\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"own\.toml.* has wrong values:\n") as caught:
        load_recipe(path)
    lines = str(caught.value).splitlines()[1:]
    assert sorted(line.partition(" The keys here are seed, data")[0] for line in lines) == [
        "  films = 3: unknown key; did you mean 'folds'?",
        "  folds = 1: must be at least 2",
        "  ranker_loop.epochs = 0: must be more than 0",
        "  retriever.text_dimension: missing; it has no default",
        "  retriever.width = 'wide': must be a whole number, more than 0",
    ]


@pytest.mark.parametrize("text", ["[written]\nweight = 1e39", "[words]\ngain = 1e30", "association_weights = [1e308]"])
def test_weights_of_which_sums_are_no_numbers_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"at most 1(e\+|0)"):
        load_recipe(path)


@pytest.mark.parametrize("data", [b"[retriever\n", b"seed = '\xff'", b"\x00", b"seed = 1\nseed = 2"])
def test_a_file_that_is_not_toml(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "own.toml").write_bytes(data)
    with pytest.raises(SettingsError, match=r"own\.toml.* is not valid TOML"):
        load_recipe(tmp_path / "own.toml")


def test_a_missing_file_a_folder_and_a_byte_order_mark(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(SettingsError, match="cannot read the recipe"):
            load_recipe(path)
    (tmp_path / "own.toml").write_bytes("\ufeffseed = 5\n".encode())
    assert load_recipe(tmp_path / "own.toml").seed == 5


def test_what_cannot_be_trained_is_told_before_anything_is_read(tmp_path: Path) -> None:
    def run(recipe: TrainingRecipe, **options: str) -> None:
        train_bundle(recipe, data=tmp_path / "none", out=tmp_path / "out", work=tmp_path / "work", **options)

    with pytest.raises(InputError, match="no stage 'polish'; use one of pretrain, finetune, ranker"):
        run(TrainingRecipe(), until="polish")
    wrong = TrainingRecipe.model_validate({"retriever": {"text_dimension": 100}})
    with pytest.raises(InputError, match=r"retriever\.text_dimension = 100, but the vectors of .* have 384"):
        run(wrong)
    with pytest.raises(InputError, match="no file"):
        run(TrainingRecipe())
    assert not (tmp_path / "out").exists()


def test_the_card_says_what_was_held_back() -> None:
    assert "without the 50% of them" in card(TrainingRecipe(held_back=0.5), {}, "e")
    assert "held back" not in card(TrainingRecipe(), {}, "e")
