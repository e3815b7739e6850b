"""Speed-ups of botocore and moto that change no answer.

``clients``, ``direct`` and ``prototypes`` patch botocore, and ``constants`` moto before it starts:
they are installed separately.
"""

from moto.core.common_models import BaseModel

from cdk_rehearsal.moto_patches.speed import accounts, cognito, dynamodb, ids, kms, s3, sqs
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.virtual_time.scheduler import Scheduler


def patch(patches: Patches, scheduler: Scheduler | None) -> None:
    """Replaces the most expensive parts. With a scheduler, long polls wait in virtual time."""
    # moto keeps every model object for its dashboard.
    patches.set(BaseModel, "__new__", staticmethod(lambda cls, *_, **__: object.__new__(cls)))
    for service in (accounts, dynamodb, s3, cognito, ids, kms):
        service.patch(patches)
    sqs.patch(patches, scheduler)
