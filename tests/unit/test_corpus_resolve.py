"""What is one thing and what is not, case by case."""

from pathlib import Path

import pytest

from corpus_records import film, resolved
from rarec.corpus.judging import Rules

ANN, BO, CY, DEE = "Ann Lee", "Bo Marsh", "Cy Vale", "Dee Orr"


def reason(records: list, tmp_path: Path, **options: object) -> str:
    """Why two records were joined or refused; empty if they were never held against each other."""
    found = resolved(records, tmp_path, **options)  # type: ignore[arg-type]
    (why,) = {name for name, *_ in (found.joined or found.refused)} or {""}
    assert (len(found.groups) == 1) == bool(found.joined)
    return why


def test_one_id_is_one_thing_whatever_the_rest_says(tmp_path: Path) -> None:
    records = [film("a", "1", "Grey Harbour", 1990, imdb_id="tt1"), film("b", "9", "Port gris", 2001, imdb_id="tt1")]
    assert reason(records, tmp_path) == "same_id"


def test_ids_that_differ_stand_against_everything_else(tmp_path: Path) -> None:
    records = [film("a", "1", people=(ANN, BO), imdb_id="tt1"), film("b", "2", people=(ANN, BO), imdb_id="tt2")]
    assert reason(records, tmp_path) == "ids_differ"


def test_an_id_of_two_things_that_differ_joins_neither(tmp_path: Path) -> None:
    """As in the links of MovieLens, where some TMDB ids stand beside two IMDb ids."""
    records = [
        film("a", "1", "Grey Harbour", 1990, imdb_id="tt1", tmdb_id=7),
        film("a", "2", "Red Harbour", 1990, imdb_id="tt2", tmdb_id=7),
        film("b", "7", "Blue Harbour", 1990, tmdb_id=7),
    ]
    found = resolved(records, tmp_path)
    assert len(found.groups) == 3
    assert [name for name, *_ in found.refused] == ["ambiguous_id", "ambiguous_id"]


def test_of_an_ambiguous_id_those_join_that_agree_in_what_differs(tmp_path: Path) -> None:
    records = [
        film("a", "1", "One", 1990, imdb_id="tt1", tmdb_id=7),
        film("a", "2", "Two", 1990, imdb_id="tt2", tmdb_id=7),
        film("b", "1", "Three", 1990, imdb_id="tt1", tmdb_id=7),
    ]
    found = resolved(records, tmp_path)
    assert found.groups == {frozenset({("a", "1"), ("b", "1")}), frozenset({("a", "2")})}


def test_an_ambiguous_id_and_a_title_together_tell(tmp_path: Path) -> None:
    records = [
        film("a", "1", "Grey Harbour", 1990, imdb_id="tt1", tmdb_id=7),
        film("a", "2", "Red Harbour", 1990, imdb_id="tt2", tmdb_id=7),
        film("b", "7", "Red Harbour", 1991, tmdb_id=7),
    ]
    found = resolved(records, tmp_path)
    assert frozenset({("a", "2"), ("b", "7")}) in found.groups
    assert [name for name, *_ in found.joined] == ["id_and_title"]


@pytest.mark.parametrize("value", ["0", "000000", "n/a", "N/A", "-", "none", "NULL", "unknown", " ? "])
def test_what_is_written_in_place_of_an_id_joins_nothing(value: str, tmp_path: Path) -> None:
    records = [film("a", "1", "Red Jam", None, ean_id=value), film("b", "1", "Salt Rye", None, ean_id=value)]
    found = resolved(records, tmp_path)
    assert len(found.groups) == 2
    assert not found.clusters.ids


def test_what_is_written_in_place_of_an_id_speaks_against_nothing(tmp_path: Path) -> None:
    records = [film("a", "1", people=(ANN, BO), imdb_id="0"), film("b", "1", people=(ANN, BO), imdb_id="tt1")]
    assert reason(records, tmp_path) == "two_people"


def test_an_id_that_a_source_gives_to_many_is_none(tmp_path: Path) -> None:
    """A shop's example number: it joins neither its goods, nor those of another shop, nor two of one title."""
    goods = [film("a", f"{number}", f"Jam {number}", None, ean_id="4006381333931") for number in range(6)]
    others = [
        film("a", "x", "Jam 1", None, ean_id="4006381333931"),
        film("b", "1", "Rye", None, ean_id="4006381333931"),
    ]
    found = resolved([*goods, *others], tmp_path, ids=("ean",), rules=Rules(by_title=False))
    assert len(found.groups) == 8
    assert {name for name, *_ in found.refused} == {"ambiguous_id"}
    assert len(found.refused) == 7
    assert [(found.names[one], place, count) for one, place, count in found.clusters.shared] == [(("a", "0"), 0, 8)]
    assert not found.clusters.ids["ean"].any()


@pytest.mark.parametrize("by_title", [True, False])
def test_an_id_that_a_source_gives_twice_joins_what_agrees(by_title: bool, tmp_path: Path) -> None:
    records = [
        film("a", "1", "Red Jam", 1990, people=(ANN,), ean_id=7),
        film("a", "2", "Red Jam", 1990, people=(ANN,), ean_id=7),
        film("a", "3", "Red Jam", 1990, people=(BO,), ean_id=7),
        film("a", "4", "Red Jam", 1996, ean_id=7),
        film("a", "5", "Salt Rye", 1990, ean_id=7),
        film("b", "1", "The Salt Rye", 1990, ean_id=7),
        film("b", "2", "Plum", 1990, ean_id=7),
    ]
    found = resolved(records, tmp_path, ids=("ean",), rules=Rules(by_title=by_title))
    together = {frozenset(key for _, key in group) for group in found.groups if len(group) > 1}
    assert together == {frozenset({"1", "2"}), frozenset({"5", "1"})}
    assert {name for name, *_ in found.joined} == {"id_and_title"}
    assert "ambiguous_id" in {name for name, *_ in found.refused}


def test_an_id_whose_titles_and_people_both_differ_is_refused(tmp_path: Path) -> None:
    one = film("a", "1", "Red Jam", 1990, people=(ANN,), imdb_id="tt1")
    assert reason([one, film("b", "1", "Salt Rye", 1990, people=(BO,), imdb_id="tt1")], tmp_path) == "ambiguous_id"
    assert reason([one, film("b", "1", "Red Jam", 1970, people=(BO,), imdb_id="tt1")], tmp_path) == "same_id"
    assert reason([one, film("b", "1", "Salt Rye", 1970, people=(ANN,), imdb_id="tt1")], tmp_path) == "same_id"
    assert reason([one, film("b", "1", "Salt Rye", 1990, imdb_id="tt1")], tmp_path) == "same_id"


def test_a_third_source_tells_what_an_ambiguous_id_means(tmp_path: Path) -> None:
    records = [
        film("a", "1", "Red Jam", 1990, people=(ANN,), imdb_id="tt1"),
        film("b", "1", "Salt Rye", 1990, people=(BO,), imdb_id="tt1"),
        film("c", "1", "Salt Rye", 1991, imdb_id="tt1"),
    ]
    assert frozenset({("b", "1"), ("c", "1")}) in resolved(records, tmp_path).groups


def test_ids_join_over_several_namespaces(tmp_path: Path) -> None:
    records = [film("a", "1", imdb_id="tt1"), film("b", "1", imdb_id="tt1", tmdb_id=7), film("c", "1", tmdb_id=7)]
    assert len(resolved(records, tmp_path).groups) == 1


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (film("a", "1", people=(ANN, BO)), film("b", "1", people=(BO, ANN)), "two_people"),
        (film("a", "1", people=(ANN, BO)), film("b", "1", people=(ANN, CY)), "a_person"),
        (film("a", "1", people=(ANN,)), film("b", "1", people=("Lee, Ann",)), "a_person"),
        (film("a", "1", people=(ANN,)), film("b", "1", "The GREY-HARBOUR", people=(ANN,)), "a_person"),
        (film("a", "1", year=1990, people=(ANN,)), film("b", "1", year=1991, people=(ANN,)), "main_person"),
        (film("a", "1", people=(ANN,)), film("b", "1", people=(BO,)), "nobody_in_common"),
        (film("a", "1", year=1990, people=(ANN,)), film("b", "1", year=1991, people=(BO,)), "nobody_in_common"),
        (film("a", "1", year=1990, people=(ANN,)), film("b", "1", year=1992, people=(ANN,)), ""),
        (film("a", "1", people=(ANN,)), film("b", "1"), "only_candidate"),
        (film("a", "1", year=1990), film("b", "1", year=1991), "only_candidate"),
        (film("a", "1", year=None, people=(ANN,)), film("b", "1", people=(ANN,)), "main_person"),
        (film("a", "1", year=None), film("b", "1"), "year_unknown"),
        (film("a", "1", people=(ANN,), role="directors"), film("b", "1", people=(BO,), role="cast"), "only_candidate"),
        (film("a", "1", people=(ANN,), role="cast"), film("b", "1", people=(BO,), role="cast"), "nobody_in_common"),
        (film("a", "1", kind="movie"), film("b", "1", kind="TV"), "facts_differ"),
        (film("a", "1", people=(ANN,), kind="movie"), film("b", "1", people=(ANN,), kind="short"), "facts_differ"),
        (film("a", "1", people=(ANN, BO), kind="movie"), film("b", "1", people=(ANN, BO), kind="tv"), "two_people"),
        (film("a", "1", runtime=95), film("b", "1", runtime=102), "only_candidate"),
        (film("a", "1", runtime=12), film("b", "1", runtime=102), "facts_differ"),
        (film("a", "1", language="en"), film("b", "1", language="fr"), "facts_differ"),
        (film("a", "1", language="en"), film("b", "1", language="English"), "only_candidate"),
        (film("a", "1", ("Grey Harbour", "Port gris")), film("b", "1", "Port Gris"), "only_candidate"),
        (film("a", "1", ("A", "Port gris")), film("b", "1", ("B", "Port gris")), "not_unique"),
        (film("a", "1"), film("a", "2"), "same_source"),
        (film("a", "1", people=(ANN,)), film("a", "2", people=(ANN,)), "a_person"),
        (film("a", "1", people=(ANN, BO, CY)), film("a", "2", people=(ANN, DEE, "Eve Fox")), "same_source"),
        (film("a", "1", "!!!"), film("b", "1", "???"), ""),
        (film("a", "1", "♥"), film("b", "1", "♥"), "only_candidate"),
    ],
)
def test_two_records(one: object, other: object, wanted: str, tmp_path: Path) -> None:
    assert reason([one, other], tmp_path) == wanted


def test_a_person_who_is_not_among_the_main_ones_does_not_bridge_a_year(tmp_path: Path) -> None:
    crowd = tuple(f"Person {name}" for name in ["Abel", "Berta", "Carl", "Dora"])
    others = tuple(f"Somebody {name}" for name in ["Emil", "Fritz", "Gerda", "Hans"])
    records = [film("a", "1", year=1990, people=(*crowd, ANN)), film("b", "1", year=1991, people=(*others, ANN))]
    assert reason(records, tmp_path) == "minor_person"


def test_a_title_that_stands_twice_in_a_source_tells_nothing(tmp_path: Path) -> None:
    records = [film("a", "1", imdb_id="tt1"), film("a", "2", imdb_id="tt2"), film("b", "1")]
    found = resolved(records, tmp_path)
    assert len(found.groups) == 3
    assert sorted(name for name, *_ in found.refused) == ["ids_differ", "not_unique", "not_unique"]


def test_what_one_of_two_namesakes_cannot_be_is_the_other(tmp_path: Path) -> None:
    records = [film("a", "1", kind="movie"), film("a", "2", kind="series"), film("b", "1", kind="movie")]
    assert frozenset({("a", "1"), ("b", "1")}) in resolved(records, tmp_path).groups


def test_nobody_joins_one_of_two_that_contradict_each_other(tmp_path: Path) -> None:
    records = [film("a", "1", people=(ANN,)), film("b", "1", people=(BO,)), film("c", "1")]
    found = resolved(records, tmp_path)
    assert len(found.groups) == 3
    assert {name for name, *_ in found.refused} == {"nobody_in_common", "not_unique"}


def test_equal_evidence_for_two_that_differ_joins_neither(tmp_path: Path) -> None:
    records = [
        film("a", "1", people=(ANN,), imdb_id="tt1"),
        film("a", "2", people=(ANN,), imdb_id="tt2"),
        film("b", "1", people=(ANN,)),
    ]
    assert len(resolved(records, tmp_path).groups) == 3


def test_the_stronger_evidence_wins(tmp_path: Path) -> None:
    records = [
        film("a", "1", people=(ANN, BO), imdb_id="tt1"),
        film("a", "2", people=(ANN, CY), imdb_id="tt2"),
        film("b", "1", people=(ANN, BO)),
    ]
    found = resolved(records, tmp_path)
    assert frozenset({("a", "1"), ("b", "1")}) in found.groups
    assert [name for name, *_ in found.refused] == ["ids_differ"]


def test_years_do_not_drift_from_union_to_union(tmp_path: Path) -> None:
    records = [film(str(n), "1", year=1990 + n, people=(ANN,)) for n in range(4)]
    assert sorted(len(group) for group in resolved(records, tmp_path).groups) == [2, 2]


def test_people_that_came_by_a_stronger_union_tell_of_a_third(tmp_path: Path) -> None:
    records = [
        film("a", "1", people=(ANN, BO)),
        film("b", "1", people=(ANN, BO, CY)),
        film("c", "1", people=(CY, DEE)),
    ]
    assert len(resolved(records, tmp_path).groups) == 1


def test_of_a_very_common_title_only_those_with_a_person_in_common_are_joined(tmp_path: Path) -> None:
    crowd = [film("a", f"{n:03}", people=(f"Person{n} Smith{n}",)) for n in range(130)]
    found = resolved([*crowd, film("b", "1", people=("Person7 Smith7",)), film("b", "2")], tmp_path)
    assert {("a", "007"), ("b", "1")} in found.groups
    assert len(found.groups) == 131
    assert {name for name, *_ in found.refused} == {"common_title"}


def test_vowels_of_scripts_that_write_them_as_marks_tell_titles_apart(tmp_path: Path) -> None:
    alike = [film("a", "1", "\u0926\u093f\u0932"), film("b", "1", "\u0926\u093f\u0932\u0964")]
    other = film("c", "1", "\u0926\u093e\u0932")
    assert resolved([*alike, other], tmp_path).groups == {
        frozenset({("a", "1"), ("b", "1")}), frozenset({("c", "1")})
    }  # fmt: skip


def test_rules_switch_stages_off(tmp_path: Path) -> None:
    records = [film("a", "1", people=(ANN,)), film("b", "1", people=(ANN,))]
    assert reason(records, tmp_path, rules=Rules(by_title=False)) == ""
    assert reason(records, tmp_path, rules=Rules(people=False)) == "only_candidate"
    apart = [film("a", "1", year=1990, people=(ANN,)), film("b", "1", year=1991, people=(ANN,))]
    assert reason(apart, tmp_path, rules=Rules(year_slack=0)) == ""


def test_no_records_and_records_without_titles_are_no_trouble(tmp_path: Path) -> None:
    assert resolved([], tmp_path, sources=("a",)).groups == frozenset()
    assert len(resolved([film("a", "1", ()), film("b", "1", ())], tmp_path).groups) == 2
