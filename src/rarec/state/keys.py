"""API keys: made once, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from rarec.errors import Conflict, InputError, StoreError
from rarec.state.database import StateDatabase
from rarec.state.records import Key, Limits
from rarec.state.stored import check_name, now_us, time_of
from rarec.state.tables import keys

_PREFIX = "rarec"
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
"""Compared with where there is no such key, so that the time tells nothing."""
LOCAL = "local"
"""Id and name of the key under which a service without keys works; no secret opens it."""


def add_key(
    database: StateDatabase, name: str, limits: Limits | None = None, *, admin: bool = False
) -> tuple[Key, str]:
    """Make a key; the second value is its secret, which is kept nowhere: show it now.

    The secret is ``rarec_ID_`` and 32 random bytes. They are not a password that could be guessed, so a plain
    SHA-256 of them is as hard to undo as they are to find.

    Raises:
        InputError: the name is empty or too long.
        Conflict: another key has the name, a revoked one included.
    """
    check_name(name, "the name of a key")
    id, chosen = secrets.token_hex(8), limits or Limits()
    secret = f"{_PREFIX}_{id}_{secrets.token_urlsafe(32)}"
    return _insert(database, id, name, _hash(secret), chosen, admin=admin), secret


def local_key(database: StateDatabase, limits: Limits | None = None) -> Key:
    """The key of a service without keys, made if it is missing; `limits` replace those that it had, None keeps them."""
    with database.reading() as connection:
        row = connection.execute(select(keys).where(keys.c.id == LOCAL)).first()
    if row is None:
        try:
            return _insert(database, LOCAL, LOCAL, "", limits or Limits())
        except Conflict:  # another process has made it just now
            return local_key(database, limits)
    if limits is None:
        return _key(row)
    with database.writing() as connection:
        connection.execute(update(keys).where(keys.c.id == LOCAL).values(limits=_limits_document(limits)))
    return local_key(database)


def find_key(database: StateDatabase, secret: str) -> Key | None:
    """The key of a secret; None if there is none, or it has been revoked. Compared in constant time."""
    id = secret.split("_", 2)[1] if secret.startswith(f"{_PREFIX}_") and secret.count("_") >= 2 else ""
    with database.reading() as connection:
        row = connection.execute(select(keys).where(keys.c.id == id)).first() if id.isalnum() and id.isascii() else None
    same = hmac.compare_digest(_hash(secret), _NOBODY if row is None else row.hash)
    return _key(row) if row is not None and same and row.revoked_us is None else None


def list_keys(database: StateDatabase) -> tuple[Key, ...]:
    """All keys, revoked ones too, in the order in which they were made."""
    with database.reading() as connection:
        return tuple(_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_us, keys.c.id)))


def has_keys(database: StateDatabase) -> bool:
    """Whether there is a key that opens something; the one of a service without keys does not count."""
    with database.reading() as connection:
        query = select(keys.c.id).where(keys.c.id != LOCAL, keys.c.revoked_us.is_(None)).limit(1)
        return connection.execute(query).first() is not None


def revoke_key(database: StateDatabase, name: str) -> Key:
    """Close a key for ever, by its name or id; again it changes nothing. Its sessions stay.

    Raises:
        InputError: there is no such key.
    """
    found = (keys.c.name == name) | (keys.c.id == name)
    with database.writing() as connection:
        connection.execute(update(keys).where(found, keys.c.revoked_us.is_(None)).values(revoked_us=now_us()))
        row = connection.execute(select(keys).where(found)).first()
    if row is None:
        raise InputError(f"no key {name!r}; see them with: rarec keys list")
    return _key(row)


def _insert(database: StateDatabase, id: str, name: str, hash: str, limits: Limits, *, admin: bool = False) -> Key:
    created = now_us()
    row = {"id": id, "name": name, "hash": hash, "created_us": created, "limits": _limits_document(limits)}
    try:
        with database.writing() as connection:
            connection.execute(insert(keys).values(row | {"admin": admin}))
    except IntegrityError as error:
        raise Conflict(f"there is a key {name!r} already; choose another name") from error
    return Key(id, name, time_of(created), None, limits, admin)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _limits_document(limits: Limits) -> dict[str, Any]:
    return limits.model_dump(exclude_none=True, exclude_defaults=True)


def _key(row: Row[Any]) -> Key:
    try:
        limits = Limits.model_validate(row.limits)
    except ValidationError as error:
        raise StoreError(f"the limits of the key {row.name!r} are damaged: {error}; revoke it") from error
    revoked = None if row.revoked_us is None else time_of(row.revoked_us)
    return Key(row.id, row.name, time_of(row.created_us), revoked, limits, bool(row.admin))
