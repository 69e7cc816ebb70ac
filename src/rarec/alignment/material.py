"""What a run is made of: the bundle, the catalogue, the turns and the judge."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rarec.align.turns import LearningTurn, Stock, TokenisedTurn, TurnData, turn_data
from rarec.alignment.recipe import (
    AlignRecipe,
    EndpointJudge,
    LocalJudge,
    PeopleJudge,
    RecordedConfig,
    SimulatedJudge,
    identity,
)
from rarec.alignment.recorded import RecordedJudge, RecordedLists, read_recorded, sha256_of
from rarec.catalogue import Layout, load_layout
from rarec.conversations import Example, held_back
from rarec.embed.cache import CachedEmbedder
from rarec.embed.factory import embedder_from
from rarec.embed.protocol import Embedder
from rarec.errors import BundleError, InputError, SettingsError
from rarec.evaluate.context import DataContext
from rarec.evaluate.context import Resources as DataResources
from rarec.evaluate.gold import mention_counts
from rarec.evaluate.item_vectors import item_vectors
from rarec.evaluate.recipe import DataSetConfig
from rarec.llm.http import KEY_VARIABLE, HttpLLM
from rarec.llm.protocol import LLM
from rarec.progress import OnProgress
from rarec.retriever.bundle import load_retriever, read_manifest
from rarec.retriever.data import ItemTable
from rarec.retriever.features import PopularityScale
from rarec.retriever.model import Retriever
from rarec.types import Item, ItemId

log = logging.getLogger(__name__)

OTHERS = 20_000
"""Items of the corpus beside the catalogue that may be drawn as negatives."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """All that a run reads.

    Attributes:
        learn: turns to learn from.
        tune, report: tuning turns that the best weights are chosen on, and others, of other dialogues or of the
            report split, for figures.
        texts: embeddings of the catalogue's items, shape (items, d).
        left_out: turns without a new item of the catalogue.
        content: a hash of turns, items, embedder and weights, and of recorded lists.
        mentioned: item -> how many training conversations mention it; others have none.
        origin: see `origin_of`.
        recorded: lists of its turns, where the recipe names a file of them.
    """

    bundle: Path
    embedder: Embedder
    stock: Stock
    data: TurnData
    learn: tuple[TokenisedTurn, ...]
    tune: tuple[TokenisedTurn, ...]
    report: tuple[TokenisedTurn, ...]
    texts: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    left_out: int
    content: str
    mentioned: Mapping[ItemId, int]
    origin: Mapping[str, object]
    recorded: RecordedLists | None = None

    def check_fits(self, recipe: AlignRecipe, *, bundle: Path, embedder: str) -> None:
        """Refuse a run that `gather` would give another material.

        Raises:
            InputError: the recipe's data, the bundle, the embedder or the recorded lists are others; all that differs
                is named.
            BundleError: the bundle cannot be read.
        """
        wanted = origin_of(recipe, bundle, embedder)
        other = [
            f"{name} is {value!r} and was {self.origin.get(name)!r}"
            for name, value in wanted.items()
            if self.origin.get(name) != value
        ]
        if other:
            raise InputError(
                f"the material is not of this run: {'; '.join(other)}. Gather it for this recipe, or leave it out"
            )

    def check_size(self, recipe: AlignRecipe) -> None:
        """Refuse sets that are larger than what a turn leaves of the catalogue, or than the proposal.

        Raises:
            InputError: they are; the largest that is possible is named.
        """
        seen = max(len(turn.seen_rows) for turn in self.data.turns)
        most = min(len(self.stock) - seen, recipe.loop.proposal)
        if recipe.sets.n > most:
            raise InputError(
                f"sets.n = {recipe.sets.n} is too large: the catalogue has {len(self.stock)} items, of which one turn "
                f"mentions {seen}, and sets are drawn from the first loop.proposal = {recipe.loop.proposal} of the "
                f"others; set sets.n to at most {most}"
            )

    def retriever(self) -> Retriever:
        """The weights that are started from; a new object each time."""
        return load_retriever(self.bundle, embedder=self.embedder.name)


def gather(
    recipe: AlignRecipe, *, bundle: Path, cache: Path, embedder: Embedder | None = None, tell: OnProgress
) -> Material:
    """Read everything.

    Args:
        cache: file that keeps embeddings of items and messages.
        embedder: instead of the recipe's.
    Raises:
        InputError: no such data set or split, a damaged file, or nothing to learn from.
        BundleError: the bundle is damaged or of another embedder.
    """
    config = DataSetConfig(
        name=recipe.data.name,
        folder=recipe.data.folder,
        split=recipe.data.training,
        training=recipe.data.training,
        tuning=recipe.data.tuning,
        layout=recipe.data.layout,
        sentiments=recipe.data.sentiments,
    )
    opened = OpenedData.of(config, recipe, bundle=bundle, cache=cache, embedder=embedder, tell=tell)
    context, name = opened.context, opened.embedder.name
    _check_splits(recipe, context)
    catalogue = context.catalogue("data-set")
    stock = stock_of(recipe, context)
    share = recipe.data.held_back
    examples = [e for e in context.examples if share is None or held_back(e.dialogue, share)]
    learn, lost = _turns(examples, recipe.data.training_turns)
    tuning, lost_too = _turns(context.tuning, recipe.data.tuning_turns)
    others, unused = _turns(context.of_split(recipe.data.report), None) if recipe.data.report else ([], 0)
    if recipe.data.report and not others:
        raise InputError(f"{recipe.data.report!r} of {recipe.data.name!r} has no turn with a new item; name another")
    if not learn or not tuning:
        raise InputError(
            f"{recipe.data.name!r} has {len(learn)} turns to learn from and {len(tuning)} to tune on that recommend a "
            f"new item of the catalogue, {lost + lost_too} others were left out; link the mentions, check the ids"
        )
    data = opened.turns(
        [
            *learn,
            *(replace(t, id=f"{recipe.data.tuning}/{t.id}") for t in tuning),
            *(replace(t, id=f"{recipe.data.report}/{t.id}") for t in others),
        ],
        stock,
    )
    chosen_on, rest = data.turns[len(learn) : len(learn) + len(tuning)], data.turns[len(learn) + len(tuning) :]
    tune, report = (in_fair_order(chosen_on), in_fair_order(rest)) if rest else halves(chosen_on)
    splits = {recipe.data.training: learn, recipe.data.tuning: tuning, recipe.data.report: others}
    recorded = _recorded(recipe, context, splits)
    content = content_of(data, stock, name, bundle, context.layout)
    return Material(
        bundle, opened.embedder, stock, data, data.turns[: len(learn)], tune, report, catalogue.vectors,
        lost + lost_too + unused, content if recorded is None else identity(content, recorded.sha256),
        mention_counts(context.training), origin_of(recipe, bundle, name), recorded,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class OpenedData:
    """A data set with what its texts are embedded by."""

    context: DataContext
    embedder: CachedEmbedder
    tell: OnProgress

    @staticmethod
    def of(
        config: DataSetConfig,
        recipe: AlignRecipe,
        *,
        bundle: Path,
        cache: Path,
        embedder: Embedder | None,
        tell: OnProgress,
    ) -> OpenedData:
        """Nothing long; the bundle is looked at, so that a wrong one is refused before what is.

        Raises:
            InputError: no such data set or split.
            BundleError: the bundle is damaged or of another embedder.
        """
        plain = embedder_from(recipe.embedder) if embedder is None else embedder
        told = DataResources(
            embedder=plain, cache=cache, progress=lambda stage, done, total: tell(stage, done, total, "")
        )
        cached = CachedEmbedder(plain, cache, keep_queries=True)
        context = DataContext(config, told)
        load_retriever(bundle, embedder=cached.name)
        return OpenedData(context, cached, tell)

    def turns(self, turns: Sequence[LearningTurn], stock: Stock, *, need_truth: bool = True) -> TurnData:
        """With their messages embedded. Raises as `rarec.align.turns.turn_data`."""
        return turn_data(
            turns,
            stock,
            lambda texts: self.embedder.embed(
                texts, kind="query", progress=lambda done, total: self.tell("embed messages", done, total, "")
            ),
            need_truth=need_truth,
        )


def judge_of(recipe: AlignRecipe, material: Material) -> LLM:
    """The black box that the recipe names.

    Raises:
        SettingsError: the variable of an endpoint's key is not set, or the recipe learns from people.
        BundleError: the bundle has no ranker, or a damaged one.
    """
    config = recipe.judge
    if isinstance(config, EndpointJudge):
        key = os.environ.get(config.api_key_env, "")
        if not key and config.api_key_env != KEY_VARIABLE:
            # The client would fall back on the usual variable, and one provider's key would go to another.
            raise SettingsError(
                f"the environment variable {config.api_key_env!r} named by judge.api_key_env is not set; set it to the "
                f"key of {config.model!r} (to any text if the server asks for none)"
            )
        return HttpLLM(config.model, base_url=config.base_url or None, api_key=key or None)
    if isinstance(config, RecordedConfig):
        assert material.recorded is not None
        behind = None if config.behind is None else _in_process(config.behind, material)
        return RecordedJudge(material.recorded, weight=config.weight, behind=behind)
    if isinstance(config, PeopleJudge):
        raise SettingsError("a recipe that learns from people asks no judge; leave judge_of out")
    return _in_process(config, material)


def judge_content(recipe: AlignRecipe, bundle: Path) -> tuple[str, ...]:
    """Hashes of what the judge is made of and neither recipe nor material tells: the ranker's weights of a local one.

    None where the bundle has no ranker: `judge_of` refuses it, unless another judge takes its place.

    Raises:
        BundleError: the ranker's manifest is damaged.
    """
    judge = recipe.judge.behind if isinstance(recipe.judge, RecordedConfig) else recipe.judge
    local = isinstance(judge, LocalJudge) and (bundle / "ranker.json").exists()
    return (read_manifest(bundle, "ranker").sha256,) if local else ()


def _in_process(config: LocalJudge | SimulatedJudge, material: Material) -> LLM:
    """A judge that reads the task. Raises as `judge_of`."""
    if isinstance(config, SimulatedJudge):
        from rarec.testing.judges import PRESETS, World

        items = material.stock.items
        world = World.of(items, kinds=config.kinds, people=config.people, vectors=material.texts)
        judge = PRESETS[config.preset](world, seed=config.seed, latency_s=config.latency_s)
        _warn_of_attributes(config, judge.taste.attributes, material.stock.items)
        return judge
    from rarec.ranker.local import LocalRanker

    rows = {item.id: row for row, item in enumerate(material.stock.items)}

    def texts(asked: Sequence[Item]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return material.texts[[rows[item.id] for item in asked]]

    return LocalRanker.load(material.bundle, material.embedder, texts)


def _warn_of_attributes(config: SimulatedJudge, read: Collection[str], items: Sequence[Item]) -> None:
    known = sorted({name for item in items for name, values in item.attributes.items() if values})
    if missing := sorted(set(read).difference(known)):
        log.warning(
            "no item of the catalogue has %s, which the judge %r goes by; name others in judge.kinds or judge.people: "
            "%s", ", ".join(map(repr, missing)), config.preset, ", ".join(map(repr, known)) or "the items have none",
        )  # fmt: skip


def _recorded(
    recipe: AlignRecipe, context: DataContext, splits: Mapping[str, Sequence[LearningTurn]]
) -> RecordedLists | None:
    """The lists of the turns, if the judge is made of some. Raises InputError also if an id is in two splits."""
    if not isinstance(recipe.judge, RecordedConfig):
        return None
    split_of: dict[str, str] = {}
    for split, turns in splits.items():
        for turn in turns:
            if (other := split_of.setdefault(turn.id, split)) != split:
                raise InputError(
                    f"{turn.id!r} is an example of {other!r} and of {split!r}, so its recorded list could be of "
                    "either; give the conversations of one of them other ids"
                )
    source, report = context.source, recipe.data.report
    measured = context.of_split(report) if report else ()
    return read_recorded(
        recipe.judge.lists,
        {turn.id: turn for turns in splits.values() for turn in turns},
        passed_over={example.id for example in (*context.examples, *context.tuning, *measured)},
        tests=lambda: {
            s: {e.id for e in source.examples(s)} for s in source.splits() if s.startswith("test") and s != report
        },
        items=context.catalogue("data-set").ids,
    )


def _check_splits(recipe: AlignRecipe, context: DataContext) -> None:
    """Before anything long: raises InputError if there is no split to tune on or for figures, all at once."""
    known = context.source.splits()
    wrong = [
        f"data.{key} = {split!r}: {context.source.name!r} has no split {split!r}"
        for key in ("tuning", "report")
        if (split := getattr(recipe.data, key)) and split not in known
    ]
    if wrong:
        raise InputError(f"{'; '.join(wrong)}; under {str(recipe.data.folder)!r} are {', '.join(map(repr, known))}")


def stock_of(recipe: AlignRecipe, context: DataContext) -> Stock:
    """The catalogue, and items of the corpus behind it if negatives are drawn there.

    Raises:
        InputError: they are, and the data set belongs to no corpus.
    """
    if recipe.loop.negatives and not context.has_corpus:
        raise InputError(
            f"loop.negatives = {recipe.loop.negatives} are drawn from a corpus around the data set, and "
            f"{recipe.data.name!r} has none; set it to 0, all other items of the catalogue are negatives anyway"
        )
    items = context.catalogue("data-set").items
    vectors = context.catalogue("data-set").vectors
    scale = PopularityScale(context.popularity)
    others: list[Item] = []
    if recipe.loop.negatives:
        known = {item.id for item in items}
        rest = [item for item in context.corpus if item.id not in known and item.text]
        others = sorted(rest, key=lambda item: _place(item.id))[:OTHERS]
        more = item_vectors(others, context.embedder, layout=context.layout, stored=context.embeddings)
        vectors = np.concatenate([vectors, more])
    return Stock(tuple(items), ItemTable.of([*items, *others], vectors, scale=scale))


def _turns(examples: Sequence[Example], most: int | None) -> tuple[list[LearningTurn], int]:
    """Turns that recommend something new, by a hash of their dialogue; and how many do not."""
    turns = [
        LearningTurn(example.id, example.dialogue, example.conversation, truth)
        for example in examples
        if (truth := tuple(item for item in example.targets if item not in _named(example)))
    ]
    lost = len(examples) - len(turns)
    if most is not None:
        turns = sorted(turns, key=lambda turn: (_place(turn.dialogue), turn.id))[:most]
    return turns, lost


def _named(example: Example) -> set[str]:
    return {*example.repeated, *example.context_items, *(m.item for m in example.conversation.mentions())}


def in_fair_order(turns: Sequence[TokenisedTurn]) -> tuple[TokenisedTurn, ...]:
    """By a hash of the dialogue, so that the first of them are a fair part."""
    return tuple(sorted(turns, key=lambda turn: (_place(turn.turn.dialogue), turn.turn.id)))


def halves(turns: Sequence[TokenisedTurn]) -> tuple[tuple[TokenisedTurn, ...], tuple[TokenisedTurn, ...]]:
    """By dialogue, each in the order of a hash. One dialogue serves both."""
    ordered = in_fair_order(turns)
    dialogues = list(dict.fromkeys(turn.turn.dialogue for turn in ordered))
    if len(dialogues) < 2:
        return ordered, ordered
    first = set(dialogues[::2])
    return (
        tuple(turn for turn in ordered if turn.turn.dialogue in first),
        tuple(turn for turn in ordered if turn.turn.dialogue not in first),
    )


def _place(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()


def origin_of(recipe: AlignRecipe, bundle: Path, embedder: str) -> dict[str, object]:
    """What a material hangs on: equal ones are gathered alike, as long as the data set's files stay as they are.

    Raises:
        BundleError: the bundle cannot be read.
        InputError: a file of recorded lists cannot be read.
        SettingsError: there is no such layout.
    """
    data, judge = recipe.data.model_dump(mode="json", exclude={"report_turns"}), recipe.judge
    return {
        **{f"data.{name}": value for name, value in data.items()},
        "whether loop.negatives are drawn": recipe.loop.negatives > 0,
        "the embedder": embedder,
        "the bundle": str(bundle.resolve()),
        "the sha256 of its weights": _sha256_in(bundle, "retriever.safetensors"),
        "the sha256 of its config": _sha256_in(bundle, "retriever.json"),
        "the layout": load_layout(data["layout"]).model_dump(mode="json") if data["layout"] else None,
        "the sha256 of judge.lists": sha256_of(judge.lists) if isinstance(judge, RecordedConfig) else None,
    }


def content_of(data: TurnData, stock: Stock, embedder: str, bundle: Path, layout: Layout) -> str:
    """A hash of turns, items, embedder, layout and retriever.

    Of items everything counts: layouts write attributes into the text that is embedded, and judges read them. Of the
    retriever its config as well: two with the same tensors may weigh counts and attributes differently.
    """
    turns = [
        [
            turn.turn.id,
            turn.turn.dialogue,
            list(turn.turn.truth),
            [[t.role, t.text, [[m.item, m.sentiment] for m in t.mentions or ()]] for t in turn.turn.conversation.turns],
        ]
        for turn in data.turns
    ]
    items = [
        [i.id, i.title, i.text, i.year, i.popularity, {name: list(values) for name, values in i.attributes.items()}]
        for i in stock.items
    ]
    others = list(stock.table.rows)[len(stock) :]
    retriever = [_sha256_in(bundle, name) for name in ("retriever.safetensors", "retriever.json")]
    return identity(turns, items, others, embedder, layout.model_dump(mode="json"), retriever)


def _sha256_in(bundle: Path, name: str) -> str:
    path = bundle / name
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise BundleError(f"cannot read {str(path)!r}: {error.strerror}; name a folder that has it") from error
