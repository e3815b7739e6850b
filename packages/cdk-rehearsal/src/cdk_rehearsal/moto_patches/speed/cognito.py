"""Cognito: one key for all user pools, read once."""

import json
import random
from functools import cache
from types import SimpleNamespace
from typing import Any

from joserfc.jwk import RSAKey
from moto.cognitoidp import models

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Keeps the key that moto reads for each pool; its file lacks the primes, which take long."""
    key = SimpleNamespace(import_key=lambda document: _key(json.dumps(document)))
    patches.set(models, "jwk", SimpleNamespace(RSAKey=key))


@cache
def _key(document: str) -> Any:
    # The primes are found by trial, which must not use up what the seed gives to others.
    state = random.getstate()
    try:
        return RSAKey.import_key(json.loads(document))
    finally:
        random.setstate(state)
