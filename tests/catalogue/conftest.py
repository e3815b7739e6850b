"""The catalogue of the session's templates, made once."""

from collections.abc import Mapping

import pytest

from catalogue.__main__ import STAGE
from catalogue.files import Files
from catalogue.model import System
from catalogue.reading import read
from catalogue.site import render
from topology.assembly import Assembly


@pytest.fixture(scope="session")
def system(templates: Mapping[str, Assembly]) -> System:
    """What the catalogue shows."""
    return read(templates[STAGE], stage=STAGE)


@pytest.fixture(scope="session")
def files(system: System) -> Files:
    """The pages, as `make catalogue` writes them."""
    return render(system)
