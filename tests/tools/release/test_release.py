"""Releases of a small repository: the steps, the record, and roll backs.

`make` is a script on the PATH that records its command lines; the record is in moto's SSM.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws

from tools.contracts import documents, review
from tools.release import changelog, cli
from tools.release.record import Record
from tools.release.steps import ReleaseError
from workspace.isolation import PROJECT

# Fails if the file `failing` has a pattern for the line that it writes.
MAKE = """#!/bin/sh
shift
target=$1
shift 2
release=$(cat "$PWD/release.txt")
step="$release: $target${*:+ $*}${ARGS:+ leaked $ARGS}${MAKEFLAGS:+ leaked $MAKEFLAGS}"
case "$PATH" in *VENV*) step="$step leaked $PATH" ;; esac
echo "$step" >> LOG
! echo "$step" | grep -qxf FAILING
"""
APPROVED = "ARGS=--require-approval never"
RELEASED = "## 0.2.0 (2027-01-31)\n\n- Something.\n"


class Desk:
    """A repository with two releases, of which the second one is checked out."""

    def __init__(self, folder: Path, ssm: Any) -> None:
        self.project = folder / "project"
        self.record = Record(ssm, "dev")
        self._log, self._failing = folder / "log", folder / "failing"
        self.fail("-")
        script = MAKE.replace("LOG", str(self._log)).replace("FAILING", str(self._failing))
        script = script.replace("VENV", str(PROJECT / ".venv"))
        (folder / "bin").mkdir()
        (folder / "bin" / "make").write_text(script)
        (folder / "bin" / "make").chmod(0o755)
        self.project.mkdir()
        self.git("init", "-q", "-b", "main")
        self.first = self.commit("first")
        self.second = self.commit("second")

    def git(self, *arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=self.project, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, release: str, log: str = RELEASED) -> str:
        (self.project / "release.txt").write_text(release)
        (self.project / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
        (self.project / "CHANGELOG.md").write_text(log)
        self.git("add", ".")
        self.git("commit", "-q", "-m", release)
        return self.git("rev-parse", "HEAD")

    def fail(self, *steps: str) -> None:
        """Lets steps fail, given as `RELEASE: TARGET` and a pattern of the variables."""
        self._failing.write_text("".join(f"{step}.*\n" for step in steps))

    @property
    def steps(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    def release(self, **options: Any) -> None:
        cli.release("dev", self.record, **options)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Nobody")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "nobody@example.com")
    path = [str(tmp_path / "bin"), str(PROJECT / ".venv/bin"), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    for module in (cli, review, documents):
        monkeypatch.setattr(module, "PROJECT", tmp_path / "project")
    monkeypatch.setattr(changelog, "FILE", tmp_path / "project" / "CHANGELOG.md")
    # An outer make passes on its command line.
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=--base=left STAGE=prod")
    monkeypatch.setenv("ARGS", "--base=left")
    with mock_aws():
        yield Desk(tmp_path, boto3.client("ssm", region_name="eu-central-1"))


def test_a_release_is_reviewed_against_the_last_good_one_and_then_recorded(desk: Desk) -> None:
    desk.record.write(desk.first)
    desk.release()
    assert desk.steps == [
        f"second: review BASE={desk.first} ARGS=--exactly",
        "second: diff",
        f"second: deploy {APPROVED}",
        "second: smoke",
    ]
    assert desk.record.read() == desk.second


def test_a_first_release_is_reviewed_against_the_last_tag_or_not_at_all(desk: Desk) -> None:
    desk.release()
    assert [step.split()[1] for step in desk.steps] == ["diff", "deploy", "smoke"]

    desk.git("tag", "v0.1.0", desk.first)
    desk.record = Record(boto3.client("ssm", region_name="eu-west-1"), "dev")
    desk.release()
    assert desk.steps[3] == f"second: review BASE={desk.first} ARGS=--exactly"


@pytest.mark.parametrize("step", ["review", "diff"])
def test_nothing_is_deployed_after_a_finding_of_the_review_or_the_diff(
    desk: Desk, step: str
) -> None:
    desk.record.write(desk.first)
    desk.fail(f"second: {step}")
    with pytest.raises(ReleaseError, match=rf"`make {step} .*\nNothing was"):
        desk.release()
    assert not [each for each in desk.steps if "deploy" in each]
    assert desk.record.read() == desk.first


@pytest.mark.parametrize("step", ["deploy", "smoke"])
def test_a_failed_deployment_or_smoke_test_deploys_the_last_good_release_and_fails(
    desk: Desk, step: str
) -> None:
    desk.record.write(desk.first)
    desk.fail(f"second: {step}")
    with pytest.raises(ReleaseError, match=f"was rolled back to {desk.first[:9]}"):
        desk.release()
    assert desk.steps[-3:] == [
        f"second: review BASE={desk.first} ARGS=--exactly --back",
        f"first: deploy {APPROVED}",
        "first: smoke",
    ]
    assert desk.record.read() == desk.first
    assert desk.git("worktree", "list").count("\n") == 0


def test_a_roll_back_that_would_lose_data_is_left_to_a_person(desk: Desk) -> None:
    desk.record.write(desk.first)
    desk.fail("second: smoke", "second: review .*--back")
    with pytest.raises(ReleaseError, match="dev stays as it is: roll forward") as raised:
        desk.release()
    assert "smoke" in str(raised.value)
    assert not [each for each in desk.steps if each.startswith("first:")]


def test_a_failed_roll_back_says_that_both_versions_may_be_there(desk: Desk) -> None:
    desk.record.write(desk.first)
    desk.fail("second: smoke", "first: smoke")
    with pytest.raises(ReleaseError, match="dev may have parts of both versions"):
        desk.release()
    assert desk.record.read() == desk.first


def test_without_an_earlier_release_a_failure_is_only_reported(desk: Desk) -> None:
    desk.fail("second: smoke")
    with pytest.raises(ReleaseError, match="no other release of dev to roll back to"):
        desk.release()
    assert desk.record.read() is None


def test_a_commit_names_all_that_is_deployed(desk: Desk) -> None:
    (desk.project / "forgotten.py").touch()
    with pytest.raises(ReleaseError, match=r"(?s)the working tree has changes.*forgotten\.py"):
        desk.release()
    assert desk.steps == []


@pytest.mark.parametrize(
    ("tag", "log"),
    [
        ("v0.3.0", RELEASED),
        ("v0.2.0", RELEASED.replace("2027-01-31", "unreleased")),
        ("v0.2.0", RELEASED.replace("0.2.0", "0.1.0")),
    ],
)
def test_a_tag_is_the_version_that_the_changelog_describes(desk: Desk, tag: str, log: str) -> None:
    desk.commit("third", log)
    desk.git("tag", tag)
    with pytest.raises(ReleaseError, match=f"the tag {tag} needs the version"):
        desk.release()
    assert desk.steps == []


def test_a_stage_goes_back_to_an_earlier_release_only_from_what_it_has(desk: Desk) -> None:
    with pytest.raises(ReleaseError, match="dev has no release"):
        cli.go_back("dev", desk.record, desk.first)
    desk.record.write(desk.second)
    cli.go_back("dev", desk.record, desk.first)
    assert desk.steps[-2:] == [f"first: deploy {APPROVED}", "first: smoke"]
    assert desk.record.read() == desk.first


def test_a_dry_run_lists_the_steps_and_needs_no_account(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["release", "--stage", "prod", "--dry-run"])
    cli.main()
    targets = [
        line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("make ")
    ]
    assert targets == ["review", "diff", "deploy", "smoke", "review", "deploy", "smoke"]
    assert desk.steps == []


def test_a_record_that_cannot_be_read_names_the_parameter_and_the_remedy(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = boto3.client(
        *("ssm", "eu-central-1"),
        endpoint_url="http://127.0.0.1:1",
        config=Config(retries={"max_attempts": 0}),
    )
    with pytest.raises(ReleaseError, match=r"/orderflow/dev/release cannot be read: .* log in"):
        cli.release("dev", Record(refusing, "dev"))
    assert desk.steps == []
