"""Compiles trees of Python sources, in the interpreter that is to run them.

python bytecode.py VERSION TREE MOUNT [TREE MOUNT]...

The bytecode names its sources as if each tree were at its mount point. So it is the same on every
machine, and tracebacks show the paths at run time. Unchecked hashes keep it valid when the times of
files change (https://peps.python.org/pep-0552/).
"""

import compileall
import sys
from py_compile import PycInvalidationMode


def compile_trees(version: str, trees: list[tuple[str, str]]) -> None:
    """Writes `__pycache__` in each (tree, mount). Exits with a message if one does not compile."""
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
