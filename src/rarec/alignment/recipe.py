"""A recipe of alignment: everything that decides the weights, in one TOML file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from rarec.align.learners import CreditAssigned, Learner
from rarec.align.rollout import RolloutReward, RolloutSettings
from rarec.align.settings import LoopSettings
from rarec.conversations.data_sets import DATA_SETS
from rarec.embed.factory import EmbedderSettings
from rarec.errors import RarecError, SettingsError
from rarec.evaluate.system_configs import LLMConfig
from rarec.files import read_recipe_toml

FORMAT: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Part):
    """Which conversations.

    Attributes:
        name: one of `rarec.conversations.DATA_SETS`, or any name for a data set of the own format.
        folder: where it lies; relative to the recipe's folder.
        training: the split that is learned from.
        tuning: the split that the best weights are chosen on, and on whose other turns the figures are measured.
        training_turns, tuning_turns: at most so many turns, chosen by a hash of the dialogue's id; None takes all.
        report_turns: tuning turns, of other dialogues than those, on which the figures before and after are measured.
        sentiments: keep annotated sentiments of mentions; when serving, a linker knows none.
        layout: how items are written for the embedder, see `rarec.evaluate.recipe.DataSetConfig`.
    """

    name: str = Field(min_length=1)
    folder: Path = Path()
    training: str = "train"
    tuning: str = "valid"
    training_turns: int | None = Field(default=None, ge=1)
    tuning_turns: int | None = Field(default=None, ge=2)
    report_turns: int = Field(default=400, ge=1)
    sentiments: bool = False
    layout: str = ""

    @field_validator("training", "tuning")
    @classmethod
    def _is_no_test(cls, split: str) -> str:
        if split.startswith("test"):
            raise ValueError("nothing is learned or tuned on a test split; name another")
        return split

    @model_validator(mode="after")
    def _are_different(self) -> DataConfig:
        if self.training == self.tuning:
            raise ValueError("training and tuning are the same split; the best weights would be those that remember it")
        return self


class LocalJudge(_Part):
    """The ranker of the bundle that is started from."""

    kind: Literal["local"] = "local"


class SimulatedJudge(_Part):
    """A judge of `rarec.testing.judges`.

    Attributes:
        preset: its name, e.g. ``era-lover``.
        kinds, people: attributes that say what sort of thing an item is, and who made it.
    """

    kind: Literal["simulated"] = "simulated"
    preset: str
    seed: int = 0
    kinds: tuple[str, ...] = ("genres",)
    people: tuple[str, ...] = ("directors", "cast")
    latency_s: float = Field(default=0.0, ge=0)

    @field_validator("preset")
    @classmethod
    def _is_known(cls, preset: str) -> str:
        from rarec.testing.judges import PRESETS

        if preset not in PRESETS:
            raise ValueError(f"there is no judge {preset!r}; use one of {', '.join(PRESETS)}")
        return preset


class EndpointJudge(LLMConfig):
    """A language model behind an OpenAI-compatible endpoint."""

    kind: Literal["endpoint"] = "endpoint"


class RecordedConfig(_Part):
    """Recorded lists of the turns, blended with another signal; see `rarec.alignment.recorded`.

    Attributes:
        lists: file of ``{"example": id, "items": [ids, best first]}`` lines; relative to the recipe's folder.
        weight: of the list; the other signal has 1.
        behind: the other signal; None takes the order of the candidates' scores.
    """

    kind: Literal["recorded"] = "recorded"
    lists: Path
    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    behind: Annotated[LocalJudge | SimulatedJudge, Field(discriminator="kind")] | None = None


Judge = Annotated[LocalJudge | SimulatedJudge | EndpointJudge | RecordedConfig, Field(discriminator="kind")]


class SetsConfig(_Part):
    """Candidate sets, and how they are shown; see `RolloutSettings`."""

    n: int = Field(default=10, ge=1)
    groups: int = Field(default=4, ge=1)
    ranked: int = Field(default=10, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    template: str = "default"
    max_degraded: float = Field(default=0.1, ge=0, le=1)


class BudgetConfig(_Part):
    """Ceilings over all seeds of a run; None is no ceiling."""

    calls: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    usd: float | None = Field(default=None, ge=0)


class AlignRecipe(_Part):
    """One run. See `recipes/align_inspired.toml`; read one with `load_align_recipe`.

    Attributes:
        name: of the run; the recipe file's if empty.
        bundle: that is started from; the shipped one if None. Relative to the recipe's folder.
        reward: name -> weight, see `rarec.reward.weighted_sum`.
        seeds: of the loop and the draws; one run each.
    """

    format: Literal[1] = FORMAT
    name: str = ""
    bundle: Path | None = None
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    reward: dict[str, float] = Field(default_factory=lambda: {"ndcg@10": 1.0})
    data: DataConfig
    judge: Judge
    learner: Learner = CreditAssigned()
    sets: SetsConfig = SetsConfig()
    loop: LoopSettings = LoopSettings()
    budget: BudgetConfig = BudgetConfig()
    embedder: EmbedderSettings = EmbedderSettings()

    @field_validator("reward")
    @classmethod
    def _is_a_reward(cls, reward: dict[str, float]) -> dict[str, float]:
        try:
            RolloutReward.of(reward)
        except RarecError as error:
            raise ValueError(str(error)) from None
        return reward

    @field_validator("seeds")
    @classmethod
    def _are_different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError("seeds are different whole numbers from 0")
        return seeds

    @model_validator(mode="after")
    def _fits_together(self) -> AlignRecipe:
        wrong: list[str] = []
        if self.loop.proposal < self.sets.n:
            wrong.append(f"loop.proposal = {self.loop.proposal} items cannot give sets of sets.n = {self.sets.n}")
        if self.loop.seed:
            wrong.append("loop.seed is set by seeds; leave it out")
        if self.budget.usd is not None and not (isinstance(self.judge, EndpointJudge) and self.judge.prices):
            wrong.append("budget.usd needs the prices of the judge; give judge.prices, or a ceiling of calls or tokens")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def rollouts(self, seed: int) -> RolloutSettings:
        """As the loop wants them."""
        asked = self.judge if isinstance(self.judge, EndpointJudge) else None
        return RolloutSettings(
            n=self.sets.n,
            groups=self.sets.groups,
            ranked=self.sets.ranked,
            temperature=self.sets.temperature,
            seed=seed,
            template=self.sets.template,
            max_degraded=self.sets.max_degraded,
            concurrency=64 if asked is None else asked.concurrency,
            deadline_s=60.0 if asked is None else asked.deadline_s,
            max_tokens=800 if asked is None else asked.max_tokens,
            llm_temperature=0.0 if asked is None else asked.temperature,
        )

    def deciding(self) -> dict[str, Any]:
        """What decides the weights of a seed: not where things lie, what may be spent, or how long it goes on."""
        document = self.model_dump(mode="json", exclude={"name", "bundle", "seeds", "budget", "loop"})
        document["loop"] = self.loop.model_dump(exclude={"iterations", "patience", "seed"})
        for name in ("folder", "report_turns"):
            document["data"].pop(name)
        for name in ("prices", "concurrency", "deadline_s", "api_key_env", "latency_s"):
            document["judge"].pop(name, None)
        if isinstance(self.judge, RecordedConfig):  # what the file holds decides; its hash is in the run's material
            document["judge"].pop("lists")
            (document["judge"]["behind"] or {}).pop("latency_s", None)
        return document


def identity(*parts: object) -> str:
    """A hash of JSON documents."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def load_align_recipe(path: str | Path, *, data: Path | None = None) -> AlignRecipe:
    """Read a recipe; its paths are made absolute, and it is named after the file unless it has a name.

    Args:
        data: a data folder that takes the place of the recipe's, except for a data set of the own format.
    Raises:
        SettingsError: the file is missing, not TOML, of a later format, or has unknown or wrong values; all of them
            are listed.
    """
    path = Path(path)
    values = read_recipe_toml(path)
    recipe = parse_align_recipe(values, source=str(path))
    base = path.resolve().parent
    own = recipe.data.name not in DATA_SETS or recipe.data.name == "jsonl"
    folder = (base / recipe.data.folder if data is None or own else data).resolve()
    judge = recipe.judge
    if isinstance(judge, RecordedConfig):
        judge = judge.model_copy(update={"lists": (base / judge.lists).resolve()})
    return recipe.model_copy(
        update={
            "judge": judge,
            "name": recipe.name or path.stem,
            "bundle": None if recipe.bundle is None else (base / recipe.bundle).resolve(),
            "data": recipe.data.model_copy(update={"folder": folder}),
        }
    )


def parse_align_recipe(values: Mapping[str, Any], *, source: str) -> AlignRecipe:
    """A recipe from the values of a file; `source` names it in errors. Raises as `load_align_recipe`."""
    found = values.get("format", FORMAT)
    if isinstance(found, int) and found > FORMAT:
        raise SettingsError(
            f"the recipe {source!r} is of format {found!r}, this version of rarec reads format {FORMAT}; update rarec"
        )
    try:
        return AlignRecipe.model_validate(values)
    except ValidationError as error:
        lines = [_complaint(e["loc"], e["msg"], e["input"]) for e in error.errors()]
        raise SettingsError(f"the recipe {source!r} has wrong values:\n" + "\n".join(lines)) from None


def _complaint(place: tuple[int | str, ...], message: str, value: object) -> str:
    where = ".".join(map(str, place))
    shown = "" if isinstance(value, dict) else f" = {value!r}"
    text = message.removeprefix("Value error, ")
    return f"  {where}{shown}: {text}" if where else f"  {text}"
