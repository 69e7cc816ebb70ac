"""How the process of the service is set up."""

from __future__ import annotations

import gc

import httpx2
from fastapi import FastAPI

from rarec.service.running import config_of, settle
from rarec.settings import ServeSettings


def test_a_connection_outlives_the_clients_own_patience() -> None:
    """Else a request may be sent while the service closes the connection that it is sent on."""
    expiry = httpx2.Limits().keepalive_expiry
    assert expiry is not None
    assert config_of(FastAPI(), ServeSettings()).timeout_keep_alive > 2 * expiry


def test_what_is_settled_is_spared_by_the_collector() -> None:
    there = [[number] for number in range(1000)]
    before = gc.get_freeze_count()
    try:
        settle()
        assert gc.get_freeze_count() >= before + len(there)
        assert not any(one is there for one in gc.get_objects())
    finally:
        gc.unfreeze()
