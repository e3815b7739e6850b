"""Protects `ast.parse` from garbage collections, for versions of Python where one can break it."""

import ast
import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

FIXED_IN = (3, 11, 8)
"""Before this version of Python, a call of `ast.parse` can break another one.

All calls share one counter of the recursion depth. If another thread parses meanwhile, or a
finalizer does during a garbage collection, the first call raises SystemError, "AST constructor
recursion depth mismatch". pytest parses sources to show where a test failed. The error would then
end the whole run without naming the failure. https://github.com/python/cpython/issues/106905
"""


def without_collection(function: Callable[P, R]) -> Callable[P, R]:
    """Wraps a function so that no garbage collection starts during its calls."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        enabled = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            if enabled:
                gc.enable()

    return call


def protect() -> None:
    """Prevents garbage collections during every `ast.parse`, including those of pytest."""
    vars(ast)["parse"] = without_collection(ast.parse)
