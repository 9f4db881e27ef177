"""A device is locked when it is not who was accepted, and only then; nothing that it leaves unsaid locks it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.acquire.lock import Lock
from tidegate.cli.opened import open_all
from tidegate.config.problems import Problems
from tidegate.config.profiles import ProfileReader
from tidegate.config.tables import recognisable
from tidegate.errors import NoAnswer, Refused
from tidegate.model.device import Device
from tidegate.profiles import trial
from tidegate.profiles.likeness import likeness
from tidegate.profiles.locks import Locks, NotLocked
from tidegate.profiles.profile import MODBUS, Profile
from tidegate.profiles.seen import FILE, Entry, SeenFile
from tidegate.profiles.shelf import Shelf
from tidegate.profiles.simulated import Simulated
from tidegate_drivers.modbus.driver import ModbusDriver

Folder = Callable[..., Path]
B23 = "abb/b23@any"
SETS = [one for name in Shelf().names() for one in open_all(Shelf(), name) if one.profile.identity
        and one.profile.driver == MODBUS]  # fmt: skip


class Kept:
    """A file that is a dictionary."""

    def __init__(self, entries: Mapping[str, Entry] = {}) -> None:
        self.entries = dict(entries)

    def write(self, entries: Mapping[str, Entry]) -> None:
        self.entries = dict(entries)


class Full(Kept):
    def write(self, entries: Mapping[str, Entry]) -> None:
        raise OSError("no space")


def meter(firmware: str, name: str = "abb/b23", folder: Path | None = None) -> Simulated:
    """A device of a profile's last set."""
    one = open_all(Shelf(folder), name)[-1]
    return likeness(one.profile, one.set, one.vectors, firmware, lambda: 0.0, 1.0)


def device(profile: str = B23) -> Device:
    return replace(trial.stranger("modbus", "tcp://127.0.0.1:502", 1, {}), name="m1", profile=profile)


class Plant:
    """A gateway's locks and one device; `now` is what answers, None is silence."""

    def __init__(self, kept: Kept, profiles: tuple[Profile, ...] = recognisable(), profile: str = B23) -> None:
        self.locks = Locks(profiles, kept, kept.entries)
        self.device = device(profile)
        self.asked: list[int] = []

    @property
    def lock(self) -> Lock:
        found = self.locks.lock(self.device)
        assert found is not None
        return found

    def look(self, now: Simulated | None, busy: bool = False) -> Lock:
        """Its lock after it was asked."""

        async def ask(request: bytes) -> bytes:
            self.asked.append(request[0])
            if now is None:
                raise NoAnswer("m1", "silent")
            reply = now.reply(request)
            if busy or reply[0] & 0x80:
                raise Refused("m1", "refused", 6 if busy else reply[1])
            return reply

        asyncio.run(self.locks.inspect(self.device, ask))
        return self.lock

    def accept(self) -> str:
        return asyncio.run(self.locks.accept("m1"))


@pytest.mark.parametrize("one", SETS, ids=lambda one: f"{one.profile.name}@{one.set.name}")
def test_every_shipped_profile_locks_its_own_device_when_its_firmware_is_another(one: object) -> None:
    opened = next(known for known in SETS if known is one)

    assert asyncio.run(trial.locked(ModbusDriver, opened.profile, opened.set, opened.vectors)) == ""


def test_the_first_answer_is_accepted_and_another_firmware_locks() -> None:
    plant = Plant(Kept())

    assert plant.look(meter("1.2.3")).why == ""
    assert plant.lock.said == "ABB B23, firmware 1.2.3"
    assert plant.look(meter("1.3.0")).why == "it is ABB B23, firmware 1.3.0, and was ABB B23, firmware 1.2.3"
    assert plant.lock.offer == (
        "As far as is known abb/b23@any is for it, too: compare a few values, then: tidegate profile accept CONFIG m1"
    )


def test_who_is_again_who_was_accepted_is_unlocked() -> None:
    plant = Plant(Kept())
    plant.look(meter("1.2.3"))
    plant.look(meter("1.3.0"))

    assert plant.look(meter("1.2.3")).why == ""


def test_a_locked_device_stays_so_over_a_restart_whether_or_not_it_answers() -> None:
    kept = Kept()
    plant = Plant(kept)
    plant.look(meter("1.2.3"))
    plant.look(meter("1.3.0"))
    again = Plant(kept)

    assert again.lock.why == "it is ABB B23, firmware 1.3.0, and was ABB B23, firmware 1.2.3"
    with pytest.raises(NoAnswer):
        again.look(None)
    assert again.lock.why
    assert again.look(meter("1.3.0")).why


def test_what_is_accepted_is_unlocked_for_good() -> None:
    kept = Kept()
    plant = Plant(kept)
    plant.look(meter("1.2.3"))
    plant.look(meter("1.3.0"))

    assert plant.accept() == "ABB B23, firmware 1.3.0"
    assert plant.lock.why == ""
    assert Plant(kept).look(meter("1.3.0")).why == ""
    assert Plant(kept).look(meter("1.2.3")).why


def test_what_is_not_locked_can_not_be_accepted() -> None:
    plant = Plant(Kept())
    plant.look(meter("1.2.3"))

    with pytest.raises(NotLocked, match="m1 is not locked"):
        plant.accept()


def test_another_table_begins_anew() -> None:
    kept = Kept()
    Plant(kept).look(meter("1.2.3"))
    other = Plant(kept, profile="schneider/pm5000@any")

    assert other.look(meter("2.0.0", "schneider/pm5000")).why == ""
    assert kept.entries["m1"].table == "schneider/pm5000@any"


def test_another_model_is_offered_its_own_profile() -> None:
    plant = Plant(Kept())
    plant.look(meter("1.2.3"))
    pm5000 = meter("2.0.0", "schneider/pm5000")
    words = pm5000.words()
    pm5000.words = lambda: {**words, (3, 0x8960): 0x5858}

    assert plant.look(pm5000).why
    assert plant.lock.offer.startswith("Write for the device: table = schneider/pm5000, and reload; or, ")


def test_registers_for_another_firmware_lock_at_first_sight_and_name_the_table(folder: Folder) -> None:
    path = folder()
    profile = ProfileReader(Shelf(path), Problems()).profile("acme/m1")
    assert profile is not None
    plant = Plant(Kept(), (profile,), "acme/m1@new")
    old = meter("1.9", "acme/m1", path)

    assert plant.look(old).why == "it is Acme M1, firmware 1.9, and acme/m1@new is not for that"
    assert plant.lock.offer.startswith("Write for the device: table = acme/m1@old, and reload")
    assert plant.look(old).why
    assert plant.look(meter("1.14", "acme/m1", path)).why == ""


@pytest.mark.parametrize("code", [0x8960, 0x9999], ids=["all registers refused", "nothing known"])
def test_a_device_that_can_not_tell_is_not_locked(code: int) -> None:
    mute = Simulated(dict, registers_max=1)
    plant = Plant(Kept())

    assert plant.look(mute).why == ""
    plant.look(meter("1.2.3"))
    assert plant.look(mute).why == ""


@pytest.mark.parametrize("busy", [True, False])
def test_what_is_so_only_for_the_moment_changes_no_lock(busy: bool) -> None:
    plant = Plant(Kept())
    plant.look(meter("1.2.3"))

    with pytest.raises(Refused if busy else NoAnswer):
        plant.look(meter("1.3.0") if busy else None, busy)
    assert plant.lock.why == ""


def test_a_disk_that_refuses_locks_all_the_same() -> None:
    plant = Plant(Full())
    plant.look(meter("1.2.3"))

    assert plant.look(meter("1.3.0")).why


def test_only_functions_that_read_are_asked() -> None:
    plant = Plant(Kept())
    plant.look(meter("1.2.3"))
    plant.look(Simulated(lambda: {(3, 0x8960): 0x5858}))

    assert set(plant.asked) <= {3, 4, 17, 43}


def test_a_device_without_such_a_profile_has_no_lock() -> None:
    locks = Locks(recognisable(), Kept(), {})

    assert locks.lock(device("")) is None
    assert locks.lock(device("abb/acs580@any")) is None


def test_the_file_gives_back_what_it_was_given(tmp_path: Path) -> None:
    kept = Kept()
    plant = Plant(kept)
    plant.look(meter("1.2.3"))
    plant.look(meter("1.3.0"))
    SeenFile(tmp_path).write(kept.entries)

    assert SeenFile(tmp_path).read() == kept.entries


@pytest.mark.parametrize("at", [0, 5, 40, 100, 200])
def test_a_damaged_file_is_put_aside_and_never_believed(tmp_path: Path, at: int) -> None:
    kept = Kept()
    Plant(kept).look(meter("1.2.3"))
    SeenFile(tmp_path).write(kept.entries)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])

    assert SeenFile(tmp_path).read() == {}
    assert [path.name for path in tmp_path.iterdir()] == ["identities.damaged"]
