"""Brings a database to the tables of this version; see `migrations/versions`."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, inspect

from rarec.errors import StoreError

SCRIPTS = Path(__file__).with_name("migrations")
VERSION_TABLE = "rarec_state_version"
APPLICATION_ID = 0x52415253
"""``RARS``, in the head of a SQLite file that is ours."""
_LOCK = 0x7261726563
"""Of PostgreSQL's advisory locks, the one under which a database is migrated."""
_ALONE = threading.Lock()
"""Alembic keeps what it works on in globals: one migration a process at a time."""


def migrate(engine: Engine, shown: str) -> None:
    """Make the tables, or change those of an older version; all of it is done or nothing.

    Whoever comes while another process is at it waits, and then finds it done.

    Raises:
        StoreError: the database is something else's, or was written by a newer rarec.
    """
    config = _config()
    newest = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as connection, connection.begin():  # a look first: nobody waits where nothing is to do
        if _revision(connection) == newest:
            return
    with _ALONE, engine.connect() as connection:
        sqlite = connection.dialect.name == "sqlite"
        connection.execution_options(rarec_write=True)
        if sqlite:  # a revision may copy a table and drop the old one; SQLite takes this outside a transaction only
            _keep_foreign_keys(connection, False)
        try:
            with connection.begin():
                if not sqlite:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                _upgrade(connection, config, shown)
        finally:
            if sqlite:
                _keep_foreign_keys(connection, True)


def revision(engine: Engine) -> str | None:
    """The revision of a database; None where there are no tables of ours."""
    with engine.connect() as connection, connection.begin():
        return _revision(connection)


def _upgrade(connection: Connection, config: Config, shown: str) -> None:
    found = _revision(connection)
    scripts = ScriptDirectory.from_config(config)
    if found is None and connection.dialect.name == "sqlite" and inspect(connection).get_table_names():
        raise StoreError(f"{shown} is another program's database; give another file")
    if found is not None:
        try:
            scripts.get_revision(found)
        except CommandError as error:
            raise StoreError(
                f"{shown} was written by a newer rarec (revision {found!r}, this one knows "
                f"{scripts.get_current_head()!r}); upgrade rarec, or give another database"
            ) from error
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")


def _keep_foreign_keys(connection: Connection, kept: bool) -> None:
    raw = connection.connection.driver_connection  # not through SQLAlchemy, which would begin a transaction
    if raw is not None:
        raw.execute(f"PRAGMA foreign_keys={'ON' if kept else 'OFF'}")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["version_table"] = VERSION_TABLE
    return config
