"""The command `rehearse`: checks, describes and runs a synthesized application."""

from __future__ import annotations

import argparse
import json
import os
import runpy
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdk_rehearsal import Assembly, __version__, topology
from cdk_rehearsal.bills import idle_bill
from cdk_rehearsal.errors import RehearsalError, UnsupportedTemplateError
from cdk_rehearsal.price_lists import prices
from cdk_rehearsal.selection import environment, select

if TYPE_CHECKING:
    from cdk_rehearsal.console import Console
    from cdk_rehearsal.meter import Record
    from cdk_rehearsal.rehearsal import Rehearsal
    from cdk_rehearsal.topology import Call, Edge, Loss

FINDINGS, UNUSABLE = 1, 2
"""Exit codes: there are findings; the arguments or the assembly cannot be used."""

_MOST_LOSSES = 10
"""The number of findings that `losses` lists without `--all`."""

_STEP_S = 0.25
"""The seconds after which `run` checks whether it was interrupted."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command, and exits."""
    options = _parser().parse_args(arguments)
    try:
        sys.exit(options.command(options))
    except UnsupportedTemplateError as error:
        print(f"error: {error}\n`rehearse check` lists all of them", file=sys.stderr)
        sys.exit(FINDINGS)
    except RehearsalError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(UNUSABLE)
    except BrokenPipeError:
        # The program that reads the output, such as `head`, has ended.
        sys.stderr.close()
        sys.exit(FINDINGS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rehearse", description="Checks, describes and runs a synthesized CDK application."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(function: Callable[..., int], *directories: str) -> argparse.ArgumentParser:
        help_ = (function.__doc__ or "").partition("\n")[0].rstrip(".")
        name = function.__name__
        added = commands.add_parser(name, help=help_, description=f"{help_}.")
        for directory in directories:
            added.add_argument(
                directory.lower(),
                metavar=directory,
                type=Path,
                help="a directory that `cdk synth` wrote",
            )
        added.add_argument(
            "--stage",
            help="a stage of the app, by its path; `.` for the stacks outside of stages",
        )
        added.add_argument("--json", action="store_true", help="write JSON")
        added.set_defaults(command=function)
        return added

    checking = command(check, "DIR")
    listing = command(edges, "DIR")
    listing.add_argument(
        "--calls", action="store_true", help="list the synchronous calls of the templates, too"
    )
    losing = command(losses, "DIR")
    losing.add_argument(
        "--all", action="store_true", help=f"list all of them, not only the worst {_MOST_LOSSES}"
    )
    command(review, "OLD", "NEW")
    pricing = command(cost, "DIR")
    pricing.add_argument("--region", default="us-east-1", help="whose prices count (us-east-1)")
    pricing.add_argument(
        "--free-tier", action="store_true", help="subtract what an account has for nothing"
    )
    using = command(permissions, "DIR")
    using.add_argument(
        "scenario",
        metavar="SCENARIO",
        type=Path,
        help="a Python file with a function `scenario(rehearsal)` that uses the application",
    )
    using.add_argument("--explanations", type=Path, help="a TOML file: why permissions stay unused")
    using.add_argument("--seed", type=int, default=0, help="decides all that is random")
    running = command(run, "DIR")
    for each in (checking, running):
        each.add_argument(
            "--stand-ins",
            action="store_true",
            help="let functions that cannot run do nothing, and make up values from outside",
        )
        each.add_argument(
            "--quota",
            metavar="NAME=VALUE",
            type=_quota,
            action="append",
            default=[],
            help="a limit of your account that AWS has raised, such as events.rules=600",
        )
    running.add_argument("--port", type=int, default=0, help="the port of the AWS endpoint")
    running.add_argument(
        "--console", action="store_true", help="serve a live page, on which time can be changed"
    )
    watching = command(console, "DIR")
    watching.add_argument("--port", type=int, default=0, help="the port of the page")
    watching.add_argument(
        "--minutes", type=int, default=15, help="how far back logs are read at first (15)"
    )
    watching.add_argument(
        "--operate", action="store_true", help="permit redrives, and messages to be discarded"
    )
    watching.add_argument(
        "--policy",
        action="store_true",
        help="write the IAM policy that this needs, also for --operate, and nothing else",
    )
    watching.add_argument(
        "--journal",
        type=Path,
        default=Path("console-journal.jsonl"),
        help="the file that says who has done what (console-journal.jsonl)",
    )
    watching.add_argument(
        "--site",
        type=Path,
        metavar="DIR",
        help="a folder of pages about the application; its pages.json has them by construct path",
    )
    watching.add_argument("--site-build", default="", help="the command that builds the site")
    watching.add_argument(
        "--runbook",
        type=Path,
        metavar="FILE",
        help="a runbook in Markdown, whose headings the descriptions of alarms name as #anchor",
    )
    running.add_argument("--seed", type=int, default=0, help="decides all that is random")
    running.add_argument("--logs", type=Path, help="a directory for the logs of functions")
    running.add_argument(
        "--otlp",
        metavar="DEST",
        help="where to export traces at the end: a file, or the URL of an OTLP receiver here",
    )
    running.add_argument("--token", metavar="SUBJECT", help="print a token of an API's user")
    running.add_argument(
        "--authorizer", metavar="NAME", help="the authorizer of the token, if there are several"
    )
    return parser


def _quota(text: str) -> tuple[str, int]:
    """Reads NAME=VALUE."""
    name, _, value = text.partition("=")
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE with a whole number")
    return name, int(value)


def check(options: argparse.Namespace) -> int:
    """Lists what a rehearsal does not support or AWS would refuse; exits with 1 if there is any."""
    directories = _applications(options)
    for directory in directories:
        environment(directory)
    from cdk_rehearsal.checking import loaded
    from cdk_rehearsal.kinds import WITHOUT_PART

    given = {"stand_ins": options.stand_ins, "quotas": dict(options.quota)}
    found = [loaded(directory, **given) for directory in directories]
    problems = [str(problem) for each in found for problem in each.unsupported]
    exceeded = [each for one in found for each in one.exceeded]
    stand_ins = [str(stand_in) for each in found for stand_in in each.stand_ins]
    types = Counter(
        resource.type for directory in directories for resource in Assembly(directory).resources
    )
    runs = {name: number for name, number in sorted(types.items()) if name not in WITHOUT_PART}
    rest = {name: number for name, number in sorted(types.items()) if name in WITHOUT_PART}
    if options.json:
        _write_json(
            {
                "unsupported": problems,
                "exceeded": [each.as_json() for each in exceeded],
                "stand_ins": stand_ins,
                "rehearsed": runs,
                "not_rehearsed": rest,
            }
        )
    elif problems or exceeded:
        print(*problems, *exceeded, sep="\n")
        print(f"{len(problems)} not supported" if problems else "everything is supported")
        if exceeded:
            print(f"{len(exceeded)} over a limit of AWS: the deployment would fail")
    else:
        print("everything is supported" + (", with stand-ins:" if stand_ins else ""))
        print("".join(f"  {each}\n" for each in stand_ins), end="")
        for title, counted in (("rehearsed", runs), ("of no effect in a rehearsal", rest)):
            if counted:
                print(f"{title}: {', '.join(f'{n} {name}' for name, n in counted.items())}")
    return FINDINGS if problems or exceeded else 0


def edges(options: argparse.Namespace) -> int:
    """Lists the asynchronous edges, with their retries, dead-letter queues and alarms."""
    assemblies = [Assembly(directory) for directory in _applications(options)]
    found = [edge for assembly in assemblies for edge in topology.edges(assembly)]
    calls = [call for assembly in assemblies for call in topology.calls(assembly)]
    listed = [*found, *(calls if options.calls else ())]
    _write(options, listed, f"there are no asynchronous edges: {_synchronous(calls)}")
    return 0


def _synchronous(calls: Sequence[Call]) -> str:
    if not calls:
        return "nothing in the templates calls anything else"
    return (
        f"synchronous calls ({len(calls)}) are none, as their callers get the errors; "
        "`rehearse edges --calls` lists them"
    )


def losses(options: argparse.Namespace) -> int:
    """Lists where messages can get lost, and the remedies; exits with 1 if they can."""
    assemblies = [Assembly(directory) for directory in _applications(options)]
    found = [loss for assembly in assemblies for loss in topology.losses(assembly)]
    shown = found if options.all or options.json else topology.worst(found, _MOST_LOSSES)
    _write(options, shown, "no message can get lost unnoticed")
    if not found and not options.json and not any(map(topology.edges, assemblies)):
        calls = [call for assembly in assemblies for call in topology.calls(assembly)]
        print(f"there are no asynchronous edges: {_synchronous(calls)}")
    if len(shown) < len(found):
        counted = Counter(loss.severity for loss in found)
        kinds = ", ".join(f"{number} {severity}" for severity, number in counted.items())
        print(f"{len(shown)} of {len(found)} findings ({kinds}): list all of them with --all")
    return FINDINGS if found else 0


def _applications(options: argparse.Namespace) -> list[Path]:
    """The directories of the stage that was chosen, or of all of them."""
    if options.stage is not None:
        return [select(options.dir, options.stage)]
    return [*Assembly(options.dir).applications.values()]


def review(options: argparse.Namespace) -> int:
    """Describes a change; exits with 1 if it deletes data or CloudFormation would refuse it."""
    old, new = (Assembly(select(each, options.stage)) for each in (options.old, options.new))
    found = topology.compare_assemblies(old, new)
    if options.json:
        _write_json(found.as_json())
    else:
        print(found.markdown(f"{options.old} → {options.new}", {}, ""), end="")
    return FINDINGS if any(found.blocking.values()) else 0


def cost(options: argparse.Namespace) -> int:
    """Lists what the resources cost in a month without use; exits with 1 if a price is missing."""
    known = prices(options.region)
    bills = [
        idle_bill(Assembly(directory), known, free_tier=options.free_tier)
        for directory in _applications(options)
    ]
    unpriced = sorted({each for bill in bills for each in bill.unpriced})
    lines = [line for bill in bills for line in bill.lines if line.usd]
    usd = sum(bill.usd for bill in bills)
    if options.json:
        _write_json([bill.as_json() for bill in bills])
    else:
        print(*(f"{line.usd:8.2f} USD  {line.items:4} {line.type}" for line in lines), sep="\n")
        print(f"{usd:8.2f} USD  a month, idle, at the prices of {options.region}")
        print("".join(f"no price is known for {each}\n" for each in unpriced), end="")
    return FINDINGS if unpriced else 0


def permissions(options: argparse.Namespace) -> int:
    """Lists the permissions that a scenario uses, and those that it does not; exits with 1 then."""
    directory = select(options.dir, options.stage)
    settings: dict[str, Any] = environment(directory)
    from cdk_rehearsal import Rehearsal
    from cdk_rehearsal.permission_use import permission_report, read_explanations

    try:
        scenario = runpy.run_path(str(options.scenario))["scenario"]
        explanations = read_explanations(options.explanations) if options.explanations else []
    except (OSError, KeyError, ValueError) as error:
        raise RehearsalError(
            f"{options.scenario}: {error!r}: give a Python file that defines scenario(rehearsal)"
        ) from error
    with Rehearsal(directory, seed=options.seed, **settings) as rehearsal:
        scenario(rehearsal)
        found = permission_report(rehearsal, explanations)
    if options.json:
        _write_json(found.as_json())
    else:
        print(*found.lines(), *found.findings, sep="\n")
    return FINDINGS if found.findings else 0


def run(options: argparse.Namespace) -> int:
    """Runs the application in real time until it is interrupted, and serves its APIs."""
    directory = select(options.dir, options.stage)
    settings: dict[str, Any] = environment(directory)
    from cdk_rehearsal import Rehearsal
    from cdk_rehearsal.traces import Traces, require_destination

    if options.otlp:
        require_destination(options.otlp)
    interrupted = _interruption()
    show = _write_record if options.json else _print_record
    process = os.getpid()

    def on_record(record: Record) -> None:
        # A fork of the console says nothing here.
        if os.getpid() == process:
            show(record)

    with ExitStack() as stack:
        rehearsal = stack.enter_context(
            Rehearsal(
                directory,
                seed=options.seed,
                start=datetime.now(UTC),
                pace="virtual" if options.console else "real",
                logs=options.logs,
                on_record=on_record,
                stand_ins=options.stand_ins,
                quotas=dict(options.quota),
                **settings,
            )
        )
        traces = Traces(rehearsal) if options.otlp else None
        console = _console(rehearsal, stack) if options.console else None
        _serve(rehearsal, options, console)
        if console:
            from cdk_rehearsal.console import play

            play(rehearsal, console, until=interrupted)
        while not interrupted():
            rehearsal.run_for(_STEP_S)
    if traces:
        print(f"{traces.export(options.otlp)} spans are in {options.otlp}", file=sys.stderr)
    return 0


def console(options: argparse.Namespace) -> int:
    """Serves a live page about the deployed application, with the shell's AWS credentials."""
    directory = select(options.dir, options.stage)
    if options.policy:
        from cdk_rehearsal.console.deployed.policy import Scope, policy

        scope = Scope.of(Assembly(directory))
        print(json.dumps(policy(scope, operates=options.operate), indent=2))
        return 0
    region = environment(directory).get("region")
    from cdk_rehearsal.console import Site, runbook_page
    from cdk_rehearsal.console.deployed.account import open_account
    from cdk_rehearsal.console.deployed.console import DeployedConsole, title_of

    if options.runbook:
        # A file that cannot be read is an error now, and not when an alarm rings.
        runbook_page(options.runbook, "")
    interrupted = _interruption()
    assembly = Assembly(directory)
    account = open_account(region)
    page = DeployedConsole(
        account,
        assembly,
        title=title_of(assembly),
        journal=options.journal if options.operate else None,
        site=Site(options.site, options.site_build) if options.site else None,
        runbook=partial(runbook_page, options.runbook) if options.runbook else None,
        port=options.port,
        past_s=options.minutes * 60,
    )
    with page:
        if options.json:
            _write_json({"console": page.url, "identity": account.identity})
        else:
            print(f"Console: {page.url}")
            print(f"Account {account.id}, region {account.region}, as {account.identity}")
            journal = f"What you do is written to {options.journal}."
            print(journal if options.operate else "Read-only: --operate permits redrives.")
            print("Runs until Ctrl-C.", flush=True)
        page.run(interrupted)
    return 0


def _interruption() -> Callable[[], bool]:
    """Returns whether the command has been interrupted, by Ctrl-C or a signal."""
    interrupted = False

    def stop(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = True
        # A second signal ends a handler that does not return.
        signal.signal(number, signal.default_int_handler)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    return lambda: interrupted


def _serve(
    rehearsal: Rehearsal, options: argparse.Namespace, console: Console | None = None
) -> None:
    """Serves AWS and the APIs, and says where."""
    endpoint, apis = rehearsal.serve(options.port), rehearsal.serve_apis()
    subject, authorizer = options.token, options.authorizer
    token = rehearsal.token(subject, authorizer=authorizer) if subject else None
    if options.json:
        page = {"console": console.url} if console else {}
        _write_json({"endpoint": endpoint, "apis": apis, "token": token, **page})
        return
    if console:
        print(f"Console: {console.url}")
    print(f"AWS endpoint: {endpoint}, region {rehearsal.region}, any credentials")
    for path, url in apis.items():
        print(f"{path}: {url}")
    if token:
        print(f"Authorization: Bearer {token}")
    print("Runs until Ctrl-C.", flush=True)


def _console(rehearsal: Rehearsal, stack: ExitStack) -> Console:
    from cdk_rehearsal.console import Console

    names = dict.fromkeys(each.name for each in rehearsal.assembly.stacks)
    console = stack.enter_context(Console(rehearsal, title=", ".join(names)[:60]))
    # A browser or `curl` comes at any time: until its viewer says so, the page skips none.
    console.skips_quiet = False
    return console


def _print_record(record: Record) -> None:
    if record.kind in {"request", "invocation", "published", "dead_letter", "discarded"}:
        time = datetime.fromtimestamp(record.time, UTC).strftime("%H:%M:%S")
        shown = ("method", "path", "status", "error")
        detail = " ".join(str(record.detail[name]) for name in shown if record.detail.get(name))
        print(f"{time} {record.kind:11} {record.source} → {record.target} {detail}", flush=True)


def _write_record(record: Record) -> None:
    from msgspec.json import encode

    print(encode(record).decode(), flush=True)


def _write(options: argparse.Namespace, found: Sequence[Edge | Call | Loss], nothing: str) -> None:
    if options.json:
        _write_json([each.as_json() for each in found])
    else:
        print("\n".join(map(str, found)) or nothing)


def _write_json(value: object) -> None:
    print(json.dumps(value, default=str), flush=True)
