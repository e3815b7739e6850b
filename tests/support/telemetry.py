"""Telemetry of functions: log lines, and metrics in the log."""

import io
import json
from typing import Any

import pytest


class Log:
    """The lines that functions wrote to their log."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def metrics(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """The metrics in the output, in CloudWatch's embedded metric format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    sums: dict[str, float] = {}
    for record in _written(capsys):
        if record.get("type") == "span":
            continue
        (directive,) = record["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Orderflow/test"
        assert record["service"] == "test"
        for metric in directive["Metrics"]:
            sums[metric["Name"]] = sums.get(metric["Name"], 0) + sum(record[metric["Name"]])
    return sums


def spans(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """The records of units of work in the output."""
    return [record for record in _written(capsys) if record.get("type") == "span"]


def _written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]
