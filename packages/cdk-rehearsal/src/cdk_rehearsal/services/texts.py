"""Texts of AWS: times as the services write them, and JSON."""

import json
from datetime import UTC, datetime
from typing import Any


def iso_seconds(moment: float) -> str:
    """Returns a virtual time to the second: ``2026-01-05T08:00:00Z``."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_milliseconds(moment: float) -> str:
    """Returns a virtual time to the millisecond: ``2026-01-05T08:00:00.000Z``."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def trace_header(moment: float, identity: str, parent: str = "") -> str:
    """Returns the header of a trace that began at a virtual time, which is not sampled.

    https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
    """
    root = f"Root=1-{int(moment):08x}-{identity:0>24.24}"
    return f"{root};Parent={parent:0>16.16};Sampled=0" if parent else root


def is_json(text: str) -> bool:
    """Whether a text is a JSON document."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def event_in(text: str) -> dict[str, Any]:
    """Returns the CloudEvent in a text, in the form in which a bus delivers it, if it has one."""
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    detail = message.get("detail") if isinstance(message, dict) else None
    if not isinstance(detail, dict) or not {"id", "type"} <= detail.keys():
        return {}
    return {"event": {"id": detail["id"], "detail-type": detail["type"], **message}}
