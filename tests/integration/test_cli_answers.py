"""recommend, chat and demo on a real store; a remote model is a server on loopback."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rarec.cli.app import app
from rarec.testing import FakeOpenAIServer, Reply

MakeStore = Callable[[str], Path]
runner = CliRunner()


def rarec(*words: str | Path, code: int = 0, input: str | None = None) -> Result:
    result = runner.invoke(app, [str(word) for word in words], input=input)
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


@pytest.fixture
def store(make_store: MakeStore) -> Path:
    return make_store("s")


def recommended(*words: str | Path, input: str | None = None) -> Any:
    return json.loads(rarec("recommend", *words, "--json", input=input).stdout)


def titles(answer: Any) -> list[str]:
    return [item["title"] for item in answer["items"]]


# recommend


def test_the_whole_answer_as_json(store: Path) -> None:
    answer = recommended("Something like Nine Lanterns (1986)", "--store", store, "-n", "4")
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3, 4]
    assert answer["mentions"] == [{"item": "nine-lanterns", "sentiment": "mentioned", "span": [15, 35]}]
    assert "Nine Lanterns" not in titles(answer)
    assert set(answer["timings_ms"]) >= {"link", "retrieve", "llm", "total"}
    assert (answer["degraded"], answer["model"], answer["report"]["repaired"]) == (False, "local-ranker", False)
    assert all(item["attributes"]["genres"] and item["retriever_rank"] >= 1 for item in answer["items"])
    assert titles(answer)[0] in answer["reply"]


def test_a_table_for_people(store: Path) -> None:
    text = rarec("recommend", "Something quiet", "--store", store, "-n", "3", "--llm", "none").stdout
    assert "retrieved" in text
    assert text.count("(19") + text.count("(20") >= 3
    assert "In the retriever's order: no model is configured." in text
    assert "total" in text


def test_filters_hold(store: Path) -> None:
    answer = recommended(
        "x", "--store", store, "--filter", "year=1990..1999", "--filter", "genres=drama,Comedy", "-n", "20"
    )
    assert len(answer["items"]) == 3
    assert all(1990 <= i["year"] <= 1999 and i["attributes"]["genres"][0] in "Drama Comedy" for i in answer["items"])
    without = recommended("x", "--store", store, "--filter", "countries!=Japan", "-n", "20")
    assert {i["attributes"]["countries"][0] for i in without["items"]} == {"Peru"}
    assert recommended("x", "--store", store, "--filter", "genres=Opera")["items"] == []


def test_wrong_filters_say_what_there_is(store: Path) -> None:
    assert "'countries', 'genres'" in rarec("recommend", "x", "--store", store, "--filter", "colour=red", code=2).stderr
    assert "year=1990..1999" in rarec("recommend", "x", "--store", store, "--filter", "colour", code=2).stderr


def test_conversations_come_from_files_and_stdin(store: Path, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "I saw Paper Lions."},
        {"role": "assistant", "content": "Try Glass Onions."},
        {"role": "user", "content": "Another one?"},
    ]
    (tmp_path / "c.json").write_text(json.dumps(turns), encoding="utf-8")
    from_file = recommended("--store", store, "--conversation", tmp_path / "c.json", "-n", "18")
    assert {m["item"] for m in from_file["mentions"]} == {"paper-lions", "glass-onions"}
    assert len(from_file["items"]) == 18
    piped = recommended("--store", store, "--conversation", "-", "-n", "18", input=json.dumps(turns))
    assert titles(piped) == titles(from_file)
    assert "role 'robot'" in rarec(
        "recommend", "--store", store, "--conversation", "-", input='[{"role": "robot"}]', code=2
    ).stderr  # fmt: skip


def test_history_is_known_and_not_offered_again(store: Path) -> None:
    answer = recommended(
        "--store", store, "--history", "paper-lions:liked", "--history", "marzipan:disliked", "-n", "20"
    )
    assert [(m["item"], m["sentiment"]) for m in answer["mentions"]] == [
        ("paper-lions", "liked"), ("marzipan", "disliked"),
    ]  # fmt: skip
    assert len(answer["items"]) == 18
    assert not {"Paper Lions", "Marzipan"} & set(titles(answer))
    assert "'paper-lion'" in rarec("recommend", "--store", store, "--history", "paper-lion:liked", code=2).stderr


def test_without_anything_there_is_a_mix_to_start_with(store: Path) -> None:
    answer = recommended("--store", store, "-n", "5")
    assert len(answer["items"]) == 5
    assert "?" in answer["reply"]


def test_a_remote_model_answers(store: Path) -> None:
    with FakeOpenAIServer([json.dumps({"ranking": [3, 1], "reply": "Go for [3]!"})]) as server:
        answer = recommended("Hello", "--store", store, "--base-url", server.url, "--model", "m", "-n", "2")
        assert len(server.requests) == 1
    assert answer["reply"] == f"Go for {titles(answer)[0]}!"
    assert [i["retriever_rank"] for i in answer["items"]] == [3, 1]
    assert (answer["model"], answer["usage"]["calls"]) == ("fake-model", 1)


def test_a_dead_model_degrades_the_answer(store: Path) -> None:
    words = ["--store", store, "--base-url", "http://127.0.0.1:9/v1", "--model", "m", "-n", "3"]
    answer = recommended("Hello", *words)
    assert answer["degraded"]
    assert answer["reason"]
    assert [i["retriever_rank"] for i in answer["items"]] == [1, 2, 3]
    assert "In the retriever's order:" in rarec("recommend", "Hello", *words).stdout


def test_settings_errors_and_missing_stores(store: Path, tmp_path: Path) -> None:
    assert "needs a model" in rarec("recommend", "x", "--store", store, "--llm", "http", code=2).stderr
    told = rarec("recommend", "x", "--store", store, "--llm", "local", "--model", "m", code=2).stderr
    assert "--model m is of --llm http, not of --llm local" in told
    failed = rarec("recommend", "x", "--store", tmp_path / "none", "--json", code=3)
    assert json.loads(failed.stdout)["error"]["message"].endswith(f"rarec init {tmp_path / 'none'}")
    (store / "bundle" / "ranker.safetensors").unlink()
    assert "ranker.safetensors" in rarec("recommend", "x", "--store", store, code=3).stderr


def test_ctrl_c_does_not_wait_for_the_model(store: Path) -> None:
    rarec("embed", "--store", store)
    script = "from rarec.cli import main; main()"
    with FakeOpenAIServer([Reply(hang=True)]) as server:
        words = ["recommend", "x", "--store", str(store), "--base-url", server.url, "--model", "m"]
        process = subprocess.Popen(
            [sys.executable, "-c", script, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"RAREC_RECOMMEND__DEADLINE_S": "250"},
        )
        try:
            until = time.monotonic() + 200
            while not server.requests_to("completions") and time.monotonic() < until:
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said.strip() == "Stopped."


# chat


def chat(store: Path, *lines: str, words: tuple[str | Path, ...] = ()) -> str:
    return rarec("chat", "--store", store, *words, input="".join(f"{line}\n" for line in lines)).stdout


def listed(text: str) -> list[list[str]]:
    """The numbered items of each answer."""
    answers: list[list[str]] = []
    for line in text.splitlines():
        number, dot, title = line.strip().partition(". ")
        if dot and number.isdecimal():
            if number == "1":
                answers.append([])
            answers[-1].append(title)
    return answers


def test_a_chat_by_lines(store: Path) -> None:
    text = chat(
        store,
        "/n 4",
        "Something quiet",
        "/why 2",
        "/like 3",
        "/dislike 4",
        "",
        "/trace",
        "/quit",
        "never",
        words=("-n", "3"),
    )
    first, second = listed(text)
    assert (len(first), len(second)) == (4, 4)
    assert not {first[2], first[3]} & set(second), "what was liked or disliked is not offered again"
    assert first[0] not in second, "the reply named it"
    assert f"{first[1]}: " in text
    assert "of the retriever, score" in text
    assert f"Noted: you liked {first[2]}." in text
    assert f"Noted: you did not like {first[3]}." in text
    assert "ms: link" in text
    assert "model: local-ranker; answer: nothing repaired" in text
    assert "never" not in text
    assert text.rstrip().endswith("Goodbye.")


def test_a_like_changes_the_prompt_of_the_next_answer(store: Path) -> None:
    with FakeOpenAIServer([json.dumps({"ranking": [2, 1], "reply": "Maybe [2]."})]) as server:
        words = ("--base-url", server.url, "--model", "m", "-n", "2")
        text = chat(store, "Hello", "/like 2", "More?", "/why 1", words=words)
        liked = listed(text)[0][1]
        prompts = [" ".join(m["content"] for m in request.body["messages"]) for request in server.requests]
    assert liked not in prompts[0].split("candidates", 1)[0]
    assert f"I liked {liked.rpartition(' (')[0]}." in prompts[1]
    assert f"{liked} [liked]" in text.rpartition("/why 1")[2]


def test_filters_in_a_chat(store: Path) -> None:
    text = chat(
        store, "/filter", "/filter year>=2000", "/filter genres=Horror,Drama", "Hello", "/filter colour=red",
        "/filter x", "/filter clear", "/filter",
    )  # fmt: skip
    assert text.count("Filters: none") == 3
    assert "Filters: year>=2000; genres=Horror,Drama" in text
    (answer,) = listed(text)
    assert answer
    assert all(int(title[-5:-1]) >= 2000 for title in answer)
    assert "Error: no item has the attribute 'colour'" in text
    assert "Error: the filter 'x' cannot be read" in text


def test_mistakes_do_not_end_a_chat(store: Path) -> None:
    text = chat(
        store, "/why 1", "/nonsense", "/n zero", "/n 0", "/like", "/like " + "9" * 5000, "/trace", "Hello", "/why 99"
    )
    for part in (
        "nothing was recommended yet",
        "no command '/nonsense'; /help lists them",
        "/n needs a number, got 'zero'",
        "1 to 1000 items, not 0",
        "/like needs a number",
        "nothing to trace yet",
        "its numbers are 1 to 10",
    ):
        assert part in text
    assert len(listed(text)) == 1


def test_help_reset_and_the_end_of_input(store: Path) -> None:
    text = chat(store, "/help", "I saw Paper Lions", "/reset", "Hello", "/why 1", words=("-n", "20"))
    assert "/dislike N" in text
    first, second = listed(text)
    assert not any("Paper Lions" in title for title in first)
    assert any("Paper Lions" in title for title in second), "forgotten"
    assert "mentioned so far: none" in text
    assert text.rstrip().endswith("Goodbye.")
    assert chat(store).strip() == "Goodbye."


def test_control_characters_of_a_model_do_not_reach_the_terminal(store: Path) -> None:
    answer = json.dumps({"ranking": [1], "reply": "Wait \u001b[2J\u0007for it"})
    with FakeOpenAIServer([answer]) as server:
        text = chat(store, "Hello", words=("--base-url", server.url, "--model", "m"))
    assert "Wait [2Jfor it" in text
    assert "\x1b" not in text


def test_ctrl_c_leaves_a_chat_politely(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed() -> Any:
        yield "Hello"
        raise KeyboardInterrupt

    monkeypatch.setattr("rarec.cli.chat_loop.piped_lines", pressed)
    result = rarec("chat", "--store", store)
    assert len(listed(result.stdout)) == 1
    assert result.stdout.rstrip().endswith("Goodbye.")


# demo


def test_the_demo_plays_and_says_how_to_go_on(store: Path) -> None:
    text = rarec("demo", "--folder", store).stdout
    assert text.count("you>   ") == 6, "three messages, two filters and a like"
    answers = listed(text)
    assert [len(answer) for answer in answers[:2]] == [5, 5]
    assert answers[2], "some are from Japan, and neither named nor liked before"
    assert all(int(line.partition(")")[0][-4:]) >= 2000 for line in answers[2])
    assert "[liked]" in text.rpartition("mentioned so far")[2]
    assert text.count("ms: link") == 3
    assert "No terminal is here, so this was text" in text
    assert f"serve --store {store}" in text
    assert "No terminal" not in rarec("demo", "--folder", store, "--terminal").stdout


def test_the_demo_finishes_a_store_that_was_begun(tmp_path: Path, small_bundle: Path) -> None:
    from rarec.cli.demo import prepare

    rarec("init", tmp_path / "d", "--bundle", small_bundle, "--layout", "film")
    prepare(tmp_path / "d")
    from rarec.catalogue import CatalogueStore

    with CatalogueStore.open(tmp_path / "d" / "catalogue.sqlite") as catalogue:
        assert len(catalogue) > 1000
        version = catalogue.version
    prepare(tmp_path / "d")
    with CatalogueStore.open(tmp_path / "d" / "catalogue.sqlite") as catalogue:
        assert catalogue.version == version


# words to filters


def test_what_the_words_ask_for_is_shown_and_held_to(store: Path) -> None:
    words = ("something from the 90s, not horror, from Japan", "--store", store, "-n", "20")
    answer = recommended(*words)
    assert answer["items"]
    for item in answer["items"]:
        assert 1990 <= item["year"] <= 1999
        assert "Horror" not in item["attributes"]["genres"]
        assert item["attributes"]["countries"] == ["Japan"]
    told = [part["label"] for part in answer["understood"]["constraints"]]
    assert told == ["1990-1999", "not Horror", "Japan"]
    assert "Understood: 1990-1999 · not Horror · Japan" in rarec("recommend", *words).stdout
    without = recommended(*words, "--no-words")
    assert len(without["items"]) == 20
    assert without["understood"] == {"constraints": [], "unenforced": []}


def test_words_and_filters_hold_together(store: Path) -> None:
    answer = recommended("comedy or drama", "--store", store, "-n", "20", "--filter", "genres=Drama,Horror")
    assert {i["attributes"]["genres"][0] for i in answer["items"]} == {"Drama"}


def test_a_chat_lists_wishes_and_gives_them_up(store: Path) -> None:
    lines = "a drama from the 80s\n/filters\n/drop 1\nmore\nhorror comedy, from Peru\nany year\n/drop 9\n"
    text = rarec("chat", "--store", store, "--llm", "none", input=lines).stdout
    assert "Understood: Drama · 1980-1989   (/filters to change)" in text
    assert "  1. Drama\n  2. 1980-1989\nFilters: none\n" in text
    assert "Given up: Drama." in text
    assert "Understood: 1980-1989   (" in text
    assert "Nothing in the catalogue passes these filters." in text
    assert "To loosen: /drop 4 gives up 'Peru'" in text
    assert "there is no wish 9" in text
    assert "Understood" not in rarec("chat", "--store", store, "--no-words", "--llm", "none", input=lines).stdout


def test_new_items_are_asked_for_in_words_at_once(store: Path) -> None:
    from rarec import CatalogueStore, Conversation, Item, ItemId, Recommender, Turn
    from rarec.cli.opening import word_reader
    from rarec.settings import StorePaths

    wish = Conversation((Turn("user", "something Martian, please"),))
    with Recommender.open(store) as recommender, CatalogueStore.open(StorePaths(store).catalogue) as catalogue:
        read = word_reader(recommender)
        assert read(wish).parts == ()
        catalogue.add([Item(ItemId("m"), "Dust", year=2001, attributes={"countries": ("Martian",)})])
        assert read(wish).filters.any_of == {"countries": ("Martian",)}
        assert [r.item.id for r in recommender.reply(wish, filters=read(wish).filters).items] == ["m"]
        catalogue.delete([ItemId("m")])
        assert read(wish).parts == ()
