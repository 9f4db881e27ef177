"""`tidegate buffer replay`: ordered by command at a running gateway, through a real broker, proven by a subscriber."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.broker import Mosquitto
from tests.fakes.subscriber import Subscriber
from tests.test_gateway import CONFIG, DEADLINE_S, TABLE, TIDEGATE, ask, published, until
from tidegate.proof import Proof

NOBODY = 65_534


@pytest.fixture
def config(tmp_path: Path, broker: Mosquitto) -> Path:
    (tmp_path / "machine.csv").write_text(TABLE)
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(url=broker.url))
    return path


@pytest.fixture
def agent(config: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with (config.parent / "agent.log").open("w") as log:
        process = subprocess.Popen([*TIDEGATE, "run", str(config)], stderr=log)
    try:
        until(lambda: ask(config).returncode == 0)
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE_S)


def replay(config: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    words = [*TIDEGATE, "buffer", "replay", str(config), *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def test_all_that_was_sent_is_sent_again_and_proven_to_be_the_same(
    broker: Mosquitto, config: Path, agent: "subprocess.Popen[bytes]"
) -> None:
    with Subscriber(broker.port) as received:
        until(lambda: published(config) > 20)
        # What was sent while nobody listened comes by this replay for the first time.
        assert replay(config, "--from", "1", "--wait").returncode == 0
        received.settle()
        proof, before = Proof(), len(received.received)
        for message in received.received:
            proof.take(message.payload, time.monotonic())
        last = max(epoch.last for epoch in proof.report(time.monotonic()).epochs)
        ran = replay(config, "--target", "cloud", "--from", "1", "--to", str(last), "--wait", "--json")
        received.settle()
        again = [message for message in received.received[before:] if message.topic.endswith("/replay")]
        first_time = {
            frame["seq"]: frame
            for message in received.received[:before]
            if message.topic.rsplit("/", 1)[1] in ("live", "backlog", "replay")
            for frame in message.said["frames"]
        }
        frames = [frame for message in again for frame in message.said["frames"]]
        taken = [proof.take(message.payload, time.monotonic()) for message in again]
        report = proof.report(time.monotonic() + 60).epochs[0]
        said = json.loads(ran.stdout)

        assert ran.returncode == 0, ran.stderr
        assert said["over"]
        assert said["acknowledged"] == said["frames"] == last
        assert [frame["seq"] for frame in frames] == list(range(1, last + 1))
        assert frames == [first_time[number] for number in range(1, last + 1)]
        assert all(not found.new for found in taken)
        assert sum(found.duplicates for found in taken) == last
        assert not report.missing.within(1, last)


def test_what_was_accepted_is_said_in_words(config: Path, agent: "subprocess.Popen[bytes]") -> None:
    until(lambda: published(config) > 5)
    ran = replay(config, "--from", "2", "--to", "5", "--wait")

    assert ran.returncode == 0, ran.stderr
    assert "cloud: 4 frames of epoch" in ran.stdout
    assert "kept      2..5" in ran.stdout
    assert "4 of 4 frames sent again and acknowledged" in ran.stdout


def test_a_replay_that_waits_for_its_broker_says_so_and_ends_by_its_deadline(
    broker: Mosquitto, config: Path, agent: "subprocess.Popen[bytes]"
) -> None:
    until(lambda: published(config) > 5)
    broker.kill()
    until(lambda: json.loads(ask(config).stdout)["targets"][0]["state"] != "connected")
    ran = replay(config, "--from", "1", "--to", "5", "--wait", "--deadline", "0.5")

    assert ran.returncode == 1
    assert "when it is connected again" in ran.stdout
    assert "0 of 5" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "1", "--target", "clout"), "there is no target 'clout'; this gateway has cloud"),
        (("--from", "1", "--to", "99999999"), "does not exist yet"),
        (("--from", "99999999"), "number 99999999 does not exist yet"),
        (("--from", "1", "--epoch", "feed"), "nothing of epoch 'feed' is kept"),
        (("--from", "4", "--to", "3"), "is no range"),
        (("--from", "0"), "--from"),
        ((), "Missing option '--from'"),
    ],
    ids=["target", "beyond", "from beyond", "epoch", "backwards", "zero", "no range"],
)
def test_bad_input_is_refused_with_the_remedy(
    config: Path, agent: "subprocess.Popen[bytes]", arguments: tuple[str, ...], said: str
) -> None:
    until(lambda: published(config) > 5)
    ran = replay(config, *arguments)

    assert ran.returncode in (1, 2)
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_without_an_agent_it_says_what_to_look_at(config: Path) -> None:
    (config.parent / "state").mkdir()
    ran = replay(config, "--from", "1")

    assert ran.returncode == 1
    assert "Is it running" in ran.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try it as somebody else")
def test_nobody_else_on_this_box_can_order_one(config: Path, agent: "subprocess.Popen[bytes]") -> None:
    ours = [config.parent, *config.parent.parents]
    for folder in [folder for folder in ours if folder.stat().st_mode & 0o001 == 0]:
        folder.chmod(folder.stat().st_mode | 0o011)
    state = config.parent / "state"
    state.chmod(0o755)
    words = f"import socket; socket.socket(socket.AF_UNIX).connect({str(state / 'agent.sock')!r})"
    ran = subprocess.run(["/usr/bin/env", "python3", "-c", words], user=NOBODY, capture_output=True, text=True)

    assert "PermissionError" in ran.stderr
