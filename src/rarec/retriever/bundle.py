"""Trained models on disk: safetensors for weights, JSON for everything else, a card to read.

A bundle is a folder. Each model in it is two files: ``NAME.safetensors`` and ``NAME.json``, the manifest, which
holds the model's shape, the embedder it was trained with and the sha256 of the weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from safetensors.torch import load, save
from torch import Tensor, nn

from rarec.errors import BundleError, StoreError
from rarec.files import atomic_write, make_folder, write_text
from rarec.retriever.associations import Associations, Counts, CountsConfig, Identity, WordsConfig
from rarec.retriever.kin import Kin, KinConfig
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.retriever.postings import ValuesConfig

FORMAT = 1
CARD = "CARD.md"
_KINDS: Mapping[str, type[CountsConfig]] = {"neighbours": CountsConfig, "words": WordsConfig}
"""Fields of `Associations`; tensors of theirs have the same prefix."""
_VALUES = ("shared", "asked", "written")
"""Other fields of it, which have no tensors."""
_BY = "associations_by"
_IDENTITY: TypeAdapter[Identity] = TypeAdapter(Identity)
_TEXTS, _ARRAYS = ("keys", "items"), ("starts", "columns", "values")
_KIN_ARRAYS = ("features", "known")
_REMEDY = "restore the bundle from a backup, or train it again with `rarec train`"


class Manifest(BaseModel):
    """What goes beside the weights.

    Attributes:
        format: of these files; a newer one than ours is refused.
        model: what kind of model this is, ``retriever`` or ``ranker``.
        config: its shape.
        embedder: name of the embedder whose vectors it reads.
        sha256: of the weights file.
        training: what it was trained on and how, for the card; free.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = FORMAT
    model: str
    config: dict[str, Any]
    embedder: str
    sha256: str
    training: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Saved:
    """Weights and manifest, as read."""

    weights: dict[str, Tensor]
    manifest: Manifest


def save_model(
    folder: Path, model: nn.Module, *, kind: str, config: BaseModel, embedder: str, training: Mapping[str, Any]
) -> None:
    """Write one model into a bundle folder, made if needed.

    A kill at any moment leaves the old model or the new one: new weights wait beside the old ones until the
    manifest that names them is in place, and `load_model` takes the ones that the manifest names.

    Raises:
        StoreError: the folder cannot be written.
    """
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    _save(folder, kind, weights, config.model_dump(), embedder, training)


def _save(
    folder: Path,
    kind: str,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
    embedder: str,
    training: Mapping[str, Any],
) -> None:
    make_folder(folder)
    data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    manifest = Manifest(
        model=kind,
        config=dict(config),
        embedder=embedder,
        sha256=hashlib.sha256(data).hexdigest(),
        training=dict(training),
    )
    weights = folder / f"{kind}.safetensors"
    with atomic_write(_waiting(weights)) as file:
        file.write(data)
    write_text(folder / f"{kind}.json", manifest.model_dump_json(indent=2) + "\n")
    try:
        _waiting(weights).replace(weights)
    except OSError as error:
        raise StoreError(f"cannot write {str(weights)!r}: {error.strerror}; choose another folder") from error


def load_model(folder: Path, kind: str, *, embedder: str) -> Saved:
    """Read one model of a bundle and check that it is whole and fits.

    Raises:
        BundleError: a file is missing or damaged, the format is newer than ours, or the model was trained
            with another embedder than `embedder`.
    """
    manifest = read_manifest(folder, kind)
    data = _weights(folder / f"{kind}.safetensors", manifest.sha256)
    if manifest.model != kind:
        raise BundleError(f"{str(folder / kind) + '.json'!r} describes a {manifest.model!r}, not a {kind!r}; {_REMEDY}")
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.sha256:
        raise BundleError(
            f"{kind}.safetensors in {str(folder)!r} is damaged: sha256 {found[:12]!r}, expected "
            f"{manifest.sha256[:12]!r}; {_REMEDY}"
        )
    if manifest.embedder != embedder:
        raise BundleError(
            f"the {kind} in {str(folder)!r} was trained with the embedder {manifest.embedder!r}, this store uses "
            f"{embedder!r}; set that embedder in rarec.toml, or train a bundle for this one with `rarec train`"
        )
    return Saved(load(data), manifest)


def read_manifest(folder: Path, kind: str) -> Manifest:
    """The manifest of one model of a bundle, without its weights.

    Raises:
        BundleError: it is missing, damaged, or of a newer format than ours.
    """
    return _manifest(folder / f"{kind}.json", _read(folder / f"{kind}.json"))


def _waiting(weights: Path) -> Path:
    """Where new weights wait for their manifest."""
    return weights.with_name(f"{weights.name}.new")


def _weights(path: Path, sha256: str) -> bytes:
    """The weights that the manifest names; those that still wait if a kill came before they took their place."""
    waiting = _waiting(path)
    if waiting.exists() and hashlib.sha256(data := _read(waiting)).hexdigest() == sha256:
        return data
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        if not path.parent.is_dir():
            raise BundleError(f"there is no folder {str(path.parent)!r}; name that of a bundle") from error
        if path.suffix == ".json" and not any(path.parent.glob("*.safetensors")):
            raise BundleError(
                f"the folder {str(path.parent)!r} has no {path.name!r}: it is no bundle, or one that is not finished; "
                "name another, or let the run that writes it end"
            ) from error
        raise BundleError(f"the bundle {str(path.parent)!r} has no file {path.name!r}; {_REMEDY}") from error
    except OSError as error:
        raise BundleError(f"cannot read {str(path)!r}: {error.strerror}; {_REMEDY}") from error


def _manifest(path: Path, data: bytes) -> Manifest:
    # The format is looked at first: a newer one may have fields that this version would refuse as wrong.
    try:
        raw: Any = json.loads(data)
        newer = raw.get("format", FORMAT) if isinstance(raw, dict) else FORMAT
        if isinstance(newer, int) and newer > FORMAT:
            raise BundleError(f"{str(path)!r} has bundle format {newer!r}, newer than {FORMAT}; upgrade rarec")
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise BundleError(f"{str(path)!r} is not a manifest: {error.errors()[0]['msg']}; {_REMEDY}") from error
    except (ValueError, RecursionError) as error:  # not JSON, or not UTF-8
        raise BundleError(f"{str(path)!r} is not a manifest: {error}; {_REMEDY}") from error


def fill(model: nn.Module, saved: Saved, folder: Path) -> None:
    """Put weights into a model.

    Raises:
        BundleError: names or shapes do not match.
    """
    try:
        model.load_state_dict(saved.weights)
    except RuntimeError as error:
        raise BundleError(f"the weights in {str(folder)!r} do not fit their config: {error}; {_REMEDY}") from error


def save_retriever(folder: Path, model: Retriever, *, embedder: str, training: Mapping[str, Any]) -> None:
    """Write a retriever into a bundle, with its associations; see `save_model`."""
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    config = model.config.model_dump()
    for kind in _KINDS:
        if (counts := getattr(model.associations, kind)) is not None:
            tensors |= {f"{kind}.{name}": tensor for name, tensor in _tensors(counts, _TEXTS, _ARRAYS).items()}
            config[kind] = counts.config.model_dump()
            config[_BY] = model.associations.by
    for kind in _VALUES:
        if (values := getattr(model.associations, kind)) is not None:
            config[kind] = values.model_dump()
    if (kin := model.associations.kin) is not None:
        tensors |= {f"kin.{name}": tensor for name, tensor in _tensors(kin, ("names",), _KIN_ARRAYS).items()}
        config["kin"] = kin.config.model_dump()
    _save(folder, "retriever", tensors, config, embedder, training)


def load_retriever(folder: Path, *, embedder: str) -> Retriever:
    """Read the retriever of a bundle, in evaluation mode; errors as in `load_model`."""
    saved = load_model(folder, "retriever", embedder=embedder)
    config = dict(saved.manifest.config)
    try:
        by: Identity = _IDENTITY.validate_python(config.pop(_BY, "id"))
        counts = {
            kind: _counts_of(_KINDS[kind].model_validate(config.pop(kind)), kind, saved.weights)
            for kind in _KINDS
            if kind in config
        }
        values = {kind: ValuesConfig.model_validate(config.pop(kind)) for kind in _VALUES if kind in config}
        kin = _kin_of(KinConfig.model_validate(config.pop("kin")), saved.weights) if "kin" in config else None
        model = Retriever(RetrieverConfig.model_validate(config))
        if kin is not None and kin.features.shape[1] != model.config.text_dimension + 1:
            raise ValueError(f"relatives have {kin.features.shape[1]} features, not {model.config.text_dimension + 1}")
        model.associations = Associations(counts.get("neighbours"), counts.get("words"), by, **values, kin=kin)
    except (ValueError, TypeError, KeyError, RecursionError) as error:  # of a field, or of several together
        raise BundleError(f"the config in {str(folder)!r} is wrong: {error}; {_REMEDY}") from error
    fill(model, saved, folder)
    return model.eval()


def _tensors(part: Counts | Kin, texts: Sequence[str], arrays: Sequence[str]) -> dict[str, Tensor]:
    encoded = {name: json.dumps(getattr(part, name)).encode() for name in texts}
    own = {name: torch.frombuffer(bytearray(text), dtype=torch.uint8) for name, text in encoded.items()}
    return own | {name: torch.from_numpy(getattr(part, name)) for name in arrays}


def _counts_of(config: CountsConfig, kind: str, weights: dict[str, Tensor]) -> Counts:
    """Taken out of `weights`; ValueError, TypeError or KeyError if something is missing or does not fit."""
    arrays = {name: weights.pop(f"{kind}.{name}").numpy() for name in (*_TEXTS, *_ARRAYS)}
    texts = {name: _texts(kind, arrays.pop(name)) for name in _TEXTS}
    return Counts(config, texts["keys"], texts["items"], **arrays)


def _kin_of(config: KinConfig, weights: dict[str, Tensor]) -> Kin:
    """As `_counts_of`."""
    names, features, known = (weights.pop(f"kin.{name}").numpy() for name in ("names", *_KIN_ARRAYS))
    return Kin(config, _texts("kin", names), features, known)


def _texts(kind: str, encoded: NDArray[np.uint8]) -> tuple[str, ...]:
    texts = tuple(json.loads(encoded.tobytes()))
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the names of {kind} are no texts")
    return texts


__all__ = [
    "CARD",
    "Manifest",
    "Saved",
    "fill",
    "load_model",
    "load_retriever",
    "read_manifest",
    "save_model",
    "save_retriever",
]
