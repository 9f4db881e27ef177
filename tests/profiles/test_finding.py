"""A device is found by what it answers: our own simulated ones, and foreign servers; its firmware chooses the set."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pyModbusTCP.client import ModbusClient
from pyModbusTCP.server import DataBank, DeviceIdentification, ModbusServer

from demo.broker import free_port
from tests.fakes.asked import asking
from tidegate.config.problems import Problems
from tidegate.config.profiles import ProfileReader
from tidegate.profiles.finding import Finding, find
from tidegate.profiles.firmware import key
from tidegate.profiles.identity import Ask, Place, Step, Wanted
from tidegate.profiles.likeness import likeness, version_of
from tidegate.profiles.profile import MODBUS, Profile
from tidegate.profiles.shelf import Shelf
from tidegate.profiles.simulated import Server, Simulated

Folder = Callable[..., Path]


def reader(folder: Path | None = None) -> ProfileReader:
    return ProfileReader(Shelf(folder), Problems())


def known(folder: Path | None = None) -> list[Profile]:
    found = [reader(folder).profile(name) for name in Shelf(folder).names()]
    return [profile for profile in found if profile is not None and profile.driver == MODBUS]


def asked(profiles: list[Profile], port: int, unit: int = 1) -> Finding:
    async def main() -> Finding:
        async with asking(port, unit) as asker:
            return await find(profiles, asker)

    return asyncio.run(main())


async def _found(profile: Profile, name: str, firmware: str, folder: Path | None) -> tuple[Finding, int]:
    files = reader(folder)
    again = files.profile(profile.name)
    assert again is not None
    one = next(one for one in again.sets if one.name == name)
    device = likeness(again, one, files.vectors(again, one), firmware, lambda: 0.0, 1.0)
    async with Server(device) as server, asking(server.port) as asker:
        return await find(known(folder), asker), asker.asked


SETS = [(p.name, one.name) for p in known() if p.identity for one in p.sets]


@pytest.mark.parametrize(("name", "chosen"), SETS)
def test_every_shipped_profile_finds_its_own_device_and_no_other_does(name: str, chosen: str) -> None:
    profile = next(p for p in known() if p.name == name)
    version = version_of(next(one for one in profile.sets if one.name == chosen).firmware)
    finding, _ = asyncio.run(_found(profile, chosen, version, None))

    assert [match.profile.name for match in finding.matches] == [name]
    match = finding.matches[0]
    assert match.set is not None
    assert match.set.name == chosen
    assert key(match.firmware or version) == key(version)


def test_no_question_is_asked_twice() -> None:
    profile = next(p for p in known() if p.name == "carlo-gavazzi/em340")
    steps = {(Ask.DEVICE_ID, None)} | {(step.ask, step.place) for p in known() for step in p.identity}
    _, count = asyncio.run(_found(profile, "released", "1.0", None))

    # And the firmware of the one that fits, and the two other places where SunSpec may begin.
    assert count == len(steps) + 1 + 2


@pytest.mark.parametrize(("firmware", "chosen"), [("1.9", "old"), ("1.14", "new"), ("2.1", "new")])
def test_the_firmware_that_a_device_tells_chooses_its_registers(folder: Folder, firmware: str, chosen: str) -> None:
    path = folder()
    finding, _ = asyncio.run(_found(known(path)[0], "new", firmware, path))

    assert finding.matches[0].firmware == firmware
    assert finding.matches[0].set is not None
    assert finding.matches[0].set.name == chosen


def test_a_firmware_that_no_registers_are_known_for_is_told(folder: Folder) -> None:
    path = folder()
    path = folder(profile=(path / "acme/m1/profile.toml").read_text().replace("<1.14", "<1.10"))
    finding, _ = asyncio.run(_found(known(path)[0], "new", "1.12", path))

    assert finding.matches[0].set is None
    assert "it has no set of registers for firmware 1.12" in finding.matches[0].lacks


def profile_with(step: Step) -> Profile:
    usual = next(p for p in known() if p.name == "eastron/sdm630")
    return Profile(
        "acme/m1", "Acme", "M1", (), "", usual.evidence, usual.sources, usual.sets, (step,), usual.bus, (), ()
    )


def test_a_foreign_server_is_told_by_its_device_identification() -> None:
    says = DeviceIdentification(vendor_name=b"Acme", product_code=b"M1", major_minor_revision=b"V1.14")
    port = free_port()
    server = ModbusServer("127.0.0.1", port, no_block=True, device_id=says)
    server.start()
    step = Step(Ask.DEVICE_ID, (Wanted("vendor", ("acme",)), Wanted("product", ("m1",))), version="V(.+)")
    try:
        finding = asked([profile_with(step)], port)
    finally:
        server.stop()

    assert ("device id", "Acme, M1, V1.14") in finding.said
    assert [(match.profile.name, match.firmware) for match in finding.matches] == [("acme/m1", "1.14")]


def test_a_foreign_server_is_told_by_registers_and_refusals_are_no_fault() -> None:
    port = free_port()
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=DataBank(h_regs_size=0x9000))
    server.start()
    try:
        server.data_bank.set_holding_registers(0x8960, [0x4232, 0x3420])
        server.data_bank.set_holding_registers(0x8908, [0x312E, 0x322E, 0x3300])
        finding = asked(known(), port)
    finally:
        server.stop()

    assert [(match.profile.name, match.answer, match.firmware) for match in finding.matches] == [
        ("abb/b23", "B24", "1.2.3")
    ]


def test_foreign_clients_read_who_a_simulated_device_is() -> None:
    device = Simulated(dict, objects={0: "Acme", 1: "M1", 2: "1.14"}, server_id="M1 meter")

    async def main() -> tuple[object, bytes]:
        async with Server(device) as server:
            plain = ModbusClient("127.0.0.1", server.port, timeout=5.0)
            said = await asyncio.to_thread(plain.read_device_identification)
            await asyncio.to_thread(plain.close)
            client = AsyncModbusTcpClient("127.0.0.1", port=server.port)
            await client.connect()
            reported = await client.report_device_id()
            client.close()
            return said and said.objects_by_id, reported.identifier

    objects, identifier = asyncio.run(main())

    assert objects == {0: b"Acme", 1: b"M1", 2: b"1.14"}
    assert b"M1 meter" in identifier


def test_a_server_id_tells_a_device() -> None:
    step = Step(Ask.SERVER_ID, (Wanted("answer", ("*meter*",)),), firmware=Place.parse("holding 3", "uint16", 0))
    device = Simulated(lambda: {(3, 3): 114}, server_id="M1 meter")

    async def main() -> Finding:
        async with Server(device) as server, asking(server.port, 9) as asker:
            return await find([profile_with(step)], asker)

    assert [match.firmware for match in asyncio.run(main()).matches] == ["114"]
