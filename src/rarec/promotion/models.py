"""What a bundle is to the gate: a folder whose models are whole, fit the store, and have a digest each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarec.errors import BundleError, InputError
from rarec.retriever.bundle import load_model, load_retriever, read_manifest

RETRIEVER = "retriever"
RANKER = "ranker"
CONFIG = "config of the retriever"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read and found whole.

    Attributes:
        digests: model -> sha256 of its weights; and of the retriever's config, which decides scores where counts stand
            beside its vectors.
        training: what the retriever's manifest says of how it came about.
    """

    folder: Path
    digests: Mapping[str, str]
    training: Mapping[str, Any]


def read_bundle(folder: Path, *, embedder: str) -> Bundle:
    """Read all models of a bundle.

    Raises:
        BundleError: a file is missing or damaged, or a model is of another embedder.
    """
    load_retriever(folder, embedder=embedder)
    manifest = read_manifest(folder, RETRIEVER)
    config = json.dumps(manifest.config, sort_keys=True, ensure_ascii=True)
    digests = {RETRIEVER: manifest.sha256, CONFIG: hashlib.sha256(config.encode("ascii")).hexdigest()}
    if (folder / f"{RANKER}.json").exists():
        digests[RANKER] = load_model(folder, RANKER, embedder=embedder).manifest.sha256
    return Bundle(folder, digests, manifest.training)


def check_successor(new: Bundle, live: Bundle) -> None:
    """Whether the new bundle can take the live one's place at all.

    Raises:
        InputError: they have the same weights.
        BundleError: the live one has a ranker, the new one has none.
    """
    if new.digests == live.digests:
        raise InputError(
            f"the bundle {str(new.folder)!r} has the same weights as the live one, {live.digests[RETRIEVER][:12]}; "
            "there is nothing to promote"
        )
    if RANKER in live.digests and RANKER not in new.digests:
        raise BundleError(
            f"the bundle {str(new.folder)!r} has no ranker, the live one has; copy the ranker.* files that belong to it"
        )
