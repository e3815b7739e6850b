"""Virtual times as AWS writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def iso_seconds(moment: float) -> str:
    """Returns a virtual time to the second: ``2026-01-05T08:00:00Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_milliseconds(moment: float) -> str:
    """Returns a virtual time to the millisecond: ``2026-01-05T08:00:00.000Z``."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
