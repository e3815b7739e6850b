"""moto as rehearsals use it, for tests of single handlers."""

from collections.abc import Iterator
from contextlib import contextmanager

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

    patches = Patches()
    egress.Egress().install(patches)
    moto_patches.keep_constants(patches)
    with mock_aws(config={"core": {"mock_credentials": False}}):
        undo = moto_patches.install()
        directly = moto_patches.call_directly(DEFAULT_ACCOUNT_ID, patches)
        patches.set(BaseClient, "_make_api_call", directly)
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
