"""The command `make release`: review, deploy and test a commit; roll back if it fails."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError

from tools.contracts.review import ReviewError, commit_of, unpack
from tools.release import changelog, steps
from tools.release.record import Record
from tools.release.steps import ReleaseError, explained, say
from workspace.isolation import PROJECT


def release(stage: str, record: Record, *, base: str | None = None) -> None:
    """Releases the checked-out commit to a stage.

    It is reviewed against the last good release, or against `base` if there is none, and rolled
    back to the last good release if the deployment or the smoke test fails. Raises ReleaseError.
    """
    commit = _checked_out()
    good = record.read()
    against = good or base or _last_tag()
    say(f"releasing {_named(commit)} to {stage}, which has {_named(good) if good else 'none'}")
    if against:
        with explained("Nothing was deployed"):
            steps.review(stage, _known(against)).run(PROJECT)
    else:
        say("no release is recorded and there is no tag, so nothing is reviewed: an empty stage?")
    with explained("Nothing was deployed"):
        steps.diff(stage).run(PROJECT)
    try:
        steps.deploy(stage).run(PROJECT)
        steps.smoke(stage).run(PROJECT)
    except ReleaseError as failure:
        say(f"failed: {failure}")
        if good in (None, commit):
            raise ReleaseError(
                f"{failure}\nThere is no other release of {stage} to roll back to: correct "
                "the cause and release again"
            ) from failure
        with explained(f"This was a roll back, after: {failure}"):
            roll_back(stage, good)
        raise ReleaseError(f"{failure}\n{stage} was rolled back to {_named(good)}") from failure
    record.write(commit)
    say(f"{stage} has {_named(commit)}")


def roll_back(stage: str, good: str) -> None:
    """Deploys an earlier commit over the checked-out one, with its own libraries, and tests it.

    Raises ReleaseError, before the deployment if it would lose data or be refused.
    """
    with explained(f"{stage} stays as it is: roll forward, or go back by hand after reading this"):
        steps.review_back(stage, _known(good)).run(PROJECT)
    with tempfile.TemporaryDirectory(prefix="roll-back-") as scratch:
        tree = Path(scratch, "orderflow")
        unpack(good, tree, shared=())
        with explained(f"{stage} may have parts of both versions: look at its stacks"):
            steps.deploy(stage).run(tree)
            steps.smoke(stage).run(tree)


def planned(stage: str) -> list[str]:
    """Returns the steps of a release and those of a roll back, one a line."""
    good = "RECORDED"
    deployed = [steps.deploy(stage), steps.smoke(stage)]
    return [
        f"{good} is the commit in the SSM parameter {Record(None, stage).name}",
        *map(str, [steps.review(stage, good), steps.diff(stage), *deployed]),
        "If the deployment or the smoke test fails, the last two in a copy of that commit:",
        *map(str, [steps.review_back(stage, good), *deployed]),
    ]


def _checked_out() -> str:
    """Returns the commit of a clean tree whose tag, if it has one, is in the changelog."""
    changed = _git("status", "--porcelain")
    if changed:
        raise ReleaseError(
            "the working tree has changes, which no commit names, so they could not be deployed "
            f"again: commit or remove them\n{changed}"
        )
    changelog.check_tags(_git("tag", "--points-at", "HEAD", "--list", "v*").split())
    return _known("HEAD")


def _known(revision: str) -> str:
    """Returns the commit of a revision that is in this clone. Raises ReleaseError."""
    try:
        return commit_of(revision)
    except ReviewError as error:
        raise ReleaseError(str(error)) from error


def _last_tag() -> str | None:
    """Returns the newest tag before the checked-out commit, if there is one."""
    return _described("--abbrev=0", "HEAD^")


def _named(commit: str) -> str:
    """Returns a commit as its tag, or as its first characters."""
    return _described("--exact-match", commit) or commit[:9]


def _described(*options: str) -> str | None:
    try:
        return _git("describe", "--tags", "--match", "v*", *options)
    except ReleaseError:
        return None


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ReleaseError(
            f"`git {arguments[0]}` failed in {PROJECT}: {done.stderr.strip()}: release from a clone"
        )
    return done.stdout.strip()


def main() -> None:
    """Releases the checked-out commit to a stage. Ends with 1 if it is not there afterwards."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument(
        "--base", help="the revision to review against before a first recorded release"
    )
    parser.add_argument("--dry-run", action="store_true", help="list the steps, and do nothing")
    parser.add_argument(
        "--back-to", metavar="REV", help="go back from the checked-out release to an earlier one"
    )
    options = parser.parse_args()
    if options.dry_run:
        print(*planned(options.stage), sep="\n")
        return
    try:
        # The CDK reads AWS_REGION, which boto3 ignores.
        ssm = boto3.client("ssm", region_name=os.environ.get("AWS_REGION"))
        record = Record(ssm, options.stage)
        if options.back_to:
            go_back(options.stage, record, options.back_to)
        else:
            release(options.stage, record, base=options.base)
    except ReleaseError as error:
        sys.exit(f"error: {error}")
    except BotoCoreError as error:
        sys.exit(f"error: {error} Log in to the account of the stage, and set AWS_REGION")


def go_back(stage: str, record: Record, revision: str) -> None:
    """Goes back from the checked-out release to an earlier one, and records it.

    Raises ReleaseError, also if the checked-out commit is not the recorded one.
    """
    recorded, commit, target = record.read(), _checked_out(), _known(revision)
    if recorded != commit:
        raise ReleaseError(
            f"{stage} has {_named(recorded) if recorded else 'no release'}, and {_named(commit)} "
            "is checked out, so their differences are unknown: check out what the stage has"
        )
    roll_back(stage, target)
    record.write(target)
    say(f"{stage} has {_named(target)}")
