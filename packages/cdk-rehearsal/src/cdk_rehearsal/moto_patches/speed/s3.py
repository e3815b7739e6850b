"""Keeps S3 objects in memory instead of in temporary files, which would have to be closed."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

from moto.s3 import models
from moto.s3.models import FakeKey

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Replaces the file of each object: moto would warn about files that are not closed.

    moto closes the files of tracked models, but the patch of BaseModel disables the tracking.
    """
    original = FakeKey.__init__

    def make(key: FakeKey, *args: Any, **kwargs: Any) -> None:
        original(key, *args, **kwargs)
        key.disposed = True

    in_memory = SimpleNamespace(SpooledTemporaryFile=lambda max_size: BytesIO())
    patches.set(models, "tempfile", in_memory)
    patches.set(FakeKey, "__init__", make)
