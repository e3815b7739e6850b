"""Lambda execution environments: modules, variables, output and logging of one function."""

import importlib.machinery
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, ClassVar, TextIO, cast

from cdk_rehearsal.policies import Principal
from cdk_rehearsal.spool import Spool, Spooled
from cdk_rehearsal.virtual_time.clock import Clock

_KEPT = 1_024
"""The texts of a log that stay in memory at least."""

# Libraries that keep state of an invocation in modules or classes, as Powertools does with
# metrics. Each environment has its own copy. All other libraries are the process's, above all the
# AWS clients that moto has patched.
_STATEFUL = frozenset({"aws_lambda_powertools"})
# Their public modules that keep nothing. To import these for each environment, too, would make a
# cold start take three times as long.
_STATELESS = tuple(
    f"aws_lambda_powertools.{module}"
    for module in (
        *("logging.buffer", "logging.exceptions", "logging.filters", "metrics.exceptions"),
        *("utilities.batch", "utilities.data_classes", "utilities.jmespath_utils"),
        *("utilities.parser", "utilities.typing", "warnings"),
    )
)


class FunctionLog:
    """The output and logs of one function's handlers; older texts are in a temporary file."""

    def __init__(
        self,
        now: Callable[[], float],
        spool: Spool,
        file: Path | None = None,
        hand_on: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``now`` returns the virtual time; a ``file`` gets each text, too.

        ``hand_on`` gets each text that is written.
        """
        self.encoding = "utf-8"
        self.muted = False
        """Whether the function's role does not permit to write to the log group."""
        self._now = now
        self._hand_on = hand_on
        self._texts: Spooled[tuple[float, str]] = Spooled(spool, _KEPT)
        """What was written, and when."""
        # Each line is in the file at once: others read it meanwhile.
        self._file = file.open("w", 1, encoding="utf-8") if file else None

    def write(self, text: str) -> int:
        """Appends ``text``; the interface of a text stream."""
        if self.muted:
            return len(text)
        self._texts.append((self._now(), text))
        self._hand_on(text)
        if self._file is not None:
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """Writes through to the file, if there is one."""
        if self._file is not None:
            self._file.flush()

    def isatty(self) -> bool:
        """Says that this is no terminal."""
        return False

    def text(self) -> str:
        """Returns the log's text."""
        return "".join(text for _, text in self._texts)

    def lines(self, position: int = 0) -> tuple[list[tuple[float, str]], int]:
        """Returns the lines written from a position on, with their times, and the next position."""
        lines: list[tuple[float, str]] = []
        unfinished = False
        for moment, text in self._texts.since(position):
            for part in text.splitlines(keepends=True):
                begun, before = lines.pop() if unfinished else (moment, "")
                lines.append((begun, before + part))
                unfinished = not part.endswith("\n")
        return [(moment, line.rstrip("\n")) for moment, line in lines], len(self._texts)

    def close(self) -> None:
        """Closes the file, if there is one."""
        if self._file is not None:
            self._file.close()


class _CachedLoader(importlib.machinery.SourceFileLoader):
    """Compiles each file once per process, however many environments execute it.

    It leaves no ``__pycache__`` in an asset, whose content is hashed.
    """

    _compiled: ClassVar[dict[tuple[str, int], CodeType]] = {}
    _code: CodeType | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        if self._code is None:
            path = self.get_filename(fullname)
            key = (path, Path(path).stat().st_mtime_ns)
            if key not in self._compiled:
                self._compiled[key] = self.source_to_code(self.get_data(path), path)
            self._code = self._compiled[key]
        return self._code


class AssetFinder:
    """Finds modules in the asset of the execution environment that is installed at the moment."""

    def __init__(self) -> None:
        self.active: ExecutionEnvironment | None = None
        self._finders: dict[str, importlib.machinery.FileFinder] = {}
        self._known: dict[tuple[str, str], importlib.machinery.ModuleSpec] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Finds a module that belongs to the function's code; leaves all others to Python."""
        environment = self.active
        if environment is None or not _is_separate(fullname, environment.roots):
            return None
        environment.names[fullname] = None
        for directory in path if path is not None else _directories(environment, fullname):
            # An asset does not change while it is rehearsed.
            spec = self._known.get((directory, fullname)) or self._find(directory, fullname)
            if spec is not None:
                return _for_another(spec)
        return None

    def _find(self, directory: str, fullname: str) -> importlib.machinery.ModuleSpec | None:
        finder = self._finders.get(directory)
        if finder is None:
            finder = importlib.machinery.FileFinder(directory, (_CachedLoader, [".py"]))
            self._finders[directory] = finder
        spec = finder.find_spec(fullname)
        if spec is not None:
            self._known[directory, fullname] = spec
        return spec


def _for_another(known: importlib.machinery.ModuleSpec) -> importlib.machinery.ModuleSpec:
    """A module's specification, for another environment that imports it."""
    spec = importlib.machinery.ModuleSpec(known.name, known.loader, origin=known.origin)
    places = known.submodule_search_locations
    spec.submodule_search_locations = None if places is None else list(places)
    spec.has_location = known.has_location
    spec.cached = known.cached
    return spec


class OutsideEnvironment:
    """The program's own modules that have the same names as modules of functions."""

    def __init__(self) -> None:
        self.roots = set(_STATEFUL)
        self._modules: dict[str, ModuleType] = {}
        self._count = 0

    def enter(self) -> None:
        """Gives the program its own modules back."""
        sys.modules.update(self._modules)
        self._count = len(sys.modules)

    def exit(self) -> None:
        """Puts the program's own modules aside."""
        if len(sys.modules) == self._count:
            names = list(self._modules)
        else:
            names = [name for name in sys.modules if _is_separate(name, self.roots)]
        self._modules = {name: sys.modules.pop(name) for name in names}


class ExecutionEnvironment:
    """One execution environment: it handles one invocation at a time, and stays warm after it.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
    """

    def __init__(
        self,
        function: str,
        directories: Sequence[Path],
        variables: dict[str, str],
        log: FunctionLog,
        finder: AssetFinder,
        clock: Clock,
        principal: Principal,
    ) -> None:
        self.function = function
        self.principal = principal
        self.ahead_s = 0.0
        self.slowness = 1.0
        """How many times longer than on a whole CPU its code runs."""
        self.release = ""
        """The name of the release that its code comes from."""
        self.directories = [str(directory) for directory in directories]
        self.roots = asset_roots(directories[0]).union(
            _STATEFUL, *map(layer_roots, directories[1:])
        )
        # An ordered set: sys.modules gets them back in the order of their import.
        self.names: dict[str, None] = {}
        self.handler: Callable[[Any, Any], Any] | None = None
        self._finder = finder
        self._clock = clock
        self._modules: dict[str, ModuleType] = {}
        self._variables: Any = {os.fsencode(k): os.fsencode(v) for k, v in variables.items()}
        self._output = cast(TextIO, log)
        root = logging.RootLogger(logging.WARNING)
        handler = logging.StreamHandler(self._output)
        handler.setFormatter(logging.Formatter("[%(levelname)s] %(name)s %(message)s"))
        root.addHandler(handler)
        self._logging = (root, logging.Manager(root))
        self._outside: tuple[Any, ...] = ()
        self._outside_directory = ""

    def enter(self) -> None:
        """Installs modules, variables, output and logging of this environment."""
        logger = logging.Logger
        environ: Any = os.environ
        self._outside = (environ._data, sys.stdout, sys.stderr, logging.root, logger.manager)
        self._outside_directory = os.getcwd()  # noqa: PTH109, which takes ten times as long
        os.chdir(self.directories[0])
        environ._data = self._variables
        sys.stdout = sys.stderr = self._output
        logging.root, logger.manager = self._logging
        logger.root = logging.root
        sys.modules.update(self._modules)
        self._finder.active = self
        if self.ahead_s:
            self._clock.show(self.ahead_s)

    def exit(self) -> None:
        """Removes what ``enter`` installed."""
        logger = logging.Logger
        environ: Any = os.environ
        environ._data, sys.stdout, sys.stderr, logging.root, logger.manager = self._outside
        logger.root = logging.root
        os.chdir(self._outside_directory)
        modules = sys.modules
        if len(self._modules) == len(self.names):
            deque(map(modules.pop, self._modules, repeat(None)), maxlen=0)
        else:
            for name in self.names:
                module = modules.pop(name, None)
                if module is not None:
                    self._modules[name] = module
        self._finder.active = None
        if self.ahead_s:
            self._clock.show()

    def see_true_time(self) -> None:
        """Shows the true time, which AWS has during an API call."""
        if self.ahead_s:
            self._clock.show()

    def see_own_time(self) -> None:
        """Shows the time of this environment again."""
        if self.ahead_s:
            self._clock.show(self.ahead_s)

    def load(self, handler: str) -> Callable[[Any, Any], Any]:
        """Imports ``module.function`` from the asset; to be called while installed.

        Raises what the import raises, or AttributeError if the module has no such function.
        """
        if self.handler is None:
            module, _, name = handler.rpartition(".")
            self.handler = getattr(import_module(module.replace("/", ".")), name)
        return self.handler


def _is_separate(module: str, roots: Collection[str]) -> bool:
    """Whether each environment, and the program outside of them, has its own copy."""
    return module.partition(".")[0] in roots and not module.startswith(_STATELESS)


def _directories(environment: ExecutionEnvironment, package: str) -> list[str]:
    """Returns where a top-level package of an environment is."""
    if package in _STATEFUL:
        return sys.path
    return environment.directories


@cache
def layer_roots(directory: Path) -> frozenset[str]:
    """Returns the top-level modules of a layer that only the layer has."""
    return frozenset(name for name in asset_roots(directory) if find_spec(name) is None)


@cache
def asset_roots(directory: Path) -> frozenset[str]:
    """Returns the top-level modules of an asset that are the function's own code.

    Libraries installed beside it are left out: those of the process are used, since the AWS
    clients among them have to be the ones that moto has patched.
    """
    libraries = {
        line.partition(",")[0].partition("/")[0].removesuffix(".py")
        for record in directory.glob("*.dist-info/RECORD")
        for line in record.read_text(encoding="utf-8").splitlines()
    }
    found = {
        entry.name.removesuffix(".py")
        for entry in directory.iterdir()
        if entry.suffix == ".py" or (entry.is_dir() and entry.name.isidentifier())
    }
    return frozenset(found - libraries - {"__pycache__"})
