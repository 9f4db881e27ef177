"""requirements.lock: everything the agent imports at one version each, by hash, from no registry in particular."""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PINNED = re.findall(r"^([a-z0-9-]+)==([\w.]+)", LOCK, re.M)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["xlsx"]]
# Where the name of a library is not that of its module.
MODULES = {"paho-mqtt": "paho", "python-calamine": "python_calamine", "sqlite-utils": "sqlite_utils"}


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def test_every_library_of_the_agent_is_pinned_within_its_bounds() -> None:
    pinned = {name: number(version) for name, version in PINNED}

    for asked in ASKED:
        found = re.match(r"([\w-]+)>=([\d.]+),<([\d.]+)", asked)
        assert found, asked
        assert number(found[2]) <= pinned[found[1]] < number(found[3]), asked


def imported(*folders: str) -> set[str]:
    """The first names of all modules that the files below these folders import."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def test_no_library_is_asked_for_that_nothing_imports() -> None:
    names = [re.split(r"[>=]", asked)[0] for asked in ASKED]

    assert {MODULES.get(name, name) for name in names} - imported("agent", "drivers", "demo") == set()


def test_every_pin_has_hashes_and_every_line_is_a_pin_or_its_hash() -> None:
    entries = re.split(r"\n(?=[a-z])", LOCK.split("\n", 1)[1])

    assert len(PINNED) == len(entries)
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []
    for line in LOCK.splitlines()[1:]:
        assert re.fullmatch(r"[a-z0-9-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line


def test_it_names_no_registry() -> None:
    assert not re.search(r"https?:|//|index|trusted-host|find-links", LOCK)
