"""The log says in words how well the time is known, when that changes, and when somebody steps the clock."""

import asyncio
import logging

import pytest

from tests.fakes.virtual_time import run_virtually
from tidegate.clock import BUILT_US, Clock, Source
from tidegate.clockwatch import watch


def test_trust_and_steps_are_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    offset_us = 0
    ntp = False

    async def main(_: Clock) -> None:
        nonlocal offset_us, ntp
        loop = asyncio.get_running_loop()
        clock = Clock(
            lambda: offset_us + round(loop.time() * 1e6), lambda: round(loop.time() * 1e6), source=Source.NTP,
            kernel=lambda: ntp,
        )  # fmt: skip
        watching = asyncio.create_task(watch(clock))
        await asyncio.sleep(5)
        offset_us, ntp = BUILT_US + 10**12, True
        await asyncio.sleep(5)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    with caplog.at_level(logging.INFO, "tidegate.clock"):
        run_virtually(main)

    assert [(r.levelname, r.getMessage().split(";")[0].split(",")[0]) for r in caplog.records] == [
        ("WARNING", "clock unset: it stands at 1970-01-01 00:00 UTC"),
        ("WARNING", "the wall clock was stepped by +20769.6 days"),
        ("INFO", "clock synced: the kernel says that it is synchronised (NTP or PTP)"),
    ]
