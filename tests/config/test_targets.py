"""A target is refused where it would show readings to strangers, or could never work."""

from typing import Any

import pytest

from tests.fakes.certificates import certificates

ACCEPTED = [
    'url = "mqtt://127.0.0.1"', 'url = "mqtt://127.8.8.8:1884"', 'url = "mqtt://localhost"', 'url = "mqtt://[::1]:1883"',
    'url = "mqtts://broker.example.com"', 'url = "mqtt://10.0.0.1"\ninsecure = true', 'url = "wss://broker/a/b"',
    'url = "mqtts://broker:443"\nsource = "wwan0"', 'url = "mqtts://broker"\nsource = "10.0.0.2"',
    'url = "mqtts://broker"\nfallbacks = ["wss://backup"]\nproxy = "socks5://proxy"\nmessages_rate = 5',
]  # fmt: skip
REFUSED = [
    ('url = "mqtt://10.0.0.1"', "insecure = true"),
    ('url = "mqtt://localhost.example.com"', "insecure = true"),
    ('url = "mqtts://broker/path"', "more than a host"),
    ('url = "broker:1883"', "none of mqtt://"),
    ('url = "mqtts://u:p@broker"', "no address of a broker"),
    ('url = "mqtts://broker:0"', "no usable port"),
    ('url = "mqtts://broker"\nca = "ca.pem"', "ca.pem does not exist"),
    ('url = "mqtts://broker"\nprefix = "a/#"', "can't begin a topic"),
    ('url = "mqtts://broker"\nprefix = "$SYS"', "can't begin a topic"),
    ('url = "mqtts://broker"\nprefix = "a\\nb"', "can't begin a topic"),
    ('url = "mqtts://broker"\nuser = "u\\ntopic readwrite a"', "is no user"),
    ('url = "mqtts://broker"\nkeepalive = "1s"', "Use 5s to"),
    ('url = "mqtts://broker"\nmessage_size = "1kB"', "4,096 to"),
    ('url = "mqtts://broker"\nwindow = 70000', "Use at most 65535"),
    ('url = "mqtts://broker"\nwindow = 1.5', "whole number"),
    ('url = "mqtts://broker"\ninsecure = "yes"', "true or false"),
    ('url = "mqtts://broker"\nname = "a b"', "can't be a name"),
    ('url = "mqtts://broker"\npassword = 5', "a password is text"),
    ('url = "ws://10.0.0.1/mqtt"', "Use wss://"),
    ('url = "mqtts://broker"\nfallbacks = ["mqtt://10.0.0.1"]', "insecure = true"),
    ('url = "mqtts://broker"\nfallbacks = ["http://b"]', "none of mqtt://"),
    ('url = "mqtts://broker"\nfallbacks = "mqtts://b"', "target.fallbacks"),
    ('url = "mqtts://broker"\nproxy = "https://proxy"', "none of http:// and socks5://"),
    ('url = "mqtts://broker"\nproxy = "http://u:p@proxy"', "no address of a proxy"),
    ('url = "mqtts://broker"\nproxy = "http://proxy"\nproxy_password = "hush"', "a secret stands in the file"),
    ('url = "mqtts://broker"\nsource = "eth0 or so"', "neither an address nor an interface"),
    ('url = "mqtts://broker"\nmessages_rate = 0', "out of range"),
    ('url = "mqtts://broker"\nmessages_rate = "10"', "target.messages_rate"),
    ('url = "mqtts://broker"\nbytes_rate = "1B"', "target.bytes_rate"),
]


def targets(place: Any, *bodies: str) -> None:
    before = place.path.read_text().partition("[[target]]")[0]
    sections = []
    for index, body in enumerate(bodies):
        name = "" if "name =" in body else f'name = "t{index}"\n'
        sections.append(f"[[target]]\n{name}{body}\n")
    place.write("gateway.toml", before + "".join(sections))


@pytest.mark.parametrize("body", ACCEPTED)
def test_what_stays_on_the_box_or_is_encrypted_or_allowed_is_accepted(place: Any, body: str) -> None:
    targets(place, body)

    assert place.load().warnings == ()


@pytest.mark.parametrize(("body", "expected"), REFUSED)
def test_what_can_not_work_or_must_not_be_is_one_problem(place: Any, body: str, expected: str) -> None:
    targets(place, body)
    told = place.problems()

    assert len(told) == 1
    assert expected in told[0]


def test_every_key_of_a_target_arrives(place: Any) -> None:
    body = (
        'url = "mqtts://broker:8884"\nprefix = "plant/a"\nuser = "u"\nca = "a.pem"\ncert = "own.pem"\n'
        'key = "own.key"\nmqtt = 5\nclient_id = "c"\nkeepalive = "1min"\nwindow = 8\nmessage_size = "64kB"'
    )
    made = certificates()
    place.write("a.pem", made.authority.read_bytes())
    place.write("own.pem", made.client.read_bytes())
    place.write("own.key", made.client_key.read_bytes()).chmod(0o600)
    targets(place, body)
    target = place.load().targets[0]

    assert (target.name, target.url, target.prefix, target.user) == ("t0", "mqtts://broker:8884", "plant/a", "u")
    assert (target.ca, target.cert) == (place.folder / "a.pem", place.folder / "own.pem")
    assert target.key == place.folder / "own.key"
    assert (target.mqtt, target.client_id, target.keepalive_s) == ("5", "c", 60)
    assert (target.window, target.message_bytes_max) == (8, 64_000)


def test_every_key_of_the_way_to_a_broker_arrives(place: Any) -> None:
    body = (
        'url = "mqtts://a"\nfallbacks = ["mqtts://b", "wss://c/d"]\nreturn_interval = "2min"\nalpn = "x"\n'
        'proxy = "http://p"\nproxy_user = "u"\nsource = "eth1"\nmessages_rate = 5\nbytes_rate = "64kB"'
    )
    targets(place, body)
    target = place.load().targets[0]

    assert target.urls == ("mqtts://a", "mqtts://b", "wss://c/d")
    assert (target.return_s, target.alpn_names, target.source) == (120.0, ["x"], "eth1")
    assert (target.proxy, target.proxy_user) == ("http://p", "u")
    assert (target.messages_s_max, target.bytes_s_max) == (5, 64_000)


def test_two_targets_of_one_name_are_refused(place: Any) -> None:
    targets(place, 'name = "a"\nurl = "mqtt://127.0.0.1"', 'name = "a"\nurl = "mqtt://127.0.0.2"')

    assert len(place.problems()) == 1
    assert "is taken already" in place.problems()[0]


def test_two_targets_that_would_throw_each_other_out_are_refused(place: Any) -> None:
    same = 'url = "mqtt://127.0.0.1"\nclient_id = "one"'
    targets(place, same, same)

    assert len(place.problems()) == 1
    assert "t0 has the same client id" in place.problems()[0]


def test_certificates_without_tls_are_a_warning(place: Any) -> None:
    place.write("a.pem", certificates().authority.read_bytes())
    targets(place, 'url = "mqtt://127.0.0.1"\nca = "a.pem"')

    assert [p.what for p in place.load().warnings] == ["it means nothing without TLS"]


def test_a_certificate_without_its_key_is_refused(place: Any) -> None:
    place.write("own.pem", certificates().client.read_bytes())
    targets(place, 'url = "mqtts://broker"\ncert = "own.pem"')

    assert len(place.problems()) == 1
    assert "a certificate needs its key" in place.problems()[0]


def test_mqtt_3_takes_no_password_without_a_user(place: Any) -> None:
    place.env["P"] = "p"
    targets(place, 'url = "mqtt://127.0.0.1"\nmqtt = "3.1.1"\npassword = "${env:P}"')

    assert any("no password without a user" in told for told in place.problems())
