"""How the ledger writes a moment."""

from datetime import UTC, datetime


def now() -> str:
    """This moment in UTC, ISO 8601 with whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
