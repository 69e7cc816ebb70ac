"""Which bundle is live: the file that says so, and what may stand in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from rarec.errors import StoreError
from rarec.live import LiveBundle, pointer, read_live, write_live
from rarec.settings import StorePaths


def test_without_the_file_the_first_bundle_is_live(tmp_path: Path) -> None:
    assert read_live(tmp_path) == LiveBundle(live="bundle", before=())
    assert StorePaths(tmp_path).bundle == tmp_path / "bundle"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    live = LiveBundle(live="bundles/0002-abc", before=("bundle", "bundles/0001-0ff"))
    write_live(tmp_path, live)
    assert read_live(tmp_path) == live
    assert StorePaths(tmp_path).bundle == tmp_path / "bundles" / "0002-abc"


@pytest.mark.parametrize("name", ["", "/etc", "..", "bundles/..", "bundles/a/b", "bundles/", "bundles/.a", "bundle\n"])
def test_no_name_leads_out_of_the_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError):
        LiveBundle(live=name)
    with pytest.raises(ValidationError):
        LiveBundle(before=(name,))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"live": 3}', '{"live": "../x"}', '{"format": 2}', '{"live": "bundle", "more": 1}', "\xff"]
)
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    pointer(tmp_path).write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=r"live\.json"):
        read_live(tmp_path)
