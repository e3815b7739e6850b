"""Set-up uses only the user's settings about the sources of packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workspace import install
from workspace.install import InstallError, npm_settings, pip_environment

HERE = Path(sys.executable)


def pip_variables(home: Path, **environ: str) -> dict[str, str]:
    """The variables for pip, for a user with this home folder."""
    made = pip_environment(HERE, {"HOME": str(home), "XDG_CONFIG_DIRS": str(home), **environ})
    own = {name: value for name, value in made.items() if name.startswith("PIP_")}
    assert own.pop("PIP_CONFIG_FILE") == "/dev/null"
    assert own.pop("PIP_DISABLE_PIP_VERSION_CHECK") == "1"
    # Settings of the machine, which this test does not control.
    machine = pip_environment(HERE, {"HOME": "/nonexistent", "XDG_CONFIG_DIRS": "/nonexistent"})
    return {name: value for name, value in own.items() if machine.get(name) != value}


def settings_file(home: Path, text: str) -> None:
    """Writes the user's settings of pip."""
    file = home / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True)
    file.write_text(text)


def test_pip_gets_the_users_index_but_no_install_location(tmp_path: Path) -> None:
    settings_file(
        tmp_path,
        "[global]\nindex-url = https://packages.example/simple\nuser = true\nno-binary = :all:\n"
        "quiet = 3\n"
        "[install]\nprefix = /opt/elsewhere\ntarget = /opt/elsewhere\n"
        "trusted-host =\n    a.example\n    b.example\n",
    )
    assert pip_variables(tmp_path) == {
        "PIP_INDEX_URL": "https://packages.example/simple",
        "PIP_TRUSTED_HOST": "a.example b.example",
    }


def test_a_variable_overrides_pips_settings_file(tmp_path: Path) -> None:
    settings_file(tmp_path, "[global]\nindex-url = https://packages.example/simple\n")
    found = pip_variables(tmp_path, PIP_INDEX_URL="https://other.example/simple", PIP_USER="1")
    assert found == {"PIP_INDEX_URL": "https://other.example/simple"}


def test_a_settings_file_that_pip_cannot_read_is_an_error_with_its_cause(tmp_path: Path) -> None:
    settings_file(tmp_path, "index-url without a section\n")
    with pytest.raises(InstallError, match="pip cannot read its settings"):
        pip_variables(tmp_path)


def test_npm_gets_only_registries_and_their_credentials(tmp_path: Path) -> None:
    (tmp_path / ".npmrc").write_text(
        "registry=https://packages.example/\n@shop:registry = https://shop.example/\n"
        "//packages.example/:_authToken=${PACKAGES_TOKEN}\ncafile=/etc/ca.pem\n"
        "; registry=none\nprefix=/opt/elsewhere\nglobal=true\nomit[]=dev\nignore-scripts=true\n"
    )
    lines, referred = npm_settings({"HOME": str(tmp_path), "PACKAGES_TOKEN": "t", "OTHER": "o"})
    assert lines == [
        "registry=https://packages.example/",
        "@shop:registry = https://shop.example/",
        "//packages.example/:_authToken=${PACKAGES_TOKEN}",
        "cafile=/etc/ca.pem",
    ]
    assert referred == {"PACKAGES_TOKEN": "t"}


def test_npm_reads_the_file_that_a_variable_names(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("registry=https://packages.example/\n")
    named = {"HOME": "/nonexistent", "NPM_CONFIG_USERCONFIG": str(tmp_path / "settings")}
    assert npm_settings(named) == (["registry=https://packages.example/"], {})


def test_a_long_silence_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(install, "_PATIENCE_S", 0.05)
    program = "import select; select.select([], [], [], 0.4); print('there')"
    said = list(install._running([sys.executable, "-c", program], {}, settings="pip's"))
    assert said == ["there"]
    assert "still working, 0 s" in capsys.readouterr().out


def test_a_failure_is_reported_with_its_cause_and_the_remedy() -> None:
    program = "import sys; sys.exit('no such host')"
    with pytest.raises(InstallError, match=r"(?s)no such host.*Check the network and pip's settin"):
        list(install._running([sys.executable, "-c", program], {}, settings="pip's"))


@pytest.fixture
def environment_made(tmp_path: Path) -> Path:
    """A complete .venv of Python 3.11.2."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.2\n")
    (tmp_path / ".stamp").write_text(install._stamp(tmp_path))
    return tmp_path


class TestInstalled:
    def test_a_complete_environment_is_kept(self, environment_made: Path) -> None:
        assert install.is_installed(environment_made)
        assert install.is_installed(environment_made, version="3.11.2")

    def test_another_python_needs_a_new_environment(self, environment_made: Path) -> None:
        assert not install.is_installed(environment_made, version="3.13.0")

    def test_an_environment_without_its_python_is_rebuilt(self, environment_made: Path) -> None:
        python = environment_made / "bin" / "python"
        python.unlink()
        python.symlink_to("/nonexistent")
        assert not install.is_installed(environment_made)

    def test_a_moved_environment_is_rebuilt(self, environment_made: Path) -> None:
        moved = environment_made.rename(environment_made.with_name("moved"))
        assert not install.is_installed(moved)

    def test_an_environment_that_finds_the_package_elsewhere_is_rebuilt(
        self, environment_made: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(install, "PACKAGE", Path("moved"))
        assert not install.is_installed(environment_made)

    def test_an_incomplete_environment_is_rebuilt(self, environment_made: Path) -> None:
        (environment_made / ".stamp").unlink()
        assert not install.is_installed(environment_made)


@pytest.mark.parametrize("name", ["$HOME", "a`b", 'a"b', "a\\b", "a:b", "a\nb"])
def test_a_folder_from_which_no_program_starts_is_an_error_with_the_remedy(name: str) -> None:
    with pytest.raises(InstallError, match="rename it or move"):
        install.require_fit(Path("/home/ada", name))


@pytest.mark.parametrize("name", ["it's", "a b", "50%", "#1", "Äß", "(a) & [b]; c|d", "~", "*?"])
def test_programs_start_from_any_other_folder(name: str, tmp_path: Path) -> None:
    install.require_fit(tmp_path / name)
    folder = tmp_path / name / "bin"
    folder.mkdir(parents=True)
    # The format of pip if a path does not fit into the first line of a script.
    script = folder / "tool"
    (folder / "python").symlink_to(sys.executable)
    script.write_text(f"#!/bin/sh\n'''exec' \"{folder}/python\" \"$0\" \"$@\"\n' '''\nprint(1)\n")
    script.chmod(0o755)
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr


SETTING_UP = """
import pathlib, sys, time
from workspace import install
with install.alone(pathlib.Path(sys.argv[1])) as waited:
    file = pathlib.Path(sys.argv[1], "busy")
    print(waited, file.exists(), flush=True)
    file.touch()
    sys.stdin.readline()
    file.unlink()
"""


def test_two_set_ups_in_one_folder_run_one_after_the_other(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SETTING_UP, str(tmp_path)]
    pipe = subprocess.PIPE

    def start() -> "subprocess.Popen[str]":
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    with start() as first:
        assert first.stdout
        assert first.stdout.readline() == "False False\n"
        with start() as second:
            assert second.stdout
            assert second.stdout.readline() == "Waiting for another set-up in this folder\n"
            first.communicate("\n", timeout=20)
            assert second.communicate("\n", timeout=20)[0] == "True False\n"


def test_node_packages_of_another_lock_file_or_python_are_reinstalled(tmp_path: Path) -> None:
    files = ["package-lock.json", ".npmrc", ".venv/.stamp", "node_modules/.stamp"]
    for time, name in enumerate(files):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        assert not install.node_is_installed(tmp_path)
        file.touch()
        os.utime(file, (time, time))
    assert install.node_is_installed(tmp_path)
    for source in files[:-1]:
        os.utime(tmp_path / source, (9, 9))
        assert not install.node_is_installed(tmp_path)
        os.utime(tmp_path / source, (0, 0))
