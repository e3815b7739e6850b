"""The layout of the map of events and their consumers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tools.catalogue.model import EventPage, System

_HEAD = 36
_ROW = 28
_FOOT = 8
_GAP = 18

EVERYTHING = "everything"
"""The card of the consumers of every event."""


@dataclass(frozen=True)
class MapFormat:
    """The widths of a map and of its cards."""

    width: int
    card: int


PAGE = MapFormat(width=1080, card=290)
PICTURE = MapFormat(width=580, card=212)
"""The format that can be read on a phone."""


@dataclass(frozen=True)
class MapRow:
    """A row of a card: an event or a consumer."""

    key: str
    y: int
    """The vertical centre."""


@dataclass(frozen=True)
class MapCard:
    """A context on one side of the map."""

    context: str
    x: int
    y: int
    height: int
    rows: tuple[MapRow, ...]


@dataclass(frozen=True)
class MapLine:
    """A line from an event to one of its consumers."""

    event: str
    consumer: str
    path: str
    faint: bool
    """Whether the consumer receives every event, so that the line is of little interest."""


@dataclass(frozen=True)
class EventMap:
    """Events with their publishers on the left, consumers on the right, and lines between them."""

    width: int
    height: int
    card: int
    publishers: tuple[MapCard, ...]
    consumers: tuple[MapCard, ...]
    lines: tuple[MapLine, ...]


Column = dict[str, list[str]]
"""The rows of each card on one side."""


def map_of(system: System, context: str | None = None, *, format_: MapFormat = PAGE) -> EventMap:
    """Returns the map of all events, or of those that a context publishes or consumes."""
    events = [event for event in system.events.values() if _shown(system, event, context)]
    pairs = [
        (event.name, consumer)
        for event in events
        for consumer in event.consumers
        if context in {None, event.context, system.functions[consumer].context}
    ]
    left = _column((event.context, event.name) for event in events)
    right = _column((system.functions[end].context, end) for _, end in pairs)
    for _ in range(4):
        right = _untangled(right, left, [(end, name) for name, end in pairs])
        left = _untangled(left, right, pairs)
    public = [event.name for event in events if event.published] if context is None else []
    faint = [(name, way.end.path) for name in public for way in system.everything]
    if faint:
        right[EVERYTHING] = [*dict.fromkeys(end for _, end in faint)]
    height = max(_height(left), _height(right))
    publishers = _cards(left, 0, height)
    consumers = _cards(right, format_.width - format_.card, height)
    starts = {row.key: row.y for card in publishers for row in card.rows}
    named = [card for card in consumers if card.context != EVERYTHING]
    every = [card for card in consumers if card.context == EVERYTHING]
    return EventMap(
        width=format_.width,
        height=height,
        card=format_.card,
        publishers=publishers,
        consumers=consumers,
        lines=(
            *_lines(pairs, starts, named, format_, faint=False),
            *_lines(faint, starts, every, format_, faint=True),
        ),
    )


def _shown(system: System, event: EventPage, context: str | None) -> bool:
    around = {event.context} | {system.functions[end].context for end in event.consumers}
    return context is None or context in around


def _column(rows: Iterable[tuple[str, str]]) -> Column:
    found: Column = {}
    for context, key in sorted(set(rows)):
        found.setdefault(context, []).append(key)
    return found


def _untangled(column: Column, other: Column, pairs: Sequence[tuple[str, str]]) -> Column:
    """Returns the column with cards and rows close to their counterparts: few lines cross."""
    rows = [key for keys in other.values() for key in keys]
    places = {key: place for place, key in enumerate(rows)}

    def pull(keys: Iterable[str]) -> float:
        wanted = {*keys}
        ties = [places[there] for here, there in pairs if here in wanted]
        return fmean(ties) if ties else len(rows)

    ordered = {
        context: sorted(keys, key=lambda key: (pull([key]), key))
        for context, keys in column.items()
    }
    return dict(sorted(ordered.items(), key=lambda item: (pull(item[1]), item[0])))


def _height(column: Column) -> int:
    return sum(_card_height(keys) for keys in column.values()) + _GAP * (len(column) - 1)


def _card_height(keys: Sequence[str]) -> int:
    return _HEAD + _ROW * len(keys) + _FOOT


def _cards(column: Column, x: int, height: int) -> tuple[MapCard, ...]:
    # The shorter side is spread over the height of the other one.
    spare = (height - _height(column)) // max(1, len(column) - 1) if len(column) > 1 else 0
    gap = _GAP + min(spare, 3 * _GAP)
    used = _height(column) + (gap - _GAP) * (len(column) - 1)
    y = (height - used) // 2
    cards = []
    for context, keys in column.items():
        rows = tuple(
            MapRow(key, y + _HEAD + _ROW * place + _ROW // 2) for place, key in enumerate(keys)
        )
        cards.append(MapCard(context, x, y, _card_height(keys), rows))
        y += _card_height(keys) + gap
    return tuple(cards)


def _lines(
    pairs: Sequence[tuple[str, str]],
    starts: Mapping[str, int],
    consumers: Sequence[MapCard],
    format_: MapFormat,
    *,
    faint: bool,
) -> Iterator[MapLine]:
    ends = {row.key: row.y for card in consumers for row in card.rows}
    for event, consumer in pairs:
        yield MapLine(event, consumer, _curve(starts[event], ends[consumer], format_), faint)


def _curve(start: int, end: int, format_: MapFormat) -> str:
    left, right = format_.card, format_.width - format_.card
    bend = (right - left) // 2
    return f"M{left} {start}C{left + bend} {start} {right - bend} {end} {right} {end}"
