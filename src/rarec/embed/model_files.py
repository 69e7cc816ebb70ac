"""A sentence-transformers model on disk: found, checked and hashed before a byte of it is loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from rarec.errors import EmbedderError, MissingExtra

WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_OURS = "sentence_transformers."


def file_sha256(path: Path) -> str:
    """The sha256 of a file in hexadecimal; it is read once, in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(folder: Path) -> str:
    """One sha256 over the names and contents of every file that can change a vector; 64 hexadecimal digits."""
    total = hashlib.sha256()
    paths = {path for pattern in WANTED for path in folder.rglob(pattern) if path.is_file()}
    for path in sorted(paths, key=lambda p: p.relative_to(folder).as_posix()):
        total.update(f"{path.relative_to(folder).as_posix()}\0{file_sha256(path)}\n".encode())
    return total.hexdigest()


def model_folder(model: str | Path, *, revision: str | None, download: bool) -> Path:
    """The folder of a model: `model` itself if there is one, else its copy in the hub cache.

    Nothing is downloaded unless `download` is true, and then no pickled weights.

    Raises:
        EmbedderError: it is not there, or the download failed.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or str(model).startswith((".", "~")):
        raise EmbedderError(f"there is no folder {str(model)!r}; give the folder of a sentence-transformers model")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtra.of("huggingface_hub", "serve", f"the model {str(model)!r}") from error
    try:
        found = snapshot_download(
            str(model), revision=revision, local_files_only=not download, allow_patterns=list(WANTED)
        )
    except Exception as error:
        remedy = "check the name and the network" if download else "give its folder, or allow it with download=True"
        raise EmbedderError(
            f"the model {str(model)!r} is neither a folder nor in the local cache ({type(error).__name__}); {remedy}"
        ) from error
    return Path(found)


def check_folder(folder: Path) -> None:
    """Refuse what could run code: pickled weights and classes of other packages.

    Raises:
        EmbedderError: naming the file and the remedy.
    """
    modules = _modules(folder)
    for module in modules:
        kind = str(module.get("type", ""))
        if not kind.startswith(_OURS):
            raise EmbedderError(f"{str(folder)!r} asks for the class {kind!r}; only {_OURS}* is loaded, never its code")
    if not any(folder.glob("*.safetensors")) and not any((folder / "0_Transformer").glob("*.safetensors")):
        raise EmbedderError(f"{str(folder)!r} has no *.safetensors; save the model with safe_serialization=True")
    for part in {folder, *(folder / str(module.get("path", "")) for module in modules)}:
        for path in sorted(part.iterdir()) if part.is_dir() else ():
            if path.suffix in PICKLES and not any(part.glob("*.safetensors")):
                raise EmbedderError(f"{str(path)!r} is a pickle, which can run code; convert it to safetensors")


def _modules(folder: Path) -> list[dict[str, Any]]:
    path = folder / "modules.json"
    if not path.exists():
        return []
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(module, dict) for module in modules):
            raise TypeError("not a list of objects")
    except (ValueError, TypeError, OSError) as error:
        raise EmbedderError(f"{str(path)!r} cannot be read ({error}); copy the model folder again") from error
    return list(modules)
