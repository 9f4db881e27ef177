"""An installation from a folder of wheels, without a network, into a root of its own; and what is left after it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_package import clean_copy

RUNNING = "import tidegate.gateway; from tidegate import twins; print(twins.running())"
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make wheels` makes, out of what git knows."""
    source = clean_copy(tmp_path_factory.mktemp("source"))
    made = subprocess.run(
        ["systemd/wheels", "wheels", str(Path(sys.executable).parent)],
        cwd=source, capture_output=True, text=True, env={**os.environ, "TIDEGATE_PURE": "0"},
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    return source / "wheels"


def script(wheels: Path, root: Path, word: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "DESTDIR": str(root), "PYTHON": sys.executable, **more}
    return subprocess.run([wheels / "install", word], env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def root(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which Tidegate is installed under /srv/tide."""
    root = tmp_path_factory.mktemp("root")
    done = script(wheels, root, "install", PREFIX="/srv/tide")
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def test_it_installs_without_a_network_and_runs(root: Path) -> None:
    said = subprocess.run(
        [root / "srv/tide/bin/python", "-I", "-c", "from tidegate.cli.main import main; main()", "--help"],
        capture_output=True, text=True,
    )  # fmt: skip
    twins = subprocess.run(
        [root / "srv/tide/bin/python", "-I", "-c", RUNNING],
        capture_output=True, text=True,
    )  # fmt: skip

    assert "buffer" in said.stdout, said.stderr
    assert "compiled" in twins.stdout
    assert "pure" not in twins.stdout


def test_nothing_in_it_points_to_where_it_was_made(root: Path) -> None:
    program = root / "srv/tide"
    naming = [
        p for p in program.rglob("*") if p.is_file() and not p.is_symlink() and str(root).encode() in p.read_bytes()
    ]

    assert "#!/srv/tide/bin/python" == (program / "bin/tidegate").read_text().splitlines()[0]
    assert [] == naming
    assert "ExecStart=/srv/tide/bin/tidegate run" in (root / "etc/systemd/system/tidegate.service").read_text()
    assert "/srv/tide/bin/tidegate" == str((root / "usr/local/bin/tidegate").readlink())


def test_the_buffer_is_for_its_user_alone_and_a_tree_names_that_user(root: Path) -> None:
    assert 0o700 == (root / "var/lib/tidegate").stat().st_mode & 0o777
    assert 0o750 == (root / "etc/tidegate").stat().st_mode & 0o777
    assert (root / "usr/lib/sysusers.d/tidegate.conf").read_text().startswith("u tidegate ")


def test_a_wheel_that_was_changed_is_refused_and_the_old_program_stays(
    wheels: Path, root: Path, tmp_path: Path
) -> None:
    changed = shutil.copytree(wheels, tmp_path / "changed")
    wheel = next(changed.glob("click-*.whl"))
    wheel.write_bytes(wheel.read_bytes() + b" ")
    refused = script(changed, root, "install", PREFIX="/srv/tide")

    assert refused.returncode != 0
    assert "not as it was made" in refused.stderr
    assert (root / "srv/tide/bin/tidegate").exists()


def test_an_upgrade_leaves_one_program_and_no_file_of_the_old_one(wheels: Path, root: Path) -> None:
    (root / "srv/tide/old-file").touch()
    again = script(wheels, root, "install", PREFIX="/srv/tide")

    assert again.returncode == 0
    assert ["tide"] == [path.name for path in (root / "srv").iterdir()]
    assert not (root / "srv/tide/old-file").exists()


def test_uninstalling_keeps_configuration_and_buffer_unless_told_otherwise(wheels: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    script(wheels, root, "install")
    (root / "var/lib/tidegate/control.db").touch()
    kept = script(wheels, root, "uninstall")
    left = sorted(str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir())
    script(wheels, root, "uninstall", PURGE="1")

    assert "Kept" in kept.stdout
    assert ["var/lib/tidegate/control.db"] == left
    assert [] == [path for path in root.rglob("*") if not path.is_dir()]


def test_a_folder_that_is_no_tidegate_is_never_removed(wheels: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "home/somebody").mkdir(parents=True)
    refused = script(wheels, root, "uninstall", PREFIX="/home")

    assert refused.returncode != 0
    assert (root / "home/somebody").exists()
