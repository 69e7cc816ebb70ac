"""What seekers say: the scripted one from its templates, the other one from a model."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from rarec.errors import LLMRefused, LLMUnavailable, SettingsError
from rarec.simulation import Aspect, LLMSeeker, ScriptedSeeker, SeekerProfile, SeekerTemplate
from rarec.simulation.seeker import wording
from rarec.testing import ScriptedLLM
from rarec.types import Item, ItemId, ParseReport, RankedItem, Recommendation, Turn, Usage

PROFILE = SeekerProfile(
    (Aspect("genres", "Drama"), Aspect("decade", "1980s"), Aspect("directors", "Ida Vance"), Aspect("mood", "slow")),
    1980,
)


def answer(*items: Item, reply: str = "Here you are.") -> Recommendation:
    ranked = tuple(RankedItem(item, 1.0, "", 1) for item in items)
    return Recommendation(ranked, reply, (), Usage(), {}, ParseReport())


def shown(year: int | None = 1985, **attributes: tuple[str, ...]) -> Item:
    return Item(ItemId("s"), "Low Tide", year=year, attributes=attributes)


def talk(profile: SeekerProfile, *answers: Recommendation, seed: int = 0) -> list[str]:
    async def play() -> list[str]:
        seeker = ScriptedSeeker(np.random.default_rng(seed))
        return [await seeker.first(profile), *[await seeker.answer(profile, (), given) for given in answers]]

    return asyncio.run(play())


@pytest.mark.parametrize("seed", range(8))
def test_it_begins_with_the_most_common_aspect_and_reveals_one_or_two_a_turn(seed: int) -> None:
    first, second = talk(PROFILE, answer(shown()), seed=seed)
    assert "in the drama genre" in first
    told = [phrase for phrase in ("1980s", "Ida Vance", "slow") if phrase in first]
    assert len(told) <= 1
    more = [phrase for phrase in ("1980s", "Ida Vance", "slow") if phrase in second and phrase not in told]
    assert 1 <= len(more) <= 2


def test_the_same_seed_says_the_same_and_another_one_does_not() -> None:
    answers = [answer(shown())] * 4
    assert talk(PROFILE, *answers, seed=3) == talk(PROFILE, *answers, seed=3)
    assert len({tuple(talk(PROFILE, *answers, seed=seed)) for seed in range(10)}) > 5


@pytest.mark.parametrize(("year", "kind"), [(1950, "too_old"), (2001, "too_new")])
def test_it_says_what_is_wrong_with_the_time(year: int, kind: str) -> None:
    profile = SeekerProfile((Aspect("decade", "1980s"), Aspect("mood", "slow")), 1980)
    _, second = talk(profile, answer(shown(year)))
    assert any(second.startswith(sentence) for sentence in wording().sentences[kind])


@pytest.mark.parametrize("year", [1980, 1989, None])
def test_the_right_decade_and_no_year_are_no_complaint(year: int | None) -> None:
    profile = SeekerProfile((Aspect("decade", "1980s"), Aspect("mood", "slow")), 1980)
    _, second = talk(profile, answer(shown(year)))
    assert not any(sentence in second for kind in ("too_old", "too_new") for sentence in wording().sentences[kind])


def test_it_complains_about_an_ignored_wish_but_not_twice_in_a_row() -> None:
    profile = SeekerProfile((Aspect("genres", "Drama"), Aspect("mood", "slow"), Aspect("region", "Kent")))
    _, second, third = talk(profile, answer(shown(genres=("Comedy",))), answer(shown(genres=("Comedy",))), seed=1)
    complaints = ("I asked for something", "None of these is something")
    assert second.startswith(complaints)
    assert not third.startswith(complaints)
    assert not talk(profile, answer(shown(genres=("drama",))), seed=1)[1].startswith(complaints)


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("Which director do you like?", "directed by Ida Vance"),
        ("Old or new? I have both.", "from the 1980s"),
        ("Any mood?", "with slow as the mood"),
    ],
)
def test_it_answers_a_question_about_an_attribute(question: str, told: str) -> None:
    profile = SeekerProfile(
        (Aspect("genres", "Drama"), *(Aspect("cast", f"Person {i}") for i in range(9)), *PROFILE.aspects[1:])
    )
    for seed in range(4):
        first, second = talk(profile, answer(shown(), reply=question), seed=seed)
        assert told in first + second


def test_a_statement_is_no_question() -> None:
    assert not wording().asks("I know the director. Nice.")(Aspect("directors", "Ida Vance"))


def test_with_nothing_new_it_repeats_what_was_missed_and_with_nothing_at_all_it_asks_for_others() -> None:
    one = SeekerProfile((Aspect("mood", "slow"),))
    assert "slow" in talk(one, answer(shown()), answer(shown()))[2]
    first, second = talk(SeekerProfile(), answer(), seed=1)
    assert first in wording().sentences["vague"]
    assert any(second.endswith(sentence) for sentence in wording().sentences["others"])


def test_it_names_what_it_liked() -> None:
    text = talk(SeekerProfile(likes=("Low Tide", "Ash and Honey", "Salt")))[0]
    assert "Low Tide, Ash and Honey and Salt" in text


def test_dollar_signs_of_a_catalogue_are_plain_text() -> None:
    assert "$wishes" in talk(SeekerProfile((Aspect("mood", "$wishes $name"),)))[0]


def test_every_sentence_fills_its_places() -> None:
    for kind, sentences in wording().sentences.items():
        assert sentences
        for sentence in sentences:
            wanted = {"likes": "$likes", "ignored": "$wish"}.get(kind)
            wanted = "$wishes" if kind in ("opening", "more", "reply", "again") else wanted
            assert (wanted in sentence) if wanted else ("$" not in sentence)


# a language model as the seeker


def model_says(*answers: str | Exception, profile: SeekerProfile = PROFILE) -> tuple[str, ScriptedLLM, LLMSeeker]:
    llm = ScriptedLLM(answers)
    seeker = LLMSeeker(llm)
    asyncio.run(seeker.first(profile))
    turns = (Turn("user", "first </conversation> words"), Turn("assistant", "Try <b>this</b>."))
    return asyncio.run(seeker.answer(profile, turns, answer(shown()))), llm, seeker


def test_the_model_reads_facts_conversation_and_shown_items() -> None:
    said, llm, seeker = model_says("Hello.", '"No, older."')
    assert said == "No, older."
    prompt = llm.requests[1].messages[1].content
    assert "genres: Drama" in prompt
    assert "You: first ‹/conversation› words" in prompt
    assert "System: Try ‹b›this‹/b›." in prompt
    assert "Low Tide (1985)" in prompt
    assert prompt.count("</conversation>") == 1
    assert llm.requests[1].task is None
    assert seeker.usage.calls == 2
    assert seeker.usage.completion_tokens == 3


def test_a_model_that_writes_nothing_has_refused() -> None:
    with pytest.raises(LLMRefused, match="wrote nothing"):
        model_says("Hello.", "  \n")


def test_errors_of_the_model_come_through() -> None:
    with pytest.raises(LLMUnavailable):
        model_says("Hello.", LLMUnavailable("down"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('system = "x"\nuser = "$wishes"', "lacks the places"),
        ('system = "$title"\nuser = "$wishes $conversation"', "unknown places"),
        ('system = "costs 5 $"\nuser = "$wishes $conversation"', "stray dollar"),
        ("system = ", "not valid"),
    ],
)
def test_wrong_templates_say_what_is_wrong(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "t.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=complaint):
        SeekerTemplate.load(file)
    with pytest.raises(SettingsError, match="cannot read"):
        SeekerTemplate.load(tmp_path / "none.toml")
