"""Imports modules in a separate interpreter and prints their forbidden side effects.

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
    """The environment variables; records which code reads them."""

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


def note(action: str) -> None:
    """Records an action of a handler's code, whether direct or through a function that it calls.

    Ignores actions of a library during its own import: between the library and the handler, the
    stack then has a frame of importlib.
    """
    frame = sys._getframe(1)
    while frame := frame.f_back:  # type: ignore[assignment]
        module = frame.f_globals.get("__name__", "")
        if module.startswith("importlib."):
            return
        if module.startswith("lambdas."):
            found.append(f"{module}:{frame.f_lineno} {action}")
            return


def watched_client(_: botocore.session.Session, service: str, *args: Any, **kwargs: Any) -> None:
    """Replaces the creation of a client."""
    note(f"creates a client for {service}")


if __name__ == "__main__":
    root, *modules = sys.argv[1:]
    sys.path.insert(0, root)
    botocore.session.Session.create_client = watched_client  # type: ignore[assignment]
    os.environ = WatchedEnvironment(os.environ)  # type: ignore[assignment]  # noqa: B003
    for module in modules:
        importlib.import_module(module)
    print(json.dumps(found))
