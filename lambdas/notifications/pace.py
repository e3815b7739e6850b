"""The pace of a sender: SES and SNS refuse messages above the account's rate."""

import random
import time
from collections.abc import Callable

from botocore.exceptions import ClientError

_ATTEMPTS = 8
_PATIENCE_S = 15
"""How often and how long a message is tried at most: half of the sender's timeout."""

_THROTTLED = {
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
"""https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html"""


class Pace:
    """Spaces the messages of one execution environment.

    A message that has to wait occupies a sender, so that others wait in the queue. If it returned
    to the queue whenever it is throttled, it would be parked after a few attempts.
    """

    def __init__(self) -> None:
        self._next = 0.0

    def send(self, call: Callable[[], object], interval_s: float) -> None:
        """Makes a call, at least `interval_s` seconds after the last one.

        If it is throttled, because others send at the same moment, it is made again after a random
        pause. Raises ClientError.
        """
        end = time.time() + _PATIENCE_S
        for left in reversed(range(_ATTEMPTS)):
            self._keep(interval_s)
            try:
                call()
                return
            except ClientError as error:
                later = time.time() + 2 * interval_s
                throttled = error.response["Error"]["Code"] in _THROTTLED
                if not throttled or not left or later > end:
                    raise
            time.sleep(random.uniform(0, interval_s))

    def _keep(self, interval_s: float) -> None:
        now = time.time()
        # A clock that was set back must not stop the sender.
        pause = min(max(self._next - now, 0.0), interval_s)
        if pause:
            time.sleep(pause)
        self._next = now + pause + interval_s
