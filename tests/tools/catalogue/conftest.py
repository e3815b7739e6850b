"""The catalogue of the session's templates, built once."""

from collections.abc import Mapping

import pytest

from cdk_rehearsal import Assembly
from tools.catalogue.__main__ import STAGE
from tools.catalogue.files import Files
from tools.catalogue.model import System
from tools.catalogue.reading import read
from tools.catalogue.site import render

SOURCE = "https://example.com/orderflow/"
"""The address of the project's files in the pages."""


@pytest.fixture(scope="session")
def system(templates: Mapping[str, Assembly]) -> System:
    """The system that the catalogue shows."""
    return read(templates[STAGE], stage=STAGE)


@pytest.fixture(scope="session")
def files(system: System) -> Files:
    """The pages, as `make catalogue` writes them."""
    return render(system, source=SOURCE)
