"""Whatever a new user gets wrong is one clear error with what to do, the exit code that fits, and never a traceback."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.broker import Mosquitto
from tests.fakes.shell import tidegate

CONFIG = """
[gateway]
name = "g1"
state = "state"
[tables.any]
file = "any.csv"
[[device]]
name = "oven1"
driver = "simulator"
table = "any"
address = "sim://hall1"
[[target]]
name = "local"
url = "mqtt://127.0.0.1:1"
"""
TAGS = "name,type,address\nspeed,float64,sine\n"
LOADING = [
    ("check", "gateway.toml"), ("run", "gateway.toml"), ("topics", "gateway.toml"), ("read", "gateway.toml", "--all"),
]  # fmt: skip
ASKING = [("status", "gateway.toml"), ("buffer", "status", "gateway.toml"), ("buffer", "letters", "gateway.toml")]
# 2 is also what `tail` says when something is missing.
CONFIGURATION, OTHER, USAGE = 78, 1, 2


@pytest.fixture
def plant(tmp_path: Path) -> Path:
    (tmp_path / "gateway.toml").write_text(CONFIG)
    (tmp_path / "any.csv").write_text(TAGS)
    return tmp_path


def told(folder: Path, *words: str, held: bool = False) -> tuple[int, str]:
    """Exit code, and all that was said."""
    done = tidegate(*words, cwd=folder, held=held)

    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("words", [*LOADING, *ASKING], ids=" ".join)
def test_a_configuration_that_is_not_there_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, said = told(tmp_path, *words)

    assert code == CONFIGURATION
    assert "gateway.toml: does not exist. Correct the path, or make the file" in said


@pytest.mark.parametrize("words", [*LOADING, *ASKING], ids=" ".join)
def test_a_configuration_that_may_not_be_read_names_the_user(plant: Path, words: tuple[str, ...]) -> None:
    (plant / "gateway.toml").chmod(0)
    code, said = told(plant, *words, held=True)

    assert code == CONFIGURATION
    assert "gateway.toml: may not be read by the user" in said
    assert "Run this as the gateway's user" in said


@pytest.mark.parametrize("words", [*LOADING, *ASKING], ids=" ".join)
def test_a_folder_that_may_not_be_entered_names_the_user(plant: Path, words: tuple[str, ...]) -> None:
    (plant / "shut").mkdir(mode=0)
    code, said = told(plant, *(f"shut/{w}" if w == "gateway.toml" else w for w in words), held=True)
    (plant / "shut").chmod(0o700)

    assert code == CONFIGURATION
    assert "shut/gateway.toml: may not be read by the user" in said


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("state =", "stat =", "gateway.toml:4 gateway.stat: there is no such key. Did you mean `state`?"),
        ('"simulator"', '"modbuss"', "there is no driver 'modbuss'. Did you mean `modbus`?"),
        ('"any.csv"', '"none.csv"', "gateway.toml:6 tables.any.file: none.csv does not exist"),
        ('"sim://hall1"', '"hall1"', "gateway.toml:11 oven1 address: "),
        ("[[target]]", "[target", "gateway.toml:12: "),
    ],
    ids=["typo in a key", "typo in a driver", "no table", "address", "TOML"],
)
@pytest.mark.parametrize("words", LOADING, ids=" ".join)
def test_a_mistake_in_it_is_told_with_file_line_and_key(
    plant: Path, words: tuple[str, ...], old: str, new: str, expected: str
) -> None:
    (plant / "gateway.toml").write_text(CONFIG.replace(old, new))
    code, said = told(plant, *words)

    assert code == CONFIGURATION
    assert expected in said


@pytest.mark.parametrize("words", [*ASKING[:1], ("buffer", "resubmit", "gateway.toml")], ids=" ".join)
@pytest.mark.parametrize("there", [False, True], ids=["never ran", "state is there"])
def test_a_gateway_that_does_not_run_is_said_to(plant: Path, words: tuple[str, ...], there: bool) -> None:
    if there:
        (plant / "state").mkdir()
    code, said = told(plant, *words)

    assert code == OTHER
    assert said == "tidegate: state: no gateway runs with this state folder. Is it running? tidegate run\n"


def test_who_may_not_ask_is_told_to_ask_as_the_gateways_user(plant: Path) -> None:
    (plant / "state").mkdir(mode=0)
    code, said = told(plant, "status", "gateway.toml", held=True)
    (plant / "state").chmod(0o700)

    assert code == OTHER
    assert "this user may not ask the gateway there. Ask as the gateway's user" in said


def test_a_state_folder_that_can_not_be_written_ends_the_run_and_is_named(plant: Path) -> None:
    (plant / "state").mkdir(mode=0o500)
    code, said = told(plant, "run", "gateway.toml", held=True)

    assert code == OTHER
    assert "state can't hold the buffer" in said
    assert "make it a folder this user may write" in said


def test_a_device_or_target_that_is_not_there_is_told_the_nearest(plant: Path) -> None:
    read = told(plant, "read", "gateway.toml", "ovne1")
    topics = told(plant, "topics", "gateway.toml", "--target", "cloud")

    assert (read[0], topics[0]) == (USAGE, USAGE)
    assert "there is no device 'ovne1' in gateway.toml. Did you mean `oven1`?" in read[1]
    assert "there is no target 'cloud' in gateway.toml. Use one of: local" in topics[1]


def test_topics_without_a_target_say_so(plant: Path) -> None:
    (plant / "gateway.toml").write_text(CONFIG.partition("[[target]]")[0])
    code, said = told(plant, "topics", "gateway.toml")

    assert code == USAGE
    assert "gateway.toml has no [[target]], so that there is no topic" in said


def test_doctor_has_a_code_of_its_own_for_a_configuration_that_can_not_be_used(tmp_path: Path) -> None:
    code, said = told(tmp_path, "doctor", "gateway.toml")

    assert code == CONFIGURATION
    assert "FAULT    configuration: gateway.toml: does not exist" in said


def test_a_table_in_another_language_is_told_which_columns_it_has(plant: Path) -> None:
    (plant / "any.csv").write_bytes("名称,地址\n温度,sine\n".encode("gb18030"))
    code, said = told(plant, "check", "gateway.toml")

    assert code == CONFIGURATION
    assert "any.csv:1: there is no column `name`. Add it to the first row, which has `名称`, `地址`" in said


def test_of_a_running_gateway_the_second_start_and_the_wrong_target_are_refused(plant: Path) -> None:
    command = [sys.executable, "-c", "from tidegate.cli.main import main; main()", "run", "gateway.toml"]
    with subprocess.Popen(command, cwd=plant, stderr=subprocess.DEVNULL) as agent:
        try:
            deadline = time.monotonic() + 20
            while told(plant, "status", "gateway.toml")[0]:
                assert time.monotonic() < deadline
            second = told(plant, "run", "gateway.toml")
            target = told(plant, "buffer", "resubmit", "gateway.toml", "--target", "cloud")
            export = told(plant, "buffer", "export", "gateway.toml", "--output", "none/x.csv")
        finally:
            agent.terminate()
            agent.wait(20)

    assert (second[0], target[0], export[0]) == (OTHER, OTHER, OTHER)
    assert f"tidegate: state: held by another process (pid {agent.pid}): stop it, or ask it" in second[1]
    assert "has no target 'cloud'; tidegate status names those it has" in target[1]
    assert "tidegate: none/x.csv: No such file or directory. Name another --output" in export[1]


def test_a_follower_says_which_broker_is_not_there(tmp_path: Path) -> None:
    code, said = told(tmp_path, "tail", "mqtt://127.0.0.1:1", "--seconds", "1")

    assert code == USAGE
    assert "can't reach the broker at 127.0.0.1:1: Connection refused" in said


def test_a_follower_that_hears_of_no_gateway_says_what_to_look_at(tmp_path: Path, broker: Mosquitto) -> None:
    _, said = told(tmp_path, "tail", broker.url, "--seconds", "1")

    assert "no gateway was heard of" in said
    assert "under this --prefix, and may this user read its topics?" in said


def test_a_state_that_can_not_be_written_is_told_before_anything_is_followed(tmp_path: Path) -> None:
    code, said = told(tmp_path, "tail", "mqtt://127.0.0.1:1", "--state", "none/proof")

    assert code == USAGE
    assert "none/proof can't be written. Name a file in a folder that is yours" in said
