"""Parsing of Python that a garbage collection cannot break, for those versions where one can."""

import ast
import functools
import gc
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

FIXED_IN = (3, 11, 8)
"""Before this version of Python, one call of `ast.parse` can break another one.

It counts its depth in a place that all calls share. If a collection starts meanwhile, and a
finalizer or another thread parses too, the first call raises SystemError, "AST constructor
recursion depth mismatch". pytest parses sources to show where a test failed: the error then ends
the whole run, and no failure is named. https://github.com/python/cpython/issues/106905
"""


def without_collection(function: Callable[P, R]) -> Callable[P, R]:
    """The function, during which no garbage collection starts."""

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
    """Lets nothing collect garbage while it parses: pytest, traceback and all others."""
    vars(ast)["parse"] = without_collection(ast.parse)
