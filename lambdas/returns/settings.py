"""Settings of the returns functions."""

from functools import cache

from lambdas.eventing.settings import Settings, TableSettings


class WorkflowSettings(Settings, frozen=True, kw_only=True):
    """The workflow of a return."""

    state_machine_arn: str


@cache
def settings() -> TableSettings:
    """Returns the settings of functions that use the table."""
    return TableSettings.from_environ()


@cache
def workflow_settings() -> WorkflowSettings:
    """Returns the settings of the function that starts the workflow."""
    return WorkflowSettings.from_environ()
