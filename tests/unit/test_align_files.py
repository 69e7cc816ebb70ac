"""What a run keeps: checkpoints, the log, and the event files of TensorBoard."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from rarec.align.checkpoint import Checkpoint, RunState, digest
from rarec.align.events import EventFile, crc32c
from rarec.align.journal import EVENTS, LOG, Journal, read_log
from rarec.errors import BundleError


def model_and_optimiser() -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def step(model: torch.nn.Linear, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    model(torch.ones(1, 3)).square().sum().backward()
    optimiser.step()


def test_a_checkpoint_brings_back_weights_moments_and_state(tmp_path: Path) -> None:
    model, optimiser = model_and_optimiser()
    step(model, optimiser)
    state = RunState(done=3, vectors=torch.arange(4.0))
    state.judge(0.5, model)
    step(model, optimiser)
    state.done = 4
    state.judge(0.25, model)
    Checkpoint(tmp_path / "c", model, optimiser, settings="s").write(state)

    other, its = model_and_optimiser()
    found = Checkpoint(tmp_path / "c", other, its, settings="s").read()
    assert found is not None
    assert (found.done, found.validated, found.best, found.best_score) == (4, [(3, 0.5), (4, 0.25)], 3, 0.5)
    assert found.since_best() == 1
    assert found.vectors is not None
    assert torch.equal(found.vectors, torch.arange(4.0))
    assert digest(found.best_weights) == digest(state.best_weights) != digest(model.state_dict())
    for pair in ((model, optimiser), (other, its)):
        step(*pair)
    assert digest(model.state_dict()) == digest(other.state_dict())


def test_a_damaged_or_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    model, optimiser = model_and_optimiser()
    keeper = Checkpoint(tmp_path / "c", model, optimiser, settings="s")
    assert keeper.read() is None
    keeper.write(RunState(done=1))
    with pytest.raises(BundleError, match=r"does not tell which.*with --out.*or delete"):
        Checkpoint(tmp_path / "c", model, optimiser, settings="t", parts={"loop.batch": 8}).read()
    Checkpoint(tmp_path / "c", model, optimiser, settings="s", parts={"loop.batch": 16}).write(RunState(done=1))
    with pytest.raises(BundleError, match=r"\(loop.batch is 8, and was 16\)"):
        Checkpoint(tmp_path / "c", model, optimiser, settings="t", parts={"loop.batch": 8}).read()
    data = bytearray((tmp_path / "c").read_bytes())
    data[-1] ^= 1
    (tmp_path / "c").write_bytes(data)
    with pytest.raises(BundleError, match="damaged"):
        keeper.read()


def test_a_log_goes_on_without_the_lines_of_what_is_done_again(tmp_path: Path) -> None:
    first = Journal(tmp_path, done=0)
    first.write({"kind": "validation", "iteration": 0, "score": 0.5})
    for iteration in range(3):
        first.write({"iteration": iteration, "loss": float(iteration)})
    first.write({"kind": "validation", "iteration": 3, "score": 0.6})
    with (tmp_path / LOG).open("a") as file:
        file.write('{"iteration": 3, "lo')
    again = Journal(tmp_path, done=2)
    again.write({"iteration": 2, "loss": 9.0})
    lines = [(facts.get("kind", ""), facts["iteration"], facts.get("loss")) for facts in read_log(tmp_path / LOG)]
    assert lines == [("validation", 0, None), ("", 0, 0.0), ("", 1, 1.0), ("", 2, 9.0)]
    assert len(list(records(tmp_path / EVENTS))) == 1 + 4


def test_events_are_the_records_that_tensorboard_reads(tmp_path: Path) -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    path = tmp_path / "events.out.tfevents.1"
    events = EventFile(path)
    events.add(300, {"a": 1.5, "gone": float("nan")}, wall_time=2.0)
    head, event = records(path)
    assert b"brain.Event:2" in head
    value = b"\x0a\x01a" + b"\x15" + struct.pack("<f", 1.5)
    summary = b"\x0a" + bytes([len(value)]) + value
    assert event == b"\x09" + struct.pack("<d", 2.0) + b"\x10\xac\x02" + b"\x2a" + bytes([len(summary)]) + summary


def records(path: Path) -> Iterator[bytes]:
    """The payloads of a TFRecord file, checksums checked."""
    data = path.read_bytes()
    while data:
        (length,), (of_length,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        payload, (of_payload,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        assert (of_length, of_payload) == (masked(data[:8]), masked(payload))
        yield payload
        data = data[16 + length :]


def masked(data: bytes) -> int:
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32
