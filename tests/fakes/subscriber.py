"""A plain MQTT subscriber that keeps every message in the order of arrival, and holds it against its schema."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.schemas import problems

DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Received:
    """One message, parsed; `at_s` in monotonic time."""

    topic: str
    said: dict[str, Any]
    payload: bytes
    retained: bool
    at_s: float


class Subscriber:
    """Connected while the `with` block runs; at its end every message must have been as its schema says."""

    def __init__(self, port: int, topic: str = "tidegate/#") -> None:
        self.received: list[Received] = []
        self._port = port
        self._topic = topic
        self._ready = threading.Event()
        self._marker = f"marker/{id(self)}"
        self._settled = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda *_: self._client.subscribe([(self._topic, 1), (self._marker, 1)])
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *raised: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        if raised[0] is None:
            assert [wrong for message in self.received for wrong in problems(message.topic, message.said)] == []

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == self._marker:
            self._settled.set()
            return
        payload = bytes(message.payload)
        said = json.loads(payload) if payload else {}
        self.received.append(Received(message.topic, said, payload, bool(message.retain), time.monotonic()))

    def publish(self, topic: str, said: Any, retain: bool = False) -> None:
        """Publish and wait for the acknowledgement."""
        payload = said if isinstance(said, (bytes, str)) else json.dumps(said)
        self._client.publish(topic, payload, 1, retain).wait_for_publish(DEADLINE_S)

    def settle(self) -> None:
        """Wait until all has come that the broker acknowledged to others before now."""
        self._settled.clear()
        self.publish(self._marker, "here")
        assert self._settled.wait(DEADLINE_S)

    def of(self, *leaves: str) -> list[Received]:
        """Messages by the last level of their topics, in the order of arrival."""
        return [message for message in list(self.received) if message.topic.rsplit("/", 1)[1] in leaves]

    def numbers(self, *lanes: str) -> list[int]:
        """The numbers of all frames and gaps received in these lanes, in the order of arrival."""
        found = []
        for message in self.of(*(lanes or ("live", "backlog", "replay"))):
            found += sorted(part["seq"] for part in message.said["frames"] + message.said["gaps"])
        return found


def wait_for(so: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Blocks until it is so; fails when the deadline passes first."""
    end = time.monotonic() + deadline_s
    while not so():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.01)
