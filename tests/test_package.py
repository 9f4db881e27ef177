"""The wheel, the pure wheel and the sdist, built from what git knows, hold what they must and nothing generated."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROFILE = "tidegate_profiles/devices/eastron/sdm630/registers.csv"


def clean_copy(folder: Path) -> Path:
    """The tracked files alone, as a clone would have them."""
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in names.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def build(kind: str, source: Path, *, pure: bool) -> Path:
    """One archive of `kind` (wheel or sdist), by the front end that everybody uses."""
    environment = {**os.environ, "TIDEGATE_PURE": "1" if pure else "0"}
    asked = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(source / "dist")]
    ran = subprocess.run([*asked, str(source)], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:] + ran.stdout[-3000:]
    (made,) = (source / "dist").iterdir()
    return made


@pytest.mark.timeout(400)
def test_the_compiled_wheel_has_twins_profiles_and_no_generated_c(tmp_path: Path) -> None:
    wheel = build("wheel", clean_copy(tmp_path), pure=False)
    names = zipfile.ZipFile(wheel).namelist()
    twins = {re.sub(r"\.cpython.*", "", n) for n in names if n.endswith(".so")}

    assert {n.removesuffix(".pyx") for n in names if n.endswith(".pyx")} == twins
    assert "tidegate/model/_frame_c" in twins
    assert PROFILE in names
    assert "tidegate_example/gateway.toml" in names
    assert "tidegate_systemd/tidegate.service" in names
    assert "tidegate/publish/formats/schemas/data.json" in names
    assert [n for n in names if n.endswith(".c") or n.startswith(("tests", "demo", "build"))] == []


@pytest.mark.timeout(200)
def test_the_pure_wheel_is_for_any_machine(tmp_path: Path) -> None:
    wheel = build("wheel", clean_copy(tmp_path), pure=True)
    names = zipfile.ZipFile(wheel).namelist()

    assert wheel.name.endswith("-py3-none-any.whl")
    assert [n for n in names if n.endswith((".so", ".c"))] == []
    assert PROFILE in names


@pytest.mark.timeout(200)
def test_the_sdist_builds_a_wheel_that_runs(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    sdist = build("sdist", clean_copy(tmp_path / "source"), pure=False)
    with tarfile.open(sdist) as archive:
        names = [n.partition("/")[2] for n in archive.getnames()]
        # `filter` is younger than the Python of Debian 12; the archive is our own.
        archive.extractall(tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = build("wheel", unpacked, pure=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    script = "import tidegate.model.frame, tidegate.proof; print(tidegate.proof.__file__)"
    ran = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); {script}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert [n for n in names if n.endswith((".c", ".so"))] == []
    assert "agent/tidegate/model/_frame_c.pyx" in names
    assert str(tmp_path / "installed") in ran.stdout
