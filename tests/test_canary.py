"""A canary for a password: wherever it is put, right or wrong, no log, error, status or buffer file repeats it."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from demo.broker import Mosquitto
from tests.test_gateway import CONFIG, DEADLINE_S, TABLE, TIDEGATE, ask, until

CANARY = "kanarienvogel-7731"
TARGET = '\n[[target]]\nname = "other"\n'
# Places where somebody may write it by mistake.
MISTAKES = {
    "in the open": f'url = "mqtts://broker.example"\nuser = "u"\npassword = "{CANARY}"',
    "beside a placeholder": f'url = "mqtts://broker.example"\nuser = "u"\npassword = "{CANARY}${{env:NOBODY}}"',
    "as a number of text": f'url = "mqtts://broker.example"\nuser = "u"\npassword = ["{CANARY}"]',
    "in the address": f'url = "mqtts://u:{CANARY}@broker.example"',
    "in an address of the wrong kind": f'url = "http://u:{CANARY}@broker.example/x"',
    "in a fallback": f'url = "mqtts://broker.example"\nfallbacks = ["amqp://u:{CANARY}@broker.example"]',
    "in the proxy's address": f'url = "mqtts://broker.example"\nproxy = "http://u:{CANARY}@proxy.example:3128"',
    "in the proxy's password": f'url = "mqtts://b.example"\nproxy = "http://p:1"\nproxy_password = "{CANARY}"',
}


def configuration(folder: Path, text: str) -> Path:
    (folder / "machine.csv").write_text(TABLE)
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("place", MISTAKES)
@pytest.mark.parametrize("words", [["check"], ["run", "--log-level", "debug"]], ids=["check", "run"])
def test_a_password_in_the_wrong_place_is_refused_and_not_repeated(
    tmp_path: Path, place: str, words: list[str]
) -> None:
    config = configuration(tmp_path, CONFIG.format(url="mqtt://127.0.0.1:1") + TARGET + MISTAKES[place] + "\n")
    ran = subprocess.run(
        [*TIDEGATE, words[0], str(config), *words[1:]], capture_output=True, text=True, timeout=DEADLINE_S
    )

    assert 78 == ran.returncode, ran.stdout + ran.stderr
    assert CANARY not in ran.stdout + ran.stderr


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("placeholder", ["env:BROKER_PASSWORD", "credential:broker"])
def test_a_password_in_use_shows_nowhere(tmp_path: Path, broker: Mosquitto, placeholder: str, form: str) -> None:
    (tmp_path / "credentials").mkdir(mode=0o700)
    (tmp_path / "credentials/broker").write_text(CANARY)
    (tmp_path / "credentials/broker").chmod(0o600)
    target = f'\nuser = "u"\npassword = "${{{placeholder}}}"\n'
    # The second one is refused by a broker that is not there.
    nobody = f'{TARGET}url = "mqtt://127.0.0.1:1"{target}'
    config = configuration(tmp_path, CONFIG.format(url=broker.url) + target + nobody)
    log = tmp_path / "agent.log"
    with log.open("w") as writing:
        agent = subprocess.Popen(
            [*TIDEGATE, "run", str(config), "--log-level", "debug", "--log-format", form],
            env={**os.environ, "BROKER_PASSWORD": CANARY}, stdout=writing, stderr=writing,
        )  # fmt: skip
        try:
            until(lambda: '"state": "connected"' in ask(config).stdout and '"waiting"' in ask(config).stdout)
            said = ask(config).stdout
            said += subprocess.run([*TIDEGATE, "status", str(config)], capture_output=True, text=True).stdout
            broker.kill()
            time.sleep(1)
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait(DEADLINE_S)
    said += log.read_text()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())

    assert "cloud" in said
    assert CANARY not in said
    assert CANARY.encode() not in kept
