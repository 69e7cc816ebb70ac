"""The merged corpus as a source: every row of the real file is a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus_sources import read

pytestmark = pytest.mark.shared_data


def test_every_row_of_the_merged_corpus_is_a_record(shared_data: Path) -> None:
    found = read(shared_data / "corpus", kind="merged", files={"movies": "movies.parquet"})
    assert len(found.records) == 231_171
    assert found.lost == []
    assert len(found.by_key) == len(found.records)
    assert [record.line for record in found.records] == list(range(1, 231_172))
    assert sum("imdb" in record.ids for record in found.records) == 174_695
    assert sum("tmdb" in record.ids for record in found.records) == 66_020
    assert sum(record.year is not None for record in found.records) == 230_301
    assert all(record.titles for record in found.records)
    assert not any("<br" in record.text for record in found.records)
