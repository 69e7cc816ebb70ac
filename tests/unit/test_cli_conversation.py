import io
import json
from pathlib import Path

import pytest

from rarec.cli.conversation import conversation_of, history_turn, read_conversation
from rarec.errors import InputError
from rarec.types import Conversation, ItemId, Mention, Turn


def written(path: Path, document: object) -> str:
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def test_both_names_of_the_text_are_read(tmp_path: Path) -> None:
    source = written(tmp_path / "c.json", [{"role": "user", "content": "Hi"}, {"role": "assistant", "text": "Hé"}])
    assert read_conversation(source) == (Turn("user", "Hi"), Turn("assistant", "Hé"))


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('[{"role": "user", "content": "Hi"}]'))
    assert read_conversation("-") == (Turn("user", "Hi"),)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"role": "user"}, "no list but a dict"),
        ([3], "turn 1 .* no object but a int"),
        ([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}], "turn 2 .* role 'system'"),
        ([{"content": "b"}], "role None"),
        ([{"role": "user"}], "no text"),
        ([{"role": "user", "content": ["x"]}], "no text"),
    ],
)
def test_a_wrong_shape_names_the_turn(tmp_path: Path, document: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_conversation(written(tmp_path / "c.json", document))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_conversation(str(tmp_path / "none.json"))
    (tmp_path / "bad.json").write_bytes(b"[{")
    with pytest.raises(InputError, match="not JSON"):
        read_conversation(str(tmp_path / "bad.json"))
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    with pytest.raises(InputError, match="not UTF-8"):
        read_conversation(str(tmp_path / "latin.json"))


def test_history() -> None:
    turn = history_turn(["a", "b:liked", "c:disliked", "urn:x", "d:mentioned"])
    assert turn == Turn(
        "user",
        "",
        (
            Mention(ItemId("a")),
            Mention(ItemId("b"), "liked"),
            Mention(ItemId("c"), "disliked"),
            Mention(ItemId("urn:x")),
            Mention(ItemId("d")),
        ),
    )
    with pytest.raises(InputError, match="':liked' has no id"):
        history_turn([":liked"])


def test_everything_together_in_order(tmp_path: Path) -> None:
    source = written(tmp_path / "c.json", [{"role": "assistant", "content": "What do you like?"}])
    assert conversation_of("Trains", source, ["a:liked"]) == Conversation(
        (history_turn(["a:liked"]), Turn("assistant", "What do you like?"), Turn("user", "Trains"))
    )
    assert conversation_of(None, None, []) == Conversation()
