"""The watchdog is fed by progress: it starves when any stage hangs, whatever timers still run."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.service_manager import Manager, for_us
from tests.fakes.virtual_time import run_virtually
from tidegate.clock import Clock
from tidegate.model.progress import Progress
from tidegate.notify import Notifier
from tidegate.watchdog import Watchdog

BUSY = Progress("commits", 1, owes=True, patience_s=60.0)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path, watchdog_s=4.0)
    yield manager
    manager.close()


def silent() -> Notifier:
    return Notifier({})


class Stages:
    """Stages whose progress the test says."""

    def __init__(self, *parts: Progress) -> None:
        self.parts = list(parts)

    def work(self) -> None:
        self.parts = [replace(part, moved=part.moved + 1) for part in self.parts]


def test_who_moves_is_well_and_who_has_nothing_to_do_is_too() -> None:
    stages = Stages(BUSY, Progress("target a", 5, owes=False, patience_s=1.0))
    watchdog = Watchdog(silent(), lambda: stages.parts, str)
    looks = []
    for second in range(0, 1000, 30):
        looks.append(watchdog.look(float(second)))
        stages.parts[0] = replace(stages.parts[0], moved=second)

    assert [] == [still for still in looks if still]


@pytest.mark.parametrize("hung", ["the polling wheel", "bus b", "commits", "target a"])
def test_one_part_that_hangs_is_named(hung: str) -> None:
    names = ("the polling wheel", "bus b", "commits", "target a")
    stages = Stages(*(Progress(name, 0, owes=True, patience_s=60.0) for name in names))
    watchdog = Watchdog(silent(), lambda: stages.parts, str)
    for second in range(0, 70, 10):
        still = watchdog.look(float(second))
        stages.parts = [part if part.part == hung else replace(part, moved=second + 1) for part in stages.parts]

    assert [] == still
    assert [hung] == watchdog.look(71.0)


def test_it_is_fed_again_when_the_part_moves_again() -> None:
    stages = Stages(BUSY)
    watchdog = Watchdog(silent(), lambda: stages.parts, str)
    watchdog.look(0.0)
    starved = watchdog.look(61.0)
    stages.work()

    assert ["commits"] == starved
    assert [] == watchdog.look(62.0)


def test_the_manager_is_fed_four_times_in_its_interval_and_not_once_more_after_a_hang(manager: Manager) -> None:
    stages = Stages(replace(BUSY, patience_s=10.0))

    async def main(clock: Clock) -> tuple[int, int]:
        watchdog = asyncio.create_task(
            Watchdog(Notifier(for_us(manager.environment)), lambda: stages.parts, lambda: "all well").run()
        )
        for _ in range(20):
            await asyncio.sleep(1.0)
            stages.work()
            manager.listen()
        fed = manager.listen().count("WATCHDOG=1")
        for _ in range(100):
            await asyncio.sleep(1.0)
            manager.listen()
        watchdog.cancel()
        return fed, manager.listen().count("WATCHDOG=1")

    fed, in_the_end = run_virtually(main)

    assert 20 <= fed <= 21
    # Patience lasts ten seconds: after that nothing.
    assert in_the_end <= fed + 11
    assert "STATUS=all well" in manager.heard
    assert "STATUS=commits stands still" == manager.heard[-1]


def test_nobody_is_fed_who_means_another_process_or_does_not_listen(manager: Manager) -> None:
    elsewhere = Notifier({**manager.environment, "WATCHDOG_PID": "1"})
    gone = Notifier({"NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "rubbish"})
    gone.ready()
    gone.status("nobody hears this")

    assert elsewhere.watchdog_s is None
    assert gone.watchdog_s is None
