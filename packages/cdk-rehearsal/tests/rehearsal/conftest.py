"""Fixtures: an assembly to build, and a rehearsal of it that ends with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from cdk_rehearsal import Rehearsal
from cdk_rehearsal.latency import NONE
from rehearsal.cloud import Cloud
from rehearsal.worlds import Endpoint, World, refusals

Rehearse = Callable[..., Rehearsal]
Deploy = Callable[..., World]


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
def endpoint(request: pytest.FixtureRequest) -> Endpoint | None:
    """Where `make parity` replays the rules; None in a rehearsal."""
    return cast("Endpoint | None", request.config.pluginmanager.get_plugin("endpoint"))


@pytest.fixture
def aws(
    template: Cloud, endpoint: Endpoint | None, request: pytest.FixtureRequest
) -> Iterator[Deploy]:
    """Deploys the template: to a rehearsal, or to the endpoint of a replay.

    Raises Refused if it cannot be deployed. With ``shared``, tests of a replay that leave each
    other alone use one stack.
    """
    with ExitStack() as stack:

        def deploy(*, shared: bool = False) -> World:
            if endpoint is not None and shared:
                return endpoint.shared(template)
            if endpoint is not None:
                return stack.enter_context(endpoint.deployed(template))
            with refusals():
                begin: Rehearse = request.getfixturevalue("rehearse")
                return begin()

        yield deploy
