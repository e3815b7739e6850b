"""Fixtures of all tests: the cloud assemblies of a session, and a moto account for each test."""

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis.internal.entropy import deterministic_PRNG

from workspace.isolation import isolate

# Before any import that reads the environment.
isolate(os.environ)

from cdk_rehearsal import Assembly  # noqa: E402
from stacks.environment import BusKind, Environment  # noqa: E402
from tests.support import parsing  # noqa: E402
from tests.support.assemblies import assembly_directory  # noqa: E402

if TYPE_CHECKING:
    from tests.support.cloud import Cloud, Commits

# The same examples in every run, and no deadline, because machines differ in speed.
settings.register_profile("orderflow", derandomize=True, deadline=None, max_examples=50)
# New examples in each run: `make fuzz`.
settings.register_profile(
    "thorough", settings.get_profile("orderflow"), derandomize=False, max_examples=1_000
)
settings.load_profile("orderflow")

# Hypothesis registers its random number generator at its first test, and warns if the garbage
# collector finds no referrers to it. On Python 3.14, a rehearsal that is open by then would hide
# them, because it freezes all objects. So register the generator here.
with deterministic_PRNG():
    pass

if sys.version_info < parsing.FIXED_IN:
    parsing.protect()

STAGES = ("dev", "prod")

# moto and botocore keep several hundred thousand objects. By default, Python would search them for
# cycles after every 700 allocations, which takes a considerable part of the time.
gc.set_threshold(50_000, 20, 100)


# Each worker runs its share in this order, and idle workers take tests from the end of the others'
# shares. So slow tests, and tests that share a loaded application, come first.
FIRST = (
    *("tests/flows/", "tests/tools/demo/", "tests/api/", "tests/architecture/"),
    *("tests/tools/load_test/", "tests/tools/migrate/", "tests/tools/smoke/"),
    "packages/cdk-rehearsal/tests/distribution/",
)


def pytest_xdist_auto_num_workers() -> int:
    """Returns the number of workers for `-n auto`: tests of pages and commands often wait."""
    cores = os.cpu_count() or 1
    return cores + cores // 2


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Searches for cycles once, so that warnings about lost objects count, and not five times."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds an option for the kind of event bus. `.ci/runtime` passes the one that is no default."""
    parser.addoption(
        "--bus",
        choices=("classic", "custom"),
        help="The kind of event bus. Default: the stage's own.",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the slowest tests to the front."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A directory that all processes of this test session share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def bus_kind(request: pytest.FixtureRequest) -> BusKind | None:
    """The kind of event bus in `assembly` and `templates`; None if it is the stage's own."""
    kind: BusKind | None = request.config.getoption("--bus")
    return kind


@pytest.fixture
def default_bus(bus_kind: BusKind | None) -> None:
    """Skips a test on the other kind of bus: documents and commands are about the default kind."""
    if bus_kind not in (None, Environment.bus):
        pytest.skip(f"documents and commands are about a stage on the {Environment.bus} bus")


@pytest.fixture(scope="session", autouse=True)
def own_stage(request: pytest.FixtureRequest, worker_id: str, bus_kind: BusKind | None) -> None:
    """Lets the first two workers synthesize one stage each, if any test needs the templates.

    Otherwise both would start with the same stage, and one would wait for the other.
    """
    stage = dict(zip(("gw0", "gw1"), STAGES, strict=True)).get(worker_id)
    asked = (getattr(item, "fixturenames", ()) for item in request.session.items)
    if stage and any("templates" in names for names in asked):
        assembly_directory(stage, request.getfixturevalue("shared_directory"), bus=bus_kind)


@pytest.fixture(scope="session")
def assembly(shared_directory: Path, bus_kind: BusKind | None) -> Path:
    """The directory of the cloud assembly of stage `dev`, with packages for this machine."""
    return assembly_directory("dev", shared_directory, bus=bus_kind)


@pytest.fixture(scope="session")
def templates(shared_directory: Path, bus_kind: BusKind | None) -> Mapping[str, Assembly]:
    """The synthesized templates by stage."""
    return {
        stage: Assembly(assembly_directory(stage, shared_directory, bus=bus_kind))
        for stage in STAGES
    }


@pytest.fixture(scope="session")
def classic(shared_directory: Path) -> Assembly:
    """The synthesized templates of `prod` on the classic bus."""
    return Assembly(assembly_directory("prod", shared_directory, bus="classic"))


@pytest.fixture(scope="session")
def custom(shared_directory: Path) -> Assembly:
    """The synthesized templates of `prod` on the Custom Event Bus."""
    return Assembly(assembly_directory("prod", shared_directory, bus="custom"))


@pytest.fixture(scope="session")
def both_buses(shared_directory: Path) -> Path:
    """The directory of the cloud assembly of `prod` with both buses, before the first move."""
    return assembly_directory("prod", shared_directory, bus="migrating")


@pytest.fixture(scope="session")
def migrating(both_buses: Path) -> Assembly:
    """The synthesized templates of `prod` with both buses, before the first move."""
    return Assembly(both_buses)


@pytest.fixture(scope="module")
def region() -> Iterator[None]:
    """A region in moto, which the accounts of a module's tests use one after the other."""
    # Imported here: the process that distributes the tests does not need moto, which loads slowly.
    from tests.support import cloud

    with cloud.region():
        yield


@pytest.fixture
def cloud(region: None) -> Iterator["Cloud"]:
    """An empty AWS account in moto, in which nothing sleeps."""
    from tests.support import cloud

    with cloud.cloud() as account:
        yield account


@pytest.fixture
def commits(cloud: "Cloud") -> "Commits":
    """Hooks that run before or after commits of the code under test."""
    from tests.support.cloud import Commits

    return Commits(cloud.monkeypatch)
