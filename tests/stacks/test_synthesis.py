"""The assembly for this machine is synthesized once while its sources are unchanged."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks import synthesis
from stacks.environment import DEV


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project with one file of each of the sources."""
    for name in synthesis.SOURCES:
        file = tmp_path / name if Path(name).suffix else tmp_path / name / "__init__.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("some text")
    (tmp_path / ".build").mkdir()
    monkeypatch.setattr(synthesis, "PROJECT", tmp_path)
    monkeypatch.setattr(synthesis, "prepare", lambda _: None)
    return tmp_path


@pytest.fixture
def synthesized(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Replaces the CDK, which takes ten seconds. Holds an action for each synthesis to come."""
    during: list[Callable[[], object]] = []

    def synthesize(stage: str, outdir: Path, **_: Any) -> Path:
        if not during:
            pytest.fail("synthesized without need")
        outdir.mkdir()
        (outdir / "manifest.json").write_text((outdir.parents[2] / "app.py").read_text())
        during.pop(0)()
        return outdir

    monkeypatch.setattr(synthesis, "synthesize", synthesize)
    return during


def nothing() -> None:
    """Does nothing during a synthesis."""


def test_the_assembly_of_unchanged_sources_is_reused(
    project: Path, synthesized: list[Callable[[], object]]
) -> None:
    synthesized.append(nothing)

    made = synthesis.host_assembly("dev")

    assert (made / "manifest.json").is_file()
    (project / "lambdas" / "__pycache__").mkdir()
    (project / "lambdas" / "__pycache__" / "orders.cpython-311.pyc").write_bytes(b"compiled")
    assert synthesis.host_assembly("dev") == made
    assert [path.name for path in (project / ".build").iterdir()] == [made.name]


@pytest.mark.parametrize("source", synthesis.SOURCES)
def test_a_changed_source_causes_a_new_synthesis(
    project: Path, synthesized: list[Callable[[], object]], source: str
) -> None:
    synthesized += [nothing, nothing]
    before = synthesis.host_assembly("dev")
    file = project / source
    if file.is_dir():
        file = file / "deeper" / "new.txt"
        file.parent.mkdir()
    file.write_text("another text")

    assert synthesis.host_assembly("dev") != before
    assert not synthesized


def test_each_stage_and_each_folder_of_the_project_has_its_own_assembly(
    project: Path,
    synthesized: list[Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """An assembly contains the absolute paths of packages."""
    synthesized += [nothing, nothing, nothing]
    moved = tmp_path_factory.mktemp("elsewhere") / "project"
    made = {synthesis.host_assembly("dev").name, synthesis.host_assembly("prod").name}
    project.rename(moved)
    monkeypatch.setattr(synthesis, "PROJECT", moved)
    made.add(synthesis.host_assembly("dev").name)

    assert len(made) == 3


def test_naming_the_bus_that_the_stage_has_anyway_shares_the_assembly(
    project: Path, synthesized: list[Callable[[], object]]
) -> None:
    synthesized += [nothing, nothing]
    own = synthesis.host_assembly("dev")

    assert synthesis.host_assembly("dev", bus=DEV.bus) == own
    assert synthesis.host_assembly("dev", bus="migrating") != own


def test_an_unknown_stage_or_bus_is_reported_before_the_app_starts(
    synthesized: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["synthesis", "--stage", "dev", "--stage", "staging"])
    with pytest.raises(SystemExit, match="error: no stage 'staging': choose one of dev, prod"):
        synthesis.main()
    with pytest.raises(synthesis.SynthesisError, match="no kind of bus 'kafka'"):
        synthesis.host_assembly("dev", bus="kafka")


def test_a_source_saved_during_the_synthesis_is_in_the_returned_assembly(
    project: Path, synthesized: list[Callable[[], object]]
) -> None:
    synthesized += [lambda: (project / "app.py").write_text("saved"), nothing]

    made = synthesis.host_assembly("dev")

    assert (made / "manifest.json").read_text() == "saved"
    assert [path.name for path in (project / ".build").iterdir()] == [made.name]


def test_a_process_reuses_the_assembly_that_another_one_made_in_the_meantime(
    project: Path, synthesized: list[Callable[[], object]]
) -> None:
    others: list[Path] = []
    synthesized += [lambda: others.append(synthesis.host_assembly("dev")), nothing]

    assert [synthesis.host_assembly("dev")] == others


def test_a_failed_synthesis_leaves_no_files(
    project: Path, synthesized: list[Callable[[], object]]
) -> None:
    def fail() -> None:
        raise synthesis.SynthesisError("no such stage")

    synthesized += [fail, nothing]
    with pytest.raises(synthesis.SynthesisError):
        synthesis.host_assembly("dev")
    assert list((project / ".build").iterdir()) == []

    assert synthesis.host_assembly("dev").is_dir()
