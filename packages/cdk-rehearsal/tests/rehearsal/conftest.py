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
from rehearsal.worlds import World, rehearsed

Rehearse = Callable[..., Rehearsal]
Deploy = Callable[[], World]


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


@pytest.fixture
def aws(
    template: Cloud, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deploy]:
    """Deploys the template: to a rehearsal, or to the endpoint that `make parity` compares with."""
    endpoint = request.config.pluginmanager.get_plugin("endpoint")
    with ExitStack() as stack:
        deployed = rehearsed if endpoint is None else endpoint.deployed
        yield lambda: stack.enter_context(deployed(template))
