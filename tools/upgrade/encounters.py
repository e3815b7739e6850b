"""Who could not read what whom wrote: encounters of two releases, found while they run."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cdk_rehearsal import OUTSIDE, Assembly, Record, Rehearsal, nodes

_RUNTIME = "States.Runtime"
"""The error of a workflow that cannot handle its input."""

_REFUSED = "AccessDenied"
"""A part of the error by which AWS refuses a call for want of a permission.
https://docs.aws.amazon.com/IAM/latest/UserGuide/common-errors.html"""

_TABLE_CALLS = ("PutItem", "UpdateItem", "DeleteItem")


class Author(NamedTuple):
    """A function or workflow, in the release that ran."""

    path: str
    release: str

    def __str__(self) -> str:
        """The path and the release."""
        return f"{self.path} ({self.release})" if self.release else self.path


_Read = tuple[Author, str]
"""Who wrote something, and what."""


@dataclass(frozen=True)
class Encounter:
    """A problem of one release with what another release, or the same one, has written."""

    reader: Author
    """The function or workflow that fails."""
    problem: str
    writer: Author | None = None
    """The last function that wrote or sent what the reader has read."""
    what: str = ""
    """What it wrote, such as `OrderPlaced.v1`."""
    is_own: bool = False
    """Whether the application itself raised the error, to let a queue or a workflow retry."""
    is_delay: bool = False
    """Whether a role refused a call of a release that it is no longer, or not yet, made for, and
    nothing was parked."""

    @property
    def kind(self) -> tuple[str, str]:
        """Who fails how, whatever it has read."""
        return self.reader.path, self.problem.partition(":")[0]

    def __str__(self) -> str:
        """One line: the pair of releases, where they meet, and the problem."""
        wrote = f"{self.writer} wrote {self.what}, " if self.writer else ""
        return f"{wrote}{self.reader} fails: {self.problem}"


def handled_errors(*assemblies: Assembly) -> frozenset[str]:
    """Returns the names of the errors that workflows catch or retry by name."""
    machines = (each.all_of("AWS::StepFunctions::StateMachine") for each in assemblies)
    return frozenset(
        name
        for assembly, found in zip(assemblies, machines, strict=True)
        for machine in found
        for node in nodes(assembly.definition(machine))
        if isinstance(node, Mapping) and "ErrorEquals" in node
        for name in node["ErrorEquals"]
    )


class Encounters:
    """Follows who writes items, events, messages and inputs, and who fails after reading them."""

    def __init__(self, rehearsal: Rehearsal, handled: Collection[str]) -> None:
        """`handled` are the names of errors that workflows catch or retry."""
        self._rehearsal = rehearsal
        self._handled = handled
        self._items: dict[tuple[str, ...], Author] = {}
        self._events: dict[str, _Read] = {}
        self._inputs: dict[str, Author] = {}
        self._read: dict[str, list[_Read]] = defaultdict(list)
        self._definitions: dict[str, Author] = {}
        self._deployed: dict[str, str] = {}
        self.found: Counter[Encounter] = Counter()
        self.answered: dict[str, set[str]] = defaultdict(set)
        """The releases in which each function and workflow has answered."""
        self._last: tuple[Author, list[_Read]] = (Author(OUTSIDE, ""), [])
        """The last function that has answered, and what it has read."""

    def start(self) -> None:
        """Looks at everything from now on."""
        self._rehearsal.watch(self._call)
        self._rehearsal.read_logs(self._log)
        self._rehearsal.meter.listen(self._record)

    def deployed(self, stack: str, release: str) -> None:
        """Notes that a stack is updated to a release. For a while, functions answer in another."""
        self._deployed[stack] = release

    # -- what is written and read ---------------------------------------------------------

    def _author(self) -> Author:
        return Author(self._rehearsal.caller(), self._rehearsal.release())

    def _call(self, perform: Any, client: Any, operation: str, given: dict[str, Any]) -> Any:
        author = self._author()
        if operation in ("StartExecution", "StartSyncExecution"):
            # Before the call, because the answer to a synchronous one is the end.
            self._inputs[str(given.get("name"))] = author
        answer = perform(client, operation, given)
        if author.path == OUTSIDE:
            return answer
        match client.meta.service_model.service_name:
            case "dynamodb":
                self._note_table_call(author, operation, given, answer)
            case "sqs" if operation == "SendMessage":
                self._note_parked(author, given)
        return answer

    def _note_table_call(
        self, author: Author, operation: str, given: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> None:
        if operation == "TransactWriteItems":
            for entry in given["TransactItems"]:
                for write in entry.values():
                    self._wrote(author, write)
        elif operation in _TABLE_CALLS:
            self._wrote(author, given)
        for table, item in _items_in(given, answer):
            if writer := self._items.get(_key(table, item)):
                self._read[self._process()].append((writer, _called(item)))

    def _wrote(self, author: Author, write: Mapping[str, Any]) -> None:
        stated = write.get("Item") or write.get("Key")
        if not stated:
            return
        self._items[_key(write["TableName"], stated)] = author
        if "detail" in stated and "detail_type" in stated:
            event = json.loads(stated["detail"]["S"])
            self._events[event["id"]] = author, stated["detail_type"]["S"]

    def _process(self) -> str:
        """Returns the name of the process that runs: it has the id of the request."""
        process = self._rehearsal.scheduler.current
        return process.name if process is not None and process.name else ""

    # -- who fails ------------------------------------------------------------------------

    def _note_parked(self, author: Author, message: Mapping[str, Any]) -> None:
        reason = message.get("MessageAttributes", {}).get("Reason", {}).get("StringValue")
        if reason:
            self._add(author, reason, self._source_of(message["MessageBody"]), is_parked=True)

    def _log(self, path: str, text: str) -> None:
        for line in text.splitlines():
            if '"exception_name"' not in line:
                continue
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            known = self._events.get(str(entry.get("causation_id")))
            author = Author(path, self._rehearsal.release())
            last = _last_line(entry.get("exception", ""))
            own = last.startswith("lambdas.") and entry["exception_name"] != "Misconfigured"
            problem = f"{entry['exception_name']}: {last.partition(': ')[2]}"
            self._add(author, problem, known, is_own=own)

    def _record(self, record: Record) -> None:
        if record.kind == "execution":
            self._note_execution(record)
        elif record.kind == "invocation":
            self._note_invocation(record)

    def _note_execution(self, record: Record) -> None:
        detail = record.detail
        workflow, execution = Author(record.source, detail.get("release", "")), detail["execution"]
        if detail["what"] == "started":
            self._definitions[execution] = workflow
            self.answered[record.source].add(workflow.release)
        elif detail["what"] == "ended" and str(detail["error"]).startswith(_RUNTIME):
            starter = self._started_by(execution)
            known = (starter, "its input") if starter else None
            problem = f"{detail['error']}: {detail['cause']}"
            self._add(self._definitions.get(execution, workflow), problem, known, [])

    def _note_invocation(self, record: Record) -> None:
        detail = record.detail
        author = Author(record.target, detail.get("release", ""))
        self.answered[record.target].add(author.release)
        read = self._read.pop(f"{record.target} {detail['request_id']}", [])
        self._last = (author, read)
        if error := detail["error"]:
            problem = f"{error.get('errorType')}: {error.get('errorMessage')}"
            known = self._input_of(detail["execution"]) if "execution" in detail else None
            own = "execution" in detail and error.get("errorType") in self._handled
            self._add(author, problem, known, read, is_own=own)

    def refused(self, problem: str) -> None:
        """Notes that a client got another answer than it expects, from the last function."""
        author, read = self._last
        client = Author("a client", "")
        self._add(author, problem, None if read else (client, "the request"), read)

    def _started_by(self, execution: str) -> Author | None:
        """Returns who started an execution. Its name is a part of its ARN."""
        found = (self._inputs.get(part) for part in execution.split(":")[-2:])
        return next(filter(None, found), None)

    def _input_of(self, execution: str) -> _Read | None:
        """Returns who wrote the input of a task: what started its workflow, and the workflow."""
        workflow = self._definitions.get(execution)
        starter = self._started_by(execution)
        if workflow is None:
            return None
        return (starter, f"the input of {workflow}") if starter else (workflow, "the input")

    def _source_of(self, body: str) -> _Read | None:
        try:
            event = json.loads(body)
            return self._events.get(event.get("detail", event)["id"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    def _add(
        self,
        reader: Author,
        problem: str,
        source: _Read | None,
        read: list[_Read] | None = None,
        *,
        is_own: bool = False,
        is_parked: bool = False,
    ) -> None:
        read = self._read.get(self._process(), []) if read is None else read
        # The reader stumbles over another release more probably than over its own.
        others = [each for each in read if each[0].release != reader.release]
        if others and (source is None or source[0].release == reader.release):
            source = others[-1]
        elif source is None and read:
            source = read[-1]
        writer, what = source or (None, "")
        is_delay = _REFUSED in problem and not is_parked and self._is_leaving(reader)
        self.found[Encounter(reader, problem[:400], writer, what, is_own, is_delay)] += 1

    def _is_leaving(self, reader: Author) -> bool:
        """Whether a function answers in another release than its stack has."""
        deployed = self._deployed.get(reader.path.partition("/")[0], reader.release)
        return reader.release != deployed


def _items_in(
    given: Mapping[str, Any], answer: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields the items in an answer, each with its table."""
    table = str(given.get("TableName"))
    if "Item" in answer:
        yield table, answer["Item"]
    for item in answer.get("Items", ()):
        yield table, item
    for name, items in answer.get("Responses", {}).items() if "Responses" in answer else ():
        for item in items:
            yield name, item


def _key(table: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    return table, *(str(item.get(name, {}).get("S")) for name in ("pk", "sk"))


def _called(item: Mapping[str, Any]) -> str:
    return f'an item of kind "{item.get("kind", {}).get("S", "unknown")}"'


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
