"""`tidegate tail` at a real broker, against a gateway that is told what to say."""

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.broker import Mosquitto
from tests.fakes.certificates import certificates
from tests.proof.messages import data, gap, head
from tests.schemas import check
from tests.tail.fake_gateway import FakeGateway, wait_until
from tidegate.errors import TidegateError
from tidegate.proof import Proof
from tidegate.tail.subscriber import Broker, Subscriber
from tidegate.tail.tail import Tail, TailSettings

QUICK = 20.0


class Run:
    """A tail in a thread of its own, whose clock may run `faster` than time does."""

    def __init__(self, broker: Mosquitto, settings: TailSettings, faster: float = 4.0, **reached: Any) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        subscriber = Subscriber(Broker("127.0.0.1", broker.port, "tail-in-test", **reached))
        self.tail = Tail(settings, subscriber, "tail-in-test", self.out, self.err, lambda: time.monotonic() * faster)
        self.complete: bool | None = None
        self.error: TidegateError | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.complete = self.tail.run()
        except TidegateError as error:
            self.error = error

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The JSON lines so far, whole ones."""
        return [json.loads(line) for line in self.out.getvalue().split("\n")[:-1] if '"complete"' in line]

    def wait(self, so: str, value: object) -> None:
        """Until the last report says so."""
        wait_until(lambda: bool(self.reports) and self.reports[-1][so] == value, f"{so} is {value}")

    def connected(self) -> "Run":
        """Once it has a connection."""
        wait_until(lambda: "connected" in self.err.getvalue(), "connected")
        return self

    def end(self) -> bool | None:
        """Stop it; what it proved."""
        self.tail.stop()
        return self.result()

    def result(self) -> bool | None:
        """What it proved, once it has ended."""
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self.complete


@pytest.fixture
def gateway(broker: Mosquitto) -> Iterator[FakeGateway]:
    made = FakeGateway(broker.port)
    yield made
    made.close()


def settings(**changes: Any) -> TailSettings:
    return TailSettings(**{"gateway": "g1", "target": "cloud", "as_json": True, **changes})


@pytest.mark.parametrize("mqtt", ["5", "3.1.1"])
def test_what_comes_in_full_is_proven_complete(broker: Mosquitto, gateway: FakeGateway, mqtt: str) -> None:
    run = Run(broker, settings(), mqtt=mqtt).connected()
    gateway.say_status()
    gateway.say("head", head(0), retain=True)
    gateway.say("live", data(1, 4))
    gateway.say("live", data(5, 9))
    run.wait("received", 9)

    assert run.end() is True
    assert (True, 18, 0, True) == tuple(run.reports[-1][key] for key in ("complete", "readings", "missing", "ended"))


def test_a_hole_is_asked_for_and_filled_by_replay(broker: Mosquitto, gateway: FakeGateway) -> None:
    run = Run(broker, settings(), faster=QUICK).connected()
    gateway.last = 12
    gateway.say_status()
    gateway.say("head", head(12), retain=True)
    gateway.say("live", data(5, 9, last=12))
    run.wait("received", 12)

    assert run.end() is True
    assert [[[1, 4], [10, 12]]] == [request["want"] for request in gateway.requests]
    assert 7 == run.reports[-1]["asked"]


def test_nothing_is_asked_of_a_gateway_that_is_not_there(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say_status(online=False)
    gateway.say("head", head(12), retain=True)
    run = Run(broker, settings(), faster=QUICK)
    run.wait("missing", 12)
    time.sleep(0.3)
    before = list(gateway.requests)
    gateway.last = 12
    gateway.say_status()
    run.wait("received", 12)

    assert [] == before
    assert run.end() is True


def test_without_asking_what_is_missing_stays_missing(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say_status()
    gateway.say("head", head(3), retain=True)
    run = Run(broker, settings(ask=False), faster=QUICK)
    run.wait("missing", 3)

    assert run.end() is False
    assert ([], {"since": 1, "last": 3, "missing": [[1, 3]], "waiting": 0}) == (
        gateway.requests, next(iter(run.reports[-1]["epochs"].values()))
    )  # fmt: skip


def test_what_is_missing_at_the_end_gets_a_last_try(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say_status()
    gateway.last = 3
    gateway.say("head", head(3), retain=True)
    run = Run(broker, settings(), faster=2.0)
    run.wait("waiting", 3)

    assert run.end() is True


def test_a_second_stop_ends_at_once(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.answering = False
    gateway.say_status()
    gateway.say("head", head(3), retain=True)
    run = Run(broker, settings(), faster=1.0)
    run.wait("waiting", 3)
    run.tail.stop()
    time.sleep(0.3)
    begin_s = time.monotonic()

    assert run.end() is False
    assert time.monotonic() - begin_s < 3


def test_a_broker_that_comes_back_is_followed_again(broker: Mosquitto) -> None:
    run = Run(broker, settings()).connected()
    broker.kill()
    wait_until(lambda: "the connection ended" in run.err.getvalue(), "the tail saw it")
    broker.start()
    wait_until(lambda: run.err.getvalue().count("connected") == 2, "connected again")
    gateway = FakeGateway(broker.port)
    gateway.say("head", head(0), retain=True)
    gateway.say("live", data(1, 2))
    run.wait("received", 2)
    gateway.close()

    assert run.end() is True


def test_the_only_target_is_found_by_itself(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say("head", head(0), retain=True)
    run = Run(broker, settings(gateway="", target=""))
    wait_until(lambda: "following g1/cloud" in run.err.getvalue(), "found")
    run.wait("complete", True)

    assert run.end() is True


def test_of_several_targets_one_must_be_chosen(broker: Mosquitto, gateway: FakeGateway) -> None:
    other = FakeGateway(broker.port, "plant")
    gateway.say("head", head(0), retain=True)
    other.say("head", head(0), retain=True)
    run = Run(broker, settings(gateway="", target=""))
    run.result()
    other.close()

    assert "--gateway g1 --target cloud, --gateway g1 --target plant" in str(run.error)


def test_a_saved_state_is_resumed(broker: Mosquitto, gateway: FakeGateway, tmp_path: Path) -> None:
    state = tmp_path / "state"
    gateway.say("head", head(0), retain=True)
    first = Run(broker, settings(state=state)).connected()
    gateway.say("live", data(1, 4))
    first.wait("received", 4)
    assert first.end() is True
    gateway.say("head", head(9), retain=True)
    second = Run(broker, settings(state=state, ask=False), faster=QUICK)
    second.wait("missing", 5)

    assert second.end() is False
    assert [[5, 9]] == Proof.load(state.read_text()).holes("9f3a5c01d2e4b687").pairs


def test_the_state_of_another_target_is_refused(broker: Mosquitto, tmp_path: Path) -> None:
    proof = Proof()
    proof.take(head(0), 0.0)
    (tmp_path / "state").write_text(proof.save())

    with pytest.raises(TidegateError, match="is the proof of g1/cloud: name another file"):
        Run(broker, settings(target="plant", state=tmp_path / "state"))


def test_from_now_leaves_out_what_was_committed_before(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say_status()
    gateway.say("head", head(500), retain=True)
    run = Run(broker, settings(from_now=True), faster=QUICK)
    run.wait("complete", True)
    gateway.say("live", data(501, 502))
    run.wait("received", 2)

    assert run.end() is True
    assert [] == gateway.requests


def test_each_reading_is_a_line(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say_table()
    gateway.say("head", head(0), retain=True)
    run = Run(broker, settings(as_json=False, readings=True)).connected()
    wait_until(lambda: "0 frames" in run.err.getvalue(), "followed")
    gateway.say("live", data(1, 1))
    gateway.say("live", data(1, 1))
    wait_until(lambda: "1 duplicates" in run.err.getvalue(), "both came")

    assert run.end() is True
    assert [
        "2027-01-15T08:00:00.000Z  meter1  电压  1  V  good",
        "2027-01-15T08:00:00.000Z  meter1  current  1  A  good",
    ] == run.out.getvalue().splitlines()


def test_names_of_values_and_bits_stand_beside_the_number(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say_table({"values": {"1": "Running"}}, {"bits": {"0": "Overload", "3": "Door open"}})
    gateway.say("head", head(0), retain=True)
    run = Run(broker, settings(as_json=False, readings=True)).connected()
    wait_until(lambda: "0 frames" in run.err.getvalue(), "followed")
    gateway.say("live", data(1, 1))
    wait_until(lambda: "2 readings" in run.err.getvalue(), "it came")

    assert run.end() is True
    assert [line.split("  ")[3] for line in run.out.getvalue().splitlines()] == ["1 (Running)", "0x00000001 (Overload)"]


def test_a_moment_is_shown_as_a_date(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say_table({"unit": "us since 1970"})
    gateway.say("head", head(0), retain=True)
    run = Run(broker, settings(as_json=False, readings=True)).connected()
    wait_until(lambda: "0 frames" in run.err.getvalue(), "followed")
    gateway.say("live", data(1, 1))
    wait_until(lambda: "2 readings" in run.err.getvalue(), "it came")

    assert run.end() is True
    assert "1970-01-01T00:00:00.000Z" == run.out.getvalue().splitlines()[0].split("  ")[3]


def test_control_characters_of_who_publishes_are_shown_and_not_obeyed(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say("head", head(0), retain=True)
    run = Run(broker, settings(as_json=False, readings=True)).connected()
    wait_until(lambda: "0 frames" in run.err.getvalue(), "followed")
    gateway.say("live", data(1, 1).replace(b"meter1", rb"\u001b[2J\u009b1m"))
    wait_until(lambda: "2 readings" in run.err.getvalue(), "it came")

    assert run.end() is True
    assert run.out.getvalue().splitlines()[0].startswith(r"2027-01-15T08:00:00.000Z  \x1b[2J\x9b1m  ")
    assert not {"\x1b", "\x9b"} & set(run.out.getvalue() + run.err.getvalue())


def test_people_read_gaps_and_a_summary(broker: Mosquitto, gateway: FakeGateway) -> None:
    gateway.say("head", head(0), retain=True)
    run = Run(broker, settings(as_json=False)).connected()
    wait_until(lambda: "0 frames" in run.out.getvalue(), "followed")
    gateway.say("live", data(3, 4, gaps=(gap(3, why="evicted", frames=((1, 2),)), gap(4, id=2))))
    wait_until(lambda: "gap 2" in run.out.getvalue(), "gaps are told")

    assert run.end() is True
    text = run.out.getvalue()
    assert "gap 1: evicted, all devices, 40 readings" in text
    assert "numbers 1..2 will not come" in text
    assert "g1/cloud: proven complete" in text
    assert "gone        2 numbers: evicted" in text
    assert "not taken   40 readings in 1 gaps: device_down" in text


def test_the_log_has_each_message_as_a_line(broker: Mosquitto, gateway: FakeGateway, tmp_path: Path) -> None:
    log = tmp_path / "log"
    gateway.say_table()
    gateway.say("head", head(0), retain=True)
    run = Run(broker, settings(log=log)).connected()
    gateway.say("live", data(1, 2) + b'\n{"seal":"x"}')
    run.wait("received", 2)
    gateway.say("head", b"", retain=True)
    wait_until(lambda: log.read_text().count("\n") >= 4, "the taken-back head is logged")
    run.end()
    entries = [json.loads(line) for line in log.read_text().splitlines()]

    assert ["table/0123456789abcdef", "head", "live", "head"] == [
        entry["topic"].removeprefix("tidegate/g1/cloud/") for entry in entries
    ]
    assert json.loads(data(1, 2)) == entries[2]["payload"]
    assert entries[3]["payload"] is None
    for entry in entries[:3]:
        check(entry["topic"], json.dumps(entry["payload"]).encode())


def test_a_message_of_an_unknown_version_is_refused_aloud(broker: Mosquitto, gateway: FakeGateway) -> None:
    run = Run(broker, settings()).connected()
    gateway._client.publish("tidegate/g1/cloud/live", data(1, 2).replace(b'"v": 1', b'"v": 2', 1), 1)
    gateway._client.publish("tidegate/g1/cloud/live", b"rubbish", 1)
    run.wait("refused", 2)

    assert run.end() is False
    assert "a message of version 2; this reader knows version 1" in run.err.getvalue()


def test_a_broker_that_refuses_the_password_is_not_asked_for_ever(tmp_path: Path) -> None:
    (tmp_path / "nobody").write_text("")
    broker = Mosquitto(tmp_path / "b", extra=f"password_file {tmp_path}/nobody\nallow_anonymous false")
    broker.start()
    run = Run(broker, settings())
    run.result()
    broker.kill()

    assert "the broker refused us: Not authorized" in str(run.error)


def test_a_broker_behind_tls_is_trusted_by_its_authority_only(tmp_path: Path) -> None:
    broker = Mosquitto(tmp_path / "b", extra=f"certfile {certificates().server}\nkeyfile {certificates().server}")
    broker.start()
    stranger = Run(broker, settings(), tls=True)
    wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in stranger.err.getvalue(), "refused")
    friend = Run(broker, settings(), tls=True, ca=certificates().authority).connected()
    proven = (stranger.end(), friend.end())
    broker.kill()

    assert (False, False) == proven
    assert "connected" not in stranger.err.getvalue()
