"""A recipe of alignment: everything that decides the weights, in one TOML file."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rarec.align.learners import CreditAssigned, Learner
from rarec.align.rollout import RolloutReward, RolloutSettings
from rarec.align.settings import LoopSettings
from rarec.catalogue import load_layout
from rarec.complaints import checked
from rarec.conversations.data_sets import DATA_SETS
from rarec.embed.factory import EmbedderSettings
from rarec.errors import RarecError, SettingsError
from rarec.evaluate.system_configs import DataSetName, LLMConfig
from rarec.files import read_recipe_toml
from rarec.llm.budget import Budget
from rarec.prompt import PromptTemplate

FORMAT: Final = 1
_OTHERS: Final = {
    "train": {"retriever", "pretrain", "pretrain_loop", "finetune", "finetune_loop", "ranker", "ranker_loop", "visits"},
    "evaluate": {"run", "data_set", "system"},
}
"""Commands with recipes of their own -> keys by which these are known."""
_FILE = ".toml"
_GO_ON = (
    "raise budget.{ceiling} in the recipe and run the same command again: it goes on from here, and what was answered "
    "is not paid for twice"
)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Part):
    """Which conversations.

    Attributes:
        name: one of `rarec.conversations.DATA_SETS`, or any name for a data set of the own format.
        folder: where it lies; relative to the recipe's folder.
        training: the split that is learned from.
        tuning: the split that the best weights are chosen on.
        report: the split on which the figures before and after are measured; empty takes the dialogues of the tuning
            split that choose no weights, half of them. A test split may stand here and only here.
        held_back: share of the training conversations that the bundle's own training held back, see
            `rarec.conversations.held_back`; only these are learned from. None takes all, also those that it knows.
        training_turns, tuning_turns: at most so many turns, chosen by a hash of the dialogue's id; None takes all.
        report_turns: at most so many turns for the figures.
        sentiments: keep annotated sentiments of mentions; when serving, a linker knows none.
        layout: how items are written for the embedder, see `rarec.evaluate.recipe.DataSetConfig`.
    """

    name: DataSetName
    folder: Path = Path()
    training: str = Field(default="train", min_length=1)
    tuning: str = Field(default="valid", min_length=1)
    report: str = ""
    held_back: float | None = Field(default=None, gt=0, le=1)
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
        if self.report in (self.training, self.tuning):
            raise ValueError(
                f"{self.report!r} is learned from or chosen on, and figures on it say nothing; name another"
            )
        return self


class LocalJudge(_Part):
    """The ranker of the bundle that is started from."""

    kind: Literal["local"] = "local"


class SimulatedJudge(_Part):
    """A judge of `rarec.testing.judges`.

    Attributes:
        preset: its name, e.g. ``era-lover``.
        seed: of its hidden taste; another seed is another judge.
        kinds: attributes that say what sort of thing an item is.
        people: attributes that say who made it.
        latency_s: seconds that it waits before each answer.
    """

    kind: Literal["simulated"] = "simulated"
    preset: str
    seed: int = 0
    kinds: tuple[str, ...] = Field(default=("genres",), min_length=1)
    people: tuple[str, ...] = Field(default=("directors", "cast"), min_length=1)
    latency_s: float = Field(default=0.0, ge=0, allow_inf_nan=False)

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


class PeopleJudge(_Part):
    """What people did with what they were shown; nobody is asked. See docs/feedback.md.

    Attributes:
        events: file of feedback events; relative to the recipe's folder.
        holdout: share of the conversations, by a hash of their ids, on which weights are chosen and figures measured.
        eta: how fast attention falls with the place shown; clicks lower down then count for more, see
            `rarec.reward.grades`. 0 takes all clicks alike.
        importance_clip: weight each set by how probable the policy makes it now against when it was logged, at most
            this; needs ``log_prob`` in the events, and ca-pg or top1-pg. None weights none.
    """

    kind: Literal["people"] = "people"
    events: Path
    holdout: float = Field(default=0.3, gt=0, lt=1)
    eta: float = Field(default=0.0, ge=0, le=4)
    importance_clip: float | None = Field(default=None, gt=0)


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


SINGLE_SET_LEARNERS: Final = ("ca-pg", "top1-pg")
"""Learners that give each item its own credit, so that one shown set says something; mult-dpo with credits, too."""

Judge = Annotated[
    LocalJudge | SimulatedJudge | EndpointJudge | RecordedConfig | PeopleJudge, Field(discriminator="kind")
]


class SetsConfig(_Part):
    """Candidate sets, and how they are shown; see `RolloutSettings`.

    Attributes:
        n: items of a set: as many as the judge is to see when the bundle serves.
        groups: sets a turn; the judge is asked once for each.
        ranked: how many of its items the judge is asked to rank; the others follow in the policy's order.
        temperature: of the draws; above 1 they are more even, below 1 nearer to the policy's first n.
        template: name of a packaged prompt, or the path of one that ends in ``.toml``; relative to the recipe's folder.
        max_degraded: share of an iteration's sets without a usable answer above which the run stops.
    """

    n: int = Field(default=50, ge=1)
    groups: int = Field(default=2, ge=1)
    ranked: int = Field(default=10, ge=1)
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    template: str = "default"
    max_degraded: float = Field(default=0.1, ge=0, le=1)

    def prompt(self) -> PromptTemplate:
        """The template. Raises SettingsError if there is none of that name, or no file that is one."""
        return PromptTemplate.load(Path(self.template) if self.template.endswith(_FILE) else self.template)


class BudgetConfig(_Part):
    """Ceilings over all seeds of a run; None is no ceiling.

    Attributes:
        calls: of the judge, those that validate and report included.
        tokens: read and written.
        usd: US dollars; needs the prices of the judge.
    """

    calls: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    usd: float | None = Field(default=None, ge=0)

    def of(self, name: str) -> Budget:
        """The budget of a run, or of what else `name` says in messages."""
        return Budget(name, **self.model_dump(), remedy=_GO_ON)


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
        if isinstance(self.judge, PeopleJudge):
            wrong += self._wrong_with_people(self.judge)
        elif self.loop.proposal < self.sets.n:
            wrong.append(
                f"sets.n = {self.sets.n} is more than loop.proposal = {self.loop.proposal}, the items that sets are "
                f"drawn from: set sets.n to at most {self.loop.proposal}, or raise loop.proposal"
            )
        if self.sets.groups == 1 and not isinstance(self.judge, PeopleJudge):
            wrong += self._wrong_with_single_sets()
        if self.loop.seed:
            wrong.append("loop.seed is set by seeds; leave it out")
        if self.budget.usd is not None and not (isinstance(self.judge, EndpointJudge) and self.judge.prices):
            wrong.append("budget.usd needs the prices of the judge; give judge.prices, or a ceiling of calls or tokens")
        if wrong:
            raise ValueError("\n  ".join(wrong))
        return self

    def _wrong_with_single_sets(self) -> list[str]:
        """What compares the sets of a turn, where a turn has one."""
        name = self.learner.name
        if name in SINGLE_SET_LEARNERS:
            told = [f"learner.{key}" for key in ("centre", "scale") if getattr(self.learner, key)]
            remedy = f"set {' and '.join(told)} to false" if told else ""
        else:
            compares = name in ("dpo", "grpo", "pg") or getattr(self.learner, "pairs", "") == "sets"
            remedy = f"{name} learns nothing then" if compares else ""
        return [f"sets.groups = 1 leaves no other set of a turn to compare with: {remedy}, or draw 2"] if remedy else []

    def _wrong_with_people(self, judge: PeopleJudge) -> list[str]:
        """What has no meaning, or another, where shown sets come from a log."""
        single = self.learner.name in SINGLE_SET_LEARNERS
        told = _changed(
            "data", self.data, ("training", "tuning", "report", "held_back", "training_turns", "tuning_turns")
        )
        told += _changed("sets", self.sets, ("n", "groups", "ranked", "template", "max_degraded"))
        told += _changed("learner", self.learner, ("centre", "scale", "watch") if single else ("watch",))
        told += [name for name in ("reward", "budget") if _changed("", self, (name,))]
        wrong = []
        if told:
            wrong.append(f"{', '.join(told)}: has no meaning with feedback of people; leave it out")
        if self.learner.name == "reward-weighted-nll":
            wrong.append("reward-weighted-nll needs rewards of at least 0, and a refusal is worth less; use another")
        if judge.importance_clip is not None and not single:
            wrong.append(
                f"judge.importance_clip weights the gradients of {' and '.join(SINGLE_SET_LEARNERS)} only, not of "
                f"{self.learner.name}; leave it out"
            )
        return wrong

    def rollouts(self, seed: int) -> RolloutSettings:
        """As the loop wants them."""
        if isinstance(self.judge, PeopleJudge):  # nothing is drawn, whatever the size of sets
            return RolloutSettings(n=1, groups=1, temperature=self.sets.temperature, seed=seed)
        asked = self.judge if isinstance(self.judge, EndpointJudge) else None
        return RolloutSettings(
            n=self.sets.n,
            groups=self.sets.groups,
            ranked=self.sets.ranked,
            temperature=self.sets.temperature,
            seed=seed,
            template=self.sets.prompt(),
            max_degraded=self.sets.max_degraded,
            concurrency=64 if asked is None else asked.concurrency,
            deadline_s=60.0 if asked is None else asked.deadline_s,
            max_tokens=800 if asked is None else asked.max_tokens,
            llm_temperature=0.0 if asked is None else asked.temperature,
        )

    def deciding(self) -> dict[str, Any]:
        """What decides the weights of a seed: not where things lie, what may be spent, or how long it goes on.

        Raises:
            SettingsError: the file of a prompt cannot be read.
        """
        document = self.model_dump(mode="json", exclude={"name", "bundle", "seeds", "budget", "loop"})
        document["loop"] = self.loop.model_dump(exclude={"iterations", "patience", "seed"})
        for name in ("folder", "report_turns"):
            document["data"].pop(name)
        for name in ("prices", "concurrency", "deadline_s", "api_key_env", "latency_s", "events"):
            document["judge"].pop(name, None)
        if self.sets.template.endswith(_FILE):
            document["sets"]["template"] = self.sets.prompt().model_dump(mode="json")
        if isinstance(self.judge, RecordedConfig):  # what the file holds decides; its hash is in the run's material
            document["judge"].pop("lists")
            (document["judge"]["behind"] or {}).pop("latency_s", None)
        return document


def identity(*parts: object) -> str:
    """A hash of JSON documents."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


def load_align_recipe(path: str | Path, *, data: Path | None = None, events: Path | None = None) -> AlignRecipe:
    """Read a recipe; its paths are made absolute, and it is named after the file unless it has a name.

    Args:
        data: a data folder that takes the place of the recipe's, except for a data set of the own format.
        events: a file of feedback that takes the place of the recipe's, which must learn from people.
    Raises:
        SettingsError: the file is missing, not TOML, of a later format, or has unknown or wrong values; all of them
            are listed. Or `events` are given, and it does not learn from people.
    """
    path = Path(path)
    values = read_recipe_toml(path)
    _check_kind(values, source=str(path))
    if events is not None:
        values = _with_events(values, events, path)
    recipe = parse_align_recipe(values, source=str(path))
    base = path.resolve().parent
    own = recipe.data.name not in DATA_SETS or recipe.data.name == "jsonl"
    folder = (base / recipe.data.folder if data is None or own else data).resolve()
    judge = recipe.judge
    if isinstance(judge, PeopleJudge):
        judge = judge.model_copy(update={"events": (base / judge.events).resolve()})
    if isinstance(judge, RecordedConfig):
        judge = judge.model_copy(update={"lists": (base / judge.lists).resolve()})
    sets = recipe.sets
    if sets.template.endswith(_FILE):
        sets = sets.model_copy(update={"template": str((base / sets.template).resolve())})
    return recipe.model_copy(
        update={
            "judge": judge,
            "sets": sets,
            "name": recipe.name or path.stem,
            "bundle": None if recipe.bundle is None else (base / recipe.bundle).resolve(),
            "data": recipe.data.model_copy(update={"folder": folder}),
        }
    )


def _with_events(values: Mapping[str, Any], events: Path, path: Path) -> dict[str, Any]:
    judge = values.get("judge")
    if not isinstance(judge, Mapping) or judge.get("kind") != "people":
        raise SettingsError(f"{str(path)!r} does not learn from feedback; set judge.kind to 'people' in it")
    return {**values, "judge": {**judge, "events": str(events.resolve())}}


def _check_kind(values: Mapping[str, Any], *, source: str) -> None:
    """Refuse a recipe of another command in one sentence, not with all that it has otherwise."""
    if "judge" in values:
        return
    for command, keys in _OTHERS.items():
        if found := sorted(keys & values.keys()):
            raise SettingsError(
                f"the recipe {source!r} has {found[0]!r} and no judge: it looks like a recipe of `rarec {command}`; "
                "one of `rarec align` is described in docs/align_recipe.md"
            )


def parse_align_recipe(values: Mapping[str, Any], *, source: str) -> AlignRecipe:
    """A recipe from the values of a file; `source` names it in errors. Raises as `load_align_recipe`."""
    return checked(AlignRecipe, values, source=source)


def check_files(recipe: AlignRecipe, *, events: bool = True) -> None:
    """Refuse a recipe whose files are not there, with the keys that name them, before anything long is begun.

    Args:
        events: whether a file of feedback must be there already.
    Raises:
        SettingsError: a folder or file is missing, or there is no such layout or template; all of them are listed.
    """
    wrong: list[str] = []
    judge, folder = recipe.judge, recipe.data.folder
    if not folder.is_dir():
        games = f"; an invented data set to try it with is made by `rarec data invent {shlex.quote(str(folder))}`"
        own = recipe.data.name not in DATA_SETS
        wrong.append(f"data.folder: there is no folder {str(folder)!r}{games if own else ''}")
    for key in ("events", "lists") if events else ("lists",):
        if isinstance(path := getattr(judge, key, None), Path) and not path.is_file():
            wrong.append(f"judge.{key}: there is no file {str(path)!r}")
    if recipe.data.layout:
        try:
            load_layout(recipe.data.layout)
        except RarecError as error:
            wrong.append(f"data.layout: {error}")
    try:
        recipe.sets.prompt()
    except RarecError as error:
        wrong.append(f"sets.template: {error}")
    if wrong:
        raise SettingsError(
            "\n".join([f"the recipe {recipe.name!r} names what is not there:", *(f"  {w}" for w in wrong)])
        )


def _changed(table: str, part: BaseModel, names: tuple[str, ...]) -> list[str]:
    """Those fields, where there are such, that are not as they are by default."""
    fields = type(part).model_fields
    return [
        f"{table}.{name}"
        for name in names
        if name in fields and getattr(part, name) != fields[name].get_default(call_default_factory=True)
    ]
