"""Subscriber: a connection to a broker that comes back by itself. It knows topics and bytes, and not what they say.

    paho's thread ──▶ bounded queue of Message and Link ──▶ whoever calls `next`

When the reader is slow the queue fills, the thread waits, and with it the broker: nothing is dropped here.
"""

import queue
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from tidegate.errors import TidegateError
from tidegate.secret import Secret

KEEPALIVE_S = 20
CONNECT_DEADLINE_S = 5.0
RECONNECT_S_MIN = 1
RECONNECT_S_MAX = 3
EVENTS_MAX = 1_000
PUT_WAIT_S = 0.2
QOS = 1


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and who we are to it. `mqtt` is "5" or "3.1.1"; `ca` None trusts the system's authorities."""

    host: str
    port: int
    client_id: str
    tls: bool = False
    ca: Path | None = None
    user: str = ""
    password: Secret | None = None
    mqtt: str = "5"


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it arrived, µs UTC; `retained`: the broker had kept it from earlier."""

    topic: str
    payload: bytes
    at_us: int
    retained: bool


@dataclass(frozen=True, slots=True)
class Link:
    """The connection came up or is down, and why. `code` is the broker's reason for refusing us, 0 when it did not."""

    up: bool
    why: str = ""
    code: int = 0


class Subscriber:
    """Follows topic filters at one broker, over any number of connections. `start` it, `close` it.

    Raises TidegateError when its authorities can't be used.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._five = broker.mqtt == "5"
        self._events: queue.Queue[Message | Link] = queue.Queue(EVENTS_MAX)
        self._closing = threading.Event()
        self._filters: tuple[str, ...] = ()
        self._client = self._made()

    def _made(self) -> mqtt.Client:
        broker = self._broker
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            clean_session=None if self._five else True,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
        )
        client.connect_timeout = CONNECT_DEADLINE_S
        client.reconnect_delay_set(RECONNECT_S_MIN, RECONNECT_S_MAX)
        if broker.user or broker.password is not None:
            client.username_pw_set(broker.user, broker.password.reveal() if broker.password is not None else None)
        if broker.tls:
            client.tls_set_context(_trust(broker.ca))
        client.on_connect = self._connected
        client.on_connect_fail = self._unreachable
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        return client

    def start(self) -> None:
        """Connect, and connect again whenever that ends, in a thread of its own; returns at once."""
        if self._five:
            self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S, clean_start=True)
        else:
            self._client.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S)
        self._client.loop_start()

    def follow(self, *filters: str) -> None:
        """Ask for these topics instead of those before, in this order, now and with every new connection."""
        gone, self._filters = self._filters, filters
        if self._client.is_connected():
            if gone:
                self._client.unsubscribe(list(gone))
            self._subscribe()

    def next(self, deadline_s: float) -> Message | Link | None:
        """What came next; None when nothing came in time."""
        try:
            return self._events.get(timeout=deadline_s) if deadline_s > 0 else self._events.get_nowait()
        except queue.Empty:
            return None

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send a message with QoS 1; False when there is no connection: nothing is kept for later."""
        if not self._client.is_connected():
            return False
        return self._client.publish(topic, payload, QOS).rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def close(self) -> None:
        """End the connection and its thread."""
        self._closing.set()
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self) -> None:
        # One by one, so that the broker sends what it retained of the first before the next begins.
        for wanted in self._filters:
            self._client.subscribe(wanted, QOS)

    def _put(self, event: Message | Link) -> None:
        while not self._closing.is_set():
            try:
                self._events.put(event, timeout=PUT_WAIT_S)
            except queue.Full:
                continue
            return

    def _connected(self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _said: Any) -> None:
        if code.is_failure:
            self._put(Link(False, f"the broker refused us: {code}", code.value))
            return
        self._put(Link(True))
        self._subscribe()

    def _unreachable(self, _client: mqtt.Client, _data: Any) -> None:
        # paho calls back from its handler of the exception that says why.
        error = sys.exc_info()[1]
        why = getattr(error, "strerror", None) or error
        self._put(Link(False, f"can't reach the broker at {self._broker.host}:{self._broker.port}: {why}"))

    def _disconnected(self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _said: Any) -> None:
        if not self._closing.is_set():
            self._put(Link(False, f"the connection ended: {code}"))

    def _subscribed(self, _client: mqtt.Client, _data: Any, _mid: int, codes: list[ReasonCode], _said: Any) -> None:
        for code in codes:
            if code.is_failure:
                self._put(Link(True, f"the broker does not let us read a topic: {code}"))

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        at_us = time.time_ns() // 1000
        self._put(Message(message.topic, bytes(message.payload), at_us, bool(message.retain)))


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca) if ca else None)
    except ssl.SSLError as error:
        raise TidegateError(f"{ca} holds no certificate in PEM ({error.reason}): name another file") from error
    except OSError as error:
        raise TidegateError(f"{ca} can't be read: {error.strerror}") from error
