"""Importing the package changes nothing in the process; the first rehearsal imports moto."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import cdk_rehearsal

# Runs before anything is imported, and reports afterwards what an import has changed.
OBSERVED = """
import atexit, gc, importlib, os, random, signal, sys, threading

changes = []

def audit(event, arguments):
    if event in {{"os.putenv", "os.unsetenv", "signal.signal"}}:
        changes.append((event, str(arguments)))

def registered(function, *arguments, **options):
    if sys._getframe(1).f_globals["__name__"].startswith("cdk_rehearsal"):
        changes.append(("atexit.register", str(function)))
    return register(function, *arguments, **options)

def state():
    return (
        dict(os.environ), gc.get_threshold(), gc.get_freeze_count(),
        [f for f in sys.meta_path if type(f).__module__.startswith("cdk_rehearsal")],
        sys.path[:], sys.stdout, random.getstate(), threading.active_count(),
    )

register, atexit.register = atexit.register, registered
sys.addaudithook(audit)
before = state()
for name in {modules}:
    known = dict(sys.modules)
    importlib.import_module(name)
    changes += [("replaced", path) for path in known if sys.modules.get(path) is not known[path]]
changes += [("parent missing", path) for path in sys.modules
            if path.startswith("moto.") and path.rpartition(".")[0] not in sys.modules]
changes += [("state", str(one)) for one, other in zip(before, state()) if one != other]
{after}
print(changes)
"""

# What runs on moto, and imports it.
ON_MOTO = (
    *("authorization", "deployment", "hooks", "loading", "metered_tables", "metering"),
    *("moto_patches", "outside", "permission_use", "recovery", "resources", "server", "services"),
    *("support", "updating"),
)
# The first starts the command; the second needs aws_cdk, whose import starts Node.js.
EXCLUDED = ("cdk_rehearsal.__main__", "cdk_rehearsal.validation")


def modules() -> Iterator[str]:
    for found in pkgutil.walk_packages(cdk_rehearsal.__path__, "cdk_rehearsal."):
        if found.name not in EXCLUDED:
            yield found.name


def changed_by(*names: str, after: str = "") -> str:
    program = OBSERVED.format(modules=list(names), after=after)
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_any_module_changes_nothing_in_the_process() -> None:
    assert changed_by("cdk_rehearsal", *modules()) == "[]"


def test_the_public_names_and_all_that_runs_without_moto_do_not_import_it() -> None:
    names = [name for name in modules() if name.split(".")[1] not in ON_MOTO]
    assert "cdk_rehearsal.rehearsal" in names
    on_moto = {"HttpFront", "HttpResponse", "InvocationResult", "Request", "Response", "check"}
    on_moto |= {"Metering", "TableRecovery", "UpdateRefused", "UpdateRolledBack"}
    on_moto |= {"WebSocket", "WebSocketRefused"}
    on_moto |= {*cdk_rehearsal._NAMES["permission_use"]}
    after = f"""
import cdk_rehearsal
assert [getattr(cdk_rehearsal, name) for name in cdk_rehearsal.__all__ if name not in {on_moto}]
changes += sorted({{path.partition(".")[0] for path in sys.modules}} & {{"moto"}})
"""
    assert changed_by("cdk_rehearsal", *names, after=after) == "[]"
