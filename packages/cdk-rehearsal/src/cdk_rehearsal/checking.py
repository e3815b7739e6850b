"""Finds everything in an assembly that cannot be rehearsed."""

from pathlib import Path

from cdk_rehearsal.assembly import Assembly
from cdk_rehearsal.errors import LoadingError, Unsupported, UnsupportedTemplateError
from cdk_rehearsal.rehearsal import Rehearsal


def check(directory: Path) -> list[Unsupported]:
    """Returns everything in an assembly that cannot be rehearsed; empty if all of it can.

    Raises RehearsalError if the directory is no cloud assembly.
    """
    stacks = Assembly(directory).stacks
    account = next((stack.account for stack in stacks if stack.account), "123456789012")
    region = next((stack.region for stack in stacks if stack.region), "eu-central-1")
    try:
        with Rehearsal(directory, account=account, region=region) as rehearsal:
            try:
                _ = rehearsal.http  # It reads the HTTP APIs when it is first used.
            except UnsupportedTemplateError as error:
                where, _, problem = str(error).partition(": ")
                return [Unsupported(where, where, problem)]
    except LoadingError as error:
        return error.problems
    return []
