"""Imports handlers, each in a process of its own, and prints how many modules it then has.

python -I -S -B start_handlers.py LAYER MODULE=PACKAGE...

A process finds nothing but its handler's package and the layer. What the kernel imports of the
layer is shared by all, so one process imports that and splits up for each handler then: one that
did without it has fewer modules than it says here.
"""

import os
import sys


def start(module: str, package: str) -> None:
    """Be the process of one handler."""
    sys.path.insert(0, package)
    __import__(module)
    print(module, len(sys.modules), flush=True)


if __name__ == "__main__":
    layer, *handlers = sys.argv[1:]
    sys.path.insert(0, layer)
    for shared in ("aws_lambda_powertools", "boto3", "msgspec"):
        __import__(shared)
    failed = 0
    for module, _, package in (handler.partition("=") for handler in handlers):
        if process := os.fork():
            failed |= os.waitpid(process, 0)[1]
        else:
            start(module, package)
            os._exit(0)  # taking down an interpreter takes longer than all that it did
    sys.exit(bool(failed))
