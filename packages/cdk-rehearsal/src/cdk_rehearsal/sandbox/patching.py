"""Replaces parts of other modules, and restores them."""

from collections.abc import Callable, MutableMapping
from typing import Any

_MISSING = object()


class Patches:
    """Replacements, which ``undo`` reverts in reverse order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def set(self, owner: Any, name: str, value: object) -> None:
        """Sets an attribute of a module or class."""
        original = vars(owner).get(name, _MISSING)
        setattr(owner, name, value)
        if original is _MISSING:
            self._undo.append(lambda: delattr(owner, name))
        else:
            self._undo.append(lambda: setattr(owner, name, original))

    def item(self, mapping: MutableMapping[Any, Any], key: Any, value: object) -> None:
        """Sets an item of a mapping."""
        original = mapping.get(key, _MISSING)
        mapping[key] = value
        if original is _MISSING:
            self._undo.append(lambda: mapping.pop(key, None))
        else:
            self._undo.append(lambda: mapping.__setitem__(key, original))

    def append(self, items: list[Any], item: object) -> None:
        """Appends to a list."""
        items.append(item)
        self._undo.append(lambda: items.remove(item))

    def undo(self) -> None:
        """Restores everything; without effect when done a second time."""
        while self._undo:
            self._undo.pop()()
