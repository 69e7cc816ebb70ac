"""rarec backup and rarec restore on real stores, one of them in use."""

import io
import json
import sqlite3
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rarec.backup import MANIFEST
from rarec.catalogue import CatalogueStore
from rarec.cli.app import app
from rarec.state import NewTurn, StateDatabase, add_turns, create_session, list_turns, local_key
from rarec.types import Item, ItemId

MakeStore = Callable[[str], Path]
runner = CliRunner()


def rarec(*words: str | Path, code: int = 0) -> Result:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def files(store: Path) -> dict[str, bytes]:
    found = (path for path in store.rglob("*") if path.is_file() and ".sqlite" not in path.name)
    return {str(path.relative_to(store)): path.read_bytes() for path in found}


@pytest.fixture
def store(make_store: MakeStore) -> Path:
    made = make_store("s")
    with StateDatabase.open(made / "service.sqlite") as database:
        session = create_session(database, local_key(database).id).id
        add_turns(database, "local", session, [NewTurn("user", "hello")])
    (made / "session").write_text(session)
    return made


def said(store: Path) -> list[str]:
    with StateDatabase.open(store / "service.sqlite") as database:
        return [turn.turn.text for turn in list_turns(database, "local", (store / "session").read_text())]


def items(store: Path) -> list[str]:
    with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
        return list(catalogue.ids())


def test_what_was_backed_up_comes_back(store: Path, tmp_path: Path) -> None:
    (store / "embeddings.sqlite").write_bytes(b"computed again")
    rarec("backup", tmp_path / "b.tar", "--store", store)
    assert "rarec embed" in rarec("restore", tmp_path / "b.tar", "--store", tmp_path / "new").stdout
    assert files(tmp_path / "new") == files(store)
    assert items(tmp_path / "new") == items(store)
    assert said(tmp_path / "new") == ["hello"]
    assert not (tmp_path / "new" / "embeddings.sqlite").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_nothing_is_overwritten_without_force(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.tar"
    rarec("backup", file, "--store", store)
    assert "--force" in rarec("backup", file, "--store", store, code=2).stderr
    rarec("backup", file, "--store", store, "--force")
    with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
        before = list(catalogue.ids())
        catalogue.add([Item(ItemId("later"), "Later")])
    with StateDatabase.open(store / "service.sqlite") as database:
        add_turns(database, "local", (store / "session").read_text(), [NewTurn("user", "later")])
    (store / "rarec.toml").write_text("# later")
    (store / "mine.txt").write_text("mine")
    assert "--force" in rarec("restore", file, "--store", store, code=2).stderr
    assert said(store) == ["hello", "later"]
    with CatalogueStore.open(store / "catalogue.sqlite") as served:  # a process that has it open
        assert "later" in list(served.ids())
        rarec("restore", file, "--store", store, "--force")
        assert list(served.ids()) == before
    assert said(store) == ["hello"]
    assert "later" not in (store / "rarec.toml").read_text()
    assert (store / "mine.txt").read_text() == "mine"


def test_a_store_in_use_is_backed_up_as_it_was_at_one_moment(store: Path, tmp_path: Path) -> None:
    stop, session = threading.Event(), (store / "session").read_text()

    def talk() -> None:
        with StateDatabase.open(store / "service.sqlite") as database:
            while not stop.is_set():
                add_turns(database, "local", session, [NewTurn("user", "one"), NewTurn("assistant", "two")])

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        for number in range(3):
            rarec("backup", tmp_path / f"{number}.tar", "--store", store)
    finally:
        stop.set()
        talking.join()
    for number in range(3):
        rarec("restore", tmp_path / f"{number}.tar", "--store", tmp_path / f"r{number}")
        assert len(said(tmp_path / f"r{number}")) % 2 == 1  # the first turn, and pairs
        with sqlite3.connect(tmp_path / f"r{number}" / "service.sqlite") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> Path:
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            if (changed := change(member.name, content.read())) is not None:
                info = tarfile.TarInfo(changed[0])
                info.size = len(changed[1])
                new.addfile(info, io.BytesIO(changed[1]))
    return target


@pytest.mark.parametrize(
    "change",
    [
        lambda name, data: (name, data[:-1] + b"x") if name == "rarec.toml" else (name, data),
        lambda name, data: None if name == "rarec.toml" else (name, data),
        lambda name, data: None if name == MANIFEST else (name, data),
        lambda name, data: ("../evil", data) if name == "rarec.toml" else (name, data),
        lambda name, data: ("/tmp/evil", data) if name == "rarec.toml" else (name, data),
        lambda name, data: (name, b"{}") if name == MANIFEST else (name, data),
        lambda name, data: (name, b"\xff") if name == MANIFEST else (name, data),
    ],
)
def test_a_damaged_backup_touches_nothing(
    store: Path, tmp_path: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]
) -> None:
    rarec("backup", tmp_path / "b.tar", "--store", store)
    wrong = rewritten(tmp_path / "b.tar", tmp_path / "wrong.tar", change)
    before = files(store)
    assert "damaged" in rarec("restore", wrong, "--store", store, "--force", code=2).stderr
    assert files(store) == before
    rarec("restore", wrong, "--store", tmp_path / "new", code=2)
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "evil").exists()


def test_what_cannot_be_is_told(store: Path, tmp_path: Path) -> None:
    rarec("backup", tmp_path / "b.tar", "--store", tmp_path / "none", code=2)
    assert "lies in the store" in rarec("backup", store / "b.tar", "--store", store, code=2).stderr
    assert "no file" in rarec("restore", tmp_path / "none.tar", "--store", tmp_path / "new", code=2).stderr
    (tmp_path / "text").write_text("text")
    assert "no backup" in rarec("restore", tmp_path / "text", "--store", tmp_path / "new", code=2).stderr
    told = json.loads(rarec("backup", tmp_path / "b.tar", "--store", store, "--json").stdout)
    assert {"catalogue.sqlite", "service.sqlite", "rarec.toml"} <= {file["path"] for file in told["files"]}


@pytest.mark.parametrize("name", ["backup", "restore"])
def test_the_help_has_an_example(name: str) -> None:
    assert f"Example: rarec {name}" in " ".join(rarec(name, "--help").stdout.split())
