"""Addresses of brokers, what may go over them in the clear, and what never shows a password."""

import pytest

from tidegate.publish.settings import Address, TargetSettings
from tidegate.secret import Secret


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://127.0.0.1", Address("127.0.0.1", 1883, False)),
        ("mqtts://broker.example", Address("broker.example", 8883, True)),
        ("mqtt://[::1]:1884", Address("::1", 1884, False)),
        ("mqtts://10.0.0.7:443/", Address("10.0.0.7", 443, True)),
    ],
)
def test_an_address_has_a_host_a_port_and_maybe_tls(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:1883", "http://broker", "mqtt://", "mqtt://me:secret@broker", "mqtt://broker/path", "mqtt://broker:0",
     "mqtt://broker:70000", "mqtt://broker?x=1", "mqtt://[::1"],
)  # fmt: skip
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Address.parse(url)


def test_a_refused_address_does_not_repeat_its_password() -> None:
    with pytest.raises(ValueError, match="their own keys") as refused:
        Address.parse("mqtt://me:secret@broker")

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "exposed"),
    [("mqtt://127.0.0.1", False), ("mqtt://127.0.0.2", False), ("mqtt://localhost", False), ("mqtt://[::1]", False),
     ("mqtt://10.0.0.7", True), ("mqtt://127.0.0.1.evil.example", True), ("mqtts://10.0.0.7", False)],
)  # fmt: skip
def test_plain_mqtt_is_exposed_beyond_this_box_only(url: str, exposed: bool) -> None:
    assert TargetSettings("cloud", url).exposed is exposed


def test_settings_show_no_password() -> None:
    assert "hush" not in repr(TargetSettings("cloud", "mqtt://127.0.0.1", password=Secret("hush")))


def test_a_client_id_is_made_of_gateway_and_target() -> None:
    assert TargetSettings("cloud", "mqtt://127.0.0.1").client_id_of("g1") == "tidegate-g1-cloud"
    assert TargetSettings("cloud", "mqtt://127.0.0.1", client_id="me").client_id_of("g1") == "me"
