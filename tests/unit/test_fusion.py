"""Fused lists and bounds worked by hand, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from rarec.errors import InputError
from rarec.evaluate.fusion import (
    Glimpse,
    fuse,
    fused_lists,
    interleave,
    learn_weights,
    oracle_union,
    reciprocal_rank_fusion,
    tuning_rows,
    worst_interleave,
    worst_reciprocal_rank,
)
from rarec.evaluate.gold import Gold, GoldExample, GoldItem
from rarec.evaluate.metrics import ndcg_at
from rarec.evaluate.predictions import Call, Predictions
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.types import ItemId


def ids(names: str) -> tuple[ItemId, ...]:
    return tuple(ItemId(name) for name in names)


def gold(*examples: GoldExample) -> Gold:
    return Gold("invented", "test", examples, {item: GoldItem(item, None, 0, True) for item in ids("abcdefghs")})


def example(targets: str, *, seen: str = "", number: int = 0, repeated: str = "") -> GoldExample:
    return GoldExample(f"x{number}", "d", "t", ids(targets), frozenset(ids(repeated)), ids(seen), 1)


def system(name: str, *lists: str, depth: int = 10) -> Predictions:
    return Predictions(name, depth, lists={f"x{number}": ids(one) for number, one in enumerate(lists)})


def recorded(ranks: dict[str, int], *, depth: int = 10, seen: str = "excluded") -> Predictions:
    return Predictions("recorded", depth, ranks={("x0", ItemId(t), seen): rank for t, rank in ranks.items()})


# lists


def test_reciprocal_rank_adds_one_over_c_plus_rank() -> None:
    """With c = 1: a 1/2, b 1/3 + 1/4, c 1/4 + 1/2, d 1/3."""
    assert reciprocal_rank_fusion(["abc", "cdb"], c=1) == ids("cbad")
    # With c = 60, to be in both lists is worth more than any place in one of them.
    assert reciprocal_rank_fusion(["abc", "dcb"]) == ids("bcad")


def test_c_is_added_to_ranks_that_begin_with_one() -> None:
    """With c = 0, a has 1/1 and b 1/2 + 1/2: a tie, which the first list decides; ranks from 2 would prefer b."""
    assert reciprocal_rank_fusion(["ab", "cb"], c=0)[0] == "a"
    assert reciprocal_rank_fusion(["ab", "cb"], c=0.01)[0] == "b"


def test_weights_count_and_ties_follow_the_first_list_then_the_second() -> None:
    assert reciprocal_rank_fusion(["ab", "cd"], weights=(1, 3), c=0) == ids("cdab")
    assert reciprocal_rank_fusion(["ab", "cd"]) == ids("acbd")
    assert reciprocal_rank_fusion(["cd", "ab"]) == ids("cadb")
    assert reciprocal_rank_fusion(["ab", "ba"]) == ids("ab")
    assert reciprocal_rank_fusion(["", "ab", "ba"]) == ids("ab")


def test_a_list_without_weight_is_left_out_with_its_items() -> None:
    assert reciprocal_rank_fusion(["ab", "cb"], weights=(0, 2)) == ids("cb")


def test_interleaving_takes_the_next_item_that_is_not_placed() -> None:
    assert interleave(["abcd", "bxad"]) == ids("abcxd")
    # c is given by the second list at its second turn, although its second place is taken: no turn is lost.
    assert interleave(["abe", "bcf"]) == ids("abecf")
    assert interleave(["a", "wxyz"]) == ids("awxyz")
    assert interleave(["ad", "be", "cf"]) == ids("abcdef")
    assert interleave(["", ""]) == ()


@pytest.mark.parametrize("fused", [reciprocal_rank_fusion, interleave])
def test_a_list_with_an_item_twice_and_no_list_at_all_are_refused(fused: object) -> None:
    with pytest.raises(InputError, match="'a' is twice"):
        fused(["ab", "aca"])
    with pytest.raises(InputError, match="no lists"):
        fused([])


@pytest.mark.parametrize(
    ("weights", "c", "message"),
    [
        ((1,), 60, "1 weights for 2 lists"),
        ((1, -0.5), 60, "-0.5"),
        ((1, float("nan")), 60, "nan"),
        ((0, 0), 60, "all 2 weights are 0"),
        (None, -1, "c must be"),
        (None, float("inf"), "c must be"),
    ],
)
def test_weights_and_c_out_of_range_are_refused(weights: tuple[float, ...] | None, c: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        reciprocal_rank_fusion(["ab", "bc"], weights=weights, c=c)


# bounds


@pytest.mark.parametrize(
    ("known", "rank", "known_first", "glimpse_first"),
    [
        ("wxt", 0, 5, 6),  # 2a - 1 and 2a
        ("wxyz", 2, 4, 3),  # 2b and 2b - 1
        ("wxt", 1, 2, 1),
        ("wxyzuvt", 0, 11, 11),  # only four fresh items can be put before place 7
        ("w", 3, 4, 4),  # the known list runs out
        ("wxyz", 0, 0, 0),
    ],
)
def test_the_worst_interleaving(known: str, rank: int, known_first: int, glimpse_first: int) -> None:
    glimpse = Glimpse(4, {ItemId("t"): rank})
    assert worst_interleave([ids(known), glimpse]) == {"t": known_first}
    assert worst_interleave([glimpse, ids(known)]) == {"t": glimpse_first}


def test_the_worst_reciprocal_rank_lifts_known_items() -> None:
    """t has 1/63. w and x stay before it, y and z are lifted by places 1 and 2; outside items never reach 1/63
    with half the weight."""
    glimpse = Glimpse(2, {ItemId("t"): 0})
    assert worst_reciprocal_rank([ids("wxtyz"), glimpse], weights=(1, 0.5)) == {"t": 5}
    assert worst_reciprocal_rank([ids("wxty"), glimpse], weights=(1, 0.5)) == {"t": 4}


def test_the_worst_reciprocal_rank_lifts_outside_items() -> None:
    """t at place 4 of the known list alone; of six free places all but those below it serve anybody."""
    glimpse = Glimpse(6, {ItemId("t"): 0})
    # Places 1 to 3 are more than 1/64 to an outside item; place 4 ties, and the first list decides for t, or, when the
    # glimpse is first, against it. y and z are lifted by the places that are left.
    assert worst_reciprocal_rank([ids("wvxt"), glimpse]) == {"t": 7}
    assert worst_reciprocal_rank([glimpse, ids("wvxt")]) == {"t": 8}
    assert worst_reciprocal_rank([ids("wvxtyz"), glimpse]) == {"t": 9}


def test_certain_places_of_other_targets_tighten_the_bound() -> None:
    """Nothing but y could be lifted over t, and y is known to be a miss."""
    t, y = ids("ty")
    assert worst_reciprocal_rank([ids("ty"), Glimpse(1, {t: 0})], weights=(1, 0.5))[t] == 2
    assert worst_reciprocal_rank([ids("ty"), Glimpse(1, {t: 0, y: 0})], weights=(1, 0.5))[t] == 1
    assert worst_interleave([ids("wyt"), Glimpse(3, {t: 0})])[t] == 5
    assert worst_interleave([ids("wyt"), Glimpse(3, {t: 0, y: 1})])[t] == 3


@pytest.mark.parametrize("worst", [worst_interleave, worst_reciprocal_rank])
def test_namesakes_that_share_a_place_are_bounded_one_at_a_time(worst: object) -> None:
    t, y = ids("ty")
    both = worst([ids("wyt"), Glimpse(4, {t: 2, y: 2})])
    assert both[t] == worst([ids("wyt"), Glimpse(4, {t: 2})])[t]
    assert both[y] == worst([ids("wyt"), Glimpse(4, {y: 2})])[y]
    # Which of the two holds the place is not certain for a third.
    third = worst([ids("wyut"), Glimpse(4, {t: 1, y: 1, ItemId("u"): 0})])[ItemId("u")]
    assert third == worst([ids("wyut"), Glimpse(4, {ItemId("u"): 0})])[ItemId("u")]


def test_glimpses_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="'t' has rank 5"):
        Glimpse(4, {ItemId("t"): 5})
    with pytest.raises(InputError, match="length of at least 1"):
        Glimpse(0, {})
    one = Glimpse(2, {ItemId("t"): 1})
    for worst in (worst_interleave, worst_reciprocal_rank):
        with pytest.raises(InputError, match="0 of 1 lists"):
            worst([ids("ab")])
        with pytest.raises(InputError, match="2 of 2 lists"):
            worst([one, one])
    with pytest.raises(InputError, match="weight 0"):
        worst_reciprocal_rank([ids("ab"), one], weights=(1, 0))


# predictions


def test_mentioned_items_are_removed_before_fusing() -> None:
    """Interleaved as they are: s c a d b. Without s first: a c b d, in which a is at place 1 and not 2."""
    task = gold(example("abcs", seen="s", repeated="s"))
    fused = fuse([system("one", "sab"), system("two", "cd")], task, method="interleave")
    assert not fused.lists
    places = {seen: [fused.ranks["x0", t, seen] for t in ids("abcs")] for seen in ("excluded", "kept")}
    assert places == {"excluded": [1, 3, 2, 0], "kept": [3, 5, 2, 1]}
    members = [system("one", "sab"), system("two", "cd")]
    assert fused_lists(members, task, method="interleave") == {"x0": ids("acbd")}
    assert fused_lists(members, task, seen="kept", method="interleave") == {"x0": ids("scadb")}


def test_members_are_cut_to_their_own_depth_after_mentioned_items_are_removed() -> None:
    task = gold(example("abcdef", seen="s"))
    members = [system("one", "sabc", depth=2), system("two", "dsef", depth=3)]
    fused = fuse(members, task, method="interleave")
    assert fused.depth == 2
    assert fused_lists(members, task, method="interleave") == {"x0": ids("adbef")}
    assert fused_lists(members, task, seen="kept", method="interleave") == {"x0": ids("sdae")}
    # b is at place 3, beyond the depth that is told.
    assert [fused.ranks["x0", t, "excluded"] for t in ids("adb")] == [1, 2, 0]
    assert "the first 2 of 'one', the first 3 of 'two'" in fused.note


def test_weights_and_c_reach_the_fusion() -> None:
    task = gold(example("a"))
    members = [system("one", "abc"), system("two", "cba")]
    assert fuse(members, task, weights=(1, 3)).ranks["x0", ItemId("a"), "kept"] == 3
    assert fuse(members, task, weights=(3, 1)).ranks["x0", ItemId("a"), "kept"] == 1
    # With c = 0, b and d have 1, c and a 1/2 + 1/3; with c = 60, c and a are before both.
    assert fuse([system("one", "bca"), system("two", "dac")], task, c=0).ranks["x0", ItemId("a"), "kept"] == 4
    assert fuse([system("one", "bca"), system("two", "dac")], task, c=60).ranks["x0", ItemId("a"), "kept"] == 2


def test_a_member_without_weight_takes_no_part() -> None:
    task = gold(example("ab"))
    fused = fuse([system("one", "ab"), recorded({})], task, weights=(1, 0))
    assert not fused.lower_bound
    assert [fused.ranks["x0", t, "excluded"] for t in ids("ab")] == [1, 2]


def test_a_member_with_only_ranks_gives_a_lower_bound() -> None:
    task = gold(example("abg", seen="s"), example("", number=1))
    members = [system("one", "scab"), recorded({"a": 0, "b": 1, "g": 0}, depth=5)]
    fused = fuse(members, task, method="interleave")
    assert fused.lower_bound
    assert fused.depth == 5
    assert "lower bound" in fused.note
    # c b a with b first of the other list, fresh items elsewhere.
    assert fused.ranks == {("x0", t, "excluded"): rank for t, rank in zip(ids("abg"), (3, 2, 0), strict=True)}
    # Known with mentioned items kept only, the bound is of that.
    kept = fuse([members[0], recorded({"a": 0, "b": 1, "g": 0}, seen="kept")], task, method="interleave")
    assert {seen for _, _, seen in kept.ranks} == {"kept"}
    assert kept.ranks["x0", ItemId("a"), "kept"] == 5


def test_a_recorded_rank_of_a_removed_target_is_a_miss() -> None:
    task = gold(example("as", seen="s", repeated="s"))
    fused = fuse([system("one", "ab"), recorded({"a": 0, "s": 1}, depth=1)], task)
    # Its place is anybody's, so that b may pass a, which is then beyond the depth.
    assert fused.ranks == {("x0", ItemId("a"), "excluded"): 0, ("x0", ItemId("s"), "excluded"): 0}


def test_calls_and_seed_come_from_the_only_member_that_has_them() -> None:
    task = gold(example("a"))
    one, two = system("one", "ab"), replace(system("two", "ba"), calls={"x0": Call(named=2)}, seed=7)
    fused = fuse([one, two], task, name="both")
    assert (fused.system, fused.calls, fused.seed) == ("both", {"x0": Call(named=2)}, 7)
    twice = fuse([replace(one, calls={"x0": Call(named=1)}, seed=8), two], task)
    assert (twice.system, twice.calls, twice.seed) == ("one + two (rrf)", {}, None)


def test_members_that_do_not_fit_are_refused() -> None:
    task = gold(example("a"), example("b", number=1))
    one, two = system("one", "ab", "ab"), system("two", "ba", "ba")
    ranks = recorded({"a": 1})
    refused = [
        ([one, system("two", "ba")], {}, "'two' has no list for 'x1'"),
        ([one, system("two", "ba", "bb")], {}, "'two' ranked 'b' twice for 'x1'"),
        ([one, ranks], {}, "'recorded' has no rank for 'b' of 'x1'"),
        ([one, one], {}, "two members are named 'one'"),
        ([one, replace(two, catalogue="corpus")], {}, "'two' ranked the corpus"),
        ([one, Predictions("two", 5)], {}, "'two' has neither lists nor ranks"),
        ([replace(ranks, system="three"), ranks], {}, "both have ranks only"),
        ([one, replace(ranks, lower_bound=True)], {}, "are bounds"),
        ([one, two], {"method": "vote"}, "unknown method 'vote'"),
        ([one, two], {"method": "interleave", "weights": (1, 2)}, "interleaving has no weights"),
        ([one, two], {"weights": (1,)}, "1 weights for 2"),
        ([], {}, "no lists"),
    ]
    for members, options, message in refused:
        with pytest.raises(InputError, match=message):
            fuse(members, task, **options)
    with pytest.raises(InputError, match="'recorded' has ranks but no lists"):
        fused_lists([one, ranks], task)


def test_the_oracle_takes_the_better_rank_and_says_what_it_is() -> None:
    task = gold(example("abcd", seen="s"))
    one, two = system("one", "sabc", depth=3), system("two", "scd", depth=2)
    union = oracle_union(one, two, task)
    assert union.depth == 2
    assert "oracle, not a system" in union.note
    # Excluded: a 1, b 2, c min(3, 1), d 2. Kept: a 2, b beyond the depth, c 2, d cut.
    assert [union.ranks["x0", t, "excluded"] for t in ids("abcd")] == [1, 2, 1, 2]
    assert [union.ranks["x0", t, "kept"] for t in ids("abcd")] == [2, 0, 2, 0]
    with_ranks = oracle_union(one, recorded({"a": 0, "b": 1, "c": 0, "d": 5}, depth=5), task)
    assert with_ranks.ranks == {("x0", t, "excluded"): r for t, r in zip(ids("abcd"), (1, 1, 3, 0), strict=True)}
    assert not with_ranks.lower_bound
    assert oracle_union(one, replace(recorded({t: 0 for t in "abcd"}), lower_bound=True), task).lower_bound


# learned weights


def test_learned_weights_follow_the_better_member() -> None:
    """The second member is always right, the first always puts it last."""
    lists = [[ids("bca"), ids("dea")], [ids("abc"), ids("aed")]]
    learned = learn_weights(lists, [ids("a"), ids("a")], cs=(60,), steps=4)
    assert learned.weights == (0.25, 0.75)  # the most even of those that put both first
    assert (learned.ndcg, learned.rows, learned.tried, learned.c, learned.k) == (1.0, 2, 5, 60, 10)


def test_learned_weights_prefer_even_ones_and_the_usual_c_when_nothing_tells() -> None:
    lists = [[ids("ab")], [ids("ab")]]
    learned = learn_weights(lists, [ids("a")])
    assert (learned.weights, learned.c) == ((0.5, 0.5), 60)
    assert learn_weights(lists, [ids("a")], steps=3).weights == (2 / 3, 1 / 3)  # no even point: the first member's


def test_learned_weights_beat_both_members_where_they_find_different_things() -> None:
    """a and b lead in one list each and are in the other one too; noise differs."""
    lists = [[ids("acd"), ids("ecb")], [ids("efa"), ids("bfg")]]
    targets = [ids("a"), ids("b")]
    learned = learn_weights(lists, targets, steps=10)
    assert learned.ndcg == 1.0
    assert all(0 < weight < 1 for weight in learned.weights)


@pytest.mark.parametrize("members", [2, 3])
def test_the_figure_is_the_best_of_fusing_and_scoring_one_by_one(members: int) -> None:
    generator = np.random.default_rng(3)
    names = ids("abcdefgh")
    lists = [
        [tuple(generator.permutation(names)[: generator.integers(1, 8)].tolist()) for _ in range(12)]
        for _ in range(members)
    ]
    targets = [ids("ab") if number % 3 else () for number in range(12)]
    grid = [w for w in np.ndindex(*[5] * members) if sum(w) == 4]
    slow = {}
    for weights in grid:
        for c in (1.0, 60.0):
            fused = [reciprocal_rank_fusion([one[at] for one in lists], weights=weights, c=c) for at in range(12)]
            ranks = [f.index(t) + 1 if t in f else 0 for f, wanted in zip(fused, targets, strict=True) for t in wanted]
            slow[weights, c] = ndcg_at(ranks, 3).mean()
    learned = learn_weights(lists, targets, k=3, cs=(1.0, 60.0), steps=4)
    assert learned.ndcg == pytest.approx(max(slow.values()))
    assert slow[tuple(int(4 * w) for w in learned.weights), learned.c] == pytest.approx(learned.ndcg)
    assert learned.tried == len(slow)
    assert learned == learn_weights(lists, targets, k=3, cs=(1.0, 60.0), steps=4)


def test_tuning_rows_follow_the_protocol() -> None:
    task = gold(example("as", seen="s", repeated="s"), example("", number=1), example("s", seen="s", repeated="s",
                                                                                     number=2))  # fmt: skip
    members = [system("one", "sab", "a", "sb", depth=2), system("two", "bs", "a", "s")]
    new = tuning_rows(members, task)
    assert new.targets == (ids("a"),)
    assert new.lists == ((ids("ab"),), (ids("b"),))
    every = tuning_rows(members, task, protocol=EvaluationProtocol("all", "kept"))
    assert every.targets == (ids("as"), ids("s"))
    assert every.lists == ((ids("sa"), ids("sb")), (ids("bs"), ids("s")))


def test_learning_from_too_little_is_refused() -> None:
    one = [ids("ab")]
    refused = [
        (([one], [ids("a")]), {}, "two or more"),
        (([one, one], [()]), {}, "no rows"),
        (([one, []], [ids("a")]), {}, "member 1 has 0 lists for 1 examples"),
        (([one, one], [ids("a")]), {"steps": 0}, "steps must be"),
        (([one, one], [ids("a")]), {"cs": ()}, "cs numbers"),
        (([one, one], [ids("a")]), {"cs": (-1.0,)}, "cs numbers"),
        (([one] * 6, [ids("a")]), {}, "more than 20000"),
        (([one, [ids("aa")]], [ids("a")]), {}, "'a' is twice"),
        (([one, one], [ids("a")]), {"k": 0}, "k must be"),
    ]
    for given, options, message in refused:
        with pytest.raises(InputError, match=message):
            learn_weights(*given, **options)
