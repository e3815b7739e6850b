"""A sampling profiler: which part of the program the CPU time goes to, at hardly any cost."""

from __future__ import annotations

import signal
import sysconfig
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from stacks.constructs.packaging import PROJECT

_INTERVAL_S = 0.01
_LIBRARY = sysconfig.get_path("purelib")
_STANDARD = sysconfig.get_path("stdlib")


class Profile:
    """Where the interpreter was each time that another 10 ms of CPU time were used up."""

    def __init__(self) -> None:
        self.parts: Counter[str] = Counter()
        """Samples by package. Python's own library counts for whoever uses it."""
        self.functions: Counter[str] = Counter()
        """Samples by function, without those that it calls."""

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take samples meanwhile. Unix only, and in the main thread."""
        previous = signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, previous)

    @property
    def samples(self) -> int:
        """How many there are."""
        return self.functions.total()

    def _sample(self, _: int, frame: FrameType | None) -> None:
        if frame is not None:
            code = frame.f_code
            self.functions[f"{_short(code.co_filename)}:{code.co_qualname}"] += 1
            self.parts[_part(frame)] += 1


def _part(frame: FrameType | None) -> str:
    """The package, to its second level, of the innermost frame that is not Python's own."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_STANDARD, "<")) or file.startswith(_LIBRARY):
            return ".".join(Path(_short(file)).with_suffix("").parts[:2])
        frame = frame.f_back
    return "python"


def _short(file: str) -> str:
    """The path of a file within its library, or within the project."""
    for root in (_LIBRARY, str(PROJECT), _STANDARD):
        if file.startswith(root):
            short = file[len(root) + 1 :]
            # A deployment package holds the project's own modules.
            return short.partition("/")[2].partition("/")[2] if short[0] == "." else short
    return file
