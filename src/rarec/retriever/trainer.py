"""A training loop that can be killed anywhere and resumed bit for bit on a CPU.

Every random draw of step i comes from (seed, i), never from what ran before; a checkpoint is therefore weights,
optimiser moments and a step number.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from rarec.errors import BundleError
from rarec.files import atomic_write
from rarec.retriever.averaging import WeightAverage

log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16"]


class TrainerConfig(BaseModel):
    """How to train.

    Attributes:
        epochs: passes over the data, at most.
        learning_rate: its peak; rises over the first tenth of the steps, then falls as a half cosine to zero.
        weight_decay: of AdamW.
        clip: largest norm of the gradient.
        patience: epochs without a better validation score before stopping; None never stops early.
        checkpoint_every_s: seconds between checkpoints inside an epoch, > 0.
        seed: of every random draw.
        precision: of the products of matrices in the retriever; weights, states, scores and losses are of float32 in
            any case. "bfloat16" pays where the processor multiplies it (AMX, AVX-512 BF16), and is slow elsewhere.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: int = Field(default=10, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    clip: float = Field(default=1.0, gt=0)
    patience: int | None = Field(default=3, gt=0)
    checkpoint_every_s: float = Field(default=60.0, gt=0)
    seed: int = 0
    precision: Precision = "float32"


class Task(Protocol):
    """What is learned."""

    def steps(self) -> int:
        """Steps in an epoch, >= 1."""
        ...

    def loss(self, epoch: int, step: int, generator: torch.Generator) -> Tensor:
        """The scalar loss of one step; `generator` belongs to this step alone."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """Told after every step: where training is and the loss there.

    Attributes:
        score: of the epoch that has just ended; None within one, and without validation.
        best: the best score so far, also of before an interruption; None without any.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    score: float | None
    best: float | None = None


@dataclass(slots=True)
class _Run:
    """Where a run stands: steps done, epochs validated, the scores of those epochs.

    `whole` is false while a step or a verdict is being applied; such a state must not reach the disk.
    """

    done: int = 0
    judged: int = 0
    best_score: float = -math.inf
    best_epoch: int = -1
    scores: list[float] = field(default_factory=list[float])
    whole: bool = True


def train(
    model: nn.Module,
    task: Task,
    config: TrainerConfig,
    *,
    checkpoint: Path | None = None,
    validate: Callable[[], float] | None = None,
    average: float = 0.0,
    on_step: Callable[[Progress], None] | None = None,
) -> Mapping[str, Any]:
    """Train in place; at the end the model has its best validated weights, or the last without `validate`.

    With `average`, the decay of a moving average of the weights, the average is what is validated and kept.

    If `checkpoint` exists, training goes on from there. It is written at the end of each epoch, every
    `checkpoint_every_s`, and when interrupted; an interrupt (Ctrl-C) is raised again after the write. The
    model comes back in evaluation mode.

    Returns:
        epochs run, the score of each, the best epoch and score.
    Raises:
        BundleError: the checkpoint is damaged or of another model, configuration or number of steps.
        FloatingPointError: the loss or its gradient is not finite.
    """
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    run, best = _Run(), {name: t.clone() for name, t in model.state_dict().items()}
    steps = task.steps()
    moving = WeightAverage(model, average) if average else None
    keeper = _Checkpoint(checkpoint, model, optimiser, config, steps, moving)
    if checkpoint is not None and checkpoint.exists():
        run, best = keeper.read()
        log.info("resumed from step %d", run.done)
    try:
        if run.judged < run.done // steps:  # interrupted while validating
            _judge(run, model, best, validate, moving)
        while run.done < steps * config.epochs and not _out_of_patience(run, config):
            epoch, step = divmod(run.done, steps)
            loss = _one_step(model, task, optimiser, config, run, steps, moving)
            last = step == steps - 1
            score = _judge(run, model, best, validate, moving) if last else None
            keeper.maybe_write(run, best, force=last)
            if on_step:
                on_step(Progress(epoch, config.epochs, step, steps, loss, score, max(run.scores, default=None)))
    except KeyboardInterrupt:
        if run.whole:  # else the checkpoint before this step stands
            keeper.maybe_write(run, best, force=True)
        raise
    model.load_state_dict(best)
    model.eval()
    return {
        "epochs": run.done // steps,
        "scores": run.scores,
        "best_epoch": run.best_epoch,
        "best_score": None if run.best_score == -math.inf else run.best_score,
    }


def _one_step(
    model: nn.Module,
    task: Task,
    optimiser: torch.optim.Optimizer,
    config: TrainerConfig,
    run: _Run,
    steps: int,
    moving: WeightAverage[nn.Module] | None,
) -> float:
    model.train()
    done, total = run.done, steps * config.epochs
    for group in optimiser.param_groups:
        group["lr"] = config.learning_rate * schedule(done, total)
    seed = (config.seed * 1_000_003 + done) % 2**63
    # Dropout draws from torch's global generator; it is seeded for this step only and put back.
    with torch.random.fork_rng(devices=[]), products_in(config.precision):
        torch.manual_seed(seed)
        # Another stream than the dropout's, or the task's draws would repeat the masks.
        loss = task.loss(*divmod(done, steps), torch.Generator().manual_seed(seed ^ (1 << 62)))
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FloatingPointError(f"the loss is {value!r} at step {done}; try a lower learning_rate")
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), config.clip))
    if not math.isfinite(norm):
        raise FloatingPointError(f"the gradient's norm is {norm!r} at step {done}; try a lower learning_rate")
    run.whole = False
    optimiser.step()
    if moving is not None:
        moving.update(run.done)
    run.done += 1
    run.whole = True
    return value


def products_in(precision: Precision) -> torch.autocast:
    """While it is entered, losses are worked out with products of matrices in this precision."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16")


def schedule(done: int, total: int) -> float:
    """Share of the peak learning rate at step `done` of `total`: linear rise over a tenth, then half a cosine."""
    rise = max(1, total // 10)
    if done < rise:
        return (done + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (done - rise) / max(1, total - rise)))


def _judge(
    run: _Run,
    model: nn.Module,
    best: dict[str, Tensor],
    validate: Callable[[], float] | None,
    moving: WeightAverage[nn.Module] | None,
) -> float | None:
    """Validate the epoch that just ended and keep its weights, or their average, if they are the best so far."""
    with _averaged(run, model, moving) as weights:
        score = validate() if validate else None
    return _verdict(run, weights, best, score)


@contextmanager
def _averaged(run: _Run, model: nn.Module, moving: WeightAverage[nn.Module] | None) -> Iterator[Mapping[str, Tensor]]:
    """Put the average in the place of the weights for a while; an interrupt finds these again, or nothing whole."""
    if moving is None:
        yield model.state_dict()
        return
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    try:
        run.whole = False
        model.load_state_dict(moving.weights())
        yield moving.weights()
    finally:
        run.whole = False
        model.load_state_dict(own)
        run.whole = True


def _verdict(run: _Run, weights: Mapping[str, Tensor], best: dict[str, Tensor], score: float | None) -> float | None:
    run.whole = False
    if score is not None:
        run.scores.append(score)
    if score is None or score > run.best_score:
        run.best_score, run.best_epoch = (-math.inf if score is None else score), run.judged
        for name, tensor in weights.items():
            best[name].copy_(tensor)
    run.judged += 1
    run.whole = True
    return score


def _out_of_patience(run: _Run, config: TrainerConfig) -> bool:
    return bool(config.patience and run.scores and len(run.scores) - 1 - run.best_epoch >= config.patience)


class _Checkpoint:
    """Writes and reads the state of a run as one safetensors file."""

    def __init__(
        self,
        path: Path | None,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        config: TrainerConfig,
        steps: int,
        moving: WeightAverage[nn.Module] | None,
    ) -> None:
        self._path, self._model, self._optimiser, self._moving = path, model, optimiser, moving
        self._settings = {"config": config.model_dump_json(exclude={"checkpoint_every_s"}), "steps": str(steps)}
        if moving is not None:
            self._settings["average"] = repr(moving.decay)
        self._every, self._last = config.checkpoint_every_s, time.monotonic()

    def maybe_write(self, run: _Run, best: Mapping[str, Tensor], *, force: bool) -> None:
        if self._path is None or (not force and time.monotonic() - self._last < self._every):
            return
        tensors = {f"model.{k}": v for k, v in self._model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in best.items()}
        if self._moving is not None:
            tensors |= {f"average.{k}": v for k, v in self._moving.weights().items()}
        for row, moments in self._optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{row}.{k}": torch.as_tensor(v) for k, v in moments.items()}
        about = self._settings | {
            "done": str(run.done),
            "judged": str(run.judged),
            "best_score": repr(run.best_score),
            "best_epoch": str(run.best_epoch),
            "scores": json.dumps(run.scores),
        }
        about["sha256"] = _digest(tensors, about)
        with atomic_write(self._path) as file:
            file.write(save({k: v.detach().clone() for k, v in tensors.items()}, metadata=about))
        self._last = time.monotonic()

    def read(self) -> tuple[_Run, dict[str, Tensor]]:
        assert self._path is not None
        remedy = f"delete {str(self._path)!r} to start over"
        try:
            data = self._path.read_bytes()
            tensors, about = load(data), _metadata(data)
            if about.pop("sha256") != _digest(tensors, about):
                raise ValueError("its sha256 is not the one it was written with")
        except (SafetensorError, ValueError, KeyError) as error:
            raise BundleError(f"the checkpoint is damaged: {error}; {remedy}") from error
        except OSError as error:
            raise BundleError(f"cannot read the checkpoint: {error.strerror}; {remedy}") from error
        if any(about.get(key) != self._settings.get(key) for key in ("config", "steps", "average")):
            raise BundleError(f"the checkpoint belongs to a run with other settings or other data; {remedy}")
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "adam": {}, "average": {}}
        for name, tensor in tensors.items():
            group, rest = name.split(".", 1)
            groups[group][rest] = tensor
        try:
            self._model.load_state_dict(groups["model"])
            if self._moving is not None:
                self._moving.load(groups["average"])
        except RuntimeError as error:
            raise BundleError(f"the checkpoint is of another model: {error}; {remedy}") from error
        state = self._optimiser.state_dict()
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups["adam"].items():
            row, key = name.split(".")
            moments.setdefault(int(row), {})[key] = tensor
        state["state"] = moments
        self._optimiser.load_state_dict(state)
        run = _Run(
            done=int(about["done"]),
            judged=int(about["judged"]),
            best_score=float(about["best_score"]),
            best_epoch=int(about["best_epoch"]),
            scores=json.loads(about["scores"]),
        )
        return run, groups["best"]


def _digest(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    """The sha256 of all that a checkpoint says."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _metadata(data: bytes) -> dict[str, str]:
    """The free-text part of a safetensors header."""
    size = int.from_bytes(data[:8], "little")
    result: dict[str, str] = json.loads(data[8 : 8 + size])["__metadata__"]
    return result
