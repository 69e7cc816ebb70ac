"""Arrows between rooms point one way, along the data flow; this walks the imports and holds it."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "rarec"

# room -> rooms it may import. types and errors are open to all; nothing else is.
ALLOWED: dict[str, set[str]] = {
    "types": set(),
    "errors": set(),
    "complaints": set(),
    "settings": {"complaints", "embed", "live"},
    "documents": set(),
    "files": set(),
    "progress": set(),
    "live": {"files"},
    "telemetry": set(),
    "catalogue": {"files"},
    "conversations": {"catalogue", "files"},
    "corpus": {"catalogue", "complaints", "files", "pages", "progress"},
    "embed": {"files"},
    "item_numbers": set(),
    "retriever": {"catalogue", "embed", "files", "item_numbers"},
    "index": {"item_numbers"},
    "candidates": {"index"},
    "prompt": set(),
    "llm": {"files", "telemetry"},
    "ranker": {"embed", "retriever", "llm", "files", "prompt"},
    "constraints": {"catalogue", "llm"},
    "assembly": {
        "settings",
        "catalogue",
        "constraints",
        "embed",
        "retriever",
        "index",
        "item_numbers",
        "llm",
        "prompt",
        "ranker",
        "files",
    },
    "backup": {"files", "settings"},
    "background": set(),
    "pages": set(),
    "pipeline": {
        "assembly",
        "background",
        "settings",
        "candidates",
        "constraints",
        "prompt",
        "llm",
        "ranker",
        "telemetry",
    },
    # On top: nothing but the command line and the tools for agents, which are one more way in, imports it.
    "service": {
        "background",
        "catalogue",
        "complaints",
        "constraints",
        "documents",
        "live",
        "llm",
        "pipeline",
        "promotion",
        "prompt",
        "settings",
        "state",
        "telemetry",
    },
    "mcp": {"documents", "pipeline", "service", "settings", "state"},
    "evaluate": {
        "background",
        "catalogue",
        "complaints",
        "conversations",
        "embed",
        "retriever",
        "index",
        "candidates",
        "ranker",
        "llm",
        "prompt",
        "files",
        "pages",
    },
    "simulation": {"catalogue", "evaluate", "files", "llm", "prompt"},
    "training": {
        "catalogue",
        "complaints",
        "conversations",
        "embed",
        "evaluate",
        "retriever",
        "ranker",
        "files",
        "progress",
        "settings",
    },
    "reward": set(),
    "feedback": {"conversations", "reward"},
    "align": {"background", "candidates", "retriever", "reward", "llm", "prompt", "files", "index"},
    "alignment": {
        "align",
        "catalogue",
        "complaints",
        "conversations",
        "embed",
        "evaluate",
        "feedback",
        "files",
        "llm",
        "pages",
        "progress",
        "prompt",
        "ranker",
        "retriever",
        "reward",
        "testing",
    },
    "promotion": {
        "align",
        "alignment",
        "assembly",
        "conversations",
        "embed",
        "evaluate",
        "files",
        "live",
        "llm",
        "progress",
        "retriever",
        "settings",
    },
    "state": {"feedback", "files", "llm", "reward"},
    "testing": {"llm", "embed", "catalogue", "conversations", "index", "prompt", "files"},
}
EVERYTHING = {"cli", "__init__", "__main__"}


def room_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("rarec.")}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name, not relative"
            if node.module == "rarec":
                rooms |= {a.name for a in node.names}
            elif node.module and node.module.startswith("rarec."):
                rooms.add(node.module.split(".")[1])
    return rooms


def test_every_import_points_the_allowed_way() -> None:
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        room = room_of(path)
        if room in EVERYTHING:
            continue
        assert room in ALLOWED, f"{path}: room {room!r} is not in the table"
        for other in imported_rooms(path) - {"types", "errors", room} - ALLOWED[room]:
            wrong.append(f"{path.relative_to(SOURCE)} imports {other}")
    assert wrong == []


def test_the_table_has_no_cycle() -> None:
    done: set[str] = set()
    rest = {room: set(needs) for room, needs in ALLOWED.items()}
    while rest:
        free = {room for room, needs in rest.items() if needs <= done}
        assert free, f"cycle among {sorted(rest)}"
        done |= free
        rest = {room: needs for room, needs in rest.items() if room not in free}
