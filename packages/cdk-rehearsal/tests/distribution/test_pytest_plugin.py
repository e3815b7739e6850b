"""The pytest plug-in: each test has its own copy of an application that is loaded once."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distribution.synthesis import PACKAGE

Run = Callable[..., subprocess.CompletedProcess[str]]

HEAD = """
import os
import warnings
from datetime import UTC, datetime
import boto3
import pytest

def items(rehearsal):
    table = rehearsal.physical_id("Greenhouse/Readings")
    return rehearsal.client("dynamodb").scan(TableName=table)["Items"]

def post(rehearsal, celsius):
    body = {"id": "r1", "celsius": celsius}
    assert rehearsal.http.request("POST", "/readings", body=body).status == 201
    rehearsal.run_until_idle()

def loads(text):
    with open("log", "a") as log:
        print(text, file=log)
"""


@pytest.fixture
def run(tmp_path: Path, greenhouse: Path) -> Run:
    """Runs pytest with the plug-in on a test module, in a directory with the assembly."""
    (tmp_path / "cdk.out").symlink_to(greenhouse)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")

    def pytest_with(code: str, *options: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(HEAD + code)
        return subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-p", "cdk_rehearsal.pytest_plugin"),
                *("-p", "xdist", "--strict-markers", "-q", "-rA", *options),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(PACKAGE / "src"),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return pytest_with


SEPARATE = """
@pytest.fixture
def hot(rehearsal):
    post(rehearsal, 31)

@pytest.mark.parametrize("number", range(3))
def test_a_hot_reading_opens_the_vent(hot, rehearsal, number):
    assert [item["vent"] for item in items(rehearsal)] == [{"S": "open"}]

def test_another_test_finds_an_empty_table(rehearsal):
    assert items(rehearsal) == []

def test_without_the_fixture_nothing_is_patched():
    assert datetime.now(UTC) != datetime(2026, 1, 5, 8, tzinfo=UTC)
"""


@pytest.mark.parametrize(
    "options", [(), ("-n2",), ("--no-rehearsal-forks",)], ids=["forks", "workers", "in-process"]
)
def test_each_test_has_an_application_of_its_own(run: Run, options: tuple[str, ...]) -> None:
    done = run(SEPARATE, *options)
    assert "5 passed" in done.stdout, done.stdout + done.stderr


def test_the_application_is_loaded_once_per_settings(run: Run) -> None:
    done = run("""
from cdk_rehearsal.rehearsal import Rehearsal
enter = Rehearsal.__enter__
def counted(self):
    loads(self.seed)
    return enter(self)
Rehearsal.__enter__ = counted

@pytest.mark.parametrize("number", range(3))
def test_default(rehearsal, number):
    assert rehearsal.seed == 0

@pytest.mark.rehearsal(seed=7, start=datetime(2027, 2, 1, tzinfo=UTC))
class TestMarked:
    def test_class(self, rehearsal):
        assert (rehearsal.seed, datetime.now(UTC).year) == (7, 2027)

    @pytest.mark.rehearsal(seed=8)
    def test_closest_marker_wins(self, rehearsal):
        assert (rehearsal.seed, datetime.now(UTC).year) == (8, 2027)

def test_all_were_loaded_once():
    with open("log") as log:
        assert sorted(log.read().split()) == ["0", "7", "8"]
""")
    assert "6 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["alone", "in-a-worker"])
def test_what_a_fork_reports_is_reported(run: Run, options: tuple[str, ...]) -> None:
    done = run(
        """
def test_fails(rehearsal):
    print("printed")
    warnings.warn("look here")
    numbers = [1, 2]
    assert numbers == [1, 3]

def test_dies(rehearsal):
    os._exit(7)

@pytest.mark.skip(reason="not today")
def test_is_skipped(rehearsal):
    pass

@pytest.mark.xfail(strict=True)
def test_is_expected_to_fail(rehearsal):
    assert items(rehearsal)

@pytest.fixture
def broken(rehearsal):
    yield
    raise ValueError("in the teardown")

def test_has_a_broken_fixture(broken):
    pass
""",
        *options,
    )
    assert done.returncode == 1
    assert "assert [1, 2] == [1, 3]" in done.stdout
    assert "At index 1 diff: 2 != 3" in done.stdout
    assert "Captured stdout call" in done.stdout
    assert "UserWarning: look here" in done.stdout
    assert "the fork ended without a result (exit code 7)" in done.stdout
    assert "ValueError: in the teardown" in done.stdout
    summary = "2 failed, 1 passed, 1 skipped, 1 xfailed, 1 warning, 1 error"
    assert summary in done.stdout, done.stdout


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Has new processes react to SIGINT, even if these tests run in the background of a shell.

    A shell has its background processes ignore SIGINT, and new processes inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_session_leaves_no_process(tmp_path: Path, greenhouse: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os, threading\n"
        "def test_waits(rehearsal):\n"
        "    os.write(2, b'begun')\n"
        "    threading.Event().wait(60)\n"
    )
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-p", "cdk_rehearsal.pytest_plugin", "-s"),
            *("--rootdir=.", "-c/dev/null", f"--rehearsal-assembly={greenhouse}"),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(PACKAGE / "src"),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        assert process.stderr.read(5) == b"begun"
        process.send_signal(signal.SIGINT)
        # All processes of the session have these pipes open.
        process.communicate(timeout=30)
    assert process.returncode == pytest.ExitCode.INTERRUPTED


def test_fixtures_of_other_tests_end_when_they_should(run: Run) -> None:
    done = run("""
@pytest.fixture(scope="class")
def resource():
    loads(f"begin")
    yield
    loads(f"end")

class TestOne:
    def test_plain(self, resource):
        pass

    def test_forked(self, resource, rehearsal):
        loads("forked")

class TestTwo:
    def test_plain(self):
        with open("log") as log:
            assert log.read().split() == ["begin", "begin", "forked", "end", "end"]
""")
    assert "3 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sed=1", "has no argument sed: use assembly=, stage=, seed=, start="),
        ("'cdk.out'", "has no argument 'cdk.out'"),
        ("seed='x'", "has seed='x': use a int"),
        ("start=datetime(2027, 1, 1)", "has a start without a time zone: add tzinfo=UTC"),
    ],
)
def test_a_wrong_marker_is_an_error_that_names_the_test(
    run: Run, arguments: str, message: str
) -> None:
    done = run(f"""
@pytest.mark.rehearsal({arguments})
def test_marked(rehearsal):
    pass
""")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"test_it.py::test_marked: the marker rehearsal {message}" in done.stderr


def test_a_missing_assembly_fails_the_test_and_says_what_to_do(run: Run) -> None:
    code = "def test_needs_it(rehearsal):\n    pass\n"
    for options in ((), ("--no-rehearsal-forks",)):
        done = run(code, "--rehearsal-assembly=none", *options)
        assert done.returncode == 1
        assert "none/manifest.json is missing: name a directory that `cdk synth` wrote" in (
            done.stdout
        )


def test_a_stage_is_chosen_by_option_or_marker(run: Run, staged: Path) -> None:
    code = """
def test_option(rehearsal):
    (table,) = [each for each in rehearsal.resources if each.type == "AWS::DynamoDB::Table"]
    assert table.stack.startswith("Prod")

@pytest.mark.rehearsal(stage="Gamma")
def test_marker(rehearsal):
    pass
"""
    done = run(code, f"--rehearsal-assembly={staged}", "--rehearsal-stage=Prod")
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "no stage 'Gamma': choose one of Beta, Prod" in done.stdout


def test_an_unused_plug_in_imports_nothing_of_the_rehearsal(run: Run) -> None:
    done = run(
        """
import sys

def test_nothing_is_loaded():
    assert not {"moto", "greenlet", "cdk_rehearsal.rehearsal"} & set(sys.modules)
""".replace("import sys", "import sys\nsys.modules.pop('boto3')")
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
