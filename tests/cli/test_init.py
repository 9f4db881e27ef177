"""`tidegate init` writes the sample of docs/example, which passes `check`, and overwrites nothing."""

import subprocess
import sys
import tomllib
from pathlib import Path

from tests.fakes import shell
from tidegate.cli.init import sample

EXAMPLE = Path(__file__).parent.parent.parent / "docs" / "example"


def tidegate(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from tidegate.cli.main import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60)


def test_the_sample_is_that_of_the_documents_and_passes_check(tmp_path: Path) -> None:
    made = tidegate("init", "plant/gateway", cwd=tmp_path)
    checked = tidegate("check", "plant/gateway/gateway.toml", "--wire", cwd=tmp_path)
    written = {file.name: file.read_bytes() for file in (tmp_path / "plant/gateway").iterdir()}

    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.splitlines()[-1] == "Edit them, then: tidegate check plant/gateway/gateway.toml --wire"
    assert written == {name: (EXAMPLE / name).read_bytes() for name in ("gateway.toml", "devices.csv", "press.csv")}
    assert checked.returncode == 0, checked.stdout
    # What the machine of the tests knows of the time is its own affair.
    assert [line for line in checked.stdout.splitlines() if "warning" in line and "clock of this" not in line] == []


def test_without_a_folder_it_writes_here(tmp_path: Path) -> None:
    made = tidegate("init", cwd=tmp_path)

    assert made.returncode == 0
    assert (tmp_path / "gateway.toml").exists()


def test_nothing_is_written_when_one_of_the_files_is_there(tmp_path: Path) -> None:
    (tmp_path / "press.csv").write_text("mine")
    made = tidegate("init", ".", cwd=tmp_path)

    assert made.returncode == 1
    assert made.stderr == "tidegate: press.csv: is there already. Name another folder\n"
    assert [file.name for file in tmp_path.iterdir()] == ["press.csv"]
    assert (tmp_path / "press.csv").read_text() == "mine"


def test_a_file_where_the_folder_should_be_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "plant").write_text("")
    made = tidegate("init", "plant", cwd=tmp_path)

    assert made.returncode == 1
    assert made.stderr == "tidegate: plant: File exists. Name a folder that you may write into\n"


def test_what_it_writes_runs_at_once_for_whoever_wrote_it(tmp_path: Path) -> None:
    tidegate("init", "plant", cwd=tmp_path)
    read = tomllib.loads((tmp_path / "plant/gateway.toml").read_text())

    assert read["gateway"]["state"] == "state"


def test_in_the_folder_of_the_service_its_state_is_that_of_the_service() -> None:
    files = sample(Path("/etc/tidegate"))
    read = tomllib.loads(files["gateway.toml"].decode())

    assert read["gateway"]["state"] == "/var/lib/tidegate"
    assert {name for name, data in files.items() if data != (EXAMPLE / name).read_bytes()} == {"gateway.toml"}


def test_a_folder_that_may_not_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    made = shell.tidegate("init", "plant", cwd=tmp_path, held=True)
    tmp_path.chmod(0o700)

    assert made.returncode == 1
    assert made.stderr == "tidegate: plant: Permission denied. Name a folder that you may write into\n"
