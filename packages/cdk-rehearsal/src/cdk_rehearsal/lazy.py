"""Imports public names when they are first used: checks of templates need no moto."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any


def lazily(
    package: str, modules: Mapping[str, Iterable[str]], *, light: Iterable[str] = ()
) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package; `modules` are the names that each module defines.

    All modules but the `light` ones use moto.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def import_name(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if module_of[name] not in light:
            # It must run before anything imports moto.
            import_module("cdk_rehearsal.lean")
        value = getattr(import_module(f"{package}.{module_of[name]}"), name)
        setattr(import_module(package), name, value)
        return value

    return import_name
