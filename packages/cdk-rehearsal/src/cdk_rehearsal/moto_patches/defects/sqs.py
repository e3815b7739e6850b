"""A defect of SQS in moto 5.2.5.

**A message is still hidden at the moment at which its visibility timeout ends.** A clock that
stands still between two steps, as in a rehearsal or under freezegun, shows it. In SQS a message is
visible again once the timeout is over:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html

    with freeze_time("2026-01-05"):
        sqs.send_message(QueueUrl=url, MessageBody="a")
        sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
        sqs.receive_message(QueueUrl=url)  # No message.
"""

from moto.core.utils import unix_time_millis
from moto.sqs.models import Message

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Shows a message from the end of its visibility timeout on."""
    patches.set(Message, "visible", property(lambda self: unix_time_millis() >= self.visible_at))
