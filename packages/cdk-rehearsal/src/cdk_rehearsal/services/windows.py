"""Tumbling windows: what Lambda keeps of a shard from one invocation to the next."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.services.stream_records import StreamRecord
from cdk_rehearsal.services.texts import iso_seconds


@dataclass
class Window:
    """A span of time on one shard, in epoch seconds and ``end`` excluded: its records and state."""

    start: int
    end: int
    state: dict[str, Any] = field(default_factory=dict)
    records: list[StreamRecord] = field(default_factory=list)

    @classmethod
    def around(cls, moment: float, length_s: int) -> Window:
        """Returns the window that a record belongs to by its approximate time of arrival.

        That windows begin at whole multiples of their length since the epoch is not documented.
        """
        start = int(moment // length_s) * length_s
        return cls(start, start + length_s)

    @property
    def overflows(self) -> bool:
        """Whether the state is over the megabyte that Lambda keeps."""
        text = json.dumps(self.state, separators=(",", ":"), ensure_ascii=False)
        return len(text.encode()) > LIMITS["lambda.window_state_bytes"]

    def fields(self, *, final: bool, early: bool) -> dict[str, Any]:
        """Returns what an event says of the window, beside its records.

        https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
        """
        return {
            "window": {"start": iso_seconds(self.start), "end": iso_seconds(self.end)},
            "state": self.state,
            "isFinalInvokeForWindow": final,
            "isWindowTerminatedEarly": early,
        }


def state_of(answer: Any) -> dict[str, Any] | None:
    """Returns the state in a function's answer, None if it has none, which is a failure.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    state = answer.get("state") if isinstance(answer, dict) else None
    return state if isinstance(state, dict) else None
