"""Speed-ups of botocore and moto; none of them changes an answer.

``clients`` and ``direct`` are installed by themselves: they replace botocore, not moto.
"""

from moto.core.common_models import BaseModel

from cdk_rehearsal.moto_patches.speed import accounts, cognito, dynamodb, s3, sqs
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.virtual_time.scheduler import Scheduler


def patch(patches: Patches, scheduler: Scheduler | None) -> None:
    """Replaces what costs most. With a scheduler, long polls of queues wait in its time."""
    # moto keeps every model object that was ever made, for a dashboard.
    patches.set(BaseModel, "__new__", staticmethod(lambda cls, *_, **__: object.__new__(cls)))
    for service in (accounts, dynamodb, s3, cognito):
        service.patch(patches)
    sqs.patch(patches, scheduler)
