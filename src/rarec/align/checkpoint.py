"""The state of a run after an iteration, in one file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from rarec.align.parts import Parts, of_another_run
from rarec.errors import BundleError
from rarec.files import atomic_write
from rarec.llm.budget import Spend


@dataclass(slots=True)
class RunState:
    """Where a run stands.

    Attributes:
        done: iterations.
        validated: iterations before each validation, with its score.
        best: those before the best one.
        average: averaged weights, where the run keeps them.
        vectors: item vectors of the last refresh, where the next iteration still uses them.
        spent: for what was learned from and validated on; a call that was made again counts once.
    """

    done: int = 0
    validated: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    best: int = -1
    best_score: float = -math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    average: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    vectors: Tensor | None = None
    spent: Spend = field(default_factory=Spend)

    def judge(self, score: float, model: nn.Module) -> None:
        """Note a validation; a better one's weights are kept, and of equal ones the first's."""
        self.validated.append((self.done, score))
        if score > self.best_score:
            self.best, self.best_score = self.done, score
            self.best_weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    def since_best(self) -> int:
        """Validations after the best one."""
        return sum(done > self.best for done, _ in self.validated)


class Checkpoint:
    """Writes and reads the state of a run; a kill leaves the old file or the new one.

    Args:
        settings: a hash of what decides the weights; a file of another is refused.
        parts: the same to read, for the refusal.
    """

    def __init__(
        self,
        path: Path,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        *,
        settings: str,
        parts: Parts | None = None,
    ) -> None:
        self._path, self._model, self._optimiser, self._settings = path, model, optimiser, settings
        self._parts = parts or {}

    def write(self, state: RunState) -> None:
        """Raises StoreError if the disk is full or the folder cannot be written."""
        tensors = {f"model.{k}": v for k, v in self._model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in state.best_weights.items()}
        tensors |= {f"average.{k}": v for k, v in state.average.items()}
        for row, moments in self._optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{row}.{k}": torch.as_tensor(v) for k, v in moments.items()}
        if state.vectors is not None:
            tensors["vectors.all"] = state.vectors
        about = {
            "settings": self._settings,
            "parts": json.dumps(dict(self._parts)),
            "done": str(state.done),
            "validated": json.dumps(state.validated),
            "best": str(state.best),
            "best_score": repr(state.best_score),
            "spent": json.dumps([state.spent.calls, state.spent.tokens, state.spent.picodollars]),
        }
        about["sha256"] = _digest(tensors, about)
        with atomic_write(self._path) as file:
            file.write(save({k: v.detach().clone().contiguous() for k, v in tensors.items()}, metadata=about))

    def read(self) -> RunState | None:
        """Fill model and optimiser from the file; None if there is none.

        Raises:
            BundleError: it is damaged, or of a run with other settings or data.
        """
        if not self._path.exists():
            return None
        remedy = f"delete {str(self._path)!r} to start over (answers in the ledger are kept)"
        try:
            data = self._path.read_bytes()
            tensors, about = load(data), _metadata(data)
            if about.pop("sha256") != _digest(tensors, about):
                raise ValueError("its sha256 is not the one it was written with")
        except (SafetensorError, ValueError, KeyError) as error:
            raise BundleError(f"the checkpoint is damaged: {error}; {remedy}") from error
        except OSError as error:
            raise BundleError(f"cannot read the checkpoint: {error.strerror}; {remedy}") from error
        if about["settings"] != self._settings:
            other = json.loads(about.get("parts", "{}"))
            raise BundleError(
                f"{of_another_run(f'the checkpoint {str(self._path)!r}', self._parts, other)}; or {remedy}"
            )
        parts: dict[str, dict[str, Tensor]] = {part: {} for part in ("model", "best", "average", "adam", "vectors")}
        for name, tensor in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = tensor
        self._model.load_state_dict(parts["model"])
        self._fill_optimiser(parts["adam"])
        return RunState(
            done=int(about["done"]),
            validated=[(int(done), float(score)) for done, score in json.loads(about["validated"])],
            best=int(about["best"]),
            best_score=float(about["best_score"]),
            best_weights=parts["best"],
            average=parts["average"],
            vectors=parts["vectors"].get("all"),
            spent=Spend(*map(int, json.loads(about["spent"]))),
        )

    def _fill_optimiser(self, named: Mapping[str, Tensor]) -> None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in named.items():
            row, key = name.split(".")
            moments.setdefault(int(row), {})[key] = tensor
        state = self._optimiser.state_dict()
        state["state"] = moments
        self._optimiser.load_state_dict(state)


def iterations_of(path: Path) -> int | None:
    """How many iterations a checkpoint has, from its header alone; None if there is none.

    Raises:
        BundleError: it is damaged.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
            size = int.from_bytes(start, "little")
            if size > path.stat().st_size:
                raise ValueError("it has no whole header")
            return int(_metadata(start + file.read(size))["done"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(
            f"cannot read the checkpoint {str(path)!r}: {error}; delete it to start over, the ledger keeps the answers"
        ) from error


def digest(tensors: Mapping[str, Tensor]) -> str:
    """A sha256 of weights, by which two runs are found to be equal bit for bit."""
    return _digest(tensors, {})


def _digest(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    found = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _metadata(data: bytes) -> dict[str, str]:
    """The free-text part of a safetensors header."""
    size = int.from_bytes(data[:8], "little")
    result: dict[str, str] = json.loads(data[8 : 8 + size])["__metadata__"]
    return result
