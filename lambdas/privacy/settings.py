"""Settings of the privacy functions."""

from functools import cache

from lambdas.eventing.settings import Settings, TableSettings


class WorkflowSettings(Settings, frozen=True, kw_only=True):
    """The workflow of an erasure."""

    state_machine_arn: str


class AccountSettings(Settings, frozen=True, kw_only=True):
    """The user pool with the customers' accounts."""

    user_pool_id: str


@cache
def settings() -> TableSettings:
    """Returns the settings of functions that use the table."""
    return TableSettings.from_environ()


@cache
def workflow_settings() -> WorkflowSettings:
    """Returns the settings of the function that starts the workflow."""
    return WorkflowSettings.from_environ()


@cache
def account_settings() -> AccountSettings:
    """Returns the settings of the function that deletes accounts."""
    return AccountSettings.from_environ()
