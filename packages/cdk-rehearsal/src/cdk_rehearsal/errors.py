"""Errors that the rehearsal raises; each message says what is wrong, where, and what to do."""

from dataclasses import dataclass


class RehearsalError(Exception):
    """The rehearsal cannot go on; the message says what is wrong, where, and what to do."""


class UnsupportedTemplateError(RehearsalError):
    """A template uses a resource type, property or function that the rehearsal does not know."""


@dataclass(frozen=True)
class Unsupported:
    """A part of an assembly that cannot be rehearsed."""

    path: str
    """The path of the resource, or of the stack."""
    where: str
    """The stack, and the logical id and type of the resource."""
    problem: str
    """The problem, and what to do."""

    def __str__(self) -> str:
        """One line: where, and the problem."""
        return f"{self.where}: {self.problem}"


class LoadingError(UnsupportedTemplateError):
    """An assembly that cannot be rehearsed; the message lists all of its problems."""

    def __init__(self, problems: list[Unsupported]) -> None:
        """Takes all problems, at least one."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class ProcessKilled(BaseException):
    """Ends a process from outside; handlers cannot catch it with ``except Exception``."""
