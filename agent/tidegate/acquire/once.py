"""Once: reads devices one time through their drivers, for a person who waits for it. It never retries."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tidegate.acquire.driver import Asking, Driver, give_folder
from tidegate.acquire.inspection import INSPECT_S_MAX
from tidegate.acquire.lock import Inspector
from tidegate.acquire.opening import CLOSE_DEADLINE_S, OPEN_DEADLINE_S
from tidegate.acquire.reader import DEADLINE_MARGIN_US
from tidegate.clock import Clock
from tidegate.errors import DriverError, NoAnswer, NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame

BUSES_AT_ONCE_MAX = 64


@dataclass(frozen=True, slots=True)
class Taken:
    """One group as it was read: raw values, as the driver gives them, and how long the machine took for all of it."""

    group: Group
    frame: Frame
    trip_s: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a device gave. `faults` are what its groups, or its bus, failed with; empty when all of it was read.

    `kinds` are the kinds of these faults, in the order in which they were met.
    """

    device: Device
    taken: tuple[Taken, ...]
    faults: tuple[str, ...]
    kinds: tuple[type[DriverError], ...] = ()

    @property
    def answered(self) -> bool:
        """Whether every group was read; tags of it may still be bad."""
        return not self.faults

    @property
    def trip_s(self) -> float:
        """How long all reads took together."""
        return sum(one.trip_s for one in self.taken)


async def read_once(
    drivers: Mapping[str, type[Driver]],
    devices: Sequence[Device],
    clock: Clock,
    inspector: Inspector | None = None,
    folder: Path | None = None,
) -> list[Answer]:
    """One answer a device, in their order. Buses are read at the same time, the devices of one bus one by one.

    With an `inspector` each that answered is then asked who it is; its lock says what came of that. `folder` is that of
    the buffer, beside which drivers keep what they have to keep.
    """
    buses: dict[tuple[str, str], list[Device]] = {}
    for device in devices:
        buses.setdefault((device.driver, drivers[device.driver].bus(device)), []).append(device)
    room = asyncio.Semaphore(BUSES_AT_ONCE_MAX)

    async def read(name: str, sharing: list[Device]) -> list[Answer]:
        async with room:
            driver = drivers[name](sharing, clock)
            if folder is not None:
                give_folder(driver, folder)
            return await _read_bus(driver, sharing, inspector)

    found = await asyncio.gather(*(read(name, sharing) for (name, _), sharing in buses.items()))
    by_name = {answer.device.name: answer for answers in found for answer in answers}
    return [by_name[device.name] for device in devices]


async def _read_bus(driver: Driver, devices: Sequence[Device], inspector: Inspector | None) -> list[Answer]:
    answers: list[Answer] = []
    open_ = False
    try:
        for at, device in enumerate(devices):
            if not open_:
                try:
                    await open_within(driver)
                except DriverError as error:
                    return [*answers, *(Answer(rest, (), (error.what,), (type(error),)) for rest in devices[at:])]
            answer, open_ = await _read_device(driver, device)
            answers.append(answer)
            if inspector is not None and open_ and answer.taken:
                open_ = await _inspect(driver, device, inspector)
    finally:
        await close_within(driver)
    return answers


async def _inspect(driver: Driver, device: Device, inspector: Inspector) -> bool:
    """Ask a device who it is, where that can be done; whether its bus is still open, for sure."""
    if not isinstance(driver, Asking) or inspector.lock(device) is None:
        return True
    try:
        async with asyncio.timeout(INSPECT_S_MAX):
            await inspector.inspect(device, partial(driver.ask, device.name))
    except (DriverError, TimeoutError):
        await close_within(driver)
        return False
    return True


async def _read_device(driver: Driver, device: Device) -> tuple[Answer, bool]:
    """The answer of one device, and whether its bus is still open. A silent device is not asked for more."""
    taken: list[Taken] = []
    faults: list[tuple[type[DriverError], str]] = []
    loop = asyncio.get_running_loop()
    for group in device.groups:
        began_s = loop.time()
        try:
            async with asyncio.timeout(group.deadline_s + DEADLINE_MARGIN_US / 1e6):
                frame = await driver.read(group)
        except TimeoutError:
            # Nobody knows what state the driver is in, so that its bus is opened anew.
            await close_within(driver)
            late = f"it was not done within {group.deadline_s:g} s and a margin"
            return _answer(device, taken, [(NoAnswer, late)]), False
        except NotConnected as error:
            await close_within(driver)
            return _answer(device, taken, [*faults, (type(error), error.what)]), False
        except NoAnswer as error:
            return _answer(device, taken, [*faults, (type(error), error.what)]), True
        except DriverError as error:
            faults.append((type(error), f"group {group.name}: {error.what}"))
        else:
            taken.append(Taken(group, frame, loop.time() - began_s))
    return _answer(device, taken, faults), True


def _answer(device: Device, taken: list[Taken], faults: list[tuple[type[DriverError], str]]) -> Answer:
    kinds = tuple(dict.fromkeys(kind for kind, _ in faults))
    return Answer(device, tuple(taken), tuple(what for _, what in faults), kinds)


async def open_within(driver: Driver) -> None:
    """Open a bus within OPEN_DEADLINE_S. Raises NotConnected."""
    try:
        async with asyncio.timeout(OPEN_DEADLINE_S):
            await driver.open()
    except TimeoutError:
        raise NotConnected("", f"it could not be opened within {OPEN_DEADLINE_S:g} s") from None


async def close_within(driver: Driver) -> None:
    """Close a bus of which everything has been read that was wanted."""
    try:
        async with asyncio.timeout(CLOSE_DEADLINE_S):
            await driver.close()
    except (TimeoutError, DriverError):
        return
