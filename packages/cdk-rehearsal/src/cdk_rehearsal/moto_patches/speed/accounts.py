"""Accounts: moto's backends of a service are looked up once."""

from functools import partial
from itertools import count
from typing import Any

from moto.core import base_backend
from moto.core.base_backend import BackendDict

from cdk_rehearsal.sandbox.patching import Patches

_NAMES = count()


def patch(patches: Patches) -> None:
    """Remembers the accounts that moto lists, and names them without a random number."""
    # moto searches all backends for each look-up. The first search is needed: moto resets only the
    # backends on its list, and a backend that another one restores during a reset is not on it.
    find: Any = BackendDict.__getitem__
    empty = BackendDict.reset
    listed: set[tuple[str, str]] = set()

    def account(backends: Any, account_id: str) -> Any:
        key = (backends._id, account_id)
        found = dict.get(backends, account_id)
        if found is not None and key in listed:
            return found
        listed.add(key)
        return find(backends, account_id)

    def reset(_: type[BackendDict[Any]]) -> None:
        empty()
        listed.clear()

    # Only the first rehearsal of a process creates backends. If their names were random, it would
    # draw other numbers from the seed than the next.
    patches.set(base_backend, "uuid4", partial(next, _NAMES))
    patches.set(BackendDict, "__getitem__", account)
    patches.set(BackendDict, "reset", classmethod(reset))
