"""A gateway's side of the conversation, by hand: says what a test tells it to, and answers requests from memory."""

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from tests.proof.messages import checked, data
from tests.schemas import check

DEADLINE_S = 10.0


class FakeGateway:
    """g1/cloud at a broker. `answering` False hears requests and does nothing; `requests` are those heard."""

    def __init__(self, port: int, target: str = "cloud", answering: bool = True) -> None:
        self.stem = f"tidegate/g1/{target}"
        self.answering = answering
        self.requests: list[dict[str, object]] = []
        self.last = 0
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{self.stem}/request", 1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self._asked(message.payload)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S)

    def say(self, leaf: str, payload: bytes, retain: bool = False) -> None:
        """Publish, and wait for the broker's acknowledgement."""
        if payload:
            check(f"{self.stem}/{leaf}", payload)
        self._client.publish(f"{self.stem}/{leaf}", payload, 1, retain).wait_for_publish(DEADLINE_S)

    def say_status(self, online: bool = True) -> None:
        """The retained status."""
        self.say("status", checked("status", {
            "v": 1, "online": online, "version": "0", "config": "", "clk": "set", "backlog_s": 0, "disk_days": None,
            "devices": {"up": 1, "down": 0},
        }), retain=True)  # fmt: skip

    def say_table(self, voltage: Mapping[str, Any] | None = None, current: Mapping[str, Any] | None = None) -> None:
        """The retained table of the frames that `messages.frame` makes, with more keys for its two tags."""
        tag = {
            "type": "int32", "range": None, "description": "", "label": "internal", "identifier": "", "access": "read",
        }  # fmt: skip
        self.say("table/0123456789abcdef", checked("table/0123456789abcdef", {
            "v": 1, "dev": "meter1", "hash": "0123456789abcdef",
            "tags": [
                tag | {"name": "电压", "unit": "V", **(voltage or {})},
                tag | {"name": "current", "unit": "A", **(current or {})},
            ],
        }), retain=True)  # fmt: skip

    def _asked(self, payload: bytes) -> None:
        check(f"{self.stem}/request", payload)
        asked = json.loads(payload)
        self.requests.append(asked)
        if not self.answering:
            return
        for first, last in asked["want"]:
            self._client.publish(f"{self.stem}/replay", data(first, last, lane="replay", last=self.last), 1)
        answer = {"id": asked["id"], "epoch": asked["epoch"], "sent": asked["want"], "gone": [], "withheld": [],
                  "refused": None}  # fmt: skip
        self._client.publish(f"{self.stem}/answer", checked("answer", answer), 1)

    def close(self) -> None:
        """Hang up."""
        self._client.disconnect()
        self._client.loop_stop()


def wait_until(so: Callable[[], bool], what: str) -> None:
    """Look until it is so. Fails after DEADLINE_S."""
    ticker = threading.Event()
    for _ in range(int(DEADLINE_S / 0.02)):
        if so():
            return
        ticker.wait(0.02)
    raise AssertionError(f"never: {what}")
