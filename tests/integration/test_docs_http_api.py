"""The examples of docs/http_api.md, as a shell runs them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.service.problems import KINDS
from rarec.settings import ServeSettings
from serving import running

PAGE = (Path(__file__).parents[2] / "docs" / "http_api.md").read_text(encoding="utf-8")
MakeStore = Callable[[str], Path]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_run_as_they_stand(make_store: MakeStore) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 4
    with Recommender.open(make_store("shop")) as recommender, running(create_app(recommender)) as served:
        for block in blocks:
            done = subprocess.run(
                ["sh", "-ec", block], env={"URL": served.url, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True
            )
            assert done.returncode == 0, (block, done.stdout, done.stderr)
            assert done.stdout


def test_every_limit_and_status_is_named() -> None:
    for name in ServeSettings.model_fields:
        assert f"`{name}`" in PAGE or f"serve.{name}" in PAGE, name
    listed = {int(n) for row in re.findall(r"^\| ([\d, ]+) \|", PAGE, re.MULTILINE) for n in row.split(",")}
    # A model that fails degrades an answer, so its statuses are the table's last resort only.
    assert {kind.status for kind in KINDS.values()} - {502, 504} <= listed


def test_every_figure_is_named(make_store: MakeStore) -> None:
    with Recommender.open(make_store("shop")) as recommender, running(create_app(recommender)) as served:
        text = served.ask("GET", "/metrics").body.decode()
    names = {name for name in re.findall(r"^# HELP (\w+)", text, re.MULTILINE) if not name.endswith("_created")}
    assert names
    assert names == set(re.findall(r"`(rarec_\w+)", PAGE))
