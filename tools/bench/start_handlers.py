"""Imports each handler in its own process and prints how many modules are then loaded.

python -I -S -B start_handlers.py LAYER MODULE=PACKAGE...

Prints the module, the number of all modules, and of those outside of Python's own library. Each
process finds only its handler's package and the layer. The parent process imports the libraries
that all handlers share, and then forks for each handler. So the counts include these libraries even
for a handler that does not import them.
"""

import os
import sys


def start(module: str, package: str) -> None:
    """Imports one handler and prints the numbers of modules."""
    sys.path.insert(0, package)
    __import__(module)
    own = [n for n in sys.modules if n.partition(".")[0] not in sys.stdlib_module_names]
    print(module, len(sys.modules), len(own), flush=True)


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
            os._exit(0)  # an orderly shutdown of the interpreter takes longer than the import
    sys.exit(bool(failed))
