"""Certificates that are renewed under their old names: a reload takes them up, and disturbs nobody else."""

import asyncio
import shutil
from pathlib import Path

import pytest
import trustme

from demo.broker import Mosquitto
from tests.fakes.buffer import MemoryBuffer
from tests.fakes.frames import table
from tests.fakes.mqtt_broker import until
from tests.publish.conftest import Serving
from tests.publish.test_ways import listening
from tests.test_gateway import CONFIG, TABLE
from tests.test_reload import Service, connected
from tidegate.publish.standing import State

SECURE = """
[[target]]
name = "secure"
url = "mqtts://127.0.0.1:{port}"
ca = "ca.pem"
cert = "client.pem"
key = "client.key"
"""


class Papers:
    """Authority, certificate and key of a gateway in a folder. What `renew` writes is of an authority of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "client.pem", folder / "client.key"
        self.authority = trustme.CA()
        self.write("gateway.example")

    def write(self, name: str) -> None:
        made = self.authority.issue_cert(name, common_name=name)
        self.authority.cert_pem.write_to_path(str(self.ca))
        made.private_key_and_cert_chain_pem.write_to_path(str(self.cert))
        made.private_key_pem.write_to_path(str(self.key))
        self.key.chmod(0o600)

    def broker_settings(self) -> list[str]:
        """For a listener of mosquitto that asks for them, and takes the certificate's name for the user's."""
        server, authority = self.folder / "server.pem", self.folder / "authority.pem"
        self.authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
        shutil.copy(self.ca, authority)
        keys = [f"cafile {authority}", f"certfile {server}", f"keyfile {server}"]
        return [*keys, "require_certificate true", "use_identity_as_username true"]


def touch(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n")


def remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("which", ["ca", "cert", "key"])
def test_a_target_knows_that_a_file_holds_something_else_than_it_connected_with(
    serving: Serving, tmp_path: Path, which: str
) -> None:
    papers = Papers(tmp_path)

    async def main(port: int) -> None:
        async with serving(
            f"mqtts://127.0.0.1:{port}", MemoryBuffer.of(table(), 3), ca=papers.ca, cert=papers.cert, key=papers.key
        ) as target:
            before = target.outdated()
            await until(lambda: target.status().state == State.CONNECTED)
            same = target.outdated()
            touch(getattr(papers, which))
            changed = target.outdated()
            remove(getattr(papers, which))

            assert [before, same, changed, target.outdated()] == [False, False, True, False]

    with listening(tmp_path, *papers.broker_settings()) as port:
        asyncio.run(main(port))


def test_a_reload_connects_with_renewed_certificates_and_leaves_other_targets_alone(
    tmp_path: Path, broker: Mosquitto
) -> None:
    (tmp_path / "machine.csv").write_text(TABLE)
    papers = Papers(tmp_path)
    with listening(tmp_path / "other", *papers.broker_settings(), "log_type all") as port:
        service = Service(tmp_path, CONFIG.format(url=broker.url) + SECURE.format(port=port))
        try:
            before = service.wait(connected)
            service.reload(service.text)
            same = service.wait(connected)
            papers.write("renewed.example")
            service.reload(service.text)
            after = service.wait(lambda health: health["targets"][-1]["since_us"] != before["targets"][1]["since_us"])
            after = service.wait(connected)
        finally:
            service.close()
        said = (tmp_path / "other/broker/mosquitto.log").read_text()

    targets = [{t["name"]: t for t in health["targets"]} for health in (before, same, after)]
    since = {name: [health[name]["since_us"] for health in targets] for name in ("cloud", "secure")}
    assert len(set(since["cloud"])) == 1
    assert since["secure"][0] == since["secure"][1] != since["secure"][2]
    assert "u'gateway.example'" in said
    assert "u'renewed.example'" in said
    assert targets[2]["cloud"]["runs"] == targets[0]["cloud"]["runs"]
