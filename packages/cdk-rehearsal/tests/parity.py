"""make parity: lists the rules of AWS that the tests state, and replays them against AWS.

A rule is a test that cites a page of AWS in its docstring, or else in that of its class or module.
A test with the fixture `aws` can be replayed: with an endpoint, it deploys its template there, asks
the same questions as in the rehearsal, and deletes its stack.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from rehearsal.worlds import Endpoint

TESTS = Path(__file__).resolve().parent
PAGES = TESTS / "pages.toml"
LIMITS = TESTS.parent / "src" / "cdk_rehearsal" / "limits.toml"
"""The table of limits: each row is a rule, too, of the tests that are marked to cross it."""

CITATION = re.compile(
    r"https://(?:(?:docs\.)?aws\.amazon\.com|states-language\.net|github\.com/aws/|repost\.aws)"
    r"[^][\s()<>\"'`,]*(?<![.,;:])"
)
"""A page that AWS has published."""

_SERVICES = {
    "agent-toolkit-for-aws": "EventBridge",
    "amazoncloudwatchlogs": "CloudWatch Logs",
    "amazoncloudwatch": "CloudWatch",
    "amazondynamodb": "DynamoDB",
    "amazons3": "S3",
    "api-gateway": "API Gateway",
    "apigateway": "API Gateway",
    "apigatewayv2": "API Gateway",
    "aws-lambda-python-runtime-interface-client": "Lambda",
    "awscloudformation": "CloudFormation",
    "awssimplequeueservice": "SQS",
    "cdk": "CDK",
    "cloudformation-cli": "CloudFormation",
    "codedeploy": "CodeDeploy",
    "cognito": "Cognito",
    "cognito-user-identity-pools": "Cognito",
    "dynamodb": "DynamoDB",
    "event-ruler": "EventBridge",
    "eventbridge": "EventBridge",
    "eventbridgev2": "EventBridge",
    "iam": "IAM",
    "kinesis": "Kinesis",
    "kms": "KMS",
    "lambda": "Lambda",
    "scheduler": "Scheduler",
    "secretsmanager": "Secrets Manager",
    "service-authorization": "IAM",
    "ses": "SES",
    "sns": "SNS",
    "sqs": "SQS",
    "step-functions": "Step Functions",
    "streams": "Kinesis",
    "sts": "IAM",
    "systems-manager": "Systems Manager",
    "tag-editor": "Resource Groups",
    "xray": "X-Ray",
}
"""Services by the first folder of their pages, or their repository, in lower case."""

_WORLDS = {"aws", "endpoint"}
"""The fixtures that make a test replayable."""
_REASONS = {
    "injects faults": {"faults"},
    "needs virtual time": {"run_for", "clock", "scheduler", "elapsed", "limit_s", "time_machine"},
    "reads the rehearsal's records": {"meter"},
    "uses means of the rehearsal": {"rehearse", "rehearsed", "Stage"},
}
"""Why a test cannot be replayed, by the names that it uses, itself or in its helpers."""


@dataclass(frozen=True)
class Rule:
    """A behaviour of AWS, and the test of it."""

    service: str
    statement: str
    page: str
    read: str
    """The date on which the page was last read."""
    test: str
    """The id of the test, relative to the folder of the tests."""
    obstacle: str
    """Why the test cannot be replayed, empty if it can."""


@dataclass(frozen=True)
class Known:
    """What the tests refer to."""

    tests: Path
    dates: dict[str, str]
    limits: dict[str, Any]

    @classmethod
    def read(cls) -> Known:
        """Reads the dates of pages, and the table of limits."""
        dates = {page: str(day) for page, day in tomllib.loads(PAGES.read_text()).items()}
        limits = tomllib.loads(LIMITS.read_text())
        return cls(TESTS, dates, limits)

    def rules(self, test: ast.FunctionDef, page: str) -> Iterator[tuple[str, str, str]]:
        """Statement, page and date of each rule of a test: limits that it crosses, or itself."""
        crossed = list(_crossed(test))
        for row in crossed:
            yield from self.crossed(row)
        if page and not crossed:
            yield _sentence(test.name), page, self.dates.get(page.partition("#")[0], "never")

    def crossed(self, row: str) -> Iterator[tuple[str, str, str]]:
        """Statement, page and date of a row of the table of limits."""
        service, _, name = row.partition(".")
        limit = self.limits[service][name]
        yield self.says(service, name), limit["page"], str(limit["read"])

    def __contains__(self, row: object) -> bool:
        service, _, name = str(row).partition(".")
        return name in self.limits.get(service, ())

    def says(self, service: str, name: str) -> str:
        """The statement of a row of the table of limits."""
        limit = self.limits[service][name]
        unit = f"per {limit['per']}" if "per" in limit else limit["unit"]
        return f"{limit['says']}: {limit['value']} {unit}"


class Module:
    """The rules of one file of tests, read from its source."""

    def __init__(self, path: Path, known: Known) -> None:
        self._id = path.relative_to(known.tests).as_posix()
        self._known = known
        self._source = path.read_text()
        self._tree = ast.parse(self._source)
        self._helpers: dict[str, ast.AST] = {
            node.name: node
            for node in ast.walk(self._tree)
            if isinstance(node, ast.FunctionDef) and not _is_test(node)
        }
        self._tables = {
            ast.unparse(target): node.value
            for node in self._tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
        }

    def rules(self) -> Iterator[Rule]:
        """All of them, in the order of the file."""
        yield from self._rules(self._tree, _cited(self._tree), self._id)

    def tabulated(self) -> Iterator[Rule]:
        """The rules of rows of limits that tests of this file cross one by one."""
        for test in _tests(self._tree):
            for row, parts in self._rows(test).items():
                for statement, page, read in self._known.crossed(row):
                    id_ = f"{self._id}::{test.name}[{row}]"
                    yield Rule(service_of(page), statement, page, read, id_, self._obstacle(*parts))

    def _rows(self, test: ast.FunctionDef) -> dict[str, list[ast.AST]]:
        """The rows of the table of limits that are parameters of a test, with the code of each.

        Rows are keys of a dictionary, or decorate functions, which append themselves to a list.
        """
        rows: dict[str, list[ast.AST]] = {}
        for decorator in test.decorator_list:
            match decorator:
                case ast.Call(args=[names, ast.Name(id=table), *_]) if "limit" in ast.dump(names):
                    if isinstance(keyed := self._tables.get(table), ast.Dict):
                        rows |= {ast.literal_eval(key): [test] for key in keyed.keys if key}
                    for row, function in self._registered(table):
                        rows.setdefault(row, [test]).append(function)
        return {row: parts for row, parts in rows.items() if row in self._known}

    def _registered(self, table: str) -> Iterator[tuple[str, ast.AST]]:
        for function in self._helpers.values():
            for decorator in getattr(function, "decorator_list", ()):
                match decorator:
                    case ast.Call(func=ast.Name(id=by), args=[ast.Constant(value=row), *_]):
                        if table in _names(self._helpers[by])[0]:
                            yield str(row), function

    def _rules(self, parent: ast.Module | ast.ClassDef, page: str, prefix: str) -> Iterator[Rule]:
        for node in parent.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and _is_own(node):
                continue
            if isinstance(node, ast.ClassDef):
                yield from self._rules(node, _cited(node) or page, f"{prefix}::{node.name}")
            elif isinstance(node, ast.FunctionDef) and _is_test(node):
                for statement, cited, read in self._known.rules(node, _cited(node) or page):
                    test, obstacle = f"{prefix}::{node.name}", self._obstacle(node)
                    yield Rule(service_of(cited), statement, cited, read, test, obstacle)

    def _obstacle(self, *parts: ast.AST) -> str:
        names, called, waiting = set[str](), set[str](), list(parts)
        while waiting:
            found, calls = _names(waiting.pop())
            waiting += [self._helpers[name] for name in calls - called & self._helpers.keys()]
            names |= found
            called |= calls
        for reason, signs in _REASONS.items():
            if names & signs:
                return reason
        return "" if called & _WORLDS else "calls the code itself"


def _tests(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if _is_test(node))


def _is_test(node: ast.AST) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def _is_own(node: ast.ClassDef | ast.FunctionDef) -> bool:
    return any("own_behaviour" in _names(decorator)[0] for decorator in node.decorator_list)


def _crossed(test: ast.FunctionDef) -> Iterator[str]:
    """The rows of the table of limits in ``@crosses("sqs.delay_s", …)``."""
    for decorator in test.decorator_list:
        match decorator:
            case ast.Call(func=ast.Name(id="crosses"), args=rows):
                yield from (str(row.value) for row in rows if isinstance(row, ast.Constant))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All parts of a piece of code, except those for a rehearsal only."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        yield part
        match part:
            case ast.If(test=ast.Call(args=[_, ast.Name(id="Rehearsal")])):
                waiting += part.orelse
            case _:
                waiting += ast.iter_child_nodes(part)


@cache
def _names(node: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """All names in a piece of code, and those that stand for themselves.

    These are functions, parameters, and the methods of the test.
    """
    found, called = set(), set()
    for part in _walk(node):
        match part:
            case ast.Name(id=name) | ast.arg(arg=name):
                called.add(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                called.add(name)
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                found.add(name)
    return frozenset(found | called), frozenset(called)


def _cited(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    found = CITATION.search(ast.get_docstring(node) or "")
    return found[0] if found else ""


def _sentence(name: str) -> str:
    words = name.removeprefix("test_").replace("_", " ")
    return words[0].upper() + words[1:]


def service_of(page: str) -> str:
    """The service that a page is about."""
    url = urlsplit(page)
    if url.netloc == "states-language.net":
        return "Step Functions"
    folder = url.path.removeprefix("/aws/").lstrip("/").split("/")[0].lower()
    if folder == "amazoncloudwatch" and "/logs/" in url.path:
        return "CloudWatch Logs"
    if folder == "general":  # The general reference has a page for each service.
        folder = url.path.rpartition("/")[2].removesuffix(".html")
    return _SERVICES.get(folder, folder)


@cache
def rules() -> tuple[Rule, ...]:
    """All rules of all tests."""
    known = Known.read()
    modules = [Module(path, known) for path in sorted(TESTS.rglob("test_*.py"))]
    found = [rule for module in modules for rule in module.rules()]
    stated = {rule.statement for rule in found}
    tabulated = [rule for module in modules for rule in module.tabulated()]
    for rule in sorted(tabulated, key=lambda rule: rule.obstacle):  # those to replay come first
        if rule.statement not in stated:
            stated.add(rule.statement)
            found.append(rule)
    return tuple(found)


# -- replaying ----------------------------------------------------------------------------


_LACKS = {"InternalFailure", "InvalidAction", "NotImplemented", "UnknownOperationException"}
"""Errors of an endpoint that does not implement a call."""
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure"}


class Replay:
    """A pytest plug-in: gathers how the tests end."""

    def __init__(self, chosen: Sequence[Rule]) -> None:
        self._progress = set[str]()
        self._chosen = {rule.test for rule in chosen}
        self.differences: dict[str, str] = {}
        self.untried: dict[str, str] = {}
        self.agreed: set[str] = set()

    def _test(self, item: pytest.Item) -> str:
        """The id of a test, or of a row of its table of limits, as rules have it."""
        name = item.nodeid.partition("::")[2].partition("[")[0]
        test = f"{item.path.relative_to(TESTS).as_posix()}::{name}"
        parameters = (
            item.callspec.params
            if isinstance(item, pytest.Function) and hasattr(item, "callspec")
            else {}
        )
        row = f"{test}[{parameters.get('limit')}]"
        return row if row in self._chosen else test

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leaves out the rows of tables that are not chosen."""
        items[:] = [item for item in items if self._test(item) in self._chosen]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.when == "setup" and sys.stderr.isatty():
            self._progress.add(self._test(item))
            print(f"{len(self._progress)} of {len(self._chosen)}", end="\r", file=sys.stderr)
        test = self._test(item)
        if call.excinfo is not None:
            error = call.excinfo.value
            code = error.response["Error"]["Code"] if isinstance(error, ClientError) else None
            line = call.excinfo.exconly().strip().split("\n")[0]
            (self.untried if code in _LACKS else self.differences)[test] = line
        elif call.when == "call":
            self.agreed.add(test)
        return report


def endpoint_at(url: str, patience: float) -> Endpoint:
    """The endpoint at a URL, or with "aws" the shell's account and region.

    Exits with a message if nothing answers there, or without credentials or permission.
    """
    at = None if url == "aws" else url
    # A session reads variables when it is asked, and the tests remove them.
    session = boto3.Session(region_name=boto3.Session().region_name)
    if at is not None and session.get_credentials() is None:
        session = boto3.Session("none", "none", region_name=session.region_name or "us-east-1")
    if session.region_name is None:
        sys.exit("error: no region: set AWS_REGION or AWS_PROFILE")
    endpoint = Endpoint(session, at, patience)
    try:
        endpoint.client("cloudformation").describe_stacks()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        hint = "use a role that may create stacks" if code in _FORBIDDEN else "check the endpoint"
        sys.exit(f"error: CloudFormation at {url} answers {code}: {hint}")
    except BotoCoreError as error:
        sys.exit(f"error: {url} cannot be used: {error}: check the endpoint and the credentials")
    return endpoint


def replayed(chosen: Sequence[Rule], endpoint: Endpoint) -> Replay:
    """Runs the tests of rules at an endpoint."""
    replay = Replay(chosen)
    plugin: Any = endpoint
    manager = [("replay", replay), ("endpoint", plugin)]

    class Plugins:
        def pytest_configure(self, config: pytest.Config) -> None:
            for name, each in manager:
                config.pluginmanager.register(each, name)

    tests = [str(TESTS / test) for test in {rule.test.partition("[")[0]: None for rule in chosen}]
    options = ["--disable-plugin-autoload", "--import-mode=importlib", "-Wignore", "-oaddopts="]
    options.append("-overbosity_assertions=2")
    quiet = ["-p", "no:cacheprovider", "-p", "no:terminal"]
    try:
        pytest.main([*options, *quiet, *tests], plugins=[Plugins()])
    finally:
        endpoint.close()
    return replay


# -- the command --------------------------------------------------------------------------


def table(found: Sequence[Rule]) -> Iterator[str]:
    """The rules by service and page, and how many there are."""
    for service, rules_of_service in _grouped(found, lambda rule: rule.service):
        count = sum(not rule.obstacle for rule in rules_of_service)
        yield f"{service}: {len(rules_of_service)} rules, {count} of them can be replayed"
        for page, rules_of_page in _grouped(rules_of_service, lambda rule: rule.page):
            yield f"  {page}, read {rules_of_page[0].read}"
            for rule in rules_of_page:
                yield f"    {rule.statement}"
                yield f"      {rule.test}: {rule.obstacle or 'can be replayed'}"
    count = sum(not rule.obstacle for rule in found)
    services = len({rule.service for rule in found})
    yield f"{len(found)} rules of {services} services; {count} can be replayed"
    for obstacle, number in Counter(r.obstacle for r in found if r.obstacle).most_common():
        yield f"  {number} cannot: {obstacle}"


def comparison(found: Sequence[Rule], replay: Replay) -> Iterator[str]:
    """What agrees, what differs, and what was not tried."""
    agreed = [r for r in found if r.test in replay.agreed - replay.differences.keys()]
    agreed = [r for r in agreed if r.test not in replay.untried]
    for rule in agreed:
        yield f"agrees   {rule.service}: {rule.statement}"
    for rule in found:
        if rule.test in replay.differences:
            yield f"differs  {rule.service}: {rule.statement}"
            yield f"         {rule.test}: {replay.differences[rule.test]}"
    obstacles = {r.test: replay.untried.get(r.test) or r.obstacle for r in found}
    for rule in found:
        if obstacles[rule.test] and rule.test not in replay.differences:
            yield f"not tried  {rule.service}: {rule.statement}: {obstacles[rule.test]}"
    untried = len(found) - len(agreed) - len(replay.differences)
    yield f"{len(agreed)} agree, {len(replay.differences)} differ, {untried} were not tried"


def _grouped(found: Sequence[Rule], key: Any) -> list[tuple[str, list[Rule]]]:
    groups: dict[str, list[Rule]] = {}
    for rule in found:
        groups.setdefault(key(rule), []).append(rule)
    return sorted(groups.items())


def main(arguments: list[str] | None = None) -> None:
    """Prints the table or the comparison; exits with 1 if a rule differs."""
    parser = argparse.ArgumentParser(prog="make parity", description=__doc__)
    parser.add_argument(
        "--endpoint", help='replay: the URL of an endpoint, or "aws" for the account'
    )
    parser.add_argument("--rules", default="", help="a regular expression: only such rules")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--patience", type=float, default=20, help="seconds to wait for an effect (20)"
    )
    options = parser.parse_args(arguments)
    wanted = re.compile(options.rules, re.IGNORECASE)
    found = [r for r in rules() if wanted.search(f"{r.service}: {r.statement}: {r.test}")]
    if options.endpoint is None:
        rows = [asdict(rule) for rule in found]
        print(json.dumps(rows, indent=2) if options.json else "\n".join(table(found)))
        return
    endpoint = endpoint_at(options.endpoint, options.patience)
    replay = replayed([rule for rule in found if not rule.obstacle], endpoint)
    print("\n".join(comparison(found, replay)))
    sys.exit(1 if replay.differences else 0)


if __name__ == "__main__":
    main()
