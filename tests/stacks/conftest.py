"""Fixtures that run each test of the stacks with the templates of both stages."""

from collections.abc import Mapping

import pytest

from cdk_rehearsal import Assembly
from tests.conftest import STAGES


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest) -> str:
    """The name of the stage."""
    name: str = request.param
    return name


@pytest.fixture
def shop(templates: Mapping[str, Assembly], stage: str) -> Assembly:
    """The templates of the stage."""
    return templates[stage]
