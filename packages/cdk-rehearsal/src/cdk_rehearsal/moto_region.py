"""moto as rehearsals use it, for tests of single handlers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.client import BaseClient
from moto import mock_aws
from moto.core.models import DEFAULT_ACCOUNT_ID

from cdk_rehearsal import clients, egress, moto_patches
from cdk_rehearsal.direct import DirectCalls
from cdk_rehearsal.patching import Patches


@contextmanager
def corrected_moto() -> Iterator[None]:
    """Starts moto with corrected defects and faster calls.

    Connections to anything else are errors. Create boto3 clients within the block.
    """
    patches = Patches()
    egress.Egress().install(patches)
    with mock_aws(config={"core": {"mock_credentials": False}}):
        undo = moto_patches.install()
        clients.patch(patches)
        direct = DirectCalls(DEFAULT_ACCOUNT_ID)
        direct.install(patches)
        calls_api: Callable[..., Any] = BaseClient._make_api_call  # type: ignore[attr-defined]
        patches.set(BaseClient, "_make_api_call", direct.before(calls_api))
        try:
            yield
        finally:
            patches.undo()
            undo()


@contextmanager
def aws_variables(region: str) -> Iterator[None]:
    """Sets the variables of an AWS account in moto, and hides the machine's own."""
    restore = egress.set_environment(egress.environment(region))
    try:
        yield
    finally:
        restore()
