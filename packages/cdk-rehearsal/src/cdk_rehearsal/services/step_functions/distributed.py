"""Distributed Map states: batches, child workflows of both types, and tolerated failures.

moto 5.2.5 refuses Express child workflows and batches, takes a failed child for one with the output
null, and writes no results: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import (
    HistoryEventType,
    MapRunStatus,
    TaskFailedEventDetails,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (  # noqa: E501
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.map_run_record import (  # noqa: E501
    ExecutionCounter,
    ItemCounter,
    MapRunRecord,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval.resource_eval_s3 import (  # noqa: E501
    ResourceEvalS3,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.program_state import (
    ProgramError,
    ProgramStopped,
    ProgramTimedOut,
)
from moto.stepfunctions.parser.asl.parse import preprocessor
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from cdk_rehearsal.core import Core
from cdk_rehearsal.limits import LIMITS
from cdk_rehearsal.sandbox.patching import Patches
from cdk_rehearsal.services.texts import iso_milliseconds

_FAILURES: dict[Any, str] = {
    ProgramError: "FAILED",
    ProgramTimedOut: "TIMED_OUT",
    ProgramStopped: "ABORTED",
}


def map_problems(state: dict[str, Any]) -> Iterator[str]:
    """Yields what the rehearsal does not have of a Map state."""
    reader = state.get("ItemReader", {}).get("ReaderConfig", {}).get("InputType")
    if reader in {"PARQUET", "MANIFEST"}:
        yield f"an ItemReader of the type {reader} is not supported"
    if "WriterConfig" in state.get("ResultWriter", {}):
        yield "a WriterConfig is not supported"
    batcher = state.get("ItemBatcher", {})
    if batcher and not any(name.startswith("Max") for name in batcher):
        yield "an ItemBatcher needs MaxItemsPerBatch or MaxInputBytesPerBatch"
    if '"States.' in json.dumps(batcher):
        yield "intrinsic functions in an ItemBatcher are not supported"


@dataclass
class _Child:
    """A child workflow, for the results of the Map Run."""

    name: str
    input: Any
    items: int
    started: float
    stopped: float = 0.0
    status: str = "PENDING"
    output: Any = None


class DistributedMaps:
    """Runs distributed Map states in processes."""

    def __init__(self, core: Core, evaluate: Callable[[str, Any], Any]) -> None:
        """``evaluate`` returns the value of a JSONata expression in an environment."""
        self._core = core
        self._evaluate = evaluate

    def patch(self, patches: Patches) -> None:
        """Lets moto parse such states, and run their children here."""
        parse = AmazonStateLanguageParser.parse

        # Components keep nothing between executions: what they count lives in the environment.
        @cache
        def parse_all(definition: str) -> Any:
            machine = json.loads(definition)
            maps = [state for state in _states(machine) if _distributed(state)]
            if not maps:
                return parse(definition)
            express = [_is_express(state) for state in maps]
            batchers = [_translated(state) for state in maps]
            program, tree = parse(json.dumps(machine))
            for component, batcher, is_express in zip(
                _components(program), batchers, express, strict=True
            ):
                component.batcher = batcher
                component.is_express = is_express
            return program, tree

        def map_run(component: Any, env: Any, eval_input: Any) -> None:
            self._run(component, env, eval_input)

        def write(_: Any, env: Any, runtime_part: Any, state_credentials: Any) -> None:
            try:
                self._write(env)
            except ClientError as error:
                raise _map_error(
                    env, StatesErrorNameType.StatesResultWriterFailed, str(error)
                ) from None

        patches.set(AmazonStateLanguageParser, "parse", staticmethod(parse_all))
        patches.set(DistributedIterationComponent, "_map_run", map_run)
        patches.set(
            DistributedIterationComponent,
            "_eval_body",
            _redriving(DistributedIterationComponent._eval_body),
        )
        patches.set(MapRunRecord, "describe", _described_run(MapRunRecord.describe))
        patches.set(ResourceEvalS3, "_handle_put_object", write)
        # It says that tolerated failures have no effect.
        patches.set(preprocessor.LOG, "disabled", True)

    def _run(self, component: Any, env: Any, eval_input: Any) -> None:
        # A list of a bucket's objects has times.
        items = json.loads(json.dumps(env.stack.pop(), default=_listed))
        record = eval_input.map_run_record
        worker = component._create_worker(env=env, eval_input=eval_input, job_pool=None)
        selected = [self._selected(env, worker, *each) for each in enumerate(items)]
        batches = [(item, 1) for item in selected]
        if component.batcher:
            batches = self._batches(component.batcher, env, selected)
        record.children = []
        waiting = deque(enumerate(batches))
        total = len(items)

        def work() -> None:
            while waiting and not _exceeded(record, total):
                index, (value, count) = waiting.popleft()
                self._run_child(component, env, record, index, value, count)

        scheduler = self._core.scheduler
        most = min(record.max_concurrency or len(batches), len(batches))
        workers = [scheduler.spawn(work, name="map run", daemon=True) for _ in range(most)]
        for process in workers:
            process.result()
        record.children.sort(key=lambda child: int(child.name))
        if _exceeded(record, total):
            raise _map_error(
                env,
                StatesErrorNameType.StatesExceedToleratedFailureThreshold,
                "The specified tolerated failure threshold was exceeded",
            )
        env.stack.append([c.output for c in record.children if c.status == "SUCCEEDED"])

    def _selected(self, env: Any, worker: Any, index: int, item: Any) -> Any:
        frame = env.open_inner_frame()
        try:
            context = frame.states.context_object.context_object_data
            context["Map"] = {"Item": {"Index": index, "Value": item}}
            frame.states.reset(item)
            env.stack.append(env.states.get_input())
            worker._eval_input(env_frame=frame)
            env.stack.pop()
            return frame.states.get_input()
        finally:
            env.delete_frame(frame)

    def _batches(
        self, batcher: dict[str, Any], env: Any, items: list[Any]
    ) -> list[tuple[dict[str, Any], int]]:
        """Groups items.

        https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
        """
        known = self._filled(batcher, env)
        most = int(known.get("MaxItemsPerBatch") or len(items) or 1)
        limit = int(known.get("MaxInputBytesPerBatch") or LIMITS["stepfunctions.map_batch_bytes"])
        more = {"BatchInput": known["BatchInput"]} if "BatchInput" in known else {}
        groups: list[list[Any]] = []
        size = 0
        for item in items:
            length = len(to_json_str({"Items": [item], **more}, separators=(",", ":")).encode())
            if not groups or len(groups[-1]) >= most or size + length > limit:
                groups.append([])
                size = 0
            groups[-1].append(item)
            size += length
        return [({"Items": group, **more}, len(group)) for group in groups]

    def _filled(self, template: Any, env: Any) -> Any:
        """A template with the values of its paths and expressions."""
        match template:
            case dict():
                return {
                    name.removesuffix(".$").removesuffix("Path"): self._path(value, env)
                    if name.endswith((".$", "Path")) and isinstance(value, str)
                    else self._filled(value, env)
                    for name, value in template.items()
                }
            case list():
                return [self._filled(each, env) for each in template]
            case str() if template.startswith("{%") and template.endswith("%}"):
                return self._evaluate(template[2:-2].strip(), env)
        return template

    def _path(self, path: str, env: Any) -> Any:
        extract = vars(json_path)["extract_json"]
        if path.startswith("$$"):
            return extract(path[1:], env.states.context_object.context_object_data)
        return extract(path, env.states.get_input())

    def _run_child(
        self, component: Any, env: Any, record: Any, index: int, value: Any, count: int
    ) -> None:
        counters = (record.item_counter, count), (record.execution_counter, 1)
        for counter, by in counters:
            counter.total.count(by)
        now = self._core.scheduler.now
        child = _Child(str(index), value, count, now())
        record.children.append(child)
        frame = env.open_inner_frame()
        frame.states.reset(value)
        frame.starts_anew = component.is_express
        try:
            component._get_iteration_program().eval(frame)
        finally:
            env.delete_frame(frame)
        child.status = _FAILURES.get(type(frame.program_state()), "SUCCEEDED")
        child.output, child.stopped = frame.states.get_input(), now()
        for counter, by in counters:
            getattr(counter, child.status.lower()).count(by)
            if child.status == "SUCCEEDED":
                counter.results_written.count(by)

    def _write(self, env: Any) -> None:
        """Writes the results of a Map Run into a bucket.

        https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
        """
        parameters = env.stack.pop()
        env.stack.pop()
        record = env.map_run_record_pool_manager.get_all()[-1]
        bucket, prefix = parameters["Bucket"], parameters.get("Prefix", "")
        folder = f"{prefix.rstrip('/')}/" if prefix else ""
        folder += record.map_run_arn.rpartition(":")[2]
        put = self._core.client("s3").put_object
        files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
        for status, found in files.items():
            children = [
                _described(child, record.map_run_arn)
                for child in record.children
                if (child.status if child.status in files else "FAILED") == status
            ]
            if children:
                key = f"{folder}/{status}_0.json"
                body = json.dumps(children).encode()
                put(Bucket=bucket, Key=key, Body=body)
                found.append({"Key": key, "Size": len(body)})
        manifest = {
            "DestinationBucket": bucket,
            "MapRunArn": record.map_run_arn,
            "ResultFiles": files,
        }
        key = f"{folder}/manifest.json"
        put(Bucket=bucket, Key=key, Body=json.dumps(manifest, indent=2).encode())
        env.stack.append(
            {
                "MapRunArn": record.map_run_arn,
                "ResultWriterDetails": {"Bucket": bucket, "Key": key},
            }
        )


def _redriving(original: Callable[..., None]) -> Callable[..., None]:
    """Lets a redriven state continue its Map Run; Standard children that failed continue, too.

    Express children that failed start anew.
    https://docs.aws.amazon.com/step-functions/latest/dg/redrive-map-run.html
    """

    def evaluate(component: Any, env: Any) -> None:
        record, pool = env.stack[-1].map_run_record, env.map_run_record_pool_manager
        name = env.states.context_object.context_object_data["State"]["Name"]
        place = record.place = (vars(vars(env).get("outer", env)).get("place"), name)
        failed = [each for each in pool.get_all()[:-1] if each.place == place]
        if not vars(env).get("redriven_state") or not failed:
            original(component, env)
            return
        del pool._pool[record.map_run_arn]
        record = env.stack[-1].map_run_record = failed[-1]
        # All children are counted again: those that have succeeded end at once.
        counters: Any = (ExecutionCounter, ItemCounter)
        record.execution_counter, record.item_counter = (counter() for counter in counters)
        record.status, record.stop_date = MapRunStatus.RUNNING, None
        redrives: list[datetime] = vars(record).setdefault("redrives", [])
        redrives.append(datetime.now(UTC))
        manager = env.event_manager

        def add_event(*_: Any, context: Any, **__: Any) -> Any:
            del manager.add_event
            redriven = {"mapRunArn": record.map_run_arn, "redriveCount": len(redrives)}
            details: Any = {"mapRunRedrivenEventDetails": redriven}
            return manager.add_event(
                context=context,
                event_type=HistoryEventType.MapRunRedriven,
                event_details=details,
            )

        # The first event says that a Map Run has started.
        manager.add_event = add_event
        original(component, env)

    return evaluate


def _described_run(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def describe(record: Any) -> Any:
        redrives = vars(record).get("redrives", [])
        found = {**original(record), "redriveCount": len(redrives)}
        if redrives:
            found["redriveDate"] = iso_milliseconds(redrives[-1].timestamp())
        return found

    return describe


def _listed(value: Any) -> Any:
    # https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html
    return int(value.timestamp()) if isinstance(value, datetime) else str(value)


def _states(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All states, in the order of the text."""
    for state in machine["States"].values():
        yield state
        for inner in (*state.get("Branches", ()), _processor(state)):
            if inner:
                yield from _states(inner)


def _processor(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = state.get("ItemProcessor") or state.get("Iterator") or {}
    return found


def _distributed(state: dict[str, Any]) -> bool:
    return bool(_processor(state).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED")


def _is_express(state: dict[str, Any]) -> bool:
    return bool(_processor(state)["ProcessorConfig"].get("ExecutionType") == "EXPRESS")


def _translated(state: dict[str, Any]) -> dict[str, Any] | None:
    """Leaves of a state what moto's grammar has; returns its ItemBatcher."""
    if _is_express(state):
        _processor(state)["ProcessorConfig"]["ExecutionType"] = "STANDARD"
    if isinstance(percentage := state.get("ToleratedFailurePercentage"), int):
        state["ToleratedFailurePercentage"] = float(percentage)
    batcher: dict[str, Any] | None = state.pop("ItemBatcher", None)
    return batcher


def _components(program: Any) -> Iterator[Any]:
    """The components of the distributed states of a program, in the order of ``_states``."""
    for state in program.states.states.values():
        if isinstance(state, StateMap):
            if isinstance(state.iteration_component, DistributedIterationComponent):
                yield state.iteration_component
            yield from _components(state.iteration_component._get_iteration_program())
        for branch in getattr(getattr(state, "branches", None), "programs", ()):
            yield from _components(branch)


def _exceeded(record: Any, total: int) -> bool:
    """Whether more items failed than a Map Run tolerates, by number or by percentage."""
    counter = record.item_counter
    failed = counter.failed.get() + counter.timed_out.get() + counter.aborted.get()
    number, percentage = record.tolerated_failure_count, record.tolerated_failure_percentage
    if not number and not percentage:
        return bool(failed)
    return bool((number and failed > number) or (percentage and failed * 100 > percentage * total))


def _map_error(env: Any, kind: StatesErrorNameType, cause: str) -> FailureEventException:
    error = StatesErrorName(typ=kind)
    details = TaskFailedEventDetails(error=error.error_name, cause=cause)
    return FailureEventException(
        FailureEvent(
            env=env,
            error_name=error,
            event_type=HistoryEventType.TaskFailed,
            event_details=EventDetails(  # type: ignore[typeddict-item]
                taskFailedEventDetails=details
            ),
        )
    )


def _described(child: _Child, run: str) -> dict[str, Any]:
    found = {
        "ExecutionArn": f"{run.replace(':mapRun:', ':execution:')}:{child.name}",
        "Input": to_json_str(child.input, separators=(",", ":")),
        "InputDetails": {"Included": True},
        "Name": child.name,
        "StartDate": iso_milliseconds(child.started),
        "Status": child.status,
        "StopDate": iso_milliseconds(child.stopped),
    }
    if child.status == "SUCCEEDED":
        found["Output"] = to_json_str(child.output, separators=(",", ":"))
        found["OutputDetails"] = {"Included": True}
    return found
