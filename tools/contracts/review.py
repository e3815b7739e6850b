"""What a change does, in words, as a comment on its pull request: `make review BASE=main`."""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cdk_rehearsal import Assembly
from cdk_rehearsal.topology import Blocking, compare_assemblies, differences, filters
from stacks.schemas.json_schema import Schema
from tools.contracts import acknowledgements, api, bill, documents, frozen, moving
from tools.contracts.compatibility import breaking_changes
from tools.contracts.openapi import openapi
from tools.contracts.two_deployments import two_deployments
from workspace.isolation import PROJECT

_EVENTS = Path("docs", "events")
_API = Path("docs", "openapi.json")
_SUFFIX = ".schema.json"
_LOCKS = ("requirements.txt", "requirements-dev.txt", "package-lock.json")
_SHARED = (".build", "node_modules")
"""Made by `make setup` and named by what they are made of, so that both sides can use them."""
_FOREIGN = ("PYTHON", "PYTEST_", "GIT_")


class ReviewError(Exception):
    """The versions cannot be compared; the message says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Interfaces:
    """The interfaces of one version: schemas of events by name, and the OpenAPI document."""

    events: Mapping[str, Schema]
    api: api.Document | None


def kept(tree: Path) -> Interfaces:
    """Returns the interfaces from the documents of a tree. Raises ReviewError."""
    try:
        events = {_named(path): json.loads(path.read_bytes()) for path in _copies(tree)}
        document = tree / _API
        routes = json.loads(document.read_bytes()) if document.is_file() else None
    except ValueError as error:
        raise ReviewError(f"a document in {tree / 'docs'} is not JSON: {error}") from error
    return Interfaces(events=events, api=routes)


def current(assembly: Assembly) -> Interfaces:
    """Returns the interfaces from the classes and handlers of this tree, not from docs/.

    Raises ReviewError if the API cannot be documented.
    """
    try:
        routes = openapi(assembly, documents.version())
    except ValueError as error:
        raise ReviewError(f"the API of this tree cannot be documented: {error}") from error
    contracts = frozen.contracts()
    return Interfaces(
        events={_named(Path(file)): contract.schema for file, contract in contracts.items()},
        api=routes,
    )


def events(
    old: Mapping[str, Schema], new: Mapping[str, Schema], before: Assembly, after: Assembly
) -> list[str]:
    """Describes the changes of events between two versions, and the consumers they affect."""
    if not old:
        return [f"the base has no schemas in `{_EVENTS}`: they are not compared"] if new else []
    lines = [f"new: {name}, {_taken(after, name)}" for name in sorted(new.keys() - old.keys())]
    lines += [f"gone: {name}, {_taken(before, name)}" for name in sorted(old.keys() - new.keys())]
    for name in sorted(old.keys() & new.keys()):
        if old[name] == new[name]:
            continue
        breaks = breaking_changes(old[name], new[name])
        if breaks:
            said = "; ".join(map(str, breaks))
            lines.append(f"**breaking**: {name} {said}; {_taken(after, name)}")
        else:
            places = [place for place, *_ in differences(old[name], new[name])]
            added = ", ".join(place.replace("properties.", "") for place in places)
            lines.append(f"changed: {name} ({added}) breaks nobody; {_taken(after, name)}")
    return lines


def _copies(tree: Path) -> Iterable[Path]:
    return (tree / _EVENTS).rglob(f"*{_SUFFIX}")


def _named(path: Path) -> str:
    return path.name.removesuffix(_SUFFIX)


def _taken(assembly: Assembly, name: str) -> str:
    """Returns, in words, the consumers whose filters name an event."""
    found = {
        target.path.rpartition("/")[0]
        for filter_ in filters(assembly)
        if any(name in pattern.get("detail-type", ()) for pattern in filter_.patterns)
        for target in filter_.targets
    }
    return f"taken by {', '.join(f'`{path}`' for path in sorted(found)) or 'nobody by its name'}"


def _how(open_: Mapping[str, Iterable[Blocking]]) -> str:
    paths = {
        kind: dict.fromkeys(each.path for each in blocking) for kind, blocking in open_.items()
    }
    return (
        f"If this is intended, give the reason in `{acknowledgements.FILE}`:\n\n"
        f"```toml\n{acknowledgements.how_to(paths)}\n```\n\n"
        "An entry counts for the change that adds it, and for no later one."
    )


@dataclass(frozen=True, kw_only=True)
class Versions:
    """A commit and the working tree, synthesized for a stage."""

    commit: str
    base: Path
    """The files of the commit."""
    outs: Sequence[Path]
    """The folders of both cloud assemblies."""
    before: Assembly
    after: Assembly


@contextmanager
def versions(revision: str, stage: str, *, exactly: bool = False) -> Iterator[Versions]:
    """Synthesizes the commit where the working tree left a revision, and the tree itself.

    With `exactly` it is the commit of the revision, even if the tree does not descend from it.
    Raises ReviewError.
    """
    commit = commit_of(revision) if exactly else left(revision)
    with tempfile.TemporaryDirectory(prefix="review-") as scratch:
        base = Path(scratch, "base")
        unpack(commit, base)
        outs = [Path(scratch, "assemblies", side) for side in ("base", "head")]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(_synthesize, (base, PROJECT), outs, (stage, stage)))
        before, after = (Assembly(out / stage) for out in outs)
        yield Versions(commit=commit, base=base, outs=outs, before=before, after=after)


def compare(
    revision: str, stage: str, *, rehearsed: bool = False, exactly: bool = False
) -> tuple[str, bool]:
    """Returns the comment on the changes since a revision, and whether all are acknowledged.

    The bill of orders is part of it if they are `rehearsed` on both sides. Writes the mapping of
    moved resources. Raises ReviewError.
    """
    with versions(revision, stage, exactly=exactly) as found:
        before, after = found.before, found.after
        lines = bill.idle(before, after)
        if rehearsed:
            print("Rehearsing orders on both sides, which takes minutes", file=sys.stderr)
            with ThreadPoolExecutor(2) as pool:
                trees = (found.base, PROJECT)
                lines += bill.used(*pool.map(_bill, trees, found.outs, (stage, stage)))
        title = f"What changes in {stage} since {found.commit[:9]}"
        said, fine = comment(
            before, after, found.base, PROJECT, title, now=current(after), costs=lines
        )
        return said + moving.write(before, after, stage), fine


def going_back(before: Assembly, after: Assembly) -> list[str]:
    """Returns what prevents a deployment of `before` over `after`: lost data and refusals."""
    found = compare_assemblies(after, before).blocking
    return [str(each) for kind in ("replacement", "refused") for each in found[kind]]


def comment(
    before: Assembly,
    after: Assembly,
    base: Path,
    head: Path,
    title: str,
    *,
    now: Interfaces | None = None,
    costs: Sequence[str] = (),
) -> tuple[str, bool]:
    """Returns the comment on two assemblies and their trees, and whether the change may pass.

    `now` are the interfaces of `head`; without it they are read from its documents. `costs` are
    lines about the bill. Raises ReviewError or AcknowledgementError.
    """
    was, now = kept(base), now or kept(head)
    routes = api.changes(was.api, now.api) if was.api and now.api else []
    said = [str(each) for each in routes if not each.breaks]
    if now.api and not was.api:
        said = [f"the base has no `{_API}`: routes are not compared"]
    found = compare_assemblies(
        before,
        after,
        interfaces={
            "Events": events(was.events, now.events, before, after),
            "API": said,
            "Bill": costs,
            "What prevents a roll back": going_back(before, after),
        },
        breaks=[each for each in routes if each.breaks],
    )
    steps = two_deployments(was.events, now.events, before, after, found)
    found = replace(found, sections={"Needs two deployments": steps, **found.sections})
    reasons = acknowledgements.reasons(head, base)
    open_ = found.unexcused(reasons)
    idle = [
        f"`{path}` as {kind}"
        for kind, blocking in found.blocking.items()
        for path in sorted(reasons[kind].keys() - {each.path for each in blocking})
    ]
    return found.markdown(title, reasons, _how(open_)) + _remarks(base, head, idle), not open_


def _remarks(base: Path, head: Path, idle: list[str]) -> str:
    remarks = [
        f"`{acknowledgements.FILE}` lists {each}, but there is no such finding." for each in idle
    ]
    if any(_content(base / name) != _content(head / name) for name in _LOCKS):
        remarks.append(
            "Lock files differ. Both sides were synthesized with the libraries of this one, so "
            "what newer libraries change by themselves is not in here."
        )
    return "".join(f"\n{remark}\n" for remark in remarks)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def left(revision: str) -> str:
    """Returns the commit at which the working tree branched off from a revision."""
    commit = commit_of(revision)
    try:
        return _git("merge-base", commit, "HEAD")
    except subprocess.CalledProcessError:
        return commit


def commit_of(revision: str) -> str:
    """Returns the commit of a branch, tag or commit. Raises ReviewError if there is none."""
    try:
        return _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except subprocess.CalledProcessError:
        raise ReviewError(
            f"there is no revision {revision!r} here: name a branch, tag or commit, as in "
            "BASE=main; a shallow clone needs `git fetch --unshallow` first"
        ) from None


def unpack(commit: str, base: Path, *, shared: Iterable[str] = _SHARED) -> None:
    """Extracts the files of a commit, and links to the `shared` results of `make setup`.

    A worktree would stay in the repository after an interruption.
    """
    packed = subprocess.run(
        ["git", "archive", "--format=tar", commit], cwd=PROJECT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        # Python before 3.11.4 has no extraction filters; Debian 12 has 3.11.2.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(base)  # noqa: S202 - git's own
    for name in shared:
        if (PROJECT / name).exists() and not (base / name).exists():
            (base / name).symlink_to(PROJECT / name)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _synthesize(tree: Path, out: Path, stage: str) -> None:
    """Synthesizes with a tree's own code, in another process."""
    command = [sys.executable, "-m", "stacks.synthesis", "--stage", stage, "--out", str(out)]
    # Code is not compared, so it need not be packed for Lambda.
    command += ["--target", "host", "--no-validation"]
    done = subprocess.run(
        command, cwd=tree, env=_environment(os.environ), capture_output=True, text=True, check=False
    )
    # Templates are written before they are validated, and `make check` reports validation errors.
    # A rule that only the base breaks must not hide the change that fixes it.
    if done.returncode != 0 and not Path(out, stage, "manifest.json").is_file():
        whose = "this tree" if tree == PROJECT else "the base"
        raise ReviewError(
            f"{whose} cannot be synthesized with the libraries that are installed here:\n"
            f"{(done.stderr or done.stdout).strip()}"
        )


def _bill(tree: Path, out: Path, stage: str) -> dict[str, Any]:
    """Rehearses orders with a tree's own code, in another process, and returns their bill."""
    report = out.with_name(f"{out.name}-bill.json")
    command = [sys.executable, "-m", "tools.cost", "--stage", stage, "--json", str(report)]
    done = subprocess.run(
        command, cwd=tree, env=_environment(os.environ), capture_output=True, text=True, check=False
    )
    # It also writes the report if something has no price.
    if not report.is_file():
        whose = "this tree" if tree == PROJECT else "the base"
        *_, reason = ("no reason is given", *done.stderr.strip().splitlines())
        raise ReviewError(
            f"the bill of {whose} cannot be metered: {reason}\n"
            "Leave out --bill, or look at `make cost` there"
        )
    found: dict[str, Any] = json.loads(report.read_bytes())
    return found


def _environment(shell: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in shell.items() if not name.startswith(_FOREIGN)}


def _answer(options: argparse.Namespace) -> tuple[str, bool]:
    """Returns the text that the options ask for, and whether nothing in it is an error."""
    if not options.back:
        return compare(options.base, options.stage, rehearsed=options.bill, exactly=options.exactly)
    with versions(options.base, options.stage, exactly=options.exactly) as found:
        title = f"What prevents a roll back of {options.stage} to {found.commit[:9]}"
        lines = going_back(found.before, found.after)
        return f"### {title}\n\n" + "".join(
            f"- {line}\n" for line in lines or ["nothing"]
        ), not lines


def main() -> None:
    """Summarizes the changes since BASE. Ends with 1 if a finding is not acknowledged."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("base", help="a branch, tag or commit")
    parser.add_argument("--stage", default="prod")
    parser.add_argument(
        "--bill",
        action="store_true",
        help="rehearse orders on both sides, and compare what they cost; takes minutes",
    )
    parser.add_argument("--out", type=Path, help="a file for the comment, besides the terminal")
    parser.add_argument(
        "--exactly",
        action="store_true",
        help="compare with the base itself, not with the commit where this tree left it",
    )
    parser.add_argument(
        "--back",
        action="store_true",
        help="list only what prevents a deployment of the base over this tree; ends with 1 then",
    )
    options = parser.parse_args()
    print(f"Synthesizing {options.base} and this tree", file=sys.stderr)
    try:
        said, fine = _answer(options)
    except (ReviewError, acknowledgements.AcknowledgementError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(said)
    if options.out:
        options.out.write_text(said, encoding="utf-8")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
