"""Settings: default < file < environment < flag, and errors that say all at once."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.errors import SettingsError
from rarec.settings import TEMPLATE, LLMSettings, Settings, StorePaths, load_settings


def load(
    path: Path, text: str | bytes | None = None, *, environment: dict[str, str] | None = None, **flags: Any
) -> Settings:
    file = path / "rarec.toml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_settings(file, environment=environment or {}, flags={k.replace("__", "."): v for k, v in flags.items()})


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path) == Settings()


def test_default_file_environment_flag_in_rising_order(tmp_path: Path) -> None:
    file = "[recommend]\ncandidates = 11\ndeadline_s = 1.5\n[llm]\nkind = 'none'\n"
    assert load(tmp_path).recommend.candidates == Settings().recommend.candidates
    assert load(tmp_path, file).recommend.candidates == 11
    environment = {"RAREC_RECOMMEND__CANDIDATES": "12", "PATH": "/bin", "RAREC_STORE": "x"}
    loaded = load(tmp_path, environment=environment)
    assert (loaded.recommend.candidates, loaded.recommend.deadline_s, loaded.llm.kind) == (12, 1.5, "none")
    assert load(tmp_path, environment=environment, recommend__candidates=13).recommend.candidates == 13
    assert load(tmp_path, environment=environment, recommend__candidates=None).recommend.candidates == 12


@pytest.mark.parametrize(("value", "expected"), [("0.25", 0.25), ("3", 3.0), (" 7 ", 7.0)])
def test_an_environment_variable_is_read_as_its_type(tmp_path: Path, value: str, expected: float) -> None:
    assert load(tmp_path, environment={"RAREC_RECOMMEND__DEADLINE_S": value}).recommend.deadline_s == expected


def test_every_mistake_is_reported_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            tmp_path,
            "[recommend]\ncandidates = 'many'\n[llm]\nkind = 'http'\ncolour = 1\n[opera]\nx = 1\n",
            environment={"RAREC_RECOMMEND__DEADLINE_S": "-1", "RAREC_CIRCUS__TENT": "big"},
            llm__temperature=9,
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "wrong settings:"
    told = {line.split()[0]: line for line in lines[1:]}
    assert "(file rarec.toml)" in told["recommend.candidates"]
    assert "(file rarec.toml)" in told["llm.colour"]
    assert "(file rarec.toml)" in told["opera"]
    assert "(environment variable RAREC_RECOMMEND__DEADLINE_S)" in told["recommend.deadline_s"]
    assert "(environment variable RAREC_CIRCUS__TENT)" in told["circus"]
    assert told["llm.temperature"].endswith("= 9 (flag for llm.temperature): must be at least 0, at most 2")
    assert "unknown key. The keys here are embedder, llm, recommend" in told["opera"]


def test_a_mistake_of_several_settings_together_names_all_their_places(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="needs a model") as caught:
        load(tmp_path, "[llm]\ntemperature = 1\n", llm__kind="http")
    assert "file rarec.toml, flag for llm.kind" in str(caught.value)
    with pytest.raises(SettingsError, match="does not take base_url") as caught:
        load(tmp_path, "", environment={"RAREC_EMBEDDER__BASE_URL": "http://x"})
    assert "(environment variable RAREC_EMBEDDER__BASE_URL)" in str(caught.value)


@pytest.mark.parametrize("text", ["llm = 'local'\n", "llm = []\n", "settings = 3\n"])
def test_a_section_of_another_shape(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=r"rarec\.toml"):
        load(tmp_path, text, llm__kind="none")


def test_a_key_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            tmp_path,
            '[llm]\napi_key = "sk-one"\n[openai]\napi_key = "sk-two"\n',
            environment={"RAREC_EMBEDDER__API_KEY": "sk-three"},
        )
    assert "sk-" not in str(caught.value)
    assert "llm.api_key = *** (file rarec.toml): unknown key; did you mean 'api_key_env'?" in str(caught.value)
    with pytest.raises(SettingsError, match="api_key_env = 7"):
        load(tmp_path, "[llm]\napi_key_env = 7\n")


@pytest.mark.parametrize("text", ["[llm\n", "a = = 1", b"[llm]\nmodel = '\xff\xfe'", b"\x00\x01", "x = 1\nx = 2"])
def test_a_file_that_is_not_toml(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(SettingsError, match=r"rarec\.toml.* is not valid TOML"):
        load(tmp_path, text)


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff[llm]\nkind = 'none'\n").llm.kind == "none"


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "rarec.toml").mkdir()
    with pytest.raises(SettingsError, match=r"cannot read .*rarec\.toml"):
        load(tmp_path)


def test_the_process_environment_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAREC_RECOMMEND__CANDIDATES", "17")
    assert load_settings(tmp_path / "none.toml").recommend.candidates == 17


def test_the_template_shows_the_defaults() -> None:
    shown = re.sub(r"(?m)^# (?=\w+ = )", "", TEMPLATE)
    assert shown != TEMPLATE
    assert Settings.model_validate(tomllib.loads(TEMPLATE)) == Settings()
    values = tomllib.loads(shown)
    prices = {name: values["llm"].pop(name) for name in ("input_usd", "output_usd")}  # examples: they have no default
    assert Settings.model_validate(values) == Settings()
    assert LLMSettings.model_validate(prices).priced
    assert not LLMSettings().priced
    assert values["llm"].keys() >= {"kind", "model", "base_url", "api_key_env"}


def test_paths_lie_in_the_store() -> None:
    paths = StorePaths(Path("shop"))
    assert paths.settings == Path("shop/rarec.toml")
    assert {paths.catalogue.parent, paths.embeddings.parent, paths.bundle.parent} == {Path("shop")}


@settings(deadline=None, max_examples=50)
@given(
    st.dictionaries(
        st.from_regex(r"(RAREC_)?[A-Za-z_]{0,12}(__)?[A-Za-z_.]{0,8}", fullmatch=True), st.text(max_size=5), max_size=4
    ),
    st.dictionaries(st.text("lm.kindreco", max_size=10), st.one_of(st.none(), st.integers(), st.text()), max_size=3),
)
def test_anything_is_settings_or_one_settings_error(environment: dict[str, str], flags: dict[str, Any]) -> None:
    wrong = ""
    try:
        load_settings(Path("no-such.toml"), environment=environment, flags=flags)
    except SettingsError as error:
        wrong = str(error)
    assert not wrong or wrong.startswith("wrong settings:\n  ")
