"""Runs the README's two commands on simulated machines of other people, each in a fresh clone.

A scenario is a bare machine (see `workspace.stranger`) with one addition: environment variables,
settings files, a read-only home folder, or another Python. One scenario does without make.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE

from workspace.isolation import PROJECT
from workspace.stranger import Machine, bare_machine, left_in

_NOBODY = 65534
_NOWHERE = "http://127.0.0.1:9"

VARIABLES: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_CONFIG_FILE": "/nonexistent/config",
    "AWS_DEFAULT_PROFILE": "work",
    "AWS_DEFAULT_REGION": "ap-southeast-2",
    "AWS_ENDPOINT_URL": _NOWHERE,
    "AWS_ENDPOINT_URL_DYNAMODB": "http://localhost:8000",
    "AWS_LAMBDA_FUNCTION_NAME": "another",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_PROFILE": "work",
    "AWS_SAM_LOCAL": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "BOTO_CONFIG": "/nonexistent/boto.cfg",
    "BOTO_DISABLE_COMMONNAME": "true",
    "CDK_CONTEXT_JSON": "{}",
    "CDK_DEBUG": "true",
    "CDK_OUTDIR": "/nonexistent/out",
    "COLUMNS": "40",
    "FORCE_COLOR": "1",
    "GIT_DIR": "/nonexistent/.git",
    "JSII_NODE": "/nonexistent/node",
    "LANG": "tr_TR.UTF-8",
    "LOG_LEVEL": "DEBUG",
    "MOTO_ACCOUNT_ID": "999999999999",
    "MOTO_ALLOW_NONEXISTENT_REGION": "true",
    "MOTO_S3_CUSTOM_ENDPOINTS": _NOWHERE,
    "NODE_ENV": "production",
    "NODE_OPTIONS": "--require /nonexistent.js",
    "NODE_PATH": "/nonexistent",
    "PIP_CONSTRAINT": "/nonexistent/constraints.txt",
    "PIP_NO_BINARY": ":all:",
    "PIP_PREFIX": "/nonexistent/prefix",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_TARGET": "/nonexistent/target",
    "PIP_USER": "1",
    "POWERTOOLS_DEV": "true",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "POWERTOOLS_METRICS_NAMESPACE": "another",
    "POWERTOOLS_SERVICE_NAME": "another",
    "PYTEST_ADDOPTS": "--maxfail=1 -k nothing",
    "PYTEST_PLUGINS": "nothing",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHOME": "/nonexistent",
    "PYTHONOPTIMIZE": "2",
    "PYTHONPATH": "/nonexistent",
    "PYTHONSAFEPATH": "1",
    "PYTHONWARNINGS": "error",
    "TEST_SERVER_MODE": "true",
    "TMPDIR": "/nonexistent/tmp",
    "TZ": "Asia/Kathmandu",
    "VIRTUAL_ENV": "/nonexistent",
    "npm_config_dry_run": "true",
    "npm_config_global": "true",
    "npm_config_ignore_scripts": "true",
    "npm_config_omit": "dev",
    "npm_config_prefix": "/nonexistent/prefix",
}
"""Variables that break or mislead commands that are not isolated from them."""

FILES: Mapping[str, str] = {
    ".aws/config": f"[default]\nregion = sa-east-1\nendpoint_url = {_NOWHERE}\n"
    f"services = local\n[services local]\ndynamodb =\n  endpoint_url = {_NOWHERE}\n",
    ".aws/credentials": "[default]\nrole_arn = arn:aws:iam::123456789012:role/a\n"
    "source_profile = b\n",
    ".aws/models/dynamodb/2012-08-10/service-2.json": "{}",
    ".cdk.json": '{"app": "false", "output": "/nonexistent"}',
    ".config/pip/pip.conf": "[global]\nuser = true\nno-binary = :all:\n"
    "[install]\nprefix = /nonexistent/prefix\n",
    ".config/pytest.ini": "[pytest]\naddopts = --maxfail=1\n",
    ".gitconfig": "[core]\n\thooksPath = /nonexistent\n\tautocrlf = true\n"
    "[commit]\n\tgpgSign = true\n",
    ".npmrc": "prefix=/nonexistent/prefix\nomit[]=dev\nglobal=true\nignore-scripts=true\n"
    "package-lock=false\ndry-run=true\n",
    ".pydistutils.cfg": "[install]\nprefix=/nonexistent/prefix\n",
}
"""Settings files in the home folder that break commands that are not isolated from them."""

WITHOUT_MAKE = (
    "python3 -m venv env",
    ". env/bin/activate && pip install --quiet --requirement requirements.txt",
    # The environment includes Node.js with npm.
    ". env/bin/activate && npm install --silent --prefix env aws-cdk@2",
    ". env/bin/activate && env/node_modules/.bin/cdk synth --quiet",
)
"""The commands of CDK users, as an alternative to the README's commands."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A machine, with the commands to run on it in sequence."""

    name: str
    commands: tuple[str, ...] = ("make demo", "make test")
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    folder: str = "orderflow"
    python: str = sys.executable
    read_only: bool = False
    """Whether the home folder is read-only. Commands then run as nobody if the user is root."""
    may_write_home: bool = False
    """Whether the commands are not the project's own, and may leave caches in the home folder."""


def scenarios() -> list[Scenario]:
    """Returns all scenarios, including one for each other Python on this machine."""
    return [
        Scenario(name="bare machine, demo first", commands=("make demo",)),
        Scenario(name="bare machine, test first", commands=("make test",)),
        Scenario(name="cdk synth without make", commands=WITHOUT_MAKE, may_write_home=True),
        Scenario(
            name="NODE_ENV=production, no home",
            variables={"NODE_ENV": "production", "HOME": "/nonexistent"},
        ),
        Scenario(
            name="read-only home",
            read_only=True,
            python=python_for_nobody() if os.geteuid() == 0 else sys.executable,
        ),
        Scenario(name=f"{len(VARIABLES)} hostile variables", variables=VARIABLES),
        Scenario(
            name=f"{len(FILES)} hostile settings files, in a folder with spaces",
            files=FILES,
            folder="My Projects/größer & schöner",
        ),
        *(
            Scenario(name=f"Python {version}", commands=("make test",), python=python)
            for version, python in sorted(other_pythons().items())
        ),
    ]


def other_pythons() -> dict[str, str]:
    """Returns the supported Pythons on this machine by version, except the running one."""
    folders = [Path(folder) for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)]
    folders += Path(os.environ.get("PYENV_ROOT", "/nonexistent")).glob("versions/*/bin")
    tell = "import sys, ensurepip; print('%d.%d.%d' % sys.version_info[:3], sys.executable)"
    found: dict[str, str] = {}
    for folder in folders:
        for program in folder.glob("python3.1[1-9]"):
            done = subprocess.run(
                [program, "-I", "-c", tell], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                version, _, python = done.stdout.strip().partition(" ")
                found.setdefault(version, python)
    found.pop("{}.{}.{}".format(*sys.version_info), None)
    if not any(version.startswith("3.14.") for version in found):
        done = subprocess.run(
            [PROJECT / ".ci" / "python", "3.14"], stdout=PIPE, text=True, check=False
        )
        if done.returncode == 0:
            found["3.14"] = done.stdout.strip()
    return found


def python_for_nobody() -> str:
    """Returns a Python that other users can run, unlike one in root's home folder."""
    for python in (sys.executable, *other_pythons().values()):
        try:
            if subprocess.run([python, "-c", ""], user=_NOBODY, check=False).returncode == 0:
                return python
        except PermissionError:
            continue
    return sys.executable


@dataclass(frozen=True)
class Outcome:
    """The result of one command of a scenario; `failure` is empty if it succeeded."""

    scenario: str
    command: str
    took_s: float
    failure: str
    output: str


def tried(scenario: Scenario, logs: Path) -> Iterator[Outcome]:
    """Runs the commands of a scenario in a fresh clone; stops at the first that fails."""
    with (
        bare_machine(scenario.python) as machine,
        tempfile.TemporaryDirectory(prefix="stranger-") as directory,
    ):
        clone = Path(directory, scenario.folder)
        _clone(clone)
        for name, content in scenario.files.items():
            file = machine.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        options = {}
        if scenario.read_only:
            machine.home.chmod(0o555)
            if os.geteuid() == 0:
                options = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
                Path(directory).chmod(0o755)
                for path in [clone, *clone.rglob("*")]:
                    os.lchown(path, _NOBODY, _NOBODY)
        for command in scenario.commands:
            outcome = _run(scenario, command, clone, machine, options, logs)
            yield outcome
            if outcome.failure:
                return


def _clone(clone: Path) -> None:
    clone.parent.mkdir(parents=True, exist_ok=True)
    # No hard links, because the files may get another owner.
    subprocess.run(
        ["git", "clone", "--quiet", "--no-hardlinks", str(PROJECT), str(clone)], check=True
    )


def _run(
    scenario: Scenario,
    command: str,
    clone: Path,
    machine: Machine,
    options: Mapping[str, object],
    logs: Path,
) -> Outcome:
    before = left_in(machine.home)
    log = logs / f"{re.sub('[^a-z0-9]+', '-', f'{scenario.name} {command}'.lower())}.log"
    started = time.monotonic()
    with log.open("w") as output:
        code = subprocess.run(
            ["sh", "-c", command],
            cwd=clone,
            env={**machine.environ, **scenario.variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            **options,  # type: ignore[call-overload]
        ).returncode
    took_s = time.monotonic() - started
    written = sorted({*left_in(machine.home)} - {*before})
    failure = f"ended with {code}: see {log.relative_to(PROJECT)}" if code else ""
    if written and not scenario.may_write_home:
        failure = failure or f"wrote into the home folder: {', '.join(written[:5])}"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return Outcome(scenario.name, command, took_s, failure, _last_words(lines))


def _last_words(lines: list[str]) -> str:
    """Returns the line with the result: pytest's summary, or the result of the audit."""
    results = [line for line in lines if re.search(r"passed|failed|the audit", line, re.IGNORECASE)]
    return re.sub(r"\x1b\[[0-9;]*m", "", (results or lines or [""])[-1]).strip(" =")


def main() -> None:
    """Runs all scenarios, or those whose names contain one of the texts; fails if any fails."""
    parser = argparse.ArgumentParser(prog="make strangers", description=main.__doc__)
    parser.add_argument("--only", nargs="+", metavar="TEXT", default=[""])
    parser.add_argument("--list", action="store_true", help="show the scenarios, run none")
    options = parser.parse_args()
    chosen = [each for each in scenarios() if any(text in each.name for text in options.only)]
    logs = PROJECT / ".build" / "strangers"
    logs.mkdir(parents=True, exist_ok=True)
    failed = 0
    for scenario in chosen:
        if options.list:
            print(f"{scenario.name}: {', then '.join(scenario.commands)}")
            continue
        for outcome in tried(scenario, logs):
            failed += bool(outcome.failure)
            cells = (
                *(outcome.scenario, f"`{outcome.command}`", f"{outcome.took_s:.0f} s"),
                outcome.failure or outcome.output,
            )
            print(f"| {' | '.join(cells)} |", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
