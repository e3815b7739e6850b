"""Deliveries of one service to another: how they fail, and whether a retry helps."""

from collections.abc import Callable

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


def deliver(
    core: Core,
    source: str,
    target: str,
    hand_over: Callable[[], None],
    *,
    within_s: float,
    pauses_s: tuple[float, float],
    **detail: object,
) -> DeliveryFailed | None:
    """Tries until the target accepts a delivery, and records each attempt with ``detail``.

    Pauses double, from the first to the longest of ``pauses_s``. Returns the failure after which
    the delivery was discarded, because no retry helps or fits into ``within_s``; else None.
    """
    expires = core.scheduler.now() + within_s
    pause, longest = pauses_s
    while True:
        try:
            hand_over()
        except DeliveryFailed as failure:
            code = failure.code
            core.meter.add("delivery", source, target, outcome="failed", error=code, **detail)
            if not failure.retriable or core.scheduler.now() + pause > expires:
                core.meter.add("discarded", source, "nowhere", condition=code, **detail)
                return failure
            core.scheduler.sleep(pause)
            pause = min(pause * 2, longest)
        else:
            core.meter.add("delivery", source, target, outcome="delivered", **detail)
            return None
