"""The host of a partner's API: it counts its requests, and faults act on them."""

from collections import Counter
from collections.abc import Callable

from cdk_rehearsal import Response

Fault = Callable[[Callable[[], Response]], Response]
"""Answers in place of the host. It may have the effect by calling its argument."""


class PartnerHost:
    """Base of the hosts in the demo."""

    def __init__(self) -> None:
        self.calls = Counter[str]()
        """The number of requests that reached it, by operation."""
        self._faults: list[tuple[str, Fault]] = []

    def fail(self, operation: str, fault: Fault) -> None:
        """Lets a fault act on the next request of an operation; `*` stands for any operation."""
        self._faults.append((operation, fault))

    def received(self, operation: str, answer: Callable[[], Response]) -> Response:
        """Counts a request; returns its answer, or that of a fault."""
        self.calls[operation] += 1
        for waiting in self._faults:
            if waiting[0] in (operation, "*"):
                self._faults.remove(waiting)
                return waiting[1](answer)
        return answer()
