"""Workflows of GitHub: what neither their schema nor zizmor finds in `make lint`."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from workspace.isolation import PROJECT

FILES = sorted((PROJECT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
EACH = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def jobs(file: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["jobs"]
    return found


def needed(job: dict[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else needs


@EACH
def test_each_needed_job_and_each_called_workflow_exists(file: Path) -> None:
    for job in jobs(file).values():
        assert jobs(file).keys() >= set(needed(job))
        if "uses" in job:
            assert (PROJECT / job["uses"]).is_file()


@EACH
def test_each_make_target_exists(file: Path) -> None:
    for job in jobs(file).values():
        for step in job.get("steps", []):
            for target in re.findall(r"\bmake ([a-z]+)", step.get("run", "")):
                assert target in TARGETS, f"{file.name} runs `make {target}`"


@EACH
def test_each_action_is_a_commit_with_the_name_of_its_release(file: Path) -> None:
    for line in re.findall(r"uses: (.*?)(?: # zizmor.*)?$", file.read_text(), re.MULTILINE):
        assert re.fullmatch(r"\./\S+|[\w/.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


@EACH
def test_no_workflow_has_a_stored_key(file: Path) -> None:
    assert "secrets." not in file.read_text()
    assert "aws-access-key-id" not in file.read_text()


def test_prod_is_released_after_dev_and_dev_after_the_checks() -> None:
    released = jobs(PROJECT / ".github/workflows/release.yml")
    assert needed(released["dev"]) == ["check"]
    assert needed(released["prod"]) == ["dev"]
    assert [released[stage]["with"]["stage"] for stage in ("dev", "prod")] == ["dev", "prod"]


def test_only_a_job_with_the_environment_of_its_stage_assumes_the_role() -> None:
    [job] = jobs(PROJECT / ".github/workflows/stage.yml").values()
    assert job["environment"] == "${{ inputs.stage }}"
    assert job["concurrency"] == {
        "group": "release-${{ inputs.stage }}",
        "cancel-in-progress": False,
    }
    (duration,) = [
        step["with"]["role-duration-seconds"]
        for step in job["steps"]
        if "configure-aws-credentials" in step.get("uses", "")
    ]
    assert f"MaxSessionDuration: {duration}\n" in (PROJECT / "tools/release/role.yaml").read_text()
    assert job["timeout-minutes"] * 60 < duration
