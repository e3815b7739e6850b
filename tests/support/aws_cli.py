"""A stand-in for the AWS CLI: checks commands against botocore's models, and runs them with boto3.

`python -m tests.support.aws_cli sqs list-queues` fails if versions 1 and 2 of the AWS CLI would
reject the command. It sends the request to `--endpoint-url`, or else to AWS_ENDPOINT_URL. Without
either, it only checks the command. The models give the names of the options:
https://docs.aws.amazon.com/cli/latest/userguide/cli-usage-parameters.html
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import jmespath
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.model import ListShape, OperationModel, Shape
from botocore.validate import ParamValidator

_GLOBAL = {"--endpoint-url", "--region", "--output", "--query", "--profile"}
_PAGING = {"--max-items", "--page-size", "--starting-token"}
# https://docs.aws.amazon.com/cli/latest/reference/s3/
_S3: Mapping[str, Mapping[str, Set[str]]] = {
    "cp": {"--recursive": set(), "--metadata-directive": {"COPY", "REPLACE"}},
    "ls": {"--recursive": set()},
}
_PLACEHOLDER = re.compile(r"[A-Z]+(_[A-Z]+)*|…")
"""Placeholders that a reader has to replace."""


class Wrong(Exception):
    """The AWS CLI would reject the command; the message says why."""


@dataclass
class Command:
    """A valid command of the AWS CLI."""

    service: str
    operation: str
    options: dict[str, str] = field(default_factory=dict)
    """The global options."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """The parameters of the operation; for `s3`, its paths and options."""


def parse(words: Sequence[str]) -> Command:
    """Parses a command; a final `…` means further options. Raises Wrong if it is invalid."""
    open_end = words[-1:] == ["…"] and not words[-2].startswith("--")
    options, rest = _global_options(words[:-1] if open_end else words)
    if len(rest) < 2:
        raise Wrong(f"no service and operation in: aws {' '.join(words)}")
    service, operation, *rest = rest
    if service == "s3":
        return Command(service, operation, options, _of_s3(operation, rest))
    if service == "s3api":
        service = "s3"
    if operation == "wait":
        operation, *rest = rest
        model = _waited_for(service, operation)
        operation = f"wait {operation}"
    else:
        model = _model(service, operation)
    return Command(service, operation, options, _parameters(model, rest, open_end=open_end))


def _global_options(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    rest: list[str] = []
    queue = iter(words)
    for word in queue:
        if word in _GLOBAL:
            options[word] = next(queue, "")
            if not options[word]:
                raise Wrong(f"{word} has no value")
        else:
            rest.append(word)
    if options.get("--output", "json") not in {"json", "text", "table"}:
        raise Wrong(f"unknown output format {options['--output']}: use json, text or table")
    if "--query" in options:
        jmespath.compile(options["--query"])
    return options, rest


def _of_s3(operation: str, words: list[str]) -> dict[str, Any]:
    known = _S3.get(operation)
    if known is None:
        raise Wrong(f"unknown operation aws s3 {operation}: use one of {', '.join(_S3)}")
    found: dict[str, Any] = {"paths": []}
    queue = iter(words)
    for word in queue:
        if not word.startswith("--"):
            found["paths"].append(word)
        elif word not in known:
            raise Wrong(f"aws s3 {operation} has no option {word}")
        elif not (values := known[word]):
            found[word] = True
        elif (value := next(queue, "")) not in values:
            raise Wrong(f"{word} has the value {value}: use one of {values}")
        else:
            found[word] = value
    buckets = [path for path in found["paths"] if path.startswith("s3://")]
    if len(found["paths"]) != (2 if operation == "cp" else 1) or not buckets:
        raise Wrong(f"aws s3 {operation} does not accept the paths {found['paths']}")
    if any(not re.match(r"s3://[\w.-]+(/|$)", path) for path in buckets):
        raise Wrong(f"no bucket is named in {buckets}")
    return found


@cache
def _session() -> botocore.session.Session:
    """The session of all commands of this process, which loads each model once."""
    return botocore.session.get_session()


@cache
def _clients() -> boto3.Session:
    return boto3.Session(botocore_session=_session())


def _model(service: str, operation: str) -> OperationModel:
    try:
        model = _session().get_service_model(service)
    except UnknownServiceError as error:
        raise Wrong(f"unknown service {service}") from error
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        raise Wrong(f"{service} has no operation {operation}")
    return model.operation_model(names[operation])


def _waited_for(service: str, name: str) -> OperationModel:
    """The operation that a waiter repeats."""
    waiters = _session().get_waiter_model(service)
    names = {xform_name(each, "-"): each for each in waiters.waiter_names}
    if name not in names:
        raise Wrong(f"{service} has no waiter {name}")
    return _model(service, xform_name(waiters.get_waiter(names[name]).operation, "-"))


def _parameters(model: OperationModel, words: list[str], *, open_end: bool) -> dict[str, Any]:
    shape = model.input_shape
    members = shape.members if shape else {}
    names = {f"--{xform_name(name, '-')}": name for name in members}
    denials = {
        f"--no-{xform_name(name, '-')}": name
        for name, member in members.items()
        if member.type_name == "boolean"
    }
    found: dict[str, Any] = {}
    placeholders: set[str] = set()
    for option, values in _groups(words):
        if option == "--cli-input-json":
            saved = _saved(values)
            found = {**saved, **found}
            placeholders |= set() if saved else set(members)
        elif option in _PAGING:
            continue
        elif option in denials and not values:
            found[denials[option]] = False
        elif (name := names.get(option)) is None:
            raise Wrong(f"{model.name} has no option {option}: use {', '.join(names)}")
        elif members[name].type_name == "boolean" and not values:
            found[name] = True
        elif _left_open(members[name], values):
            placeholders.add(name)
        else:
            found[name] = _value(members[name], values, option)
            report = ParamValidator().validate(found[name], members[name])
            if report.has_errors():
                raise Wrong(f"{option}: {report.generate_report()}")
    required = set(shape.required_members) if shape and not open_end else set()
    if missing := required - set(found) - placeholders:
        raise Wrong(f"{model.name} needs {', '.join(sorted(missing))}")
    return found


def _saved(words: list[str]) -> dict[str, Any]:
    """The parameters in a file; none if the file is yet to be made."""
    file = Path(words[0].partition("://")[2])
    saved: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return saved


def _groups(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option with the words that follow it."""
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if word.startswith("--"):
            groups.append((word, []))
        elif not groups:
            raise Wrong(f"{word} belongs to no option")
        else:
            groups[-1][1].append(word)
    yield from groups


def _left_open(shape: Shape, words: list[str]) -> bool:
    """Whether a value contains a placeholder, or comes from a file."""
    if words and words[0].startswith(("file://", "fileb://")):
        return not Path(words[0].partition("://")[2]).exists()
    return shape.type_name != "string" and bool(words) and bool(_PLACEHOLDER.fullmatch(words[0]))


def _value(shape: Shape, words: list[str], option: str) -> Any:
    """Converts a value to the type that boto3 expects."""
    if not words or (len(words) > 1 and shape.type_name != "list"):
        raise Wrong(f"{option} has {len(words)} values")
    if words[0].startswith(("file://", "fileb://")):
        words = [Path(words[0].partition("://")[2]).read_text()]
    if isinstance(shape, ListShape) and not words[0].startswith("["):
        return [_from_text(shape.member, word, option) for word in words]
    return _from_text(shape, words[0], option)


def _from_text(shape: Shape, text: str, option: str) -> Any:
    kind = shape.type_name
    if kind in {"integer", "long"}:
        return int(text)
    if kind in {"structure", "map", "list"}:
        if text.startswith(("{", "[")):
            return json.loads(text)
        pairs = [pair.partition("=") for pair in text.split(",")]
        if not all(separator for _, separator, _ in pairs):
            raise Wrong(f"{option} is neither JSON nor KEY=VALUE: {text}")
        return {key: _from_text(_member(shape, key), value, option) for key, _, value in pairs}
    if kind == "boolean" and text in {"true", "false"}:
        return text == "true"
    if kind == "string" and (enum := getattr(shape, "enum", None)) and text not in enum:
        raise Wrong(f"{option} has the value {text}: use one of {', '.join(enum)}")
    return text


def _member(shape: Any, key: str) -> Any:
    if shape.type_name == "map":
        return shape.value
    if key not in shape.members:
        raise Wrong(f"{shape.name} has no member {key}, but {', '.join(shape.members)}")
    return shape.members[key]


def run(command: Command, endpoint: str) -> object:
    """Runs a command with boto3; returns the response after its `--query`."""
    client: Any = _clients().client(
        command.service, command.options.get("--region"), endpoint_url=endpoint
    )  # type: ignore[call-overload]
    if command.service == "s3":
        return _run_s3(client, command)
    operation = command.operation.replace("-", "_")
    if command.operation.startswith("wait "):
        waiter = client.get_waiter(operation.removeprefix("wait "))
        waiter.wait(**command.parameters)
        return ""
    if client.can_paginate(operation):
        # Both versions of the AWS CLI read all pages.
        paginator = client.get_paginator(operation)
        answer = paginator.paginate(**command.parameters).build_full_result()
    else:
        answer = getattr(client, operation)(**command.parameters)
        answer.pop("ResponseMetadata", None)
    query = command.options.get("--query")
    return jmespath.search(query, answer) if query else answer


def _run_s3(client: Any, command: Command) -> str:
    source, *rest = command.parameters["paths"]
    if not source.startswith("s3://"):
        bucket, _, key = rest[0].removeprefix("s3://").partition("/")
        client.upload_file(source, bucket, key)
        return ""
    bucket, _, prefix = source.removeprefix("s3://").partition("/")
    if rest and rest[0].startswith("s3://"):
        target, _, key = rest[0].removeprefix("s3://").partition("/")
        directive = command.parameters.get("--metadata-directive", "COPY")
        copied = {"Bucket": bucket, "Key": prefix}
        client.copy_object(Bucket=target, Key=key, CopySource=copied, MetadataDirective=directive)
        return ""
    found = client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
    if command.operation == "ls" and not found:
        sys.exit(1)
    for each in found if rest else ():
        file = Path(rest[0], each["Key"].removeprefix(prefix))
        file.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, each["Key"], str(file))
    return "\n".join(each["Key"] for each in found)


def text(answer: object) -> str:
    """Formats a response as `--output text` does."""
    if isinstance(answer, list):
        return "\t".join(map(text, answer))
    return str(answer)


def main(words: Sequence[str]) -> None:
    """Runs the command on the command line; prints an error if it is invalid."""
    try:
        command = parse(words)
    except (Wrong, ValueError, jmespath.exceptions.JMESPathError) as error:
        sys.exit(f"aws {' '.join(words)}\n{error}")
    endpoint = command.options.get("--endpoint-url") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return
    answer = run(command, endpoint)
    as_text = command.options.get("--output") == "text" or isinstance(answer, str)
    print(text(answer) if as_text else json.dumps(answer, default=str, indent=4))


if __name__ == "__main__":
    main(sys.argv[1:])
