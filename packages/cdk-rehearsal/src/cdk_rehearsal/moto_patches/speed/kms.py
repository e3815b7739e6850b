"""Symmetric KMS keys: all of them share the key pair that moto makes for each, and never uses."""

from functools import cache
from typing import Any

from moto.kms import models
from moto.kms.utils import KeySpec, generate_private_key

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Makes the key pair once: the search for its primes takes a tenth of a second."""
    patches.set(models, "generate_private_key", _key_pair)


def _key_pair(key_spec: str) -> Any:
    return _shared() if key_spec == KeySpec.SYMMETRIC_DEFAULT else generate_private_key(key_spec)


@cache
def _shared() -> Any:
    return generate_private_key(KeySpec.SYMMETRIC_DEFAULT)
