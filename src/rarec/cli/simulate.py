"""`rarec simulate`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import Interrupted, command
from rarec.cli.console import err, out, plain, print_json
from rarec.cli.options import LLM, STORE, AsJson, BaseUrl, Model, Store, llm_flags
from rarec.errors import InputError, SettingsError

if TYPE_CHECKING:
    from rich.table import Table

    from rarec.evaluate.results import Figure
    from rarec.pipeline import Recommender
    from rarec.simulation import Recommends, Seekers, SimulationResult, SimulationSettings, Target, World

TRANSCRIPTS = "transcripts.jsonl"
FIGURES = "simulation.json"


class SeekerKind(enum.StrEnum):
    """Who plays the seeker."""

    scripted = "scripted"
    llm = "llm"


class TargetKind(enum.StrEnum):
    """How targets are drawn."""

    uniform = "uniform"
    popular = "popular"


class SystemKind(enum.StrEnum):
    """Who answers."""

    recommender = "recommender"
    word_match = "word-match"


@command
def simulate(
    store: Store = STORE,
    dialogues: Annotated[
        int, typer.Option("--n-dialogues", metavar="N", min=1, help="Dialogues, each about another item.")
    ] = 50,
    turns: Annotated[int, typer.Option(metavar="N", min=1, max=50, help="Most answers in a dialogue.")] = 5,
    n: Annotated[
        int, typer.Option("-n", "--n", metavar="N", min=1, max=1000, help="How many items an answer has.")
    ] = 5,
    targets: Annotated[
        TargetKind,
        typer.Option(metavar="uniform|popular", help="Draw every item alike, or in proportion to popularity."),
    ] = TargetKind.uniform,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="ATTRIBUTE", help="What seekers never speak of, e.g. a stock number. May be repeated."),
    ] = None,
    seeker: Annotated[
        SeekerKind, typer.Option(metavar="scripted|llm", help="Who plays the seeker.")
    ] = SeekerKind.scripted,
    seeker_model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The seeker's model. Default: the recommender's, if that is an endpoint."),
    ] = None,
    seeker_base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="The seeker's endpoint. Default: the recommender's.")
    ] = None,
    system: Annotated[
        SystemKind,
        typer.Option(
            metavar="recommender|word-match",
            help="Who answers: the store's recommender, or plain matching of words, to see how far a search form gets.",
        ),
    ] = SystemKind.recommender,
    llm: LLM = None,
    model: Model = None,
    base_url: BaseUrl = None,
    folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Keep transcripts and figures; a stopped run goes on there."),
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Only compute the figures again from the transcripts in --out.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(metavar="N", min=1, max=64, help="Dialogues at once; for remote models.")
    ] = 1,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of targets, seekers and the bootstrap.")] = 0,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="Draws of the bootstrap by dialogue.")] = 2000,
    as_json: AsJson = False,
) -> None:
    """Let simulated seekers talk with the recommender, and count how soon they are shown what they look for.

    Each seeker has one item of the catalogue in mind. It speaks of the item's attributes, never of its title, rejects
    what is not the item and says why. Popularity order and random order stand beside the recommender for the same
    targets: they do not listen, so what lies above them comes from the conversation. With --system word-match plain
    matching of words answers instead. No user took part: see docs/simulation.md for what such figures mean.

    Example: rarec simulate --store demo --n-dialogues 100 --out runs/simulation

    Example: rarec simulate --store demo --seeker llm --seeker-model gpt-4o-mini --targets popular
    """
    if replay:
        _show(replayed(folder, samples=samples), as_json=as_json)
        return
    from rarec.cli.opening import opened
    from rarec.simulation import SimulationSettings, WordMatch, World, draw_targets

    with opened(store, flags=llm_flags(llm, model, base_url)) as recommender:
        world = World(recommender.engine.catalogue, without=without or ())
        _check_attributes(world, without or ())
        settings = SimulationSettings(
            turns=turns,
            n=n,
            seed=seed,
            samples=samples,
            concurrency=concurrency,
            recommender=_system_name(system, recommender),
            drawn=targets.value,
        )
        chosen = _Seekers.of(recommender, seeker, seeker_model, seeker_base_url)
        drawn = draw_targets(world, dialogues, by=targets.value, seed=seed)
        answering = WordMatch(world) if system is SystemKind.word_match else recommender
        result = chosen.run(answering, drawn, world, settings, folder)
    _show(result, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Seekers:
    """Who asks, and under which name."""

    make: Seekers
    name: str

    @staticmethod
    def of(recommender: Recommender, kind: SeekerKind, model: str | None, base_url: str | None) -> _Seekers:
        """Raises SettingsError if no model is named for a seeker that needs one."""
        from rarec.assembly import llm_from
        from rarec.settings import StorePaths
        from rarec.simulation import llm_seekers, scripted_seekers

        if kind is SeekerKind.scripted:
            if model or base_url:
                raise SettingsError("--seeker-model and --seeker-base-url need --seeker llm; add it")
            return _Seekers(scripted_seekers, kind.value)
        own = recommender.settings.llm
        name = model or (own.model if own.kind == "http" else "")
        if not name:
            raise SettingsError("--seeker llm needs a model; name it with --seeker-model, for example gpt-4o-mini")
        options = own.model_copy(update={"kind": "http", "model": name, "base_url": base_url or own.base_url})
        played = llm_from(options, recommender.engine, StorePaths(recommender.engine.catalogue.path.parent).bundle)
        if played is None:  # "http" always gives one
            raise SettingsError(f"no model for the seeker {name!r}")
        return _Seekers(llm_seekers(played), f"{kind.value}: {name}")

    def run(
        self,
        recommender: Recommends,
        targets: Sequence[Target],
        world: World,
        settings: SimulationSettings,
        folder: Path | None,
    ) -> SimulationResult:
        """Run the dialogues with a bar; the figures are written beside the transcripts."""
        from rarec.cli.progress import counting
        from rarec.files import write_text
        from rarec.simulation import Kept, simulate

        settings = replace(settings, seeker=self.name)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with counting("Dialogues", unit="dialogues") as progress:
            kept = Kept(folder / TRANSCRIPTS if folder else None, progress)
            try:
                result = simulate(recommender, targets, world=world, seekers=self.make, settings=settings, kept=kept)
            except KeyboardInterrupt:
                raise Interrupted(
                    f"The finished dialogues are in {folder}; run the same command again to go on."
                    if folder
                    else "Nothing was kept; name a folder with --out to be able to go on."
                ) from None
        if folder is not None:
            write_text(folder / FIGURES, result.model_dump_json(indent=1) + "\n")
        return result


def _system_name(system: SystemKind, recommender: Recommender) -> str:
    if system is SystemKind.word_match:
        return "word match"
    return recommender.llm.name if recommender.llm else "retriever"


def _check_attributes(world: World, names: Sequence[str]) -> None:
    """Refuse an attribute that no item has: a typing error would let seekers speak of what was to be hidden."""
    known = {name for item in world.items.values() for name in item.attributes}
    for name in names:
        if name not in known:
            raise InputError(f"no item has the attribute {name!r}; the attributes are: {sorted(known)!r}")


def replayed(folder: Path | None, *, samples: int) -> SimulationResult:
    """The figures of the transcripts in a folder; opens no store and no model.

    Raises:
        InputError: no folder is named, or it has no transcripts of ours.
    """
    from rarec.simulation import read_transcripts, summarise

    if folder is None:
        raise InputError("--replay needs the folder of a run; name it with --out")
    header, records = read_transcripts(folder / TRANSCRIPTS)
    return summarise(header, records, samples=samples)


def _show(result: SimulationResult, *, as_json: bool) -> None:
    if as_json:
        print_json(result.model_dump(mode="json"))
    console = err() if as_json else out()
    for part in (_success_table(result), _band_table(result), *map(plain, _notes(result))):
        console.print(part)


def _success_table(result: SimulationResult) -> Table:
    from rich.table import Table

    header = result.header
    title = (
        f"Target shown by turn, {result.dialogues:,} dialogues ({header.seeker} seeker, {header.drawn or 'given'} "
        f"targets), {header.n} items an answer, {header.items:,} items, {result.level:.0%} intervals"
    )
    turns = [f"turn {turn}" for turn in range(1, header.turns + 1)]
    table = Table("system", *turns, "mean length", title=plain(title), title_justify="left", box=None, pad_edge=False)
    for system in result.systems:
        name = header.recommender if system is result.systems[0] else f"{system.system} order"
        table.add_row(plain(name), *map(_share, system.success), _number(system.length))
    return table


def _band_table(result: SimulationResult) -> Table:
    from rich.table import Table

    first = result.systems[0]
    bands = [f"{band.band} (n={band.n})" for band in first.bands]
    title = "At the last turn, by popularity of the target"
    table = Table("system", *bands, title=title, title_justify="left", box=None, pad_edge=False)
    for system in result.systems:
        name = result.header.recommender if system is first else f"{system.system} order"
        table.add_row(plain(name), *(_share(b.figures["success"]) if b.n else "-" for b in system.bands))
    return table


def _notes(result: SimulationResult) -> list[str]:
    notes = [
        f"Over {floor} order: {_share(figures['success'])} at the last turn, {_number(figures['length'])} turns."
        for floor, figures in result.over.items()
    ]
    notes.append(f"Random order reaches {result.chance[-1]:.1%} on average over all its orders.")
    notes.append(
        f"Answers without their model: {result.degraded:.1%}. Messages with words of the title blanked: "
        f"{result.blanked:,} of {result.messages:,}. Dialogues broken off: {result.failed:,}. "
        f"Targets without anything to say about: {result.silent:,}."
    )
    for who, spent in (("seeker", result.seeker), ("recommender", result.recommender)):
        if spent.prompt_tokens or spent.completion_tokens:
            notes.append(
                f"Tokens of the {who}'s model: {spent.prompt_tokens:,} read, {spent.completion_tokens:,} written, "
                f"in {spent.calls:,} calls."
            )
    if result.dialogues < result.header.dialogues:
        notes.append(f"The run is not finished: {result.dialogues:,} of {result.header.dialogues:,} dialogues.")
    return notes


def _share(figure: Figure) -> str:
    return _written(figure, "{:.1%}")


def _number(figure: Figure) -> str:
    return _written(figure, "{:.2f}")


def _written(figure: Figure, pattern: str) -> str:
    if figure.value is None:
        return "-"
    value = pattern.format(figure.value)
    if figure.low is None or figure.high is None:
        return value
    return f"{value} [{pattern.format(figure.low)}, {pattern.format(figure.high)}]"
