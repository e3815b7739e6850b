"""moto as rehearsals use it, for tests of single handlers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cdk_rehearsal.sandbox import egress
from cdk_rehearsal.sandbox.moto_import import prepare_moto
from cdk_rehearsal.sandbox.patching import Patches


@contextmanager
def corrected_moto() -> Iterator[None]:
    """Starts moto with corrected defects and faster calls.

    Connections to anything else are errors. Create boto3 clients within the block.
    """
    prepare_moto()
    from botocore.client import BaseClient
    from moto import mock_aws
    from moto.core.models import DEFAULT_ACCOUNT_ID

    from cdk_rehearsal import moto_patches
    from cdk_rehearsal.moto_patches.speed import clients
    from cdk_rehearsal.moto_patches.speed.direct import DirectCalls

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
