"""Whatever a recipe holds, it is a recipe or one error that names every wrong key in words of its own."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.alignment.recipe import AlignRecipe, parse_align_recipe
from rarec.errors import SettingsError
from rarec.evaluate.recipe import Recipe, parse_recipe

KEYS = st.sampled_from(
    ["name", "kind", "n", "llm", "of", "behind", "data", "judge", "learner", "sets", "loop", "run", "system",
     "data_set", "seeds", "reward", "embedder", "prices", "members", "format", "local", "table", "people", "folder"]
)  # fmt: skip
PLAIN = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "x", "local", "people", "recorded", "simulated", "dpo", "ranked", "llm-alone", "fusion"]),
)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
THEIR_WORDS = ("Input should", "Field required", "Extra inputs", "Value error", "discriminator", "pydantic")


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_document_is_a_recipe_or_a_list_of_its_mistakes(values: dict[str, Any]) -> None:
    for parse, model in ((parse_align_recipe, AlignRecipe), (parse_recipe, Recipe)):
        try:
            assert isinstance(parse(values, source="r.toml"), model)
        except SettingsError as error:
            first, *lines = str(error).split("\n")
            assert "r.toml" in first
            assert lines or "of format" in first
            assert not any(words in line for words in THEIR_WORDS for line in lines)
            unknown = values.keys() - {field.alias or name for name, field in model.model_fields.items()}
            assert not lines or all(any(line.startswith(f"  {key}") for line in lines) for key in unknown)
