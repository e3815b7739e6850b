"""Schedule expressions of EventBridge Scheduler, ``at``, ``rate`` and ``cron``, in UTC."""

import re
from calendar import SATURDAY, SUNDAY, monthrange, weekday
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

_EXPRESSION = re.compile(r"(at|rate|cron)\((.+)\)")
_RATE = re.compile(r"([1-9]\d*) (minute|hour|day)s?", re.ASCII)
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400}
_LAST_YEAR = 2199
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
# In these expressions the week begins with Sunday, which is 1.
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class InvalidExpression(ValueError):
    """A schedule expression that EventBridge Scheduler does not take."""


class Recurrence(Protocol):
    """When something is to happen; all times are seconds since the epoch."""

    def times(self, start: float) -> Iterator[float]:
        """Returns the times from ``start`` on, in their order."""


def parse(expression: str) -> Recurrence:
    """Returns what an expression means; raises InvalidExpression.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
    """
    found = _EXPRESSION.fullmatch(expression)
    try:
        if found is None:
            raise ValueError
        return _KINDS[found[1]](found[2])
    except ValueError:
        raise InvalidExpression(f"Invalid Schedule Expression {expression}.") from None


@dataclass(frozen=True)
class Once:
    """At one time."""

    moment: float

    def times(self, start: float) -> Iterator[float]:
        """Returns the one time, unless it is over."""
        if self.moment >= start:
            yield self.moment


@dataclass(frozen=True)
class _Rate:
    period: int

    def times(self, start: float) -> Iterator[float]:
        # "If you do not provide a StartDate, your schedule starts invoking the target immediately."
        while True:
            yield start
            start += self.period


@dataclass(frozen=True)
class _Cron:
    minutes: list[int]
    hours: list[int]
    days_of_month: str
    months: list[int]
    days_of_week: str
    years: list[int]

    def times(self, start: float) -> Iterator[float]:
        first = datetime.fromtimestamp(start, UTC)
        for year in self.years:
            for month in self.months:
                if (year, month) < (first.year, first.month):
                    continue
                for day in self._days(year, month):
                    for hour in self.hours:
                        for minute in self.minutes:
                            moment = datetime(year, month, day, hour, minute, tzinfo=UTC)
                            if moment >= first:
                                yield moment.timestamp()

    def _days(self, year: int, month: int) -> list[int]:
        if self.days_of_week == "?":
            return _days_of_month(self.days_of_month, year, month)
        return _days_of_week(self.days_of_week, year, month)


def _at(text: str) -> Once:
    return Once(datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp())


def _rate(text: str) -> _Rate:
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueError
    return _Rate(int(found[1]) * _SECONDS[found[2]])


def _cron(text: str) -> _Cron:
    minutes, hours, days, months, weekdays, years = text.upper().split()
    # One of the two says which days, the other that it does not.
    if (days == "?") == (weekdays == "?"):
        raise ValueError
    cron = _Cron(
        _numbers(minutes, 0, 59),
        _numbers(hours, 0, 23),
        days,
        _numbers(months, 1, 12, _MONTHS),
        weekdays,
        _numbers(years, 1970, _LAST_YEAR),
    )
    cron._days(2000, 1)
    return cron


_KINDS: dict[str, Callable[[str], Recurrence]] = {"at": _at, "rate": _rate, "cron": _cron}


def _numbers(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> list[int]:
    """Returns the numbers that a field names: a list of ``*``, ``a``, ``a-b``, each with ``/n``."""

    def number(text: str) -> int:
        value = names.index(text) + low if text in names else int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    found = set[int]()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = number(first)
            end = number(last) if last else high if step else begin
        if begin > end or (step and int(step) < 1):
            raise ValueError
        found.update(range(begin, end + 1, int(step or 1)))
    return sorted(found)


def _days_of_month(field: str, year: int, month: int) -> list[int]:
    """Returns the days that a field names: also ``L``, the last, and ``15W``, the nearest weekday.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#cron-based
    """
    length = monthrange(year, month)[1]
    if field == "L":
        return [length]
    if field.endswith("W"):
        (wanted,) = _numbers(field[:-1], 1, 31)
        day = min(wanted, length)
        kind = weekday(year, month, day)
        if kind == SATURDAY:
            return [day - 1 if day > 1 else day + 2]
        if kind == SUNDAY:
            return [day + 1 if day < length else day - 2]
        return [day]
    return [day for day in _numbers(field, 1, 31) if day <= length]


def _days_of_week(field: str, year: int, month: int) -> list[int]:
    """Returns the days that a field names: also ``6L``, the last Friday, and ``6#3``, the third."""
    first = datetime(year, month, 1, tzinfo=UTC)
    dates = [first + timedelta(days=n) for n in range(monthrange(year, month)[1])]

    def those(part: str) -> list[int]:
        wanted = _numbers(part, 1, 7, _DAYS)
        return [date.day for date in dates if date.isoweekday() % 7 + 1 in wanted]

    name, hash_, place = field.partition("#")
    if hash_:
        (position,) = _numbers(place, 1, 5)
        return those(name)[position - 1 : position]
    if field.endswith("L"):
        return those(field[:-1] or "7")[-1:]
    return those(field)
