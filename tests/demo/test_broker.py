"""The brokers that everything else is tried against must be our own, on their own port, and come back to it."""

import socket
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from demo.broker import Amqtt, BrokerFailed, Mosquitto, choose, free_port, owns_port

DEADLINE_S = 10.0


def said_back(broker: Mosquitto | Amqtt) -> bytes:
    """What arrives when a client publishes one message to itself."""
    version = MQTTProtocolVersion.MQTTv5 if broker.mqtt == "5" else MQTTProtocolVersion.MQTTv311
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=version)
    arrived: list[bytes] = []
    done = threading.Event()
    client.on_message = lambda _c, _u, message: (arrived.append(message.payload), done.set())
    client.on_connect = lambda c, *_: c.subscribe("echo", qos=1)
    client.on_subscribe = lambda c, *_: c.publish("echo", b"hello", qos=1)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    done.wait(DEADLINE_S)
    client.disconnect()
    client.loop_stop()
    return b"".join(arrived)


@pytest.mark.parametrize("kind", [Mosquitto, Amqtt], ids=["mosquitto", "amqtt"])
def test_a_broker_comes_back_on_its_port(kind: type[Mosquitto | Amqtt], tmp_path: Path) -> None:
    broker = kind(tmp_path)
    broker.start()
    first = broker.port
    broker.stop()
    broker.start()
    try:
        assert first == broker.port
        assert said_back(broker) == b"hello"
    finally:
        broker.kill()


def test_a_broker_that_was_killed_is_gone(broker: Mosquitto) -> None:
    broker.kill()
    with socket.socket() as knocking:
        refused = knocking.connect_ex(("127.0.0.1", broker.port)) != 0

    assert refused
    assert not broker.running


def test_a_port_that_somebody_else_has_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign, pytest.raises(BrokerFailed):
        Mosquitto(tmp_path, port=foreign.getsockname()[1]).start()


def test_a_listening_socket_has_one_owner(broker: Mosquitto) -> None:
    assert owns_port(broker.pid, broker.port)
    assert not owns_port(broker.pid, free_port())


def test_mosquitto_is_taken_when_it_is_here(tmp_path: Path) -> None:
    assert choose(tmp_path).name == "mosquitto"
    assert choose(tmp_path, "amqtt").name == "amqtt"
