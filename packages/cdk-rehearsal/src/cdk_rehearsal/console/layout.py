"""Draws the map of an application: resources in the order in which messages pass them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cdk_rehearsal.assembly import Assembly, Resource
from cdk_rehearsal.console.map import ApplicationMap, MapGroup, MapLane, MapLink, MapNode
from cdk_rehearsal.topology import calls, edges
from cdk_rehearsal.topology.messaging import parked_by_code
from cdk_rehearsal.topology.routes import BUS_OF

KINDS: Mapping[str, str] = {
    "AWS::ApiGateway::RestApi": "api",
    "AWS::ApiGatewayV2::Api": "api",
    "AWS::DynamoDB::GlobalTable": "table",
    "AWS::DynamoDB::Table": "table",
    "AWS::Events::EventBus": "bus",
    "AWS::Events::Rule": "rule",
    "AWS::EventsV2::EventBus": "bus",
    "AWS::EventsV2::Subscriber": "rule",
    "AWS::Kinesis::Stream": "stream",
    "AWS::Lambda::Function": "function",
    "AWS::Lambda::Url": "api",
    "AWS::Logs::LogGroup": "log group",
    "AWS::Pipes::Pipe": "pipe",
    "AWS::S3::Bucket": "bucket",
    "AWS::SNS::Topic": "topic",
    "AWS::SQS::Queue": "queue",
    "AWS::Scheduler::Schedule": "schedule",
    "AWS::Scheduler::ScheduleGroup": "schedule",
    "AWS::StepFunctions::StateMachine": "workflow",
}
"""The kind of each type of resource that messages pass."""

_SHARED = ("api", "bus")
_ONLY_ON_EDGES = ("bucket", "log group", "rule", "schedule", "table")
"""Kinds that are of interest only if messages leave or reach them."""
_ROLES = {"Function", "Group", "Handler", "Http", "Machine", "Queue", "Schedule", "Table", "Topic"}
"""Ids of constructs that repeat the kind of the resource."""


def map_of(assembly: Assembly) -> ApplicationMap:
    """Returns the map of an application, from its templates."""
    return _Drawing(assembly).map()


class _Drawing:
    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._edges = edges(assembly)
        self._dead = {edge.parking for edge in self._edges if edge.parking}
        self._dead |= parked_by_code(assembly)
        self._aliases = dict(self._rules())
        ends = (end for edge in self._edges for end in (edge.source, edge.target))
        on_edges = {self._node_of(end) for end in ends}
        self._resources = [
            each
            for each in assembly.resources
            if (kind := KINDS.get(each.type))
            and each.path not in self._aliases
            and (kind not in _ONLY_ON_EDGES or each.path in on_edges)
        ]
        self._places = {each.path: place for place, each in enumerate(self._resources)}
        self._stacks = {each.path: each.stack for each in self._resources}

    def map(self) -> ApplicationMap:
        names = _names(self._resources)
        nodes = [
            MapNode(
                each.path,
                (kind := KINDS[each.type]),
                names[each.path],
                "" if kind in _SHARED else each.stack,
                each.path in self._dead,
            )
            for each in self._resources
        ]
        links = [*self._links()]
        shared = [place for place, node in enumerate(nodes) if not node.group]
        stacks = dict.fromkeys(node.group for node in nodes if node.group)
        groups = [MapGroup(stack, [*self._lanes(stack, nodes, links)]) for stack in sorted(stacks)]
        return ApplicationMap(nodes, links, shared, groups, self._aliases)

    def _rules(self) -> Iterator[tuple[str, str]]:
        """Yields rules and subscribers of the buses in the templates, each with its bus."""
        for kind, name in BUS_OF.items():
            for route in self._assembly.all_of(kind):
                bus = self._assembly.find(route.stack, route.properties.get(name))
                if bus is not None and KINDS.get(bus.type) == "bus":
                    yield route.path, bus.path

    def _node_of(self, path: str) -> str:
        return self._aliases.get(path, path)

    def _links(self) -> Iterator[MapLink]:
        for edge in self._edges:
            ends = self._ends(edge.source, edge.target)
            if ends:
                site = (edge.source, edge.target)
                yield MapLink(*ends, edge.kind, site, edge.retries, edge.parking, edge.alarms)
        known = {self._ends(edge.source, edge.target) for edge in self._edges}
        known |= {ends[::-1] for ends in known if ends}
        for call in calls(self._assembly):
            ends = self._ends(call.source, call.target)
            if ends and ends not in known and call.target not in self._dead:
                yield MapLink(*ends, "call")

    def _ends(self, source: str, target: str) -> tuple[int, int] | None:
        ends = [self._places.get(self._node_of(each)) for each in (source, target)]
        return None if None in ends else (ends[0], ends[1])  # type: ignore[return-value]

    def _lanes(
        self, stack: str, nodes: Sequence[MapNode], links: Sequence[MapLink]
    ) -> Iterator[MapLane]:
        """Yields chains of nodes first, then those nodes that belong to none."""
        members = [
            place for place, node in enumerate(nodes) if node.group == stack and not node.dead
        ]
        onward: defaultdict[int, list[int]] = defaultdict(list)
        reached: set[int] = set()
        sending: set[int] = set()
        for link in links:
            leads = link.kind != "call" or nodes[link.target].kind == "workflow"
            if leads and {link.source, link.target} <= {*members}:
                onward[link.source].append(link.target)
                reached.add(link.target)
                if link.kind != "call":
                    sending.add(link.source)
        taken: set[int] = set()
        chains = []
        # What nothing in the stack leads to comes first: a circle has no such beginning.
        order = {place: (place in reached, place not in sending, place) for place in members}
        for start in sorted(members, key=order.__getitem__):
            chain = [*_chain(start, onward, taken)]
            if chain:
                chains.append(chain)
        chains.sort(key=lambda chain: (len(chain) == 1, nodes[chain[0]].kind, chain))
        parked = self._parking_by_node()
        dead = {place for place, node in enumerate(nodes) if node.group == stack and node.dead}
        for chain in chains:
            of_chain = {*dead} & {each for place in chain for each in parked[place]}
            dead -= of_chain
            yield MapLane(chain, sorted(of_chain))
        if dead:
            yield MapLane((), sorted(dead))

    def _parking_by_node(self) -> defaultdict[int, set[int]]:
        found: defaultdict[int, set[int]] = defaultdict(set)
        for edge in self._edges:
            parking = self._places.get(edge.parking or "")
            for end in (edge.source, edge.target):
                place = self._places.get(self._node_of(end))
                if parking is not None and place is not None:
                    found[place].add(parking)
        return found


def _chain(start: int, onward: Mapping[int, list[int]], taken: set[int]) -> Iterator[int]:
    place: int | None = start
    while place is not None and place not in taken:
        taken.add(place)
        yield place
        # A node that several lead on from, such as a topic, ends its chain.
        following = onward.get(place, [])
        place = following[0] if len(following) == 1 else None


def _names(resources: Iterable[Resource]) -> dict[str, str]:
    """Returns a short name of each resource, by path: as many last parts as make it unique."""
    parts: dict[str, list[str]] = {}
    for each in resources:
        inner = each.path.removeprefix(f"{each.stack}/").split("/")
        parts[each.path] = inner[:-1] if len(inner) > 1 and inner[-1] in _ROLES else inner
    names = {}
    for each in resources:
        own = parts[each.path]
        others = [
            parts[other.path]
            for other in resources
            if other.stack == each.stack and other.type == each.type and other.path != each.path
        ]
        number = 1
        while number < len(own) and any(other[-number:] == own[-number:] for other in others):
            number += 1
        names[each.path] = "/".join(own[-number:])
    return names
