"""The rules of the house, as tests: who may import whom, how long things may be, and that documents tell the truth."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
GATEWAY_LINES_MAX = 200

# What each part may import of `tidegate`, besides itself. Imports point down.
MAY_IMPORT = {
    "errors": set(),
    "twins": set(),
    "clock": set(),
    "clockwatch": {"clock"},
    "secret": set(),
    "proof": set(),
    "plural": set(),
    "serial_ports": set(),
    "local": {"errors"},
    "notify": set(),
    "logs": set(),
    "loop": set(),
    "watchdog": {"model", "notify"},
    "model": {"errors", "twins", "clock"},
    "acquire": {"errors", "clock", "model"},
    "shape": {"errors", "clock", "model", "twins"},
    "buffer": {"errors", "clock", "model", "proof"},
    "publish": {"errors", "clock", "model", "proof", "secret", "twins", "buffer"},
    "profiles": {"errors", "clock", "model", "acquire", "shape"},
    "config": {"errors", "clock", "model", "secret", "acquire", "shape", "buffer", "publish", "profiles"},
    "tail": {"errors", "model", "proof", "secret", "logs"},
    "doctor": {"errors", "clock", "loop", "twins", "buffer", "publish", "config", "profiles"},
    "health": {"errors", "clock", "twins", "acquire", "buffer", "publish"},
    "shaped_sink": {"model", "shape", "buffer"},
    "stages": {
        "clock", "errors", "model", "acquire", "buffer", "publish", "config", "profiles", "plural", "shaped_sink",
    },
    "answers": {"errors", "buffer", "publish", "health", "stages"},
    "gateway": {
        "errors", "clock", "model", "acquire", "shape", "buffer", "publish", "config", "health", "local",
        "notify", "watchdog", "clockwatch", "stages", "answers", "plural",
    },
    "cli": {
        "errors", "clock", "loop", "twins", "secret", "proof", "model", "acquire", "shape", "buffer", "publish",
        "config", "doctor", "gateway", "health", "local", "tail", "notify", "logs", "profiles", "plural",
        "serial_ports",
    },
}  # fmt: skip
DRIVERS_MAY_IMPORT = (
    "tidegate.acquire.driver",
    "tidegate.acquire.survey",
    "tidegate.model",
    "tidegate.errors",
    "tidegate.clock",
    "tidegate.twins",
)
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
# The named places where a heavy optional library is imported when it is needed, and not before.
LAZY_IMPORTS = {
    "agent/tidegate/buffer/migrations.py",
    "agent/tidegate/config/spreadsheet.py",
    "setup.py",
}
DRIVER_HEADINGS = ["What it reads", "Configuration", "Tag table", "Limits", "Faults"]
# Written so that this file does not find itself.
NEVER_SAID = [
    "PRIVATE " + "KEY",
    r"/wor" + "k/",
    r"/roo" + "t/",
    r"\bCl" + "aude",
    r"\bAnthro" + "pic",
    r"\bTO" + "DO",
    r"\bFIX" + "ME",
]


def tracked(*patterns: str) -> list[Path]:
    """Files that git knows, relative to the root."""
    names = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in names.splitlines() if (ROOT / name).exists()]


PYTHON = tracked("*.py")
PRODUCT = [p for p in PYTHON if p.parts[0] in ("agent", "drivers")]


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def imports(path: Path) -> set[str]:
    """Full names of what a file imports, `from a.b import c` as a.b."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{a.name}" if node.module == "tidegate" else str(node.module) for a in node.names}
    return found


def part(path: Path) -> str:
    """Which part of the agent a file belongs to: its folder, or its own name."""
    return path.parts[2].removesuffix(".py")


def by_name(paths: list[Path]) -> "pytest.MarkDecorator":
    return pytest.mark.parametrize("path", paths, ids=str)


@by_name(tracked("*.py", "*.pyx"))
def test_no_file_is_two_nouns_long(path: Path) -> None:
    lines = len((ROOT / path).read_text().splitlines())

    assert lines <= FILE_LINES_MAX


def test_the_gateway_stays_under_two_hundred_lines() -> None:
    assert len((ROOT / "agent/tidegate/gateway.py").read_text().splitlines()) < GATEWAY_LINES_MAX


@by_name(PYTHON)
def test_no_function_is_two_ideas_long(path: Path) -> None:
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    long = [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > FUNCTION_LINES_MAX]

    assert long == []


@by_name([p for p in PRODUCT if p.parts[0] == "agent" and p.name != "__init__.py"])
def test_imports_point_down(path: Path) -> None:
    mine = part(path)
    others = {name.split(".")[1] for name in imports(path) if name.startswith("tidegate.")} - {mine}

    assert mine in MAY_IMPORT
    assert others <= MAY_IMPORT[mine]


@by_name([p for p in PRODUCT if p.parts[0] == "agent"])
def test_the_core_knows_no_driver_by_name(path: Path) -> None:
    assert not any(name.startswith("tidegate_drivers") for name in imports(path))


@by_name([p for p in PRODUCT if p.parts[0] == "drivers"])
def test_drivers_know_the_contract_and_the_model_only(path: Path) -> None:
    of_core = {name for name in imports(path) if name.split(".")[0] == "tidegate"}
    of_drivers = {name for name in imports(path) if name.startswith("tidegate_drivers.")}

    assert all(name.startswith(DRIVERS_MAY_IMPORT) for name in of_core)
    assert all(name.split(".")[1] == path.parts[2] for name in of_drivers)


@by_name([p for p in PRODUCT if p.parts[:3] == ("agent", "tidegate", "proof")])
def test_the_proof_needs_the_standard_library_only(path: Path) -> None:
    foreign = {name for name in imports(path) if not name.startswith("tidegate.proof.")}

    assert {name.split(".")[0] for name in foreign} <= sys.stdlib_module_names


@by_name(PRODUCT)
def test_no_file_has_a_name_that_says_nothing(path: Path) -> None:
    assert not NO_NAMES & {p.removesuffix(".py") for p in path.parts}


@by_name([p for p in PRODUCT if str(p) not in LAZY_IMPORTS])
def test_imports_stand_at_the_top(path: Path) -> None:
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inside = [f.name for f in functions for n in ast.walk(f) if isinstance(n, (ast.Import, ast.ImportFrom))]

    assert inside == []


@by_name(PRODUCT)
def test_what_is_public_says_what_it_is_for(path: Path) -> None:
    module = tree(path)
    if not module.body:
        return
    silent = [] if ast.get_docstring(module) else [str(path)]
    for node in module.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            inner = node.body if isinstance(node, ast.ClassDef) else []
            methods = [m for m in inner if isinstance(m, (ast.FunctionDef, ast.AsyncFunctionDef))]
            silent += [n.name for n in (node, *methods) if not n.name.startswith("_") and not ast.get_docstring(n)]

    assert silent == []


def test_every_driver_is_a_whole_folder_and_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    folders = sorted(p.name for p in (ROOT / "drivers/tidegate_drivers").iterdir() if (p / "driver.py").exists())

    assert folders == sorted(project["entry-points"]["tidegate.drivers"])
    for name in folders:
        folder = ROOT / "drivers/tidegate_drivers" / name
        headings = re.findall(r"^## (.+)$", (folder / "README.md").read_text(), re.M)
        assert (folder / "config.py").exists()
        assert (folder / "sample.toml").exists()
        assert headings == DRIVER_HEADINGS


def test_dependencies_are_bounded_on_both_sides() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]

    assert [d for d in listed if ">=" not in d or "<" not in d.split(";")[0]] == []


@by_name([p for p in tracked() if p.suffix in {".py", ".pyx", ".md", ".toml", ".csv", ".json", ".sql", ".pem", ""}])
def test_the_project_speaks_of_the_project_alone_and_keeps_no_secret(path: Path) -> None:
    text = (ROOT / path).read_text(errors="replace")

    assert [word for word in NEVER_SAID if re.search(word, text)] == []


def documents() -> list[Path]:
    return [p for p in tracked("*.md") if p.name != "CHANGELOG.md"]


@by_name(documents())
def test_every_path_that_a_document_names_exists(path: Path) -> None:
    text = (ROOT / path).read_text()
    named = re.findall(r"`((?:agent|drivers|tests|docs|demo|firmware-profiles|\.ci)/[\w./-]*)`", text)
    named += [link for link in re.findall(r"\]\(([\w./-]+)\)", text) if "/" in link or "." in link]
    missing = [name for name in named if not (ROOT / name).exists() and not (ROOT / path.parent / name).exists()]

    assert missing == []


@by_name(documents())
def test_every_make_target_that_a_document_names_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"`make ([a-z-]+)|^\s*make ([a-z-]+)", (ROOT / path).read_text(), re.M))

    assert {a or b for a, b in named} <= targets


@by_name(documents())
def test_every_command_that_a_document_names_exists(path: Path) -> None:
    text = (ROOT / path).read_text()
    named = set(re.findall(r"`tidegate ([a-z]+)|^\s*\$? ?tidegate ([a-z]+)", text, re.M))
    listed = re.findall(r'^    "(\w+)": "', (ROOT / "agent/tidegate/cli/main.py").read_text(), re.M)

    assert {a or b for a, b in named} <= set(listed)


def test_help_loads_none_of_the_heavy_libraries() -> None:
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom tidegate.cli.main import group\n"
        "assert CliRunner().invoke(group, ['--help']).exit_code == 0\n"
        "print(sorted({'pydantic', 'paho', 'rich', 'sqlite3', 'simpleeval', 'asyncio'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
