"""The sample application, synthesized once per session."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from distribution.synthesis import GREENHOUSE, synthesize


def _synthesized(name: str, factory: pytest.TempPathFactory, **context: str) -> Path:
    base = factory.getbasetemp()
    # All workers of a session share the directory above their own.
    outdir = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{outdir}.lock"):
        return outdir if outdir.exists() else synthesize(GREENHOUSE, outdir, **context)


@pytest.fixture(scope="session")
def greenhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembly of the sample application."""
    return _synthesized("greenhouse", tmp_path_factory)


@pytest.fixture(scope="session")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembly of the sample application in the stages Beta and Prod."""
    return _synthesized("staged", tmp_path_factory, stages="Beta,Prod")
