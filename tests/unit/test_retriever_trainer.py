"""A run may be interrupted at any line, killed at any moment, and ends as if nothing had happened.

Run as a script this file is the child process that gets killed: ``python FILE CHECKPOINT``.
"""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from rarec.errors import BundleError, StoreError
from rarec.retriever import trainer
from rarec.retriever.trainer import Progress, TrainerConfig, schedule, train

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS, EPOCHS = 4, 3
CONFIG = TrainerConfig(epochs=EPOCHS, learning_rate=0.02, checkpoint_every_s=1e-9, patience=None, seed=5)
SELDOM = CONFIG.model_copy(update={"checkpoint_every_s": 1e9})
TRIED = int(os.environ.get("RAREC_INTERRUPTED_LINES", "12"))


class Parabola:
    """Fit noisy targets; data, order and dropout are random, all from the step's own draws."""

    def __init__(
        self, model: nn.Module, *, steps: int = STEPS, spoil: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        self._model, self._steps, self._spoil = model, steps, spoil

    def steps(self) -> int:
        return self._steps

    def loss(self, epoch: int, step: int, generator: torch.Generator) -> Tensor:
        x = torch.randn(8, 5, generator=generator)
        wanted = (x**2).sum(1, keepdim=True) + 0.1 * epoch - 0.2 * (step % 4)
        loss = ((self._model(x) - wanted) ** 2).mean()
        return self._spoil(loss) if self._spoil else loss


def make_model(seed: int = 0, *, hidden: int = 7) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, hidden), nn.GELU(), nn.Dropout(0.3), nn.Linear(hidden, 1))


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: t.clone() for name, t in model.state_dict().items()}


def same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(t, expected[name]) for name, t in found.items())


def validator(model: nn.Module) -> Callable[[], float]:
    """A score that rises and falls, so that the best epoch is not simply the last."""

    def validate() -> float:
        model.eval()
        with torch.no_grad():
            return float(torch.sin(40 * model(torch.ones(1, 5))).sum())

    return validate


def run(
    model: nn.Module, checkpoint: Path | None = None, *, config: TrainerConfig = CONFIG, **options: Any
) -> Mapping[str, Any]:
    return train(model, Parabola(model), config, checkpoint=checkpoint, validate=validator(model), **options)


@pytest.fixture(scope="module")
def uninterrupted(one_thread: None) -> tuple[dict[str, Tensor], Mapping[str, Any]]:
    model = make_model()
    report = run(model)
    assert report["epochs"] == EPOCHS
    assert report["best_epoch"] != EPOCHS - 1, "the best weights must differ from the last for these tests to bite"
    return weights(model), report


Expected = tuple[dict[str, Tensor], Mapping[str, Any]]


def check(checkpoint: Path, expected: Expected) -> None:
    """Resume from whatever is on the disk, with a model of other weights, and compare."""
    model = make_model() if not checkpoint.exists() else make_model(99)
    report = run(model, checkpoint)
    assert same(weights(model), expected[0])
    assert report == expected[1]


class Interrupter:
    """Raises KeyboardInterrupt before the n-th line that the trainer's module executes."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, _arg: object) -> "Interrupter | None":
        if frame.f_code.co_filename != trainer.__file__:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def traced(interrupter: Interrupter, action: Callable[[], object]) -> None:
    before = sys.gettrace()
    sys.settrace(interrupter)
    try:
        action()
    finally:
        sys.settrace(before)


def test_bfloat16_goes_on_behind_its_own_checkpoint_only(tmp_path: Path, uninterrupted: Expected) -> None:
    narrow, path = CONFIG.model_copy(update={"precision": "bfloat16"}), tmp_path / "checkpoint"
    whole = make_model()
    report = run(whole, config=narrow)
    assert all(w.dtype == torch.float32 for w in weights(whole).values())
    assert not same(weights(whole), uninterrupted[0])
    counter = Interrupter(200)
    with pytest.raises(KeyboardInterrupt):
        traced(counter, partial(run, make_model(), path, config=narrow))
    with pytest.raises(BundleError, match="other settings"):
        run(make_model(), path)
    resumed = make_model(99)
    assert run(resumed, path, config=narrow) == report
    assert same(weights(resumed), weights(whole))


def test_an_interrupt_at_any_line_costs_nothing(tmp_path: Path, uninterrupted: Expected) -> None:
    for config in (CONFIG, SELDOM):
        counter = Interrupter(-1)
        traced(counter, partial(run, make_model(), tmp_path / f"whole-{config.checkpoint_every_s}", config=config))
        lines = -1 - counter.left
        assert lines > 200
        for line in map(int, np.random.default_rng(8).permutation(lines)[:TRIED] + 1):
            path, model = tmp_path / f"{config.checkpoint_every_s}-{line}", make_model()
            with pytest.raises(KeyboardInterrupt):
                traced(Interrupter(line), partial(run, model, path, config=config))
            check(path, uninterrupted)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")], "no temporary files are left"


def test_interrupts_again_and_again(tmp_path: Path, uninterrupted: Expected) -> None:
    path, count = tmp_path / "run", 0
    while True:
        model = make_model()
        try:
            traced(Interrupter(100 + 20 * count), partial(run, model, path))
            break
        except KeyboardInterrupt:
            count += 1
            assert count < 200
    assert count >= 2
    check(path, uninterrupted)


def test_a_signal_while_the_weights_are_half_written(tmp_path: Path, uninterrupted: Expected) -> None:
    # A shell may have started the tests with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    calls = []

    def strike(*_: object) -> None:
        calls.append(1)
        if len(calls) == 6:
            os.kill(os.getpid(), signal.SIGINT)

    handle = register_optimizer_step_post_hook(strike)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(make_model(), tmp_path / "run", config=CONFIG)
    finally:
        handle.remove()
        signal.signal(signal.SIGINT, before)
    check(tmp_path / "run", uninterrupted)


def test_an_interrupt_while_validating_is_made_up_for(tmp_path: Path, uninterrupted: Expected) -> None:
    model, path = make_model(), tmp_path / "run"
    calls = []

    def validate() -> float:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return validator(model)()

    with pytest.raises(KeyboardInterrupt):
        train(model, Parabola(model), CONFIG, checkpoint=path, validate=validate)
    check(path, uninterrupted)


def test_an_interrupt_in_a_callback_is_written_too(tmp_path: Path) -> None:
    expected = make_model()
    run(expected, config=SELDOM)

    def on_step(progress: Progress) -> None:
        if progress.step == 1:
            raise KeyboardInterrupt

    model, path = make_model(), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(model, path, config=SELDOM, on_step=on_step)
    steps: list[int] = []
    model = make_model(99)
    run(model, path, config=SELDOM, on_step=lambda p: steps.append(p.epoch * p.steps + p.step))
    assert steps == list(range(2, STEPS * EPOCHS)), "the two finished steps are not run again"
    assert same(weights(model), weights(expected))


def child(path: Path) -> None:
    """Train slowly, saying each step, until killed."""
    torch.set_num_threads(1)

    def on_step(progress: Progress) -> None:
        sys.stdout.write(f"{progress.epoch * progress.steps + progress.step}\n")
        sys.stdout.flush()

    run(make_model(), path, on_step=on_step)


def test_a_killed_process_loses_no_written_step(tmp_path: Path, uninterrupted: Expected) -> None:
    path = tmp_path / "run"
    process = subprocess.Popen([sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        for line in process.stdout:
            if int(line) >= 5:
                process.kill()
                break
    assert process.returncode == -signal.SIGKILL
    steps: list[int] = []
    model = make_model(99)
    run(model, path, on_step=lambda p: steps.append(p.epoch * p.steps + p.step))
    # The child may have gone on between its line and the kill; what it wrote must be taken up.
    assert 6 <= steps[0] < STEPS * EPOCHS
    assert same(weights(model), uninterrupted[0])


def test_a_finished_run_is_not_run_again(tmp_path: Path, uninterrupted: Expected) -> None:
    run(make_model(), tmp_path / "run")
    steps: list[Progress] = []
    model = make_model(99)
    report = run(model, tmp_path / "run", on_step=steps.append)
    assert steps == []
    assert report == uninterrupted[1]
    assert same(weights(model), uninterrupted[0])


@pytest.mark.parametrize(("scores", "epochs", "best"), [
    ([0.1, 0.5, 0.4, 0.3, 0.9], 4, 1),
    ([0.5, 0.4, 0.6, 0.5, 0.7], 5, 4),
    ([0.5, 0.5, 0.5, 0.5, 0.5], 3, 0),
])  # fmt: skip
def test_early_stopping_gives_back_the_best_weights(scores: list[float], epochs: int, best: int) -> None:
    model, after, config = make_model(), [], CONFIG.model_copy(update={"epochs": 5, "patience": 2})

    def validate() -> float:
        after.append(weights(model))
        return scores[len(after) - 1]

    report = train(model, Parabola(model), config, validate=validate)
    assert report == {"epochs": epochs, "scores": scores[:epochs], "best_epoch": best, "best_score": scores[best]}
    assert len(after) == epochs
    assert same(weights(model), after[best])
    assert not same(after[0], after[1])


def test_the_average_is_what_is_validated_and_kept(tmp_path: Path) -> None:
    """Against a run by hand: after each epoch the average of the weights so far is what the validation sees."""
    model, seen, steps = make_model(), [], []

    def on_step(_: Progress) -> None:
        steps.append(weights(model))

    def validate() -> float:
        seen.append(weights(model))
        return float(len(seen) == 2)

    train(model, Parabola(model), CONFIG, validate=validate, average=0.9, on_step=on_step)
    moving, after = weights(make_model()), []
    for step, own in enumerate(steps):
        decay = min(0.9, (1 + step) / (10 + step))
        moving = {name: decay * moving[name] + (1 - decay) * own[name] for name in own}
        after.append(moving)
    for found, expected in zip(seen, after[STEPS - 1 :: STEPS], strict=True):
        assert all(torch.allclose(found[name], expected[name], atol=1e-6) for name in expected)
    assert same(weights(model), seen[1])
    plain = make_model()
    train(plain, Parabola(plain), CONFIG)
    assert same(steps[-1], weights(plain)), "learning itself goes on from the weights"


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_an_interrupt_with_an_average_costs_nothing(tmp_path: Path, at: int) -> None:
    whole = make_model()
    expected = run(whole, average=0.9)
    model, path = make_model(), tmp_path / "c"
    calls = 0

    def validate() -> float:
        nonlocal calls
        calls += 1
        if calls == at // 20 + 1:
            raise KeyboardInterrupt
        return validator(model)()

    def on_step(progress: Progress) -> None:
        if progress.epoch * STEPS + progress.step == at % 20 % (STEPS * EPOCHS):
            raise KeyboardInterrupt

    told = on_step if at % 2 else None
    with pytest.raises(KeyboardInterrupt):
        train(model, Parabola(model), CONFIG, checkpoint=path, validate=validate, average=0.9, on_step=told)
    other = make_model(seed=9)
    found = run(other, path, average=0.9)
    assert found == expected
    assert same(weights(other), weights(whole))
    with pytest.raises(BundleError, match="other settings"):
        run(make_model(), path)


class Judging(Interrupter):
    """The same among the lines that put the average in its place, and take the verdict."""

    def __call__(self, frame: FrameType, event: str, arg: object) -> "Judging | None":
        if frame.f_code.co_name not in ("_judge", "_averaged", "_verdict"):
            return self if frame.f_code.co_filename == trainer.__file__ else None
        super().__call__(frame, event, arg)
        return self


def test_an_interrupt_at_any_line_of_a_verdict_on_the_average_costs_nothing(tmp_path: Path) -> None:
    whole = make_model()
    expected = run(whole, average=0.9)
    counter = Judging(-1)
    traced(counter, partial(run, make_model(), config=SELDOM, average=0.9))
    assert -1 - counter.left > 60
    for line in range(1, -counter.left):
        path, model = tmp_path / str(line), make_model()
        with pytest.raises(KeyboardInterrupt):
            traced(Judging(line), partial(run, model, path, config=SELDOM, average=0.9))
        other = make_model(99) if path.exists() else make_model()
        assert run(other, path, config=SELDOM, average=0.9) == expected
        assert same(weights(other), weights(whole))


def test_without_validation_the_last_weights_stay() -> None:
    model, last = make_model(), []
    report = train(model, Parabola(model), CONFIG, on_step=lambda _: last.append(weights(model)))
    assert report == {"epochs": EPOCHS, "scores": [], "best_epoch": EPOCHS - 1, "best_score": None}
    assert same(weights(model), last[-1])
    assert not model.training, "a trained model is ready for use"


def test_progress_is_told_after_every_step() -> None:
    model, told = make_model(), list[Progress]()
    report = run(model, on_step=told.append)
    assert [(p.epoch, p.step) for p in told] == [(e, s) for e in range(EPOCHS) for s in range(STEPS)]
    assert {(p.epochs, p.steps) for p in told} == {(EPOCHS, STEPS)}
    assert [p.score for p in told if p.step == STEPS - 1] == report["scores"]
    assert all(p.score is None for p in told if p.step < STEPS - 1)
    assert all(math.isfinite(p.loss) for p in told)


def test_the_global_generator_is_left_alone(tmp_path: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(77)
        before = torch.get_rng_state()
        run(make_model(), tmp_path / "run")
        assert torch.equal(torch.get_rng_state(), before)


def test_whatever_was_drawn_before_changes_nothing(uninterrupted: Expected) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        model = make_model()
        torch.rand(100)
        run(model)
    assert same(weights(model), uninterrupted[0])
    other = make_model()
    run(other, config=CONFIG.model_copy(update={"seed": 6}))
    assert not same(weights(other), uninterrupted[0])


@pytest.fixture(scope="module")
def checkpoint(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "run"
    run(make_model(), path)
    return path.read_bytes()


def test_a_truncated_checkpoint_is_refused(tmp_path: Path, checkpoint: bytes) -> None:
    path, size = tmp_path / "run", len(checkpoint)
    for length in (0, 1, 7, 8, 9, 100, size // 2, size - 1):
        path.write_bytes(checkpoint[:length])
        with pytest.raises(BundleError, match=r"damaged.*delete .*run"):
            run(make_model(), path)


def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path, checkpoint: bytes) -> None:
    path = tmp_path / "run"
    header = 8 + int.from_bytes(checkpoint[:8], "little")
    places = np.random.default_rng(0).permutation(len(checkpoint))[:100]
    for place in [*range(0, header, 7), *map(int, places)]:
        spoiled = bytearray(checkpoint)
        spoiled[place] ^= 1
        path.write_bytes(spoiled)
        if checkpoint[place : place + 1] == b" ":  # padding of the header may change to what JSON ignores
            continue
        with pytest.raises(BundleError, match="delete"):
            run(make_model(), path)


@pytest.mark.parametrize("update", [{"learning_rate": 0.03}, {"seed": 6}, {"epochs": 4}])
def test_other_settings_are_refused(tmp_path: Path, checkpoint: bytes, update: dict[str, Any]) -> None:
    path = tmp_path / "run"
    path.write_bytes(checkpoint)
    with pytest.raises(BundleError, match=r"other settings.*delete .*run"):
        run(make_model(), path, config=CONFIG.model_copy(update=update))
    assert path.read_bytes() == checkpoint


def test_other_data_or_another_model_is_refused(tmp_path: Path, checkpoint: bytes) -> None:
    path, model = tmp_path / "run", make_model()
    path.write_bytes(checkpoint)
    with pytest.raises(BundleError, match=r"other data.*delete"):
        train(model, Parabola(model, steps=STEPS + 1), CONFIG, checkpoint=path)
    with pytest.raises(BundleError, match=r"(?s)another model.*delete"):
        run(make_model(hidden=8), path)


def test_how_often_it_is_written_may_change(tmp_path: Path, checkpoint: bytes) -> None:
    path = tmp_path / "run"
    path.write_bytes(checkpoint)
    assert run(make_model(), path, config=SELDOM)["epochs"] == EPOCHS


def test_a_checkpoint_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read the checkpoint.*delete"):
        run(make_model(), tmp_path)


def test_a_checkpoint_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="choose another folder"):
        run(make_model(), tmp_path / "no" / "folder")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run(value: float, tmp_path: Path) -> None:
    model = make_model()
    before = weights(model)
    with pytest.raises(FloatingPointError, match=r"loss is (nan|inf) at step 0; try a lower learning_rate"):
        train(model, Parabola(model, spoil=lambda loss: loss * value), CONFIG, checkpoint=tmp_path / "run")
    assert same(weights(model), before)
    assert not (tmp_path / "run").exists()


def test_a_gradient_that_is_not_finite_stops_the_run() -> None:
    model = make_model()
    before = weights(model)
    with pytest.raises(FloatingPointError, match=r"gradient's norm is (nan|inf) at step 0"):
        train(model, Parabola(model, spoil=lambda loss: (loss * 0).sqrt()), CONFIG)
    assert same(weights(model), before)


def test_the_schedule_rises_for_a_tenth_and_falls_to_almost_nothing() -> None:
    for total in (1, 2, 9, 10, 100, 1001):
        rates = [schedule(done, total) for done in range(total)]
        rise = max(1, total // 10)
        assert max(rates) == rates[rise - 1] == pytest.approx(1)
        assert all(a < b for a, b in pairwise(rates[:rise]))
        assert all(a >= b for a, b in pairwise(rates[rise:]))
        assert min(rates) > 0
    assert rates[0] == pytest.approx(0.01)
    assert rates[-1] < 1e-4
    middle = 100 + (1001 - 100) // 2
    assert rates[middle] == pytest.approx(0.5, abs=0.01)


def test_a_task_fits_the_weights() -> None:
    """The noise-free part of `Parabola` is learnable, so the loss must fall."""
    model, losses = make_model(), list[float]()
    config = TrainerConfig(epochs=50, learning_rate=0.03, patience=None)
    train(model, Parabola(model, steps=6), config, on_step=lambda p: losses.append(p.loss))
    assert sum(losses[:20]) > 1.5 * sum(losses[-20:])


if __name__ == "__main__":
    child(Path(sys.argv[1]))
