"""rarec keys on a store's own database and on one at a URL."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rarec.assembly import create_store
from rarec.cli.app import app
from rarec.llm.budget import Spend
from rarec.state import Ceiling, Limits, StateDatabase, ceilings_for, find_key, reserve, settle

runner = CliRunner()


@pytest.fixture
def store(tmp_path: Path, small_bundle: Path) -> Path:
    return create_store(tmp_path / "s", bundle=small_bundle).root


def rarec(*words: str | Path, code: int = 0) -> Result:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def listed(*words: str | Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(rarec("keys", "list", *words, "--json").stdout)
    return found


def test_a_key_is_made_used_and_revoked(store: Path) -> None:
    made = rarec("keys", "add", "shop", "--store", store, "--limit", "day.usd=2.5", "--limit", "day.calls=100")
    secret = made.stdout.strip()
    assert secret.startswith("rarec_")
    with StateDatabase.open(store / "service.sqlite") as database:
        key = find_key(database, secret)
        assert key is not None
        assert key.limits == Limits(day=Ceiling(usd=2.5, calls=100))
        accounts = ceilings_for(key.limits, key=key.id, session=None, request="r")
        settle(database, reserve(database, accounts, Spend(1, 90, 10**12)), Spend(1, 50, 10**11))
    (found,) = listed("--store", store)
    assert found["limits"] == {"day": {"calls": 100, "usd": 2.5}}
    assert found["spent"] == {"calls": 1, "tokens": 50, "usd": 0.1}
    shown = rarec("keys", "list", "--store", store).stdout
    assert "shop" in shown
    assert "day.calls=100, day.usd=2.5" in shown
    assert secret not in shown
    assert "Revoked the key shop" in rarec("keys", "revoke", "shop", "--store", store).stdout
    rarec("keys", "revoke", found["id"], "--store", store)
    assert listed("--store", store)[0]["revoked"] is not None
    with StateDatabase.open(store / "service.sqlite") as database:
        assert find_key(database, secret) is None
    for file in store.glob("service.sqlite*"):
        assert secret.split("_", 2)[2].encode() not in file.read_bytes()


def test_a_database_elsewhere_needs_no_store(database_place: str, tmp_path: Path) -> None:
    there = ("--database", database_place, "--store", tmp_path / "none")
    secret = json.loads(rarec("keys", "add", "shop", *there, "--json").stdout)["secret"]
    with StateDatabase.open(database_place) as database:
        assert find_key(database, secret) is not None
    assert [key["name"] for key in listed(*there)] == ["shop"]


def test_a_ceiling_in_dollars_without_prices_is_told_when_the_key_is_made(store: Path) -> None:
    said = " ".join(rarec("keys", "add", "site", "--store", store, "--limit", "day.usd=5").stderr.split())
    assert "Warning: ceilings in usd (site), but the prices of the model are not known" in said
    assert "Set input_usd and output_usd in the table [llm] of rarec.toml" in said
    assert "Warning" not in rarec("keys", "add", "calls", "--store", store, "--limit", "day.calls=5").stderr
    settings = store / "rarec.toml"
    text = settings.read_text()
    for line in ("input_usd = 0.15", "output_usd = 0.60"):
        assert f"# {line}" in text, "init writes them, to be filled in"
        text = text.replace(f"# {line}", line)
    settings.write_text(text)
    assert "Warning" not in rarec("keys", "add", "priced", "--store", store, "--limit", "day.usd=5").stderr


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("add", "shop", "--limit", "usd=1"), 2, "SCOPE.WHAT=NUMBER"),
        (("add", "shop", "--limit", "day.usd=nan"), 2, "SCOPE.WHAT=NUMBER"),
        (("add", "shop", "--limit", "year.usd=1"), 2, "year"),
        (("add", "shop", "--limit", "day.calls=-1"), 2, "day.calls"),
        (("add", "shop", "--limit", "day.calls=1.5"), 2, "day.calls"),
        (("add", " "), 2, "name of a key"),
        (("revoke", "nobody"), 2, "rarec keys list"),
    ],
)
def test_what_is_wrong_is_told(store: Path, words: tuple[str, ...], code: int, told: str) -> None:
    assert told in " ".join(rarec("keys", *words, "--store", store, code=code).stderr.split())
    assert listed("--store", store) == []


def test_without_a_store_there_are_no_keys(tmp_path: Path) -> None:
    assert "rarec init" in rarec("keys", "list", "--store", tmp_path / "none", code=3).stderr
    assert not (tmp_path / "none").exists()
    rarec("keys", "list", "--database", "mysql://x", code=2)


@pytest.mark.parametrize("name", ["add", "list", "revoke"])
def test_the_help_has_an_example(name: str) -> None:
    assert f"Example: rarec keys {name}" in " ".join(rarec("keys", name, "--help").stdout.split())
