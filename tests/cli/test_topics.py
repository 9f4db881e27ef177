"""`tidegate topics`: every topic that a gateway uses, and an access list under which a real broker lets it work."""

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from demo.broker import Mosquitto, free_port
from demo.child import Child

DEADLINE_S = 20.0
USERS = {"gate-7": "secret-gate", "subscriber": "secret-sub", "stranger": "secret-other"}
DENIED = 0x87
NO_SUBSCRIBERS = 0x10
STEM = "tidegate/g7/local/"

CONFIG = """
[gateway]
name = "g7"
state = "state"

[tables.tank]
file = "tank.csv"

[[device]]
name = "tank1"
driver = "simulator"
table = "tank"
address = "sim://a"

[[target]]
name = "local"
url = "{url}"
user = "gate-7"
password = "${{credential:mqtt}}"
{more}
"""
TANK = "name,address,type\ncount,counter,uint32\nlevel,sine,float64\n"
COMMAND = [sys.executable, "-c", "from tidegate.cli.main import main; main()"]


def plant(folder: Path, url: str, more: str = "") -> Path:
    """A folder with the configuration, its table and its credential."""
    (folder / "credentials").mkdir(mode=0o700)
    secret = folder / "credentials/mqtt"
    secret.write_text(USERS["gate-7"])
    secret.chmod(0o600)
    (folder / "gateway.toml").write_text(CONFIG.format(url=url, more=more))
    (folder / "tank.csv").write_text(TANK)
    return folder


def tidegate(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, cwd=folder, timeout=60, env={**os.environ, **env}
    )


def topics(folder: Path, *arguments: str) -> list[str]:
    ran = tidegate(folder, "topics", "gateway.toml", *arguments)

    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


class Guarded:
    """A mosquitto that knows three users by password and enforces an access list, and a gateway that it lets in."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.folder = plant(folder, f"mqtt://127.0.0.1:{port}")
        acl = tidegate(self.folder, "topics", "gateway.toml", "--acl", "mosquitto").stdout
        (folder / "acl").write_text(acl)
        (folder / "passwords").touch(mode=0o600)
        program = shutil.which("mosquitto_passwd") or "mosquitto_passwd"
        for user, password in USERS.items():
            subprocess.run([program, "-b", str(folder / "passwords"), user, password], check=True, capture_output=True)
        extra = f"acl_file {folder / 'acl'}\npassword_file {folder / 'passwords'}\nlog_type all"
        self.broker = Mosquitto(folder / "broker", extra=extra, port=port)
        # Its settings allow strangers; the last word in the file is ours.
        settings = folder / "broker/mosquitto.conf"
        settings.write_text(settings.read_text().replace("allow_anonymous true", "allow_anonymous false"))
        self.broker.start()
        self.gateway = Child("gateway", [*COMMAND, "run", str(folder / "gateway.toml")], folder)

    def stop(self) -> int:
        code = self.gateway.stop()
        self.broker.kill()
        return code

    @property
    def denied(self) -> list[str]:
        return [line for line in self.broker.log.read_text().splitlines() if "Denied" in line]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    made = Guarded(tmp_path)
    yield made
    made.stop()


class Client:
    """A client of MQTT 5 that waits for the broker's word."""

    def __init__(self, broker: Mosquitto, user: str) -> None:
        self._said: queue.Queue[int] = queue.Queue()
        self.heard: dict[str, bytes] = {}
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        client.username_pw_set(user, USERS.get(user))
        client.on_connect = lambda *a: self._said.put(a[3].value)
        client.on_publish = lambda *a: self._said.put(a[3].value)
        client.on_subscribe = lambda *a: self._said.put(a[3][0].value)
        client.on_message = lambda *a: self.heard.update({a[2].topic: a[2].payload})
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        self.client = client
        self.connected = self._said.get(timeout=DEADLINE_S)

    def publish(self, topic: str, payload: str = "{}") -> int:
        self.client.publish(topic, payload, 1)
        return self._said.get(timeout=DEADLINE_S)

    def subscribe(self, topic: str) -> None:
        self.client.subscribe(topic, 1)
        self._said.get(timeout=DEADLINE_S)

    def waits_for(self, leaf: str) -> str:
        """What comes in on this topic of the target."""
        end_s = time.monotonic() + DEADLINE_S
        while STEM + leaf not in self.heard:
            assert time.monotonic() < end_s, f"no {leaf}"
            time.sleep(0.05)
        return self.heard[STEM + leaf].decode()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_every_topic_is_printed_with_direction_qos_and_retain(tmp_path: Path) -> None:
    lines = topics(plant(tmp_path, "mqtt://127.0.0.1"))
    listed = {}
    for line in lines:
        if found := re.match(r" +(\S+) +(\w+ -> \w+)  QoS (\d)  (retained)?", line):
            listed[re.sub(r"table/\w{16}", "table/HASH", found[1].removeprefix(STEM))] = found.groups()[1:]
    out, back = "gateway -> subscriber", "subscriber -> gateway"

    assert listed == {
        "live": (out, "1", None),
        "backlog": (out, "1", None),
        "replay": (out, "1", None),
        "head": (out, "1", "retained"),
        "status": (out, "1", "retained"),
        "answer": (out, "1", None),
        "request": (back, "1", None),
        "table/HASH": (out, "1", "retained"),
    }


def test_under_the_list_a_gateway_delivers_and_a_subscriber_asks_and_proves(guarded: Guarded) -> None:
    folder, url = guarded.folder, guarded.broker.url
    # Long enough that the first messages have no subscriber: they come by request only.
    time.sleep(2)
    ran = tidegate(
        folder, "tail", url, "--user", "subscriber", "--password-env", "WORD", "--seconds", "14",
        "--log", "messages.jsonl", WORD=USERS["subscriber"],
    )  # fmt: skip
    heard = set(re.findall(r'"topic": ?"([^"]+)"', (folder / "messages.jsonl").read_text()))
    named = {line.split()[0] for line in topics(folder) if "gateway -> subscriber" in line}

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert {STEM + leaf for leaf in ("live", "replay", "head", "status")} <= heard
    assert heard <= named
    assert guarded.stop() == 0
    assert guarded.denied == []


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("subscriber", STEM + "live"),
        ("subscriber", STEM + "head"),
        ("subscriber", STEM + "table/0123456789abcdef"),
        ("gate-7", "tidegate/g8/local/live"),
        ("gate-7", STEM + "request"),
        ("gate-7", STEM + "table/a/b"),
        ("stranger", STEM + "request"),
    ],
)
def test_what_the_list_does_not_name_may_not_be_published(guarded: Guarded, user: str, topic: str) -> None:
    client = Client(guarded.broker, user)
    said = client.publish(topic)
    client.close()

    assert (client.connected, said) == (0, DENIED)


def test_a_stranger_hears_nothing_and_a_subscriber_no_requests_but_their_answers(guarded: Guarded) -> None:
    stranger, subscriber = Client(guarded.broker, "stranger"), Client(guarded.broker, "subscriber")
    for client in (stranger, subscriber):
        client.subscribe("#")
    subscriber.waits_for("live")
    epoch = json.loads(subscriber.waits_for("head"))["epoch"]
    said = subscriber.publish(STEM + "request", json.dumps({"id": "a", "epoch": epoch, "want": [[1, 1]]}))
    answer = json.loads(subscriber.waits_for("answer"))
    for client in (stranger, subscriber):
        client.close()

    assert said in (0, NO_SUBSCRIBERS)
    assert answer["id"] == "a"
    assert STEM + "replay" in subscriber.heard
    assert STEM + "request" not in subscriber.heard
    assert stranger.heard == {}


def test_the_list_for_emqx_is_terms_that_end_with_a_denial(tmp_path: Path) -> None:
    lines = topics(
        plant(tmp_path, "mqtt://127.0.0.1", 'prefix = "厂区/\\"1\\""'), "--acl", "emqx", "--subscriber", "mes"
    )
    terms = "\n".join(line for line in lines if not line.startswith("%%")).split(".\n")
    heads = [re.match(r"\{(allow|deny), (\{username, \"[\w-]+\"\}|all), (\w+), \[", term) for term in terms]
    granted = {f"{found[2]} {found[3]}": term for found, term in zip(heads, terms, strict=True) if found}
    stem = '厂区/\\"1\\"/g7/local/'

    assert list(granted) == [
        '{username, "gate-7"} publish',
        '{username, "gate-7"} subscribe',
        '{username, "mes"} publish',
        '{username, "mes"} subscribe',
        "all all",
    ]
    assert re.findall(r'<<"(.*?)"/utf8>>', granted['{username, "mes"} publish']) == [stem + "request"]
    assert terms[-1] == f'{{deny, all, all, [<<"{stem}#"/utf8>>]}}.'


def test_both_lists_grant_the_same(tmp_path: Path) -> None:
    folder = plant(tmp_path, "mqtt://127.0.0.1")
    of_mosquitto: dict[str, list[str]] = {}
    for line in topics(folder, "--acl", "mosquitto"):
        if line.startswith("user "):
            user = line.removeprefix("user ")
        elif line.startswith("topic "):
            _, access, topic = line.split(" ", 2)
            of_mosquitto.setdefault(f"{user} {access}", []).append(topic)
    text = "\n".join(topics(folder, "--acl", "emqx"))
    words = {"publish": "write", "subscribe": "read"}
    of_emqx = {
        f"{user} {words[action]}": re.findall(r'"([^"]+)"', listed)
        for user, action, listed in re.findall(r'\{allow, \{username, "([^"]+)"\}, (\w+), \[(.*?)\]\}\.', text, re.S)
    }

    assert of_mosquitto == of_emqx


def test_a_target_without_a_user_is_told_to_have_one(tmp_path: Path) -> None:
    folder = plant(tmp_path, "mqtt://127.0.0.1", '[[target]]\nname = "second"\nurl = "mqtt://127.0.0.1:1"')
    lines = topics(folder, "--acl", "mosquitto", "--target", "second")

    assert any(line.startswith("# Target second has no user yet") for line in lines)
    assert "user g7" in lines
    assert not any("/local/" in line for line in lines)


def test_an_unknown_target_is_answered_with_those_that_are_known(tmp_path: Path) -> None:
    ran = tidegate(plant(tmp_path, "mqtt://127.0.0.1"), "topics", "gateway.toml", "--target", "cloud")

    assert ran.returncode == 2
    assert "local" in ran.stderr


@pytest.mark.parametrize("user", ["x\ntopic readwrite #", ""], ids=["two lines", "none"])
def test_a_subscriber_that_would_be_a_line_of_its_own_is_refused(tmp_path: Path, user: str) -> None:
    ran = tidegate(plant(tmp_path, "mqtt://127.0.0.1"), "topics", "gateway.toml", "--subscriber", user)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "is no user of a broker" in ran.stderr
