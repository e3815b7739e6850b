"""Reads the key of all Cognito user pools once."""

import json
import random
from functools import cache
from types import SimpleNamespace
from typing import Any

from joserfc.jwk import RSAKey
from moto.cognitoidp import models

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Caches the key, which moto reads for each pool: computing its missing primes is slow."""
    key = SimpleNamespace(import_key=lambda document: _key(json.dumps(document)))
    patches.set(models, "jwk", SimpleNamespace(RSAKey=key))


@cache
def _key(document: str) -> Any:
    # The search for the primes is random. It must not affect numbers that are drawn from the seed.
    state = random.getstate()
    try:
        return RSAKey.import_key(json.loads(document))
    finally:
        random.setstate(state)
