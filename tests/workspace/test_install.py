"""Set-up uses only those of the user's settings that say where packages come from."""

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
    """The user's settings of pip."""
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


def test_a_settings_file_that_pip_cannot_read_is_an_error_that_says_so(tmp_path: Path) -> None:
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


def test_a_failure_says_why_and_what_to_do() -> None:
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

    def test_an_incomplete_environment_is_rebuilt(self, environment_made: Path) -> None:
        (environment_made / ".stamp").unlink()
        assert not install.is_installed(environment_made)
