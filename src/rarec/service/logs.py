"""Logs as JSON lines. Nothing that a user wrote, no address and no id of an item goes into them."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("rarec.service")
_OWN = "rarec_fields"


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, event, and the fields given to `log`.

    Of an exception the class and the places are written, not its words, which may quote a request.
    """

    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, _OWN, {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            document |= described(record.exc_info[1])
        return json.dumps(document, ensure_ascii=True, default=str)


def log(level: int, event: str, **fields: Any) -> None:
    """Write an event with its fields."""
    LOGGER.log(level, event, extra={_OWN: fields})


def log_error(event: str, error: BaseException, **fields: Any) -> None:
    """Write what failed and where; not as an exception, whose words any formatter would show."""
    log(logging.ERROR, f"{event}: {type(error).__name__}", **fields, **described(error))


def described(error: BaseException) -> dict[str, Any]:
    """Class and places of an exception and of what caused it."""
    chain: list[dict[str, Any]] = []
    seen: BaseException | None = error
    while seen is not None and len(chain) < 5:
        places = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(seen.__traceback__)]
        chain.append({"error": type(seen).__qualname__, "at": places[-15:]})
        seen = seen.__cause__ or seen.__context__
    return {"errors": chain}


def configure(level: int = logging.INFO) -> None:
    """Send the logs of the service and of uvicorn to stderr as JSON lines; for processes of our own only.

    Args:
        level: of the least that is written.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("rarec.service", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if name != "uvicorn.error" else []
        logger.propagate = name == "uvicorn.error"
        logger.setLevel(level)
