"""Measurements of cold starts, each in a fresh interpreter."""

import ast
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stacks.constructs.packaging import Target, function_directory, layer_directory
from workspace.isolation import PROJECT

MAX_SHARE = 0.40
"""The most CPU time of a handler's import, as a share of the reference's."""
MAX_MODULES = 385
"""The goal. No handler reaches it yet: see docs/decisions/0009."""
MODULES_REACHED = 560
"""The limit that tests enforce until then: the present maximum.

Two of them are `lambdas.eventing.trace`, in place of X-Ray, and the pace of the e-mail sender.
Counted on the runtime's Python 3.14. Older versions import three to six modules fewer.
"""
MAX_PEAK_BYTES = 45 * 2**20
MAX_ZIPPED_BYTES = 6_000_000

_PROBE = Path(__file__).with_name("probe.py")

# Without LAMBDA_TASK_ROOT, the Tracer of Powertools would not import the SDK.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_REGION": "eu-central-1",
    "LAMBDA_TASK_ROOT": "/var/task",
}


@dataclass(frozen=True, kw_only=True)
class ColdStart:
    """The cost of one import. Times are CPU seconds from the start of the interpreter."""

    cpu_s: float
    cpu_with_client_s: float
    """The CPU seconds including a DynamoDB client, which the first invocation creates."""
    modules: int
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A module to import from these paths; without a module, the bare interpreter."""

    name: str
    module: str = ""
    paths: tuple[Path, ...] = ()


def cold_start(subject: Subject) -> ColdStart:
    """Imports the subject in a fresh interpreter that sees only its paths.

    Raises RuntimeError with the traceback if the import fails.
    """
    # -I and -S: neither this environment nor site-packages. -B: no bytecode for the next run.
    command = [sys.executable, "-I", "-S", "-B", str(_PROBE), subject.module]
    command += map(str, subject.paths)
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{subject.name} cannot be imported:\n{done.stderr}")
    return ColdStart(**json.loads(done.stdout))


def handler_modules() -> Iterator[str]:
    """Yields each module in `lambdas/` with a `handler`."""
    for path in sorted(PROJECT.glob("lambdas/*/*.py")):
        tree = ast.parse(path.read_bytes())
        if any(isinstance(node, ast.FunctionDef) and node.name == "handler" for node in tree.body):
            yield ".".join(path.relative_to(PROJECT).with_suffix("").parts)


def packaged(module: str) -> Subject:
    """Returns a handler with its package and layer, built for this machine."""
    context = module.split(".")[1]
    paths = (function_directory(context, Target.HOST), layer_directory(Target.HOST) / "python")
    return Subject(name=module.removeprefix("lambdas."), module=module, paths=paths)


def zipped_bytes(*directories: Path) -> int:
    """Returns the size of the directories as one zip archive, in bytes."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for directory in directories:
            for path in sorted(directory.rglob("*")):
                zipped.write(path, path.relative_to(directory))
    return archive.tell()
