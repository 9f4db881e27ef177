"""requirements.lock: everything the agent imports at one version each, by hash, from no registry in particular."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = (ROOT / "requirements.lock").read_text()
PINNED = re.findall(r"^([a-z0-9-]+)==([\w.]+)", LOCK, re.M)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ASKED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["xlsx"]]


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def test_every_library_of_the_agent_is_pinned_within_its_bounds() -> None:
    pinned = {name: number(version) for name, version in PINNED}

    for asked in ASKED:
        found = re.match(r"([\w-]+)>=([\d.]+),<([\d.]+)", asked)
        assert found, asked
        assert number(found[2]) <= pinned[found[1]] < number(found[3]), asked


def test_every_pin_has_hashes_and_every_line_is_a_pin_or_its_hash() -> None:
    entries = re.split(r"\n(?=[a-z])", LOCK.split("\n", 1)[1])

    assert len(PINNED) == len(entries)
    assert [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []
    for line in LOCK.splitlines()[1:]:
        assert re.fullmatch(r"[a-z0-9-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line


def test_it_names_no_registry() -> None:
    assert not re.search(r"https?:|//|index|trusted-host|find-links", LOCK)
