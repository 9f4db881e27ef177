"""Tags that a machine refuses while it gives others: told once, seen in the status, and gone from it when given."""

import asyncio
from collections.abc import Mapping
from random import Random

import pytest

from tests.fakes.machines import Scene, Scripted, Sink, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.poller import Poller
from tidegate.acquire.unit import REFUSED_TOLD_MAX, DeviceStatus
from tidegate.clock import Clock
from tidegate.model.refused import RefusedTag

TAGS = tuple(RefusedTag(f"t{n}", f"holding 0x000{n}", "exception 2") for n in range(2))


class Picky(Scripted):
    """A driver whose machine refuses some tags for a while."""

    scene = Scene()
    refuses: tuple[RefusedTag, ...] = ()
    broken = False

    def refused(self) -> Mapping[str, tuple[RefusedTag, ...]]:
        if self.broken:
            raise RuntimeError("a bug of the driver")
        now_s = asyncio.get_running_loop().time()
        return {"a": self.refuses} if 2 < now_s < 12 else {}


def play(kind: type[Picky]) -> list[DeviceStatus]:
    """How the device is after 8 s, and after 20."""

    async def main(clock: Clock) -> list[DeviceStatus]:
        sink = Sink()
        poller = Poller([machine("a")], {"scripted": kind}, sink, sink.gaps.append, clock, Random(7))
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(8)
        looks = [*poller.status()]
        await asyncio.sleep(12)
        looks += poller.status()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return looks

    return run_virtually(main)


def test_a_refused_tag_is_logged_once_by_name_and_stands_in_the_status_until_it_is_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "tidegate.acquire")
    during, after = play(type("Driver", (Picky,), {"refuses": TAGS}))

    assert during.refused == TAGS
    assert after.refused == ()
    assert [record.getMessage() for record in caplog.records if "refuse" in record.getMessage()] == [
        "a: tag t0 at holding 0x0000 is refused: exception 2; t1 at holding 0x0001 is refused: exception 2",
        "a gives again what it refused: t0, t1",
    ]


def test_of_very_many_refused_tags_the_log_names_some(caplog: pytest.LogCaptureFixture) -> None:
    many = tuple(RefusedTag(f"t{n}", "holding", "exception 2") for n in range(REFUSED_TOLD_MAX + 5))
    play(type("Driver", (Picky,), {"refuses": many}))
    (told,) = [record.getMessage() for record in caplog.records if "is refused" in record.getMessage()]

    assert told.endswith("; and 5 more")


def test_a_driver_that_fails_at_telling_is_read_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    during, after = play(type("Driver", (Picky,), {"broken": True}))

    assert (during.state, after.state) == ("up", "up")
    assert after.reads > 15
    assert len([record for record in caplog.records if "not asked again" in record.getMessage()]) == 1
