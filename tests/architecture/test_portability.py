"""The Makefile and scripts use only syntax and options of macOS: make 3.81, bash 3.2, BSD tools."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from stacks.constructs.packaging import PYTHON_VERSION
from workspace.isolation import PROJECT

SHELLS = re.compile(r"#!.*\b(ba|da|k|z)?sh\b")


class Source(NamedTuple):
    """A source text, and the rules that it has to follow."""

    name: str
    text: str
    language: str

    def statements(self) -> Iterator[tuple[int, str]]:
        """Yields the statements without comments, each with the line where it begins."""
        statement, begun = "", 0
        for number, line in enumerate(self.text.splitlines(), start=1):
            if not statement and line.lstrip().startswith("#"):
                continue
            begun = begun if statement else number
            statement += re.sub(r"(?<=\s)# .*$", "", line)
            if statement.endswith("\\"):
                statement = statement[:-1] + " "
                continue
            yield begun, statement
            statement = ""
        if statement:
            yield begun, statement


# Features newer than make 3.81. Their releases: NEWS in https://git.savannah.gnu.org/cgit/make.git
MAKE = {
    "!=": r"^\s*[\w.-]+\s*!=",
    "::= and :::=": r"^\s*[\w.-]+\s*:::?=",
    "a grouped target &:": r"^[^\t#=]*[^\s&]\s*&::?(\s|$)",
    "a special target or variable": (
        r"\.(ONESHELL|SHELLFLAGS|RECIPEPREFIX|EXTRA_PREREQS|NOTINTERMEDIATE|WAIT|LOADED)\b"
    ),
    "a variable of make itself": r"\bMAKE_(HOST|TERMOUT|TERMERR)\b",
    "a function": r"\$[({](file|guile|let|intcmp)\s",
    "a directive": r"^\s*(undefine|private|load|-load)\s",
    "define with an operator": r"^\s*((override|export)\s+)*define\s+\S+\s*[?:+!]*=",
    "an option": r"\$[({]MAKE[)}].*\s(-O\w*|-E|--(output-sync|trace|eval|shuffle|no-silent))\b",
    "# within a function": r"\$\((shell|call|foreach|if)\s[^)]*#",
}

# https://git.savannah.gnu.org/cgit/bash.git/tree/NEWS
BASH = {
    "an associative array": r"\b(declare|typeset|local|readonly|export)\s+(-\w+\s+)*-\w*A",
    "an option of declare": r"\b(declare|typeset|local)\s+(-\w+\s+)*-\w*[nglucI]",
    "a change of case": r"\$\{!?\w+(\[[^]]*\])?(\^\^?|,,?|~~?)",
    "a transformation": r"\$\{!?[\w@*]+(\[[^]]*\])?@\w\}",
    "mapfile": r"(^|[;&|({]\s*|\s)(mapfile|readarray|coproc)\s",
    "|&": r"\|&",
    "&>>": r"&>>",
    ";& of case": r";;?&(?!&)",
    "an index from the end": r"\$\{\w+\[-\d+\]\}",
    "a length from the end": r"\$\{\w+:(?!-)[\w $+*-]*:\s*-",
    "a time format of printf": r"%\([^)]*\)T",
    "an option of wait": r"\bwait\s+(-\w+\s+)*-[np]",
    "an option of read": r"\bread\s+(-\w+\s+)*-(\w*[iN]\b|t\s*\d*\.\d)",
    "a test whether a variable is set": r"\[\[?\s+(!\s+)?-[vR]\s|\btest\s+-[vR]\s",
    "a descriptor in a variable": r"\{\w+\}[<>]",
    "a range with steps or zeros": r"\{(0\d+\.\.\w+|\w+\.\.0\d+|\w+\.\.\w+\.\.-?\d+)\}",
    "a Unicode escape": r"\$'[^']*\\[uU][0-9a-fA-F]",
    "an option of shopt": (
        r"\bshopt\s+(-\w+\s+)*(globstar|lastpipe|inherit_errexit|autocd|assoc_expand_once|localvar)"
    ),
    "a variable of bash itself": (
        r"\$\{?(BASHPID|BASH_XTRACEFD|BASH_ARGV0|EPOCHSECONDS|EPOCHREALTIME|SRANDOM|READLINE_)\b"
    ),
    # Before bash 4.4, `set -u` treats an empty array as unset. Use ${a[@]+"${a[@]}"}.
    "an array that may be empty": r"(?<!\+)\"\$\{\w+\[[@*]\]\}\"",
}

# A command: at the beginning of a statement, pipe, substitution or recipe, or after another one.
_COMMAND = (
    r"(?:^[\t ]*[@+-]*|[;&|({{`!]\s*|\b(?:then|do|else|exec|if|elif|while|until|command|xargs)\s+)"
    r"(?:\w+=\S*\s+)*(?:{names})(?![\w./-])"
    r"(?P<arguments>(?:'[^']*'|\"[^\"]*\"|[^;&|)`'\"])*)"
)
# Names of commands, and a pattern for the arguments that macOS does not support.
GNU = {
    "sed": r"-i(?!\S)|-[Enz]*[rsz]\b|--\w|.*\\[+?|<>bwsU]",
    "grep|egrep|fgrep": r"-\w*P|--\w",
    "readlink": r"-\w*[fem]|--\w",
    "date": r"-\w*d|-I|--\w|\S*\+\S*%[N:]",
    "cp|mv|ln|install": r"-\w*[tTD]|--\w",
    "ls|rm|mkdir|touch|du|cut|tr|wc|uniq|tail|chmod|tee|env|cmp|ps|pgrep": r"--\w",
    "head": r"-[nc]\s*-\d|--\w",
    "xargs": r"-\w*[dar]\b|--\w",
    "stat": r"-\w*[cf]|--\w",
    "mktemp": r"-p|--\w|\S*XXX[^X\s\"']+",
    "find": r"-(printf|regextype|executable|readable)",
    "sort": r"-\w*[Vhz]\b|--\w",
    "tar": r"--(transform|wildcards|sort|owner|group|mtime|null)",
    "base64": r"-w|--\w",
    "echo": r"-[neE]+\b",
    "awk": (
        r".*\b(gensub|strftime|systime|mktime|asorti?|patsplit|PROCINFO|IGNORECASE|FPAT|BEGINFILE)\b"
        r"|.*\bmatch\([^,]*,.*,|-i\b|--\w"
    ),
}
# Commands that macOS lacks, and `find` without a path.
ABSENT = (
    r"timeout|nproc|tac|shuf|realpath|md5sum|sha\d+sum|getent|flock|setsid|ldd|gawk|gsed|wget"
    r"|find(?=\s+-[a-z]{2})"
)


def sources() -> Iterator[Source]:
    """Yields the Makefile, all scripts, and the commands of workflows."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        path = PROJECT / name
        if path.name == "Makefile" or path.suffix == ".mk":
            yield Source(name, path.read_text(), "make")
        elif path.suffix in {"", ".sh", ".bash"} and path.is_file():
            text = path.read_bytes().decode(errors="replace")
            if path.suffix or SHELLS.match(text):
                yield Source(name, text, "bash")
    for path in workflows():
        for job, definition in yaml.safe_load(path.read_text())["jobs"].items():
            for step in definition.get("steps", ()):
                if "run" in step:
                    name = f"{path.relative_to(PROJECT)}, job {job}"
                    yield Source(name, step["run"], "bash")


def workflows() -> list[Path]:
    return sorted((PROJECT / ".github" / "workflows").glob("*.y*ml"))


def foreign(source: Source) -> Iterator[str]:
    """Yields the statements of a source that macOS does not support."""
    for number, statement in source.statements():
        if re.search(r"\b(apt-get|dpkg)\b", statement):
            continue  # runs only on Debian
        for what in _newer(source.language, statement):
            yield f"{source.name}:{number}: {what}: {statement.strip()}"


def _newer(language: str, statement: str) -> Iterator[str]:
    if language == "make":
        yield from (
            f"make 3.81 lacks {what}" for what, rule in MAKE.items() if re.search(rule, statement)
        )
        statement = statement.replace("$$", "$")
    # The shell of a recipe is sh, which is dash on Debian and bash 3.2 on macOS.
    yield from (
        f"bash 3.2 lacks {what}" for what, rule in BASH.items() if re.search(rule, statement)
    )
    for names, rule in (*GNU.items(), (ABSENT, "")):
        for command in re.finditer(_COMMAND.format(names=names), statement):
            if re.search(rf"(^|\s)({rule})", command["arguments"]):
                yield f"macOS does not support `{command[0].strip()}`"


def test_all_scripts_work_on_macos() -> None:
    found = list(sources())
    assert {"Makefile", ".ci/run", ".ci/python", ".ci/runtime"} <= {each.name for each in found}
    assert [what for source in found for what in foreign(source)] == []


NEWER_MAKE = [
    "NOW != date",
    "HERE ::= $(CURDIR)",
    "SUFFIX := $(if $(findstring mingw,$(MAKE_HOST)),.exe)",
    "a b &: c",
    "$(file >out,$(ALL))",
    ".ONESHELL:",
    ".SHELLFLAGS := -eu -c",
    "undefine CFLAGS",
    "test: private X := 1\nprivate Y := 2",
    "define locked =",
    "export define locked :=",
    "\t$(MAKE) -Otarget check",
    "\t$(MAKE) --output-sync all",
    "N := $(shell grep -c '#' Makefile)",
    "X := $(let a b,1 2,$a)",
    "\t@sed -i s/a/b/ file",
    "\t@date -d yesterday",
    "\t@for f in *; do echo $${f^^}; done",
]


@pytest.mark.parametrize("text", NEWER_MAKE)
def test_syntax_of_newer_make_is_found(text: str) -> None:
    assert list(foreign(Source("Makefile", text, "make")))


NEWER_BASH = [
    "declare -A of",
    "local -rA of=()",
    "local -n other=$1",
    'echo "${name^^}"',
    'echo "${name,}" "${all[@]^}"',
    'echo "${name@Q}"',
    "mapfile -t lines < file",
    "while read -r a; do :; done; readarray -t b <<<x",
    "make |& tee log",
    "make &>> log",
    "case $1 in a) x ;& b) y ;; esac",
    "case $1 in a) x ;;& b) y ;; esac",
    'echo "${list[-1]}"',
    'echo "${name:0:-1}"',
    "printf '%(%F)T' -1",
    "wait -n",
    "read -t 0.5 answer",
    "read -rN 1 key",
    "[[ -v HOME ]]",
    "exec {log}>file",
    "echo {01..10} {1..10..2}",
    "echo $'\\u2713'",
    "shopt -s globstar nullglob",
    "kill $BASHPID",
    'echo "$EPOCHSECONDS"',
    'run "${options[@]}"',
    "coproc cat",
]


@pytest.mark.parametrize("text", NEWER_BASH)
def test_syntax_of_newer_bash_is_found(text: str) -> None:
    assert list(foreign(Source("script", text, "bash")))


GNU_TOOLS = [
    "sed -i 's/a/b/' file",
    "sed -r 's/(a)/b/' file",
    "cat x | sed --quiet p",
    "sed 's/a\\+/b/' file",
    "grep -oP 'a(?=b)' file",
    'here=$(readlink -f "$0")',
    'here=$(dirname "$(readlink -f "$0")")',
    "date -d '1 day ago'",
    "date +%s%N",
    "date --utc",
    "cp --reflink a b",
    "cp -t there a",
    "ln -sT a b",
    "find -name '*.py'",
    "find . -printf '%p'",
    "ls | xargs -d '\\n' rm",
    "git ls-files | xargs -r rm",
    "stat -c %s file",
    "mktemp --suffix .py",
    "mktemp -d -p /tmp",
    "mktemp /tmp/XXXXXX.py",
    "head -n -1 file",
    "sort -V versions",
    "tar --transform s/a/b/ -cf x",
    "base64 -w 0 file",
    "echo -e 'a\\tb'",
    "if ! timeout 5 make; then exit 1; fi",
    "jobs=$(nproc)",
    "realpath .",
    "sha256sum -c sums",
    "awk '{ print gensub(/a/, \"b\", 1) }' file",
    "awk 'match($0, /a(b)/, found) { print }' file",
    "X=1 exec timeout 5 make",
]


@pytest.mark.parametrize("text", GNU_TOOLS)
def test_gnu_tools_and_options_are_found(text: str) -> None:
    assert list(foreign(Source("script", text, "bash")))


@pytest.mark.parametrize(
    ("rules", "texts"), [(MAKE, NEWER_MAKE), (BASH, NEWER_BASH)], ids=["make", "bash"]
)
def test_each_rule_finds_an_example(rules: dict[str, str], texts: list[str]) -> None:
    lines = [line for text in texts for line in text.splitlines()]
    assert [
        what for what, rule in rules.items() if not any(re.search(rule, x) for x in lines)
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        "sed -i.old -e 's/a/b/' file",
        "sed -nE 's/(a)/b/p' file",
        'printf "%s\\n" "$@" "${1-}" ${list[@]+"${list[@]}"}',
        "find . -name '*.py' -prune -exec rm -rf {} +",
        "find -L . -type f",
        "xargs -P 2 -I {} true",
        "mktemp -d",
        'mktemp -d "$TMPDIR/some-XXXXXX"',
        "awk -F: '/^[a-z]+:/ { print $1; fflush() }' file",
        "head -n 1 file; tail -n +2 file",
        "cd there && git grep -P x",
        "[ -d there ] && echo yes || echo no >&2",
        "# sed -i s/a/b/ file",
        'python="${named:-${PYTHON:-python3}}" rest=${name:1}',
        "local name=$1; local -r other=$2; declare -a list; export -f run",
        "apt-get install --yes x && timeout 5 dpkg -l",
        "date -u +%Y-%m-%dT%H:%M:%SZ",
        'echo "${name%,}" "${name#^}" "${name:-,}" "${name//,/ }" "${#list[@]}"',
    ],
)
def test_syntax_that_macos_supports_is_accepted(text: str) -> None:
    assert list(foreign(Source("script", text, "bash"))) == []


def test_the_workflow_covers_each_supported_python_and_machine() -> None:
    workflow: Any = yaml.safe_load((PROJECT / ".github/workflows/check.yml").read_text())
    matrix = workflow["jobs"]["check"]["strategy"]["matrix"]
    runs = [(machine, python) for machine in matrix["machine"] for python in matrix["python"]]
    runs += [(each["machine"], each["python"]) for each in matrix["include"]]
    requirement = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    oldest = requirement["requires-python"].removeprefix(">=")
    first, last = (int(version.partition(".")[2]) for version in (oldest, PYTHON_VERSION))
    supported = {f"3.{minor}" for minor in range(first, last + 1)}
    assert {python for machine, python in runs if machine == "ubuntu-24.04"} == supported
    assert any(machine.endswith("-arm") for machine, _ in runs)
    on_macos = {python for machine, python in runs if machine.startswith("macos-")}
    assert on_macos >= {oldest, PYTHON_VERSION}
