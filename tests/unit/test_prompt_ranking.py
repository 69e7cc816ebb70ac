"""A ranking request carries its task, and an answer gives only the places that it names itself."""

from rarec.prompt import answer_schema, ranking_request, read_ranking, render
from rarec.testing import example_task
from rarec.types import ParseReport


def test_the_request_is_the_rendered_task() -> None:
    task = example_task(n=2)
    request = ranking_request(task, max_tokens=9, temperature=0.5, deadline_s=3.0)
    assert request.messages == render(task)
    assert request.schema == answer_schema(task)
    assert (request.max_tokens, request.temperature, request.deadline_s, request.task) == (9, 0.5, 3.0, task)


def test_only_named_places_are_read_and_none_is_filled_up() -> None:
    task = example_task(n=3)
    assert read_ranking('{"ranking": [3, 1, 2], "reply": "x"}', task) == ((2, 0, 1), ParseReport())
    assert read_ranking('{"ranking": [3, 3, 7], "reply": "x"}', task) == ((2,), ParseReport(2, 1, 1, False))
    places, report = read_ranking("I cannot say.", task)
    assert places == ()
    assert (report.missing, report.malformed) == (3, True)
    assert read_ranking('{"ranking": [3, 1, 2], "reply": "x"}', example_task(n=1))[0] == (2,)
