"""Errors that the rehearsal raises; each message says what is wrong, where, and what to do."""


class RehearsalError(Exception):
    """The rehearsal cannot go on; the message says what is wrong, where, and what to do."""


class UnsupportedTemplateError(RehearsalError):
    """A template uses a resource type, property or function that the rehearsal does not know."""


class ProcessKilled(BaseException):
    """Ends a process from outside; handlers cannot catch it with ``except Exception``."""
