"""Orders that flow through the hops of a stage in virtual time: queues, pollers, retries, limits.

It runs no handler: what a handler takes and causes was measured in a rehearsal. How services scale,
retry and throttle is documented by AWS.
"""

from __future__ import annotations

import heapq
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from math import inf
from random import Random
from typing import Any

from cdk_rehearsal import BILLED, QUOTAS
from tools.load.flows import ORDER, Flow, Span, Stop
from tools.load.settings import Hop

_FIRST_POLLERS = 5
"""The batches of a queue with which Lambda begins; it adds up to 300 a minute.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"""
_POLLERS_PER_S = 5.0
_MOST_POLLERS = QUOTAS["lambda.queue_pollers"].value
_THROTTLED_S = (0.5, 30.0)
"""The first and the longest pause before a throttled batch is tried again."""
_SAMPLES = 400


@dataclass(frozen=True, kw_only=True)
class Clients:
    """What clients do if the API throttles them: they try again, after pauses that double."""

    tries: int = 6
    pause_s: float = 1.0
    jitter: bool = True
    """Whether a pause is anything between nothing and its length."""


@dataclass(frozen=True, kw_only=True)
class Slow:
    """A host outside AWS that answers one request after the other, slower for a while."""

    host: str
    rate: float
    """Requests per second."""
    slow_rate: float
    start_s: float
    end_s: float


@dataclass
class Counts:
    """What has happened at a hop."""

    came: int = 0
    handled: int = 0
    """Items whose effect happened, each counted once."""
    tries: int = 0
    """Items that were handed to a function, each time."""
    throttled: int = 0
    failed: int = 0
    dead: int = 0
    """Messages in the dead-letter queue."""
    lost: int = 0
    """Messages that were older than their queue keeps them."""
    refused: int = 0
    """Requests that clients gave up."""


@dataclass
class Outcome:
    """The result of a simulation. Times are seconds since its start."""

    at: list[float] = field(default_factory=list)
    """When samples were taken."""
    backlog: dict[str, list[int]] = field(default_factory=dict)
    """By function, the items that wait, at each sample."""
    age: dict[str, list[float]] = field(default_factory=dict)
    """By function, the age of the oldest item that waits."""
    counts: dict[str, Counts] = field(default_factory=dict)
    orders: int = 0
    began: array[float] = field(default_factory=lambda: array("d"))
    took: array[float] = field(default_factory=lambda: array("d"))
    """When confirmed orders came, and how long each took."""

    def recovered_s(self, function: str, *, start: float, end: float) -> float | None:
        """Returns how long after `end` a backlog is as small as before `start`; None if never."""
        samples = [*zip(self.at, self.backlog[function], strict=True)]
        usual = max(10, 2 * max((n for at, n in samples if at <= start), default=0))
        late = [at for at, n in samples if n > usual]
        if not late:
            return 0.0
        return None if late[-1] == self.at[-1] else max(0.0, late[-1] - end)

    def latencies(self, start: float = 0.0, end: float = inf) -> list[float]:
        """Returns what the orders that came between two times took, the shortest first."""
        pairs = zip(self.began, self.took, strict=True)
        return sorted(took for began, took in pairs if start <= began < end)


def percentile(values: list[float], part: int) -> float:
    """Returns a percentile of sorted values; NaN if there are none."""
    return values[min(len(values) - 1, len(values) * part // 100)] if values else float("nan")


def simulate(
    flow: Flow,
    hops: Mapping[str, Hop],
    arrivals: Iterator[float],
    *,
    until: float,
    concurrency: float,
    confirmed: str,
    clients: Clients = Clients(),
    slow: Slow | None = None,
    seed: int = 1,
) -> Outcome:
    """Returns what becomes of orders that come at these times, up to a time.

    `concurrency` is that of the account. `confirmed` is the start of the type of the event with
    which an order is confirmed.
    """
    run = _Run(flow, hops, concurrency, confirmed, clients, slow, seed)
    return run.all(arrivals, until)


class _Message:
    """An item on its way to a stop."""

    __slots__ = ("acted", "began", "done", "receives", "sent", "stop")

    def __init__(self, stop: Stop, began: float, sent: float) -> None:
        self.stop, self.began, self.sent = stop, began, sent
        self.receives = 0
        self.done = self.acted = False


class _Run:
    """The state of a simulation: the agenda, the account, and a station for each hop."""

    def __init__(
        self,
        flow: Flow,
        hops: Mapping[str, Hop],
        concurrency: float,
        confirmed: str,
        clients: Clients,
        slow: Slow | None,
        seed: int,
    ) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.clients, self.slow = clients, slow
        self.free = concurrency - sum(h.reserved for h in hops.values() if h.reserved < inf)
        self._agenda: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._number = count()
        self._busy_until = 0.0
        self.outcome = Outcome(counts={name: Counts() for name in hops})
        kinds = {"queue": _Queue, "stream": _Stream, "route": _Route}
        self.stations = {name: kinds[hop.kind](self, hop) for name, hop in hops.items()}
        self._effects: defaultdict[Stop, list[_Effect]] = defaultdict(list)
        for edge in flow.edges:
            station = self.stations[edge.target.function]
            delays = _delays(hops[edge.target.function], after_s=edge.after_s, topic=edge.topic)
            ends = edge.target.what.startswith(confirmed) and edge.source.what != edge.target.what
            effect = _Effect(
                edge.target, station.take, int(edge.items), edge.items % 1, delays, ends
            )
            self._effects[edge.source].append(effect)

    def all(self, arrivals: Iterator[float], until: float) -> Outcome:
        """Runs everything up to a time."""
        self._come(arrivals)
        self._sample(until / _SAMPLES)
        agenda = self._agenda
        while agenda and agenda[0][0] <= until:
            self.now, _, action, argument = heapq.heappop(agenda)
            action(argument)
        return self.outcome

    def at(self, time: float, action: Callable[[Any], None], argument: Any) -> None:
        """Plans an action."""
        heapq.heappush(self._agenda, (time, next(self._number), action, argument))

    def draw(self, span: Span) -> float:
        """Returns a time within a span."""
        return span[0] + (span[1] - span[0]) * self.random.random()

    def effects(self, stop: Stop, began: float) -> None:
        """Sends on what an item at a stop causes."""
        random, now = self.random.random, self.now
        for effect in self._effects.get(stop, ()):
            number = effect.whole
            if effect.part and random() < effect.part:
                number += 1
            if number and effect.confirms:
                self.outcome.began.append(began)
                self.outcome.took.append(now - began)
            for _ in range(number):
                message = _Message(effect.target, began, now)
                if effect.delays:
                    time = now
                    for shortest, longest in effect.delays:
                        time += shortest + (longest - shortest) * random()
                    self.at(time, effect.take, message)
                else:
                    effect.take(message)

    def waits_for(self, hop: Hop, items: int) -> float:
        """Returns how long a slow host lets a handler wait, for its place in the line.

        The host also answers requests that nobody waits for any more.
        """
        slow = self.slow
        number = items * hop.within.requests.get(slow.host, 0.0) if slow else 0.0
        if slow is None or not number:
            return 0.0
        begin = max(self.now, self._busy_until)
        rate = slow.slow_rate if slow.start_s <= begin < slow.end_s else slow.rate
        self._busy_until = begin + number / rate
        if begin < slow.end_s < self._busy_until and slow.start_s <= begin:
            rest = number - (slow.end_s - begin) * slow.slow_rate
            self._busy_until = slow.end_s + max(0.0, rest) / slow.rate
        return self._busy_until - self.now

    def _come(self, arrivals: Iterator[float]) -> None:
        time = next(arrivals, None)
        if time is not None:
            self.at(time, self._order, arrivals)

    def _order(self, arrivals: Iterator[float]) -> None:
        self.outcome.orders += 1
        self.effects(ORDER, self.now)
        self._come(arrivals)

    def _sample(self, every: float) -> None:
        outcome = self.outcome
        outcome.at.append(self.now)
        for name, station in self.stations.items():
            items, oldest = station.waiting()
            outcome.backlog.setdefault(name, []).append(items)
            outcome.age.setdefault(name, []).append(self.now - oldest if items else 0.0)
        self.at(self.now + every, self._sample, every)


@dataclass(frozen=True, slots=True)
class _Effect:
    """What an item causes: `whole` items, and one more with the probability `part`."""

    target: Stop
    take: Callable[[_Message], None]
    whole: int
    part: float
    delays: tuple[Span, ...]
    confirms: bool


def _delays(hop: Hop, *, after_s: Span, topic: bool) -> tuple[Span, ...]:
    """Returns what delays an item before it waits at a hop: the bus and the topic, or a client."""
    if hop.kind == "queue":
        return (BILLED.event_bus_s, *((BILLED.topic_s,) if topic else ()))
    return (after_s,) if any(after_s) else ()


class _Station:
    """A hop with its environments."""

    def __init__(self, run: _Run, hop: Hop) -> None:
        self.run, self.hop = run, hop
        self.counts = run.outcome.counts[hop.function]
        self._weight = hop.weight
        self._spread = len(hop.spread)
        self._reserved = hop.reserved
        self._running = 0
        self._warm = 0
        self._inner: defaultdict[int, list[float]] = defaultdict(list)
        """When each environment of the functions in a workflow is free, by the place in it."""

    def take(self, message: _Message) -> None:
        """Takes an item that has arrived."""
        raise NotImplementedError

    def waiting(self) -> tuple[int, float]:
        """Returns how many items wait, and when the oldest was sent."""
        return 0, self.run.now

    def invoke(self, items: int) -> tuple[float, bool] | None:
        """Starts a function with items: its duration, and whether it ends in time.

        None if the account or the function has no concurrency left. An environment serves the next
        invocation. A new one starts cold, and so do those of a workflow that it waits for.
        """
        run, hop, counts = self.run, self.hop, self.counts
        own = self._reserved < inf
        if (self._reserved < 1) if own else (run.free < self._weight):
            counts.throttled += 1
            return None
        if own:
            self._reserved -= 1
        else:
            run.free -= self._weight
        counts.tries += items
        seconds = (hop.base_s + items * hop.item_s) * hop.spread[
            int(run.random.random() * self._spread)
        ]
        if run.slow:
            seconds += run.waits_for(hop, items)
        self._running += 1
        if self._running > self._warm:
            self._warm = self._running
            seconds += run.draw(BILLED.cold_start_s)
        seconds += self._cold_within(items)
        if seconds > hop.timeout_s:
            counts.failed += items
            return hop.timeout_s, False
        return seconds, True

    def _cold_within(self, items: int) -> float:
        """Returns how long cold starts of functions in a workflow delay an invocation."""
        within, run = self.hop.within, self.run
        if not within.invocations:
            return 0.0
        each = within.seconds / within.invocations
        time, delay = run.now, 0.0
        for _ in range(items):
            for number in range(int(within.invocations + run.random.random())):
                free = self._inner[number]
                if free and free[0] <= time:
                    heapq.heappop(free)
                else:
                    cold = run.draw(BILLED.cold_start_s)
                    time, delay = time + cold, delay + cold
                time += each
                heapq.heappush(free, time)
        return delay

    def end(self) -> None:
        """Ends an invocation."""
        self._running -= 1
        if self._reserved < inf:
            self._reserved += 1
        else:
            self.run.free += self._weight

    def act(self, message: _Message) -> None:
        """Lets an item have its effects, once."""
        if not message.acted:
            message.acted = True
            self.counts.handled += 1
            self.run.effects(message.stop, message.began)


class _Route(_Station):
    """A route with its rate limit, and its function.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html
    """

    def __init__(self, run: _Run, hop: Hop) -> None:
        super().__init__(run, hop)
        self._tokens, self._since = hop.burst, 0.0

    def take(self, message: _Message) -> None:
        """Takes a request, or lets its client try again."""
        run, hop = self.run, self.hop
        self.counts.came += not message.receives
        if hop.rate < inf:
            filled = self._tokens + (run.now - self._since) * hop.rate
            self._tokens, self._since = min(hop.burst, filled), run.now
        started = None
        if self._tokens >= 1:
            self._tokens -= 1
            started = self.invoke(1)
        else:
            self.counts.throttled += 1
        if started is None:
            self._again(message)
        else:
            run.at(run.now + started[0], self._end, (message, started[1]))

    def _end(self, started: tuple[_Message, bool]) -> None:
        message, done = started
        self.end()
        if done:
            self.act(message)
        else:
            self._again(message)

    def _again(self, message: _Message) -> None:
        run, clients = self.run, self.run.clients
        message.receives += 1
        if message.receives >= clients.tries:
            self.counts.refused += 1
            return
        pause = clients.pause_s * 2 ** (message.receives - 1)
        if clients.jitter:
            pause *= run.random.random()
        run.at(run.now + pause, self.take, message)


class _Queue(_Station):
    """A queue with the mapping that polls it.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """

    def __init__(self, run: _Run, hop: Hop) -> None:
        super().__init__(run, hop)
        self._visible: deque[_Message] = deque()
        self._most = _MOST_POLLERS if hop.most is None else hop.most
        self._active = 0
        self._busy_since = 0.0
        self._planned = inf
        self._gathers_until: float | None = None

    def waiting(self) -> tuple[int, float]:
        """Returns how many messages are visible, and when the first was sent."""
        self._drop()
        first = self._visible[0].sent if self._visible else self.run.now
        return len(self._visible), first

    def take(self, message: _Message) -> None:
        """Takes a new message."""
        message.sent = self.run.now
        self.counts.came += 1
        self._visible.append(message)
        self._wake()

    def _wake(self) -> None:
        """Plans a poll, unless one is planned already: now, or when one more is at work."""
        now, latest = self.run.now, self.run.now + self.hop.poll_s[1]
        if not self._visible or self._planned <= latest:
            return
        if self._active < self._limit():
            self._plan(now + self.run.draw(self.hop.poll_s))
        elif self._limit() < self._most:
            self._plan(now + 1 / _POLLERS_PER_S)

    def _plan(self, time: float) -> None:
        if time < self._planned:
            self._planned = time
            self.run.at(time, self._poll, time)

    def _limit(self) -> int:
        """Returns how many batches the mapping handles at once: the more, the longer it is busy."""
        busy = self.run.now - self._busy_since if self._active else 0.0
        return min(self._most, _FIRST_POLLERS + int(busy * _POLLERS_PER_S))

    def _drop(self) -> None:
        while self._visible and self._visible[0].done:
            self._visible.popleft()

    def _poll(self, planned: float) -> None:
        if planned != self._planned:
            return
        self._planned = inf
        while self._active < self._limit():
            self._drop()
            if not self._visible or self._gathers():
                return
            batch = self._receive()
            if batch:
                if not self._active:
                    self._busy_since = self.run.now
                self._active += 1
                self._try((batch, self.run.now + self.hop.visibility_s, _THROTTLED_S[0]))
        self._wake()

    def _gathers(self) -> bool:
        if not self.hop.window_s or len(self._visible) >= self.hop.batch_size:
            self._gathers_until = None
            return False
        if self._gathers_until is None:
            self._gathers_until = self.run.now + self.hop.window_s
        if self.run.now >= self._gathers_until:
            self._gathers_until = None
            return False
        self._plan(self._gathers_until)
        return True

    def _receive(self) -> list[tuple[_Message, int]]:
        """Receives a batch, with the receipt of each message.

        A message that is too old is gone, and one that was received too often goes to the
        dead-letter queue instead.
        """
        batch: list[tuple[_Message, int]] = []
        while self._visible and len(batch) < self.hop.batch_size:
            message = self._visible.popleft()
            if message.done:
                continue
            message.receives += 1
            if self.run.now - message.sent >= self.hop.retention_s:
                message.done = True
                self.counts.lost += 1
            elif message.receives > self.hop.receives:
                message.done = True
                self.counts.dead += 1
            else:
                batch.append((message, message.receives))
        return batch

    def _try(self, given: tuple[list[tuple[_Message, int]], float, float]) -> None:
        """Invokes the function; if it is throttled, again until the messages are visible."""
        batch, visible, pause = given
        run = self.run
        started = self.invoke(len(batch))
        if started is None:
            if run.now + pause < visible:
                run.at(
                    run.now + pause, self._try, (batch, visible, min(2 * pause, _THROTTLED_S[1]))
                )
                return
            self._active -= 1
            run.at(visible, self._reappear, batch)
            self._wake()
            return
        end = run.now + started[0]
        run.at(end, self._end, (batch, started[1]))
        if not started[1] or end > visible:
            run.at(max(visible, run.now), self._reappear, batch)

    def _end(self, given: tuple[list[tuple[_Message, int]], bool]) -> None:
        """Ends a batch. Only the receipt of the last receive deletes a message.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
        """
        batch, done = given
        self.end()
        self._active -= 1
        for message, receipt in batch if done else ():
            self.act(message)
            if message.receives == receipt:
                message.done = True
        self._wake()

    def _reappear(self, batch: list[tuple[_Message, int]]) -> None:
        for message, receipt in batch:
            if not message.done and message.receives == receipt:
                self._visible.append(message)
        self._wake()


class _Stream(_Station):
    """A stream with the mapping that reads its shards, each in order.

    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
    """

    def __init__(self, run: _Run, hop: Hop) -> None:
        super().__init__(run, hop)
        self._lanes: list[deque[_Message]] = [deque() for _ in range(hop.lanes)]
        self._busy = [False] * hop.lanes

    def waiting(self) -> tuple[int, float]:
        """Returns how many records have not been read, and when the oldest was written."""
        first = min((lane[0].sent for lane in self._lanes if lane), default=self.run.now)
        return sum(map(len, self._lanes)), first

    def take(self, message: _Message) -> None:
        """Takes a record to a shard."""
        self.counts.came += 1
        number = int(self.run.random.random() * len(self._lanes))
        self._lanes[number].append(message)
        if not self._busy[number]:
            self._busy[number] = True
            later = self.run.draw(self.hop.poll_s)
            if len(self._lanes[number]) < self.hop.batch_size:
                later += self.hop.window_s
            self.run.at(self.run.now + later, self._read, number)

    def _read(self, number: int) -> None:
        run, lane = self.run, self._lanes[number]
        while lane and run.now - lane[0].sent >= self.hop.retention_s:
            lane.popleft()
            self.counts.lost += 1
        size = min(len(lane), self.hop.batch_size)
        started = self.invoke(size) if size else None
        if started is not None:
            batch = [lane.popleft() for _ in range(size)]
            run.at(run.now + started[0], self._end, (number, batch, started[1]))
        elif size:
            run.at(run.now + 1.0, self._read, number)
        else:
            self._busy[number] = False

    def _end(self, given: tuple[int, list[_Message], bool]) -> None:
        number, batch, done = given
        self.end()
        if not done:
            self._lanes[number].extendleft(reversed(batch))
        for message in batch if done else ():
            self.act(message)
        lane = self._lanes[number]
        if lane and (len(lane) >= self.hop.batch_size or not self.hop.window_s):
            self._read(number)
        elif lane:
            self.run.at(self.run.now + self.hop.window_s, self._read, number)
        else:
            self._busy[number] = False
