"""Fixtures: an assembly to build, and a rehearsal of it that ends with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cdk_rehearsal import Rehearsal
from cdk_rehearsal.latency import NONE
from rehearsal.cloud import Cloud

Rehearse = Callable[..., Rehearsal]


@pytest.fixture
def template(tmp_path: Path) -> Cloud:
    """An empty stack called Shop."""
    return Cloud(tmp_path / "cdk.out")


@pytest.fixture
def rehearse(template: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rehearse]:
    """Writes the template and begins to rehearse it, by default with no delays at all.

    It requests `monkeypatch` so that the rehearsal ends first. Otherwise the rehearsal would
    restore variables that the test has set.
    """
    with ExitStack() as stack:

        def begin(**options: Any) -> Rehearsal:
            options.setdefault("latency", NONE)
            return stack.enter_context(Rehearsal(template.write(), **options))

        yield begin
