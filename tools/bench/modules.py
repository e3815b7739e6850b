"""The modules that handlers import, as they are deployed in an assembly."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cdk_rehearsal import Assembly

_START = Path(__file__).with_name("start_handlers.py")


@dataclass(frozen=True)
class LoadedModules:
    """How many modules a handler's import loads."""

    all: int
    outside: int
    """Those outside of Python's own library, whose number does not depend on Python's version."""


def deployed_handlers(assembly: Assembly) -> Iterator[tuple[str, Path, Path]]:
    """Yields each function's handler module, its package, and the libraries of its layer."""
    for function in assembly.of_type("AWS::Lambda::Function"):
        (layer,) = function.properties["Layers"]
        code, dependencies = (
            assembly.directory / resource.definition["Metadata"]["aws:asset:path"]
            for resource in (function, assembly.referred(function.stack, layer))
        )
        module, _, attribute = function.properties["Handler"].rpartition(".")
        if attribute != "handler":
            raise ValueError(f"{function}: the entry point is {attribute!r}: name it `handler`")
        yield module, code, dependencies / "python"


def loaded_modules(assembly: Assembly) -> dict[str, LoadedModules]:
    """Imports each handler from package and layer alone, and counts what is loaded then.

    Raises RuntimeError with the traceback if an import fails.
    """
    by_layer = defaultdict[Path, set[str]](set)
    for module, package, layer in deployed_handlers(assembly):
        by_layer[layer].add(f"{module}={package}")
    found = dict[str, LoadedModules]()
    for layer, handlers in by_layer.items():
        command = [sys.executable, "-I", "-S", "-B", str(_START), str(layer), *sorted(handlers)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"a handler cannot be imported:\n{done.stderr}")
        for line in done.stdout.splitlines():
            module, total, outside = line.split()
            found[module] = LoadedModules(int(total), int(outside))
    return found
