"""What the service counts, in Prometheus' format."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from rarec.types import Recommendation

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which the workers of one service add up their figures; prometheus-client's own."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """One registry a service; several services in one process do not meet. The names are in docs/http_api.md."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "rarec_requests_total", "Requests, by route and status.", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "rarec_request_seconds", "Until the last byte was sent.", ["route"], buckets=_SECONDS, registry=registry
        )
        self.in_flight = Gauge(
            "rarec_requests_in_flight", "Requests being answered.", registry=registry, multiprocess_mode="livesum"
        )
        self.running = Gauge(
            "rarec_turns_in_flight", "Turns being answered.", registry=registry, multiprocess_mode="livesum"
        )
        self.turns = Counter("rarec_turns_total", "Turns that were answered.", registry=registry)
        self.degraded = Counter(
            "rarec_turns_degraded_total", "Turns in which no language model took part.", registry=registry
        )
        self.cancelled = Counter(
            "rarec_turns_cancelled_total", "Turns whose client went away or was too slow.", registry=registry
        )
        self.tokens = Counter(
            "rarec_llm_tokens_total", "Tokens of the language model.", ["direction"], registry=registry
        )
        self.cached = Counter(
            "rarec_llm_cached_total", "Answers of the language model that came from memory.", registry=registry
        )
        self._open = Gauge(
            "rarec_llm_breaker_open", "Whether the model is not asked, since it failed again and again.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._items = Gauge("rarec_items", "Items that can be recommended.", registry=registry, multiprocess_mode="max")

    def answered(self, answer: Recommendation) -> None:
        """Count a turn."""
        self.turns.inc()
        self.degraded.inc(int(answer.degraded))
        self.tokens.labels("prompt").inc(answer.usage.prompt_tokens)
        self.tokens.labels("completion").inc(answer.usage.completion_tokens)

    def page(self, items: Callable[[], int], *, held_back: bool = False) -> bytes:
        """All figures as text; of all workers if they share a folder."""
        self._items.set(items())
        self._open.set(held_back)
        if not os.environ.get(SHARED):
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)
