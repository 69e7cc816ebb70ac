"""Databases of every age become those of this version; newer ones are refused."""

from __future__ import annotations

import multiprocessing
import shutil
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text

from rarec.errors import StoreError
from rarec.state import (
    NewTurn,
    StateDatabase,
    add_key,
    add_turns,
    create_session,
    find_key,
    list_turns,
    migrating,
)
from rarec.state.tables import metadata, turns

# On SQLite it copies a table that others refer to, as most changes have to there.
LATER = '''
"""A later revision, as a test has it."""
import time
import sqlalchemy as sa
from alembic import op
revision = "r0003"
down_revision = "r0002"
branch_labels = depends_on = None
def upgrade():
    time.sleep(0.5)  # so that others come meanwhile
    copied = "always" if op.get_bind().dialect.name == "sqlite" else "never"
    with op.batch_alter_table("sessions", recreate=copied) as batch:
        batch.add_column(sa.Column("note", sa.Text, nullable=False, server_default="none yet"))
'''
FAILING = LATER.replace('server_default="none yet"))', 'server_default="x"))\n    raise RuntimeError("stopped")')


def later(folder: Path, revision: str) -> Path:
    """The packaged revisions and one more."""
    scripts = folder / "migrations"
    shutil.copytree(migrating.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    (scripts / "versions" / "r0003.py").write_text(revision)
    return scripts


def filled(place: str) -> tuple[str, str, str]:
    """A database of the first revision with a session in it: key, secret, session."""
    with StateDatabase.open(place) as database:
        key, secret = add_key(database, "shop")
        session = create_session(database, key.id).id
        add_turns(database, key.id, session, [NewTurn("user", "hello")])
    return key.id, secret, session


def test_what_the_revisions_make_is_what_the_tables_say(database_place: str) -> None:
    with StateDatabase.open(database_place) as database, database.reading() as connection:
        options = {"version_table": migrating.VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        # alembic does not compare these
        for table in metadata.sorted_tables:
            checks = {check["name"] for check in inspect(connection).get_check_constraints(table.name)}
            assert checks == {c.name for c in table.constraints if type(c).__name__ == "CheckConstraint"}


def test_opening_twice_changes_nothing(database_place: str) -> None:
    key, secret, session = filled(database_place)
    with StateDatabase.open(database_place) as database:
        assert migrating.revision(database.engine) == "r0002"
        found = find_key(database, secret)
        assert found is not None
        assert found.id == key
        assert [stored.turn.text for stored in list_turns(database, key, session)] == ["hello"]


def _open_later(place: str, scripts: Path, start: Any, told: Any) -> None:
    migrating.SCRIPTS = scripts
    start.wait()
    with StateDatabase.open(place) as database:
        told.put(migrating.revision(database.engine))


def test_an_older_database_is_migrated_once_with_what_it_holds(database_place: str, tmp_path: Path) -> None:
    key, _, session = filled(database_place)
    scripts = later(tmp_path, LATER)
    spawn = multiprocessing.get_context("spawn")
    start, told = spawn.Barrier(3), spawn.Queue()
    workers = [spawn.Process(target=_open_later, args=(database_place, scripts, start, told)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=120)
    assert [worker.exitcode for worker in workers] == [0] * 3  # twice would fail: the column is there
    assert [told.get(timeout=10) for _ in workers] == ["r0003"] * 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrating, "SCRIPTS", scripts)
        with StateDatabase.open(database_place) as database:
            with database.reading() as connection:
                assert connection.execute(text("SELECT id, note FROM sessions")).all() == [(session, "none yet")]
            assert [stored.turn.text for stored in list_turns(database, key, session)] == ["hello"]


def test_a_newer_database_is_refused_and_stays_as_it_is(
    database_place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(database_place)
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "SCRIPTS", later(tmp_path, LATER))
        StateDatabase.open(database_place).close()
    with pytest.raises(StoreError, match=r"newer rarec \(revision 'r0003', this one knows 'r0002'\); upgrade rarec"):
        StateDatabase.open(database_place)
    monkeypatch.setattr(migrating, "SCRIPTS", tmp_path / "migrations")
    with StateDatabase.open(database_place) as database:
        assert migrating.revision(database.engine) == "r0003"


def test_a_revision_that_fails_leaves_nothing_behind(
    database_place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _, session = filled(database_place)
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "SCRIPTS", later(tmp_path, FAILING))
        with pytest.raises(RuntimeError, match="stopped"):
            StateDatabase.open(database_place)
    with StateDatabase.open(database_place) as database:
        assert migrating.revision(database.engine) == "r0002"
        with database.reading() as connection:
            columns = [column["name"] for column in inspect(connection).get_columns("sessions")]
            assert len(connection.execute(select(turns)).all()) == 1
        assert "note" not in columns
        assert [stored.turn.text for stored in list_turns(database, key, session)] == ["hello"]


def test_the_revisions_are_in_the_package() -> None:
    names = {path.name for path in (migrating.SCRIPTS / "versions").glob("r*.py")}
    assert {"r0001.py", "r0002.py"} <= names
    assert (migrating.SCRIPTS / "env.py").is_file()
