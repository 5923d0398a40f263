"""What the service counts for Prometheus. Labels are ours alone: nothing a client sends becomes one."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from pipeline.server.api import ACTIONS

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """One service's numbers, in a registry of their own, so that several services fit into one process."""

    def __init__(
        self, *, waiting: Callable[[], int], ready: Callable[[], bool], restarts: Callable[[], int]
    ) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "earmark_requests", "Requests to /api", ["action", "outcome"], registry=self._registry
        )
        self._seconds = Histogram(
            "earmark_request_seconds",
            "From the end of a request's body to its reply",
            ["action"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._jobs = Counter("earmark_jobs", "Jobs that came to an end", ["outcome"], registry=self._registry)
        self._analysis = Histogram(
            "earmark_job_seconds",
            "What a worker took for a job",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._audio = Counter("earmark_audio_seconds", "Audio that was analysed", registry=self._registry)
        self._received = Counter("earmark_upload_bytes", "Files received", registry=self._registry)
        for name, help_text, now in (
            ("earmark_jobs_waiting", "Jobs in the queue", lambda: float(waiting())),
            ("earmark_ready", "1 when jobs are being answered", lambda: float(ready())),
            ("earmark_worker_restarts", "Workers that died and were replaced", lambda: float(restarts())),
        ):
            Gauge(name, help_text, registry=self._registry).set_function(now)

    def replied(self, action: str, outcome: str, seconds: float, size_bytes: int) -> None:
        """Count a request; `outcome` is a word of `Api.reply`."""
        action = action if action in ACTIONS else "other"
        self._requests.labels(action, outcome).inc()
        self._seconds.labels(action).observe(seconds)
        self._received.inc(size_bytes)

    def settled(self, outcome: str, seconds: float, audio_s: float) -> None:
        """Count a job that came to an end."""
        self._jobs.labels(outcome).inc()
        self._analysis.observe(seconds)
        if outcome == "answered":
            self._audio.inc(audio_s)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)
