"""Fixes of moto's defects: each module says what moto does, what AWS does, and how to see it.

The service installs those of ``step_functions``: only rehearsals import the interpreter.
"""

from cdk_rehearsal.moto_patches.defects import dynamodb, functions, kinesis, schedules, sqs
from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Fixes the defects."""
    for service in (dynamodb, functions, kinesis, schedules, sqs):
        service.patch(patches)
