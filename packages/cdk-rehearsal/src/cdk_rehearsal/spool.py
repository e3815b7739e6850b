"""Finished work in a temporary file, so that the memory of a rehearsal does not grow with it."""

from __future__ import annotations

import os
import pickle
import tempfile
import weakref
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import IO, Any, NamedTuple, TypeVar, overload

T = TypeVar("T")

_CHUNK = 256
"""The entries that are written and read together."""
_CACHED = 4
"""The chunks that stay in memory after they were read."""
_COMPRESSION = 1
"""zlib's fastest level. Entries repeat names and shapes, so little of their size is left."""


class Place(NamedTuple):
    """The place of some bytes in one of the files of a spool."""

    file: int
    offset: int
    size: int


class Spool:
    """Temporary files without names, which end with this object. Entries have to be picklable.

    A fork shares the position in an open file with its parent. So a fork starts a file of its own,
    and reads from its parent's at offsets that it states.
    """

    def __init__(self) -> None:
        # While a handler runs, environment variables and the working directory are the handler's.
        self._directory = tempfile.gettempdir()
        self._files: list[IO[bytes]] = []
        self._writer = 0
        """The process to which the last file belongs."""
        self._end = 0
        self._read = lru_cache(_CACHED)(partial(_load, self._files))
        weakref.finalize(self, _close, self._files)

    def write(self, entries: Sequence[Any]) -> Place:
        """Appends entries. Raises OSError if the disk is full."""
        if self._writer != os.getpid():
            # It is closed by `_close`.
            self._files.append(tempfile.TemporaryFile(buffering=0, dir=self._directory))  # noqa: SIM115
            self._writer, self._end = os.getpid(), 0
        data = zlib.compress(pickle.dumps(entries, pickle.HIGHEST_PROTOCOL), _COMPRESSION)
        place = Place(len(self._files) - 1, self._end, len(data))
        _write_at(self._files[-1], data, self._end)
        self._end += len(data)
        return place

    def read(self, place: Place) -> Sequence[Any]:
        """Returns the entries at a place."""
        return self._read(place)


class Spooled(Sequence[T]):
    """A sequence that changes only at its end, and of which only the end is in memory."""

    def __init__(self, spool: Spool, kept: int) -> None:
        """At least the last ``kept`` entries stay in memory."""
        self.kept = kept
        self._spool = spool
        self._places: list[Place] = []
        self._starts: list[int] = []
        """The number of the first entry at each place."""
        self._spooled = 0
        self._tail: list[T] = []

    @property
    def in_memory(self) -> int:
        """The number of entries in memory."""
        return len(self._tail)

    def append(self, entry: T) -> None:
        """Adds an entry."""
        self._tail.append(entry)
        if len(self._tail) >= self.kept + _CHUNK:
            self._write(self._tail[:_CHUNK])

    def _write(self, oldest: list[T]) -> None:
        """Moves the oldest entries in memory to the spool."""
        self._places.append(self._spool.write(oldest))
        self._starts.append(self._spooled)
        self._spooled += len(oldest)
        del self._tail[: len(oldest)]

    def __delitem__(self, index: slice) -> None:
        """Removes the last entries, from ``index.start`` on. They have to be in memory."""
        start, stop, step = index.indices(len(self))
        if start < self._spooled or stop < len(self) or step != 1:
            raise ValueError(f"{index} is not the end that is in memory, of {self!r}")
        del self._tail[start - self._spooled :]

    def __len__(self) -> int:
        return self._spooled + len(self._tail)

    def __iter__(self) -> Iterator[T]:
        return self.since(0)

    def since(self, start: int) -> Iterator[T]:
        """Yields the entries from a number on, and those that are added meanwhile."""
        while start < len(self):
            entries, first = self._around(start)
            # A copy: what is in memory may move to the spool meanwhile.
            for entry in entries[start - first :]:
                yield entry
                start += 1

    def _around(self, number: int) -> tuple[Sequence[T], int]:
        """Returns the entries in memory or at one place, with the number of the first of them."""
        if number >= self._spooled:
            return self._tail, self._spooled
        place = bisect_right(self._starts, number) - 1
        return self._spool.read(self._places[place]), self._starts[place]

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step < 0:
                return list(self)[index]
            return list(islice(self.since(start), 0, max(0, stop - start), step))
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(index)
        entries, first = self._around(number)
        return entries[number - first]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        return all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} entries, {len(self._tail)} of them in memory>"


def _load(files: list[IO[bytes]], place: Place) -> Sequence[Any]:
    data = _read_at(files[place.file], place.size, place.offset)
    entries: Sequence[Any] = pickle.loads(zlib.decompress(data))  # noqa: S301, written above
    return entries


def _close(files: list[IO[bytes]]) -> None:
    for file in files:
        file.close()


# Windows has neither call, and no forks that would share a position.


def _read_at(file: IO[bytes], size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(file.fileno(), size, offset)
    file.seek(offset)
    return file.read(size)


def _write_at(file: IO[bytes], data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        if hasattr(os, "pwrite"):
            done = os.pwrite(file.fileno(), rest, offset)
        else:
            file.seek(offset)
            done = file.write(rest)
        rest, offset = rest[done:], offset + done
