"""Recommendations, items and probes over HTTP, on a real store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rarec.catalogue import CatalogueStore
from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.settings import ServeSettings
from rarec.types import Item, ItemId
from serving import Running, running, until

MakeStore = Callable[[str], Path]
TEA = {"title": "Zephyr Teahouse", "text": "A story about tea.", "year": 2020, "attributes": {"genres": ["Drama"]}}


@pytest.fixture
def store(make_store: MakeStore) -> Path:
    return make_store("shop")


@pytest.fixture
def served(store: Path) -> Iterator[Running]:
    with Recommender.open(store) as recommender, running(create_app(recommender, ServeSettings(max_batch=50))) as live:
        yield live


def recommended(served: Running, body: dict[str, Any]) -> list[str]:
    answer = served.ask("POST", "/v1/recommend", body)
    assert answer.status == 200, answer.body
    return [item["id"] for item in answer.json["items"]]


def says(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "n": 30}


def test_recommend_gives_the_whole_answer(served: Running) -> None:
    answer = served.ask(
        "POST", "/v1/recommend", {**says("I liked Quiet Harbour"), "n": 3, "filters": {"any_of": {"genres": ["drama"]}}}
    ).json
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3]
    assert all("Drama" in item["attributes"]["genres"] for item in answer["items"])
    assert answer["mentions"] == [{"item": "quiet-harbour", "sentiment": "mentioned", "span": [8, 21]}]
    assert answer["model"]
    assert not answer["degraded"]
    assert set(answer["timings_ms"]) == {"link", "embed", "retrieve", "llm", "total"}
    assert answer["reply"]


def test_filters_can_ask_for_all_of_several_values(served: Running, small_catalogue: tuple[Item, ...]) -> None:
    both = {"genres": ["drama"], "countries": ["peru"]}
    expected = {
        i.id for i in small_catalogue if i.attributes["genres"] == ("Drama",) and "Peru" in i.attributes["countries"]
    }
    assert expected
    assert set(recommended(served, {**says("anything"), "filters": {"all_of": both}})) == expected
    assert recommended(served, {**says("anything"), "filters": {"all_of": {"genres": ["drama", "comedy"]}}}) == []


def test_a_history_is_known_and_not_recommended(served: Running) -> None:
    found = recommended(served, {"history": ["marzipan", {"id": "paper-lions", "sentiment": "disliked"}], "n": 30})
    assert len(found) == 18
    assert not {"marzipan", "paper-lions"} & set(found)
    document = served.ask("POST", "/v1/recommend", {"history": ["marzipans"]}).problem(422)
    assert "'marzipans'" in document["detail"]


def test_excluded_ids_and_years(served: Running) -> None:
    found = recommended(
        served, {"n": 30, "filters": {"year_min": 2000, "year_max": 2010, "exclude": ["midnight-bakery"]}}
    )
    assert len(found) == 5
    assert "midnight-bakery" not in found


def test_items_written_over_http_are_in_the_next_answer(served: Running) -> None:
    assert served.ask("PUT", "/v1/items/teahouse", TEA).status == 201
    assert served.ask("PUT", "/v1/items/teahouse", TEA).status == 200
    assert "teahouse" in recommended(served, says("tea"))
    assert "teahouse" not in recommended(served, says("I have seen Zephyr Teahouse"))
    assert served.ask("GET", "/v1/items/search?q=zeph").json["items"][0]["id"] == "teahouse"
    assert served.ask("DELETE", "/v1/items/teahouse").status == 204
    assert "teahouse" not in recommended(served, says("tea"))
    served.ask("GET", "/v1/items/teahouse").problem(404)
    served.ask("DELETE", "/v1/items/teahouse").problem(404)


def test_items_written_by_another_process_too(served: Running, store: Path) -> None:
    with CatalogueStore.open(store / "catalogue.sqlite") as other:
        other.add([Item(ItemId("teahouse"), "Zephyr Teahouse", year=2020)])
    assert "teahouse" in recommended(served, says("tea"))
    assert served.ask("GET", "/v1/items/teahouse").json["title"] == "Zephyr Teahouse"


def test_a_batch_stores_the_good_rows_and_names_the_others(served: Running) -> None:
    rows = [
        {"id": "one", "title": "One"},
        {"id": "two"},
        "three",
        {"id": "four", "title": "Four", "year": 99999},
        {"id": "fi\u0000ve", "title": "Five"},
        {"id": "six", "title": "Six", "colour": "red"},
        {"id": "seven", "title": "Seven", "popularity": float("inf")},
        {"id": "eight", "title": "Eight", "attributes": {"genres": "Drama"}},
        {"id": "one", "title": "One, again"},
    ]
    answer = served.ask("POST", "/v1/items", {"items": rows})
    assert answer.status == 207
    stored = answer.json
    assert (stored["added"], stored["updated"], stored["unchanged"]) == (1, 1, 0)
    wrong = {row["index"]: row["errors"][0]["where"] for row in stored["rejected"]}
    assert wrong == {1: "title", 2: "body", 3: "year", 4: "id", 5: "colour", 6: "popularity", 7: "attributes.genres"}
    assert served.ask("GET", "/v1/items/one").json["title"] == "One, again"
    again = served.ask("POST", "/v1/items", {"items": rows[-1:]})
    assert (again.status, again.json["unchanged"]) == (200, 1)


def test_a_batch_that_is_too_long_stores_nothing(served: Running) -> None:
    rows = [{"id": f"r{i}", "title": "Row"} for i in range(51)]
    assert served.ask("POST", "/v1/items", {"items": rows}).problem(422)["errors"][0]["where"] == "items"
    served.ask("GET", "/v1/items/r1").problem(404)
    served.ask("POST", "/v1/items/delete", {"ids": [f"r{i}" for i in range(51)]}).problem(422)


def test_deleting_many_says_what_was_not_there(served: Running) -> None:
    answer = served.ask("POST", "/v1/items/delete", {"ids": ["marzipan", "nobody", "marzipan", "low-tide-radio"]})
    assert answer.json == {"deleted": 2, "unknown": ["nobody"]}


def test_pages_and_ids(served: Running) -> None:
    first = served.ask("GET", "/v1/items?limit=15").json
    second = served.ask("GET", f"/v1/items?limit=15&after={first['next']}").json
    assert (len(first["items"]), len(second["items"]), second["next"]) == (15, 5, None)
    assert not {i["id"] for i in first["items"]} & {i["id"] for i in second["items"]}
    chosen = served.ask("GET", "/v1/items?id=marzipan&id=nobody&id=ash-and-honey").json
    assert [i["id"] for i in chosen["items"]] == ["marzipan", "ash-and-honey"]
    for query in ("limit=0", "limit=x", "after=-1", f"after={1 << 70}"):
        served.ask("GET", f"/v1/items?{query}").problem(422)


@pytest.mark.parametrize("name", ["a/b", "a b", "ä", "search", "..", "a?b#c", "100%"])
def test_any_id_can_be_written_and_read(served: Running, name: str) -> None:
    from urllib.parse import quote

    assert served.ask("PUT", f"/v1/items/{quote(name, safe='')}", TEA).status == 201
    assert served.ask("GET", f"/v1/items?id={quote(name, safe='')}").json["items"][0]["id"] == name


@pytest.mark.parametrize("name", ["%00", "%0A", "%20"])
def test_an_id_that_cannot_be_is_refused(served: Running, name: str) -> None:
    assert served.ask("PUT", f"/v1/items/{name}", TEA).problem(422)["errors"][0]["where"] == "id"
    served.ask("GET", f"/v1/items/{name}").problem(404)
    served.ask("DELETE", f"/v1/items/{name}").problem(404)


def test_an_id_in_the_body_must_be_the_one_of_the_path(served: Running) -> None:
    assert served.ask("PUT", "/v1/items/x", {**TEA, "id": "y"}).problem(422)["errors"][0]["where"] == "id"


def test_probes_and_figures(served: Running) -> None:
    assert served.ask("GET", "/healthz").json == {"status": "alive"}
    ready = served.ask("GET", "/readyz").json
    assert ready["checks"]["index"] == {"ready": True, "detail": "20 items"}
    recommended(served, says("tea"))
    served.ask("GET", "/v1/items/marzipan")
    served.ask("GET", "/nowhere/marzipan")
    figures = served.figures()
    assert figures["rarec_items"] == 20
    assert figures["rarec_turns_total"] == 1
    assert figures["rarec_turns_in_flight"] == 0
    assert figures['rarec_requests_total{method="POST",route="/v1/recommend",status="200"}'] == 1
    assert figures['rarec_request_seconds_count{route="/v1/recommend"}'] == 1
    assert figures['rarec_requests_total{method="GET",route="none",status="404"}'] == 1
    assert not any("marzipan" in name for name in figures)


def test_a_store_that_is_being_opened_or_cannot_be_says_so(store: Path) -> None:
    (store / "bundle" / "retriever.json").rename(store / "bundle" / "gone.json")
    with running(create_app(store)) as served:
        assert served.ask("GET", "/healthz").status == 200
        until(lambda: "could not" in served.ask("GET", "/readyz").problem(503)["checks"]["store"]["detail"])
        document = served.ask("POST", "/v1/recommend", {}).problem(500)
        assert str(store) not in json.dumps(document)
    (store / "bundle" / "gone.json").rename(store / "bundle" / "retriever.json")
    with running(create_app(store)) as served:
        until(lambda: served.ask("GET", "/readyz").status == 200)
        assert len(recommended(served, {"n": 5})) == 5


def test_readiness_sees_an_embedder_that_is_gone(served: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = served.app.state.parts.recommender.engine
    # Vocabulary and database are made ready while others are answered already.
    until(lambda: all(check["ready"] for check in served.ask("GET", "/readyz").json["checks"].values()))

    def down(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret inside")

    monkeypatch.setattr(engine, "embedder", type("Down", (), {"embed": staticmethod(down)})())
    document = served.ask("GET", "/readyz").problem(503)
    assert [name for name, check in document["checks"].items() if not check["ready"]] == ["embedder"]
    assert "secret" not in json.dumps(document)
