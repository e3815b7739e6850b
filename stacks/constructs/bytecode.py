"""Compiles trees of Python sources; run by the interpreter whose bytecode is wanted.

python bytecode.py VERSION TREE MOUNT [TREE MOUNT]...

The bytecode names its sources as if each tree stood at its mount point, so it is the same wherever
it was made, and tracebacks show the paths of the place where it runs. Unchecked hashes keep it
valid whatever times the files get (https://peps.python.org/pep-0552/).
"""

import compileall
import sys
from py_compile import PycInvalidationMode


def compile_trees(version: str, trees: list[tuple[str, str]]) -> None:
    """Write `__pycache__` in each (tree, mount). Exits with a message if one cannot be compiled."""
    running = "{}.{}".format(*sys.version_info)
    if running != version:
        sys.exit(f"this interpreter is Python {running}, but bytecode of {version} is wanted")
    for tree, mount in trees:
        complete = compileall.compile_dir(
            tree,
            quiet=1,
            force=True,
            stripdir=tree,
            prependdir=mount,
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )
        if not complete:
            sys.exit(f"the code for {mount} does not compile")


if __name__ == "__main__":
    arguments = sys.argv[2:]
    compile_trees(sys.argv[1], list(zip(arguments[::2], arguments[1::2], strict=True)))
