"""Bundles: whole or refused with a remedy."""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from rarec.errors import BundleError, StoreError
from rarec.retriever.bundle import Manifest, load_model, load_retriever, save_model, save_retriever
from rarec.retriever.features import EXTRA_FEATURES
from rarec.retriever.model import Retriever, RetrieverConfig, Tokens
from rarec.testing import HashEmbedder

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER = HashEmbedder(12)
CONFIG = RetrieverConfig(text_dimension=12, width=8, item_hidden=10, blocks=3, r_min=0.7)


def scores(model: Retriever) -> torch.Tensor:
    """Of ten invented items after each of six tokens of two sequences."""
    generator = torch.Generator().manual_seed(0)
    kind, role, sentiment = (torch.randint(n, (6, 2), generator=generator) for n in (3, 2, 3))
    item, text = torch.randn(6, 2, 8, generator=generator), torch.randn(6, 2, 12, generator=generator)
    with torch.inference_mode():
        items = model.items(torch.randn(10, 12 + EXTRA_FEATURES, generator=generator))
        return model.queries(Tokens(kind, role, sentiment, item, text)) @ items.T


def write(folder: Path, *, seed: int = 1, **training: Any) -> Retriever:
    model = Retriever(CONFIG, seed=seed).eval()
    save_retriever(folder, model, embedder=EMBEDDER.name, training=training)
    return model


def read(folder: Path) -> Retriever:
    return load_retriever(folder, embedder=EMBEDDER.name)


def refused(folder: Path, *words: str) -> None:
    """Loading fails, naming what is wrong and what to do."""
    with pytest.raises(BundleError, match="(?s)" + ".*".join(map(re.escape, words))):
        read(folder)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "retriever.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


REMEDY = "rarec train"


def test_a_bundle_scores_to_the_bit_as_the_model_did(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "bundle"
    model = write(folder, data="invented", epochs=3)
    found = read(folder)
    assert torch.equal(scores(found), scores(model))
    assert found.config == CONFIG
    assert not found.training
    assert {p.name for p in folder.iterdir()} == {"retriever.safetensors", "retriever.json"}
    manifest = load_model(folder, "retriever", embedder=EMBEDDER.name).manifest
    assert manifest.training == {"data": "invented", "epochs": 3}
    assert manifest.embedder == EMBEDDER.name


def test_writing_again_replaces_the_bundle(tmp_path: Path) -> None:
    write(tmp_path, seed=1)
    second = write(tmp_path, seed=2)
    assert torch.equal(scores(read(tmp_path)), scores(second))
    assert len(list(tmp_path.iterdir())) == 2


def test_several_models_share_a_folder(tmp_path: Path) -> None:
    model, layer = write(tmp_path), torch.nn.Linear(2, 3)
    save_model(tmp_path, layer, kind="ranker", config=CONFIG, embedder=EMBEDDER.name, training={})
    assert torch.equal(load_model(tmp_path, "ranker", embedder=EMBEDDER.name).weights["weight"], layer.weight)
    assert torch.equal(scores(read(tmp_path)), scores(model))


def test_a_flipped_byte_in_the_weights(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "retriever.safetensors"
    data = path.read_bytes()
    for place in (0, 20, len(data) // 2, len(data) - 1):
        spoiled = bytearray(data)
        spoiled[place] ^= 0x10
        path.write_bytes(spoiled)
        refused(tmp_path, "retriever.safetensors", "damaged: sha256", REMEDY)


def test_a_truncated_file(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("retriever.safetensors", "retriever.json"):
        path, data = tmp_path / name, (tmp_path / name).read_bytes()
        for length in (0, 1, len(data) // 2, len(data) - 3):
            path.write_bytes(data[:length])
            refused(tmp_path, "retriever", REMEDY)
        path.write_bytes(data)
    read(tmp_path)


@pytest.mark.parametrize("name", ["retriever.safetensors", "retriever.json"])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    write(tmp_path)
    (tmp_path / name).unlink()
    refused(tmp_path, "has no file", name, REMEDY)
    (tmp_path / name).mkdir()
    refused(tmp_path, "cannot read", name, REMEDY)


def test_a_missing_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "there is no folder", "nowhere", "name that of a bundle")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "\ufffe", "[" * 100_000, '{"format": "one"}', "{}"])
def test_a_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    write(tmp_path)
    (tmp_path / "retriever.json").write_text(text, encoding="utf-8")
    refused(tmp_path, "retriever.json", "is not a manifest", REMEDY)
    (tmp_path / "retriever.json").write_bytes(b"\xff\xfe\x00")
    refused(tmp_path, "retriever.json", "is not a manifest", REMEDY)


def test_another_embedder(tmp_path: Path) -> None:
    write(tmp_path)
    other = HashEmbedder(13).name
    with pytest.raises(BundleError, match=r"trained with the embedder 'hash-.*-12'.*uses 'hash-.*-13'.*rarec\.toml"):
        load_retriever(tmp_path, embedder=other)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    write(tmp_path)
    edit(tmp_path, format=2)
    refused(tmp_path, "format 2", "upgrade rarec")
    edit(tmp_path, format=3, signature="a field that we do not know")
    refused(tmp_path, "format 3", "upgrade rarec")


def test_another_kind_of_model(tmp_path: Path) -> None:
    write(tmp_path)
    edit(tmp_path, model="ranker")
    refused(tmp_path, "describes a 'ranker', not a 'retriever'", REMEDY)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 16}, "do not fit"),
        ({"blocks": 2}, "do not fit"),
        ({"blocks": 4}, "do not fit"),
        ({"text_dimension": 13}, "do not fit"),
        ({"width": -1}, "config"),
        ({"depth": 3}, "config"),
        ({"width": "wide"}, "config"),
        ({"r_min": 0.99, "r_max": 0.9}, "config"),
    ],
)
def test_a_config_that_does_not_fit(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    write(tmp_path)
    edit(tmp_path, config=CONFIG.model_dump() | change)
    refused(tmp_path, words, REMEDY)


def test_weights_of_another_shape_under_a_right_hash(tmp_path: Path) -> None:
    model = write(tmp_path)
    state = {name: t.clone() for name, t in model.state_dict().items()}
    state["norm.weight"] = torch.ones(9)
    data = save(state)
    (tmp_path / "retriever.safetensors").write_bytes(data)
    edit(tmp_path, sha256=hashlib.sha256(data).hexdigest())
    refused(tmp_path, "do not fit", "norm.weight", REMEDY)


def test_a_kill_at_any_point_of_a_write_leaves_the_old_model_or_the_new(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    before, after = write(old, seed=1), write(new, seed=2)
    shutil.copy(new / "retriever.safetensors", old / "retriever.safetensors.new")
    assert torch.equal(scores(read(old)), scores(before)), "the new weights wait for their manifest"
    shutil.copy(new / "retriever.json", old / "retriever.json")
    assert torch.equal(scores(read(old)), scores(after)), "the manifest is in place, the weights still wait"
    (old / "retriever.safetensors.new").replace(old / "retriever.safetensors")
    assert torch.equal(scores(read(old)), scores(after))


def test_files_of_two_bundles_do_not_load(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    write(old, seed=1)
    write(new, seed=2)
    shutil.copy(new / "retriever.safetensors", old / "retriever.safetensors")
    refused(old, "damaged: sha256", REMEDY)
    first_time = tmp_path / "first"
    first_time.mkdir()
    shutil.copy(new / "retriever.safetensors", first_time)
    refused(first_time, "has no file", "retriever.json", REMEDY)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """The operating system refuses longer writes, as it does on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_old_bundle(tmp_path: Path) -> None:
    model = write(tmp_path, seed=1)
    with no_file_longer_than(2000), pytest.raises(StoreError, match="free some space"):
        write(tmp_path, seed=2)
    assert torch.equal(scores(read(tmp_path)), scores(model))
    assert len(list(tmp_path.iterdir())) == 2, "nothing half written is left"


def test_a_disk_that_fills_before_the_manifest_leaves_the_old_bundle(tmp_path: Path) -> None:
    model = write(tmp_path, seed=1)
    size = (tmp_path / "retriever.safetensors").stat().st_size
    with no_file_longer_than(size + 5000), pytest.raises(StoreError, match=r"retriever\.json"):
        write(tmp_path, seed=2, notes="x" * (size + 6000))
    assert torch.equal(scores(read(tmp_path)), scores(model))
    model = write(tmp_path, seed=2)
    assert torch.equal(scores(read(tmp_path)), scores(model))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot make the folder"):
        write(tmp_path / "file" / "bundle")
    with pytest.raises(StoreError, match="cannot make the folder"):
        write(tmp_path / "file")


def test_a_manifest_round_trips() -> None:
    manifest = Manifest(model="retriever", config={"width": 3}, embedder="e", sha256="0" * 64, training={"n": [1, 2]})
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_a_folder_that_is_no_bundle_yet_is_not_called_damaged(tmp_path: Path) -> None:
    for folder, told in ((tmp_path / "no", "there is no folder"), (tmp_path, "is no bundle, or one that is not fin")):
        with pytest.raises(BundleError, match=told) as caught:
            load_retriever(folder, embedder="any")
        assert "backup" not in str(caught.value)
