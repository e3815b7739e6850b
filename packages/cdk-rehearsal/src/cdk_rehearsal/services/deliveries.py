"""Deliveries of one service to another: how they fail, and whether a retry helps."""

from cdk_rehearsal.core import Core
from cdk_rehearsal.faults import TargetGone

THROTTLED = "ThrottlingException"
"""The code of a call over a rate, which is tried again."""


class DeliveryFailed(Exception):
    """A target did not accept a delivery; ``code`` is the reason that the sender reports."""

    def __init__(self, code: str, message: str = "", *, retriable: bool = False) -> None:
        super().__init__(message or code)
        self.code = code
        self.retriable = retriable


def check_faults(core: Core, source: str, target: str, *, gone: str, failed: str = "") -> None:
    """Raises DeliveryFailed if a fault acts on a delivery.

    The code is ``gone`` if the target was deleted, else ``failed`` or by default the fault's text.
    """
    try:
        core.faults.check("delivery", source, target)
    except TargetGone as error:
        raise DeliveryFailed(gone, str(error)) from error
    except Exception as error:
        raise DeliveryFailed(failed or str(error), str(error), retriable=True) from error
