"""S3: objects in memory instead of temporary files, which would have to be closed."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

from moto.s3 import models
from moto.s3.models import FakeKey

from cdk_rehearsal.sandbox.patching import Patches


def patch(patches: Patches) -> None:
    """Replaces the file behind each object, of which moto warns if it is not closed in time.

    moto would close those that it keeps track of as models, which it no longer does.
    """
    original = FakeKey.__init__

    def make(key: FakeKey, *args: Any, **kwargs: Any) -> None:
        original(key, *args, **kwargs)
        key.disposed = True

    in_memory = SimpleNamespace(SpooledTemporaryFile=lambda max_size: BytesIO())
    patches.set(models, "tempfile", in_memory)
    patches.set(FakeKey, "__init__", make)
