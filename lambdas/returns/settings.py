"""What the returns stack tells its functions."""

from functools import cache

from lambdas.eventing.settings import Settings, TableSettings


class WorkflowSettings(Settings, frozen=True, kw_only=True):
    """Which workflow a return is."""

    state_machine_arn: str


@cache
def settings() -> TableSettings:
    """Where returns keeps its records."""
    return TableSettings.from_environ()


@cache
def workflow_settings() -> WorkflowSettings:
    """The workflow, for the one function that starts it."""
    return WorkflowSettings.from_environ()
