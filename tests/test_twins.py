"""Which twin runs, and that a stale one is refused."""

import hashlib
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tidegate.twins import StaleTwin, refuse_stale

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*ROOT.glob("agent/**/*_c.pyx"), *ROOT.glob("drivers/**/*_c.pyx")])
# Their driver is loaded only where one of its servers is configured.
LATER = "tidegate_drivers.opcua."
NAMES = [".".join(p.relative_to(ROOT).with_suffix("").parts[1:]) for p in SOURCES]


@pytest.mark.parametrize("name", NAMES)
def test_every_twin_is_compiled_from_the_source_beside_it(name: str) -> None:
    module = importlib.import_module(name)

    refuse_stale(module)
    assert (ROOT / str(module.__file__)).suffix == ".so"


@pytest.mark.parametrize("name", NAMES)
def test_every_twin_has_a_pure_one_with_the_same_functions(name: str) -> None:
    compiled = importlib.import_module(name)
    pure = importlib.import_module(name.removesuffix("_c") + "_py")
    offered = {n for n, f in vars(compiled).items() if type(f).__name__ == "cython_function_or_method"}

    assert offered
    assert {n for n in offered if not n.startswith("_")} <= set(vars(pure))


def test_an_edited_source_that_was_not_rebuilt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_x_c.pyx").write_text("def f(): return 2\n")
    module = ModuleType("some._x_c")
    module.__file__ = str(tmp_path / "_x_c.so")
    module.source_hash = hashlib.sha256(b"def f(): return 1\n").hexdigest()[:16]  # type: ignore[attr-defined]

    with pytest.raises(StaleTwin, match="make build"):
        refuse_stale(module)


def test_a_command_tells_a_stale_twin_in_one_line(tmp_path: Path) -> None:
    script = (
        "import sys; from tidegate.cli import main; from tidegate.twins import StaleTwin\n"
        "class Stale:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'tidegate.cli.check': raise StaleTwin('_x_c.pyx was edited: run `make build`')\n"
        "sys.meta_path.insert(0, Stale()); sys.argv[1:] = ['check', 'gateway.toml']; main.main()"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60)

    assert (1, "tidegate: _x_c.pyx was edited: run `make build`\n") == (ran.returncode, ran.stderr)


def test_the_pure_twins_run_when_asked_for() -> None:
    script = "import tidegate.model.frame, tidegate.twins as t; print(set(t.running().values()))"
    environment = {**os.environ, "TIDEGATE_PURE": "1"}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "{'pure'}"


def test_the_log_counts_the_twins_of_the_drivers_too(tmp_path: Path) -> None:
    script = "from tidegate.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", script, "init", str(tmp_path)], check=True, capture_output=True, timeout=60)
    # No buffer can be opened there, so that it ends by itself.
    (tmp_path / "state/lock").mkdir(parents=True)
    ran = subprocess.run(
        [sys.executable, "-c", script, "run", str(tmp_path / "gateway.toml")],
        capture_output=True,
        text=True,
        timeout=60,
    )

    always = sum(not name.startswith(LATER) for name in NAMES)

    assert any(f"{count} compiled twins" in ran.stderr for count in range(always, len(NAMES) + 1))
