"""Progress on stderr: a bar where somebody watches, a line at every tenth where a log is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rarec.cli.console import err
from rarec.progress import OnProgress

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID
    from rich.text import Text

LOADING = "load torch and what is built on it"
"""Name of a stage: the first import takes seconds where the disk is cold."""
Count = Callable[[int, int], None]


@contextmanager
def counting(text: str, *, unit: str) -> Iterator[Count]:
    """A bar with rate and remaining time, shown from the first report on; a total of 0 means unknown."""
    with staged(unit=unit) as tell:
        yield lambda done, total: tell(text, done, total, "")


@contextmanager
def staged(*, unit: str) -> Iterator[OnProgress]:
    """One bar a stage; a new stage's bar comes below the others."""
    shown = _Bars(unit) if err().is_terminal else _Lines(unit)
    try:
        yield shown
    finally:
        shown.close()


class _Bars:
    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int, text: str) -> None:
        if self._progress is None:
            self._progress = _progress(self._unit)
            self._progress.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, note="")
        self._progress.update(self._tasks[stage], completed=done, total=total or None, note=text)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


class _Lines:
    """For logs and pipes: a line when a stage begins, if it is told so, and at every tenth."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._tenths: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int, text: str) -> None:
        if total and not done and stage not in self._tenths:
            self._tenths[stage] = 0
            err().print(f"{stage} ...")
        tenth = 10 * done // total if total else 0
        if self._tenths.get(stage, 0) < tenth:
            self._tenths[stage] = tenth
            note = f", {text}" if text else ""
            count = "done" if total == 1 else f"{done:,} of {total:,} {self._unit}".rstrip()
            err().print(f"{stage}: {count}{note}")

    def close(self) -> None:
        pass


def _progress(unit: str) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(
                "" if speed is None else f"{speed:,.1f} {unit}/s".replace(" /", "/"), style="progress.data.speed"
            )

    columns: list[Any] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", markup=False),
    ]
    return Progress(*columns, console=err())
