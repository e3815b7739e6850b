"""A sampling profiler with little overhead."""

from __future__ import annotations

import signal
import sysconfig
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from workspace.isolation import PROJECT

_INTERVAL_S = 0.01
_LIBRARY = sysconfig.get_path("purelib")
_STANDARD = sysconfig.get_path("stdlib")


class Profile:
    """Samples of the interpreter's position, one for each 10 ms of CPU time."""

    def __init__(self) -> None:
        self.parts: Counter[str] = Counter()
        """Samples by package. Python's own library counts for its caller."""
        self.functions: Counter[str] = Counter()
        """Samples by function, without callees."""

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Takes samples within the block. Unix only, and in the main thread."""
        previous = signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, previous)

    @property
    def samples(self) -> int:
        """The number of samples."""
        return self.functions.total()

    def _sample(self, _: int, frame: FrameType | None) -> None:
        if frame is not None:
            code = frame.f_code
            self.functions[f"{_short(code.co_filename)}:{code.co_qualname}"] += 1
            self.parts[_part(frame)] += 1


def _part(frame: FrameType | None) -> str:
    """Returns the package, to its second level, of the innermost frame outside the library."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_STANDARD, "<")) or file.startswith(_LIBRARY):
            return ".".join(Path(_short(file)).with_suffix("").parts[:2])
        frame = frame.f_back
    return "python"


def _short(file: str) -> str:
    """Returns the path of a file within its library or the project."""
    for root in (_LIBRARY, str(PROJECT), _STANDARD):
        if file.startswith(root):
            short = file[len(root) + 1 :]
            # A deployment package in .build holds modules of the project.
            return short.partition("/")[2].partition("/")[2] if short[0] == "." else short
    return file
