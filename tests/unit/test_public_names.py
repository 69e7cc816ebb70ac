"""What `from rarec import ...` offers: resolves, stays cheap, and is what the documentation lists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import rarec

API = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.mark.parametrize("name", rarec.__all__)
def test_every_name_resolves(name: str) -> None:
    value = getattr(rarec, name)
    assert value is not None
    assert getattr(rarec, name) is value
    assert name in dir(rarec)


def test_names_are_sorted_constants_classes_functions() -> None:
    def place(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert list(rarec.__all__) == sorted(rarec.__all__, key=place)
    assert len(set(rarec.__all__)) == len(rarec.__all__)


def test_the_documentation_lists_them() -> None:
    listed = re.findall(r"^- `(\w+)`", API.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(rarec.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = rarec.Nonsense
    with pytest.raises(ImportError):
        from rarec import Nonsense  # noqa: F401


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_costs_nothing() -> None:
    assert not loaded_by("import rarec") & {"torch", "numpy", "pydantic", "sqlite3", "openai"}


def test_the_nouns_do_not_load_a_model_library() -> None:
    assert not loaded_by("from rarec import Conversation, Turn, Filters, Item, RarecError") & {"torch", "numpy"}


def test_a_missing_package_is_a_missing_extra() -> None:
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "import rarec\n"
        "try:\n    rarec.Recommender\n"
        "except rarec.RarecError as error:\n    print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingExtra")
    assert "pip install -e '.[serve]'" in done.stdout
