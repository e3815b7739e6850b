"""Proves that each event reaches its consumers, and that no rule, grant or filter is wrong.

It needs the templates of an application and the schemas of its events, and checks: some event that
arrives at a pattern matches each of its values; each event has a consumer; each grant covers just
the events that are published with it; and no event causes itself. The application says how its
messages look at each filter (`forms`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache, cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.filters import FilterCriteria, SubscriptionFilter
from cdk_rehearsal.patterns import EventPattern
from cdk_rehearsal.topology.routes import BUSES, Actors, Filter, Grant, Pattern, filters, leaves
from cdk_rehearsal.topology.schema import Schema, declared_paths, sub_schemas, variants

Message = dict[str, Any]
Path = tuple[str, ...]

UNKNOWN = "Unknown.v0"
"""The detail-type of no event: a filter that passes it passes all events."""

_TABLES = {"AWS::DynamoDB::GlobalTable", "AWS::DynamoDB::Table"}
_RUNS = ("AWS::Lambda::Function", "AWS::StepFunctions::StateMachine")
_TYPE: Path = ("detail-type",)
_SOURCE: Path = ("source",)


@dataclass(frozen=True, kw_only=True)
class PublishedEvent:
    """An event type, as the bus delivers it."""

    name: str
    """Its detail-type."""
    source: str
    schema: Schema = field(hash=False, compare=False)
    """JSON Schema of the whole message on the bus."""
    samples: Sequence[Message] = field(hash=False, compare=False)
    """Some messages that are valid under the schema."""
    for_outsiders: bool = False
    """Whether it is published only for consumers outside of the application."""
    replayed_only: bool = False
    """Whether no function publishes it any more: only a replay of an archive brings it back."""


@dataclass(frozen=True)
class Form:
    """The form in which a filter sees the messages of the bus."""

    root: Path | None
    """The path of the bus's message in this form; None if patterns cannot look into it."""
    wrap: Callable[[Message], Any] = field(hash=False, compare=False)


Forms = Callable[[Filter], Form]
"""Returns the form for a filter. Raises NotImplementedError if it is unknown."""


@dataclass(frozen=True)
class RoutingFinding:
    """A mistake in the routing of events."""

    culprit: str
    """The path of a construct, or the name of an event."""
    what: str

    def __str__(self) -> str:
        """One line: where, and the mistake."""
        return f"{self.culprit}: {self.what}"


FilterPath = tuple[Filter, ...]
"""The filters that a message has passed, in this order."""


def matches(filter_: Filter, pattern: Pattern, message: Any) -> bool:
    """Whether a message, in its form, matches one pattern of a filter."""
    return bool(_matcher(filter_.kind, filter_.scope, json.dumps(pattern))(message))


@cache
def _matcher(kind: str, scope: str, pattern: str) -> Callable[[Any], Any]:
    if kind == "mapping":
        return FilterCriteria({"Filters": [{"Pattern": pattern}]}).matches
    if kind == "subscriber" and scope != "DATA":
        raise NotImplementedError(
            f"a subscriber filters on {scope}, of which the proof knows nothing: filter on DATA"
        )
    if kind == "subscription":
        policy = SubscriptionFilter(json.loads(pattern), scope)
        return lambda body: policy.matches(body, {})
    return EventPattern(json.loads(pattern)).matches


class RoutingProof:
    """The routing of an application. Each method yields the mistakes of one kind."""

    def __init__(
        self,
        assembly: Assembly,
        events: Iterable[PublishedEvent],
        *,
        publishers: Mapping[str, frozenset[str]],
        forms: Forms,
        loops_end: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        """Takes the templates, the events and their publishers: detail-types by function path.

        `loops_end` gives the reason why a step (an event and the path of its consumer) causes no
        endless loop, though its events lead back to it.
        """
        self._assembly = assembly
        self._events = {event.name: event for event in events}
        self._publishers = publishers
        self._forms = forms
        self._loops_end = loops_end or {}
        self._filters = filters(assembly)
        self._actors = Actors(assembly, self._filters)
        self._examples: dict[tuple[str, FilterPath], Message | None] = {}

    def findings(self) -> list[RoutingFinding]:
        """Returns all mistakes."""
        return [
            *self.unwritten(),
            *self.wrong_grants(),
            *self.dead_patterns(),
            *self.orphans(),
            *self.loops(),
        ]

    def consumers(self, event: str, *, by_name: bool = True) -> list[str]:
        """Returns the paths of the functions and workflows that receive an event.

        With `by_name`, consumers of all events are left out, such as a log.
        """
        return sorted(
            {
                node
                for node, passed in self._arrivals[event]
                if self._runs(node) and self._from_bus(passed)
                if not (by_name and self._takes_anything(event, passed))
            }
        )

    # Publishers and their grants

    def unwritten(self) -> Iterator[RoutingFinding]:
        """Yields events that a function cannot write, and events that no function publishes."""
        for path, names in sorted(self._publishers.items()):
            tables = self._actors.writes_to(self._assembly.at(path))
            for name in sorted(names):
                if name not in self._events:
                    near = _near(name, self._events)
                    yield RoutingFinding(
                        path, f"publishes {name}, which is no published event{near}"
                    )
                elif not any(self._relays_of(table) for table in tables):
                    yield RoutingFinding(
                        path, f"publishes {name}, but may write to no table with a relay to the bus"
                    )
        written = frozenset().union(*self._publishers.values())
        for name in sorted(self._events.keys() - written):
            if not self._events[name].replayed_only:
                yield RoutingFinding(name, "is said to be published, but no function publishes it")

    def wrong_grants(self) -> Iterator[RoutingFinding]:
        """Yields grants to put events on a bus that are wider or narrower than needed."""
        for path, grants in self._granted.items():
            put = self._put_by.get(path, frozenset())
            names: set[str] = set()
            for grant in grants:
                yield from self._too_wide(grant, put)
                if grant.sources is None or grant.detail_types is None:
                    names |= put
                else:
                    names |= {
                        name
                        for name in put & grant.detail_types
                        if name in self._events and self._events[name].source in grant.sources
                    }
            for name in sorted(put - names):
                yield RoutingFinding(
                    path, f"may not put {name} on the bus, though it is published through it"
                )

    def _too_wide(self, grant: Grant, put: frozenset[str]) -> Iterator[RoutingFinding]:
        path = grant.function.path
        if grant.bus is None:
            yield RoutingFinding(path, "may put events on any bus: name the one")
        known = [self._events[name] for name in put if name in self._events]
        for key, allowed, needed in (
            ("detail-type", grant.detail_types, put),
            ("source", grant.sources, frozenset(event.source for event in known)),
        ):
            if allowed is None:
                yield RoutingFinding(
                    path,
                    f"may put events of any {key} on the bus: limit events:{key} to what "
                    f"is published through it, {_joined(needed)}",
                )
                continue
            for name in sorted(allowed - needed):
                near = _near(name, needed - allowed)
                yield RoutingFinding(
                    path,
                    f"may put events of {key} {name} on the bus, but nothing that is published "
                    f"through it is of that {key}{near}",
                )

    def _relays_of(self, table: Resource) -> list[str]:
        """The functions that read a table's stream and may put events on a bus."""
        return [
            target.path
            for filter_ in self._from.get(table.path, ())
            for target in filter_.targets
            if target.path in self._granted
        ]

    @cached_property
    def _put_by(self) -> dict[str, frozenset[str]]:
        """The events that functions put on a bus for the writers of a table, by path."""
        found: dict[str, frozenset[str]] = {}
        for path, names in self._publishers.items():
            for table in self._actors.writes_to(self._assembly.at(path)):
                for relay in self._relays_of(table):
                    found[relay] = found.get(relay, frozenset()) | names
        return found

    # Arrivals

    @cached_property
    def _arrivals(self) -> dict[str, list[tuple[str, FilterPath]]]:
        """Where each event arrives, by which filters; it passes no filter twice."""
        found: dict[str, list[tuple[str, FilterPath]]] = {
            name: [(self._any_bus.path, ())] if event.replayed_only else []
            for name, event in self._events.items()
        }
        for path, names in sorted(self._publishers.items()):
            for name in sorted(names & self._events.keys()):
                for table in self._actors.writes_to(self._assembly.at(path)):
                    if (table.path, ()) not in found[name]:
                        found[name].append((table.path, ()))
        for name, reached in found.items():
            for node, passed in reached:  # grows meanwhile
                reached += [
                    there for there in self._onward(name, node, passed) if there not in reached
                ]
        return found

    def _onward(self, name: str, node: str, passed: FilterPath) -> Iterator[tuple[str, FilterPath]]:
        for grant in self._granted.get(node, ()) if passed else ():
            if passed[-1].source.type in _TABLES:
                yield (grant.bus or self._any_bus).path, passed
        for filter_ in self._from.get(node, ()):
            if filter_ not in passed and self._example(name, (*passed, filter_)):
                for target in filter_.targets:
                    yield target.path, (*passed, filter_)

    @cached_property
    def _granted(self) -> dict[str, list[Grant]]:
        found: dict[str, list[Grant]] = {}
        for grant in self._actors.grants():
            found.setdefault(grant.function.path, []).append(grant)
        return found

    @property
    def _any_bus(self) -> Resource:
        return self._assembly.all_of(*BUSES)[0]

    @cached_property
    def _from(self) -> dict[str, list[Filter]]:
        found: dict[str, list[Filter]] = {}
        for filter_ in self._filters:
            found.setdefault(filter_.source.path, []).append(filter_)
        return found

    def _example(self, name: str, passed: FilterPath) -> Message | None:
        """A message of an event that passes all these filters; None if there is none."""
        key = (name, passed)
        if key not in self._examples:
            self._examples[key] = self._find_example(self._events[name], passed)
        return self._examples[key]

    def _find_example(self, event: PublishedEvent, passed: FilterPath) -> Message | None:
        before = self._example(event.name, passed[:-1]) if passed else event.samples[0]
        if before is None or all(self._passes(filter_, before) for filter_ in passed[-1:]):
            return before
        patterns = [(filter_, pattern) for filter_ in passed for pattern in filter_.patterns]
        for message in self._made_for(event, patterns):
            # The last filter first: it is the one in question.
            if all(self._passes(filter_, message) for filter_ in reversed(passed)):
                return message
        return None

    def _made_for(
        self, event: PublishedEvent, patterns: Iterable[tuple[Filter, Pattern]]
    ) -> Iterator[Message]:
        """Samples of an event, also with values that patterns require where the schema allows."""
        wanted: dict[Path, list[Any]] = {}
        for filter_, pattern in patterns:
            for path, rules in leaves(pattern):
                inside = self.inside(filter_, path)
                if inside is not None:
                    wanted.setdefault(inside, []).extend(rules)
        yield from variants(event.schema, event.samples, wanted)

    def inside(self, filter_: Filter, path: Path) -> Path | None:
        """Returns the path in the bus's message of a path in a pattern; None if it is outside."""
        root = self._forms(filter_).root
        if root is None or path[: len(root)] != root:
            return None
        return path[len(root) :]

    def _passes(self, filter_: Filter, message: Message) -> bool:
        if not filter_.patterns:
            return True
        wrapped = self._forms(filter_).wrap(message)
        return any(matches(filter_, pattern, wrapped) for pattern in filter_.patterns)

    def _runs(self, path: str) -> bool:
        return path in self._runnable

    @cached_property
    def _runnable(self) -> set[str]:
        return {resource.path for resource in self._assembly.all_of(*_RUNS)}

    def _from_bus(self, passed: FilterPath) -> bool:
        return any(filter_.kind in ("rule", "subscriber") for filter_ in passed)

    def _takes_anything(self, event: str, passed: FilterPath) -> bool:
        """Whether all filters behind the table would pass an event of another type, too."""
        message = self._example(event, passed)
        if message is None:
            return False
        detail = {**message["detail"], "type": UNKNOWN}
        other = {**message, "detail-type": UNKNOWN, "detail": detail}
        beyond = [filter_ for filter_ in passed if filter_.source.type not in _TABLES]
        return all(self._passes(filter_, other) for filter_ in beyond)

    # Dead patterns and orphaned events

    def dead_patterns(self) -> Iterator[RoutingFinding]:
        """Yields values in patterns that no arriving event can have."""
        for filter_ in self._filters:
            arriving = [
                (self._events[name], passed)
                for name, reached in self._arrivals.items()
                for node, passed in reached
                if node == filter_.source.path
            ]
            for pattern in filter_.patterns:
                if any(earlier.changes for _, passed in arriving for earlier in passed):
                    raise NotImplementedError(
                        f"{filter_.path}: its pattern sees messages that a target has transformed"
                    )
                yield from _Explanation(self, filter_, pattern, arriving).findings()

    def satisfiable(
        self,
        filter_: Filter,
        pattern: Pattern,
        arriving: Iterable[tuple[PublishedEvent, FilterPath]],
    ) -> bool:
        """Whether some arriving event can match a pattern of a filter."""
        wrap = self._forms(filter_).wrap
        for event, passed in arriving:
            earlier = [(before, each) for before in passed for each in before.patterns]
            for message in self._made_for(event, [*earlier, (filter_, pattern)]):
                if matches(filter_, pattern, wrap(message)) and all(
                    self._passes(before, message) for before in passed
                ):
                    return True
        return False

    def orphans(self) -> Iterator[RoutingFinding]:
        """Yields events without a consumer, unless they are for outsiders."""
        for name, event in sorted(self._events.items()):
            if not event.for_outsiders and not self.consumers(name):
                yield RoutingFinding(
                    name,
                    f"of {event.source} is consumed by nobody: consume it, declare it as "
                    "one for outsiders, or do not publish it",
                )

    # Loops

    def loops(self) -> Iterator[RoutingFinding]:
        """Yields events that cause themselves."""
        for filter_ in self._filters:
            for target in filter_.targets:
                if target.path == filter_.source.path:
                    yield RoutingFinding(
                        filter_.path, f"puts what it matches back onto {target.path}"
                    )
        steps = self._steps()
        for (event, consumer), events in sorted(steps.items()):
            if event in self._publishers.get(consumer, ()):
                yield RoutingFinding(
                    consumer, f"consumes {event} and publishes {event}: an endless loop"
                )
                events.discard(event)
        excused = {step: steps.pop(step, set()) for step in self._loops_end}
        for step, reason in self._loops_end.items():
            if not _leads_back(step[0], {**steps, step: excused[step]}):
                yield RoutingFinding(
                    step[1],
                    f"no loop goes through it and {step[0]}: remove the reason {reason!r}",
                )
        while loop := _loop(steps):
            yield RoutingFinding(
                loop[0][1],
                "a loop: "
                + ", ".join(f"{event} runs {consumer}" for event, consumer in loop)
                + f", which leads to {loop[0][0]} again: break it, or give the reason why it ends",
            )
            del steps[loop[0]]

    def _steps(self) -> dict[tuple[str, str], set[str]]:
        """The events that may be published because a consumer receives an event."""
        caused: dict[str, set[str]] = {}
        found: dict[tuple[str, str], set[str]] = {}
        for event in self._events:
            for consumer in self.consumers(event, by_name=False):
                if consumer not in caused:
                    running = {consumer, *self._actors.started_by(self._assembly.at(consumer))}
                    caused[consumer] = {
                        name for path in running for name in self._publishers.get(path, ())
                    }
                found[event, consumer] = {*caused[consumer]}
        return found


class _Explanation:
    """Explains why no message matches a value in a pattern."""

    def __init__(
        self,
        proof: RoutingProof,
        filter_: Filter,
        pattern: Pattern,
        arriving: Sequence[tuple[PublishedEvent, FilterPath]],
    ) -> None:
        self._proof = proof
        self._filter = filter_
        self._pattern = pattern
        self._arriving = arriving

    def findings(self) -> Iterator[RoutingFinding]:
        """Yields one finding per dead value; if some are dead by themselves, only these."""
        if not self._arriving:
            yield RoutingFinding(
                self._filter.path, f"no event gets to {self._filter.source.path}, its source"
            )
            return
        alone: list[RoutingFinding] = []
        together: list[RoutingFinding] = []
        for path, value, reduced in _singles(self._pattern):
            if self._possible(reduced) or self._guards(path, value):
                continue
            single = _nested(path, [value])
            if self._proof.inside(self._filter, path) not in {_TYPE, _SOURCE}:
                single = _merged(self._selection, single)
            if not self._possible(single):
                alone.append(RoutingFinding(self._filter.path, self._impossible(path, value)))
            else:
                together.append(
                    RoutingFinding(
                        self._filter.path,
                        f"{'.'.join(path)} {value!r} never comes together with the rest of the "
                        "pattern",
                    )
                )
        if alone or self._possible(self._pattern):
            yield from alone or together
        else:
            yield RoutingFinding(
                self._filter.path,
                "no event that gets here matches all of its pattern: each value occurs, but never "
                f"together with the others: {json.dumps(self._pattern)}",
            )

    def _guards(self, path: Path, value: Any) -> bool:
        """Whether a value excludes messages while the whole pattern passes others."""
        inside = self._proof.inside(self._filter, path)
        return (
            isinstance(value, Mapping)
            and "anything-but" in value
            and inside is not None
            and any(sub_schemas(event.schema, inside) for event, _ in self._arriving)
            and self._possible(self._pattern)
        )

    @cached_property
    def _selection(self) -> Pattern:
        """The part of the pattern that selects event types."""
        found: Pattern = {}
        for path, rules in leaves(self._pattern):
            if self._proof.inside(self._filter, path) in {_TYPE, _SOURCE}:
                found = _merged(found, _nested(path, rules))
        return found

    def _possible(self, pattern: Pattern) -> bool:
        return self._proof.satisfiable(self._filter, pattern, self._arriving)

    def _impossible(self, path: Path, value: Any) -> str:
        where = ".".join(path)
        inside = self._proof.inside(self._filter, path)
        events = [event for event, _ in self._arriving]
        if inside == _TYPE:
            near = _near(value, {event.name for event in events})
            return f"{where} {value!r} is that of no event that gets here{near}"
        if inside == _SOURCE:
            near = _near(value, {event.source for event in events})
            return f"{where} {value!r} is that of no event that gets here{near}"
        if inside is None:
            return f"{where} {value!r} is in no message that gets here"
        events = self._selected() or events
        names = _joined(event.name for event in events)
        found = [each for event in events for each in sub_schemas(event.schema, inside)]
        if not found:
            root = path[: len(path) - len(inside)]
            known = {
                ".".join((*root, *declared))
                for event in events
                for declared in declared_paths(event.schema)
            }
            return f"there is no {where} in {names}{_near(where, known)}"
        return f"{where} of {names} is never {value!r}: it is {_described(found[0])}"

    def _selected(self) -> list[PublishedEvent]:
        return [
            event
            for event, passed in self._arriving
            if self._selection
            and self._proof.satisfiable(self._filter, self._selection, [(event, passed)])
        ]


def _singles(pattern: Pattern) -> Iterator[tuple[Path, Any, Pattern]]:
    """For each value in a pattern, its path and the pattern with this value alone at the path."""
    for key, rule in pattern.items():
        if key == "$or":
            rest = {other: rules for other, rules in pattern.items() if other != "$or"}
            for branch in rule:
                for path, value, reduced in _singles(branch):
                    yield path, value, _merged(rest, reduced)
        elif isinstance(rule, Mapping):
            for path, value, reduced in _singles(rule):
                yield (*key.split("."), *path), value, {**pattern, key: reduced}
        else:
            for value in rule:
                yield tuple(key.split(".")), value, {**pattern, key: [value]}


def _merged(one: Pattern, other: Pattern) -> Pattern:
    found = dict(one)
    for key, rule in other.items():
        there = found.get(key)
        both = isinstance(there, Mapping) and isinstance(rule, Mapping)
        found[key] = _merged(there, rule) if both else rule  # type: ignore[arg-type]
    return found


def _nested(path: Path, rules: list[Any]) -> Pattern:
    pattern: Any = rules
    for key in reversed(path):
        pattern = {key: pattern}
    found: Pattern = pattern
    return found


def _near(name: Any, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.6) if isinstance(name, str) else []
    return f"; did you mean {close[0]}?" if close else ""


def _joined(names: Iterable[str]) -> str:
    found = sorted(set(names))
    more = len(found) - 6
    return ", ".join(found[:6]) + (f" and {more} more" if more > 0 else "") or "nothing"


def _described(schema: Schema) -> str:
    for keyword in ("const", "enum"):
        if keyword in schema:
            values = schema[keyword] if keyword == "enum" else [schema[keyword]]
            return "one of " + ", ".join(map(repr, values)) if len(values) > 1 else repr(values[0])
    said = {key: value for key, value in schema.items() if key not in {"description", "examples"}}
    return ", ".join(f"{key} {value}" for key, value in said.items())


def _loop(steps: Mapping[tuple[str, str], set[str]]) -> list[tuple[str, str]]:
    """A loop as its steps, in order; empty if there is none."""
    graph: dict[str, set[str]] = {}
    for (event, _), events in steps.items():
        graph.setdefault(event, set()).update(events)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # In the library's graph, a node points to its predecessors.
        cycle: list[str] = error.args[1][::-1]
        return [
            next(
                step for step, events in sorted(steps.items()) if step[0] == here and then in events
            )
            for here, then in pairwise(cycle)
        ]
    return []


def _leads_back(event: str, steps: Mapping[tuple[str, str], set[str]]) -> bool:
    reached: set[str] = set()
    waiting = [event]
    while waiting:
        here = waiting.pop()
        for (trigger, _), events in steps.items():
            if trigger == here:
                waiting += events - reached
                reached |= events
    return event in reached
