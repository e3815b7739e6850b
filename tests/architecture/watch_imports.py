"""Imports modules in an interpreter of its own, and prints what they did that an import must not.

python watch_imports.py ROOT MODULE...
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any

import botocore.session

found: list[str] = []


class WatchedEnvironment(MutableMapping[str, str]):
    """The environment; notes who reads it."""

    def __init__(self, real: MutableMapping[str, str]) -> None:
        self._real = real

    def __getitem__(self, name: str) -> str:
        note(f"reads {name} from the environment")
        return self._real[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._real[name] = value

    def __delitem__(self, name: str) -> None:
        del self._real[name]

    def __iter__(self) -> Iterator[str]:
        note("reads the environment")
        return iter(self._real)

    def __len__(self) -> int:
        return len(self._real)


def note(deed: str) -> None:
    """Note a deed if code of a handler does it, itself or through what it calls.

    What a library does while it is being imported is its own business: there, the machinery of
    imports stands between it and the handler.
    """
    frame = sys._getframe(1)
    while frame := frame.f_back:  # type: ignore[assignment]
        module = frame.f_globals.get("__name__", "")
        if module.startswith("importlib."):
            return
        if module.startswith("lambdas."):
            found.append(f"{module}:{frame.f_lineno} {deed}")
            return


def watched_client(_: botocore.session.Session, service: str, *args: Any, **kwargs: Any) -> None:
    """Stand in for the making of a client."""
    note(f"makes a client of {service}")


if __name__ == "__main__":
    root, *modules = sys.argv[1:]
    sys.path.insert(0, root)
    botocore.session.Session.create_client = watched_client  # type: ignore[assignment]
    os.environ = WatchedEnvironment(os.environ)  # type: ignore[assignment]  # noqa: B003
    for module in modules:
        importlib.import_module(module)
    print(json.dumps(found))
