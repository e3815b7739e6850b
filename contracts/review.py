"""What a change does, in words, as a comment on its pull request: `make review BASE=main`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from contracts.compatibility import breaking_changes
from contracts.schemas import Schema
from topology.assembly import Assembly
from topology.changes import differences
from topology.review import review
from topology.routes import sieves

PROJECT = Path(__file__).resolve().parents[1]
ACKNOWLEDGED = Path("docs", "acknowledged-replacements.toml")

_EVENTS = Path("docs", "events")
_SUFFIX = ".schema.json"
_LOCKS = ("requirements.txt", "requirements-dev.txt", "package-lock.json")
_SHARED = (".build", "node_modules")
"""Made by `make setup` and named by what they are made of, so that both sides can use them."""
_FOREIGN = ("PYTHON", "PYTEST_", "GIT_")
_HOW = (
    f"If that is meant, add to `{ACKNOWLEDGED}`:\n\n"
    '```toml\n[[replacement]]\npath = "…"\nreason = "…"\n```\n\n'
    "An entry counts for the change that adds it, and for no later one."
)


class ReviewError(Exception):
    """There is nothing to compare; the message says why, and what to do."""


def events(base: Path, head: Path, before: Assembly, after: Assembly) -> list[str]:
    """What becomes of the events that two trees define, in words, and whom it touches."""
    old, new = _schemas(base), _schemas(head)
    if not old:
        return [f"the base keeps no schemas in `{_EVENTS}`: they are not compared"] if new else []
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


def _schemas(tree: Path) -> dict[str, Schema]:
    return {
        path.name.removesuffix(_SUFFIX): json.loads(path.read_bytes())
        for path in (tree / _EVENTS).rglob(f"*{_SUFFIX}")
    }


def _taken(assembly: Assembly, name: str) -> str:
    """Who asks for an event by its name."""
    found = {
        target.path.rpartition("/")[0]
        for sieve in sieves(assembly)
        if any(name in pattern.get("detail-type", ()) for pattern in sieve.patterns)
        for target in sieve.targets
    }
    return f"taken by {', '.join(f'`{path}`' for path in sorted(found)) or 'nobody by its name'}"


def acknowledged(base: Path, head: Path) -> dict[str, str]:
    """The reasons, by path, that `head` gives and `base` did not. Raises ReviewError."""
    earlier = _entries(base)
    return {path: reason for path, reason in _entries(head) if (path, reason) not in earlier}


def _entries(tree: Path) -> list[tuple[str, str]]:
    file = tree / ACKNOWLEDGED
    if not file.is_file():
        return []
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8")).get("replacement", [])
        found = [(entry["path"], entry["reason"].strip()) for entry in entries]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ReviewError(
            f"{ACKNOWLEDGED}: {error}: write [[replacement]] with a path and a reason"
        ) from error
    if unexplained := [path for path, reason in found if not reason]:
        raise ReviewError(f"{ACKNOWLEDGED}: {unexplained[0]} has no reason")
    return found


def compare(revision: str, stage: str) -> tuple[str, bool]:
    """The comment on what the working tree makes of a revision, and whether all is acknowledged.

    Raises ReviewError.
    """
    commit = _base(revision)
    with tempfile.TemporaryDirectory(prefix="review-") as scratch, _tree(commit, scratch) as base:
        outs = [Path(scratch, "assemblies", side) for side in ("base", "head")]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(_synthesize, (base, PROJECT), outs, (stage, stage)))
        before, after = (Assembly(out / stage) for out in outs)
        found = review(before, after, events=events(base, PROJECT, before, after))
        reasons = acknowledged(base, PROJECT)
        title = f"What changes in {stage} since {commit[:9]}"
        comment = found.markdown(title, reasons, _HOW) + _remarks(
            base, reasons.keys() - {loss.path for loss in found.losses}
        )
        return comment, not found.unexcused(reasons)


def _remarks(base: Path, idle: set[str]) -> str:
    remarks = [f"`{ACKNOWLEDGED}` names `{path}`, which is not lost." for path in sorted(idle)]
    if any(_content(base / name) != _content(PROJECT / name) for name in _LOCKS):
        remarks.append(
            "Lock files differ. Both sides were synthesized with the libraries of this one, so "
            "what newer libraries change by themselves is not in here."
        )
    return "".join(f"\n{remark}\n" for remark in remarks)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _base(revision: str) -> str:
    """The commit at which the working tree left a revision."""
    try:
        _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except subprocess.CalledProcessError:
        raise ReviewError(
            f"there is no revision {revision!r} here: name a branch, tag or commit, as in "
            "BASE=main; a shallow clone needs `git fetch --unshallow` first"
        ) from None
    try:
        return _git("merge-base", revision, "HEAD")
    except subprocess.CalledProcessError:
        return _git("rev-parse", f"{revision}^{{commit}}")


@contextmanager
def _tree(commit: str, scratch: str) -> Iterator[Path]:
    """The files of a commit, with what `make setup` has made here."""
    base = Path(scratch, "base")
    _git("worktree", "add", "--quiet", "--detach", str(base), commit)
    try:
        for name in _SHARED:
            if (PROJECT / name).exists() and not (base / name).exists():
                (base / name).symlink_to(PROJECT / name)
        yield base
    finally:
        _git("worktree", "remove", "--force", str(base))


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _synthesize(tree: Path, out: Path, stage: str) -> None:
    """Runs a tree's own code: it is another version of what is imported here."""
    command = [sys.executable, "-m", "stacks.synthesis", "--stage", stage, "--out", str(out)]
    # Code is not compared, so it need not be packed for Lambda.
    command += ["--target", "host", "--no-validation"]
    done = subprocess.run(
        command, cwd=tree, env=_environment(os.environ), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        whose = "this tree" if tree == PROJECT else "the base"
        raise ReviewError(
            f"{whose} cannot be synthesized with the libraries that are installed here:\n"
            f"{(done.stderr or done.stdout).strip()}"
        )


def _environment(shell: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in shell.items() if not name.startswith(_FOREIGN)}


def main() -> None:
    """Say what the working tree changes since it left BASE. 1 if data would be lost unseen."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("base", help="a branch, tag or commit")
    parser.add_argument("--stage", default="prod")
    parser.add_argument("--out", type=Path, help="a file for the comment, besides the terminal")
    options = parser.parse_args()
    print(f"Synthesizing {options.base} and this tree", file=sys.stderr)
    try:
        comment, fine = compare(options.base, options.stage)
    except ReviewError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    print(comment)
    if options.out:
        options.out.write_text(comment, encoding="utf-8")
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
