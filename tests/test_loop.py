"""The loop that the gateway runs on: its timers never fire early, whatever it was busy with before."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tidegate import loop

LOOPS = pytest.mark.parametrize("make", [loop.new, asyncio.new_event_loop], ids=["gateway", "asyncio"])
DELAYS_S = (0.0001, 0.00175, 0.0024, 0.0101)


def hold_up() -> None:
    """Let the time go by."""
    time.sleep(0.02)


def ran(make: Callable[[], asyncio.AbstractEventLoop], delays_s: tuple[float, ...], at: bool) -> list[float]:
    """How long each timer took, set after the loop was held up for a while."""

    async def main() -> list[float]:
        running, took_s = asyncio.get_running_loop(), []
        for delay_s in delays_s:
            hold_up()
            done = running.create_future()
            begun_s = time.monotonic()
            if at:
                running.call_at(running.time() + delay_s, done.set_result, None)
            else:
                running.call_later(delay_s, done.set_result, None)
            await done
            took_s.append(time.monotonic() - begun_s)
        return took_s

    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(main())


@LOOPS
@pytest.mark.parametrize("at", [False, True], ids=["call_later", "call_at"])
def test_no_timer_fires_early(make: Callable[[], asyncio.AbstractEventLoop], at: bool) -> None:
    early = [(due_s, took_s) for due_s, took_s in zip(DELAYS_S, ran(make, DELAYS_S, at), strict=True) if took_s < due_s]

    assert early == []


@LOOPS
def test_no_timer_fires_early_at_whatever_part_of_a_ms_it_was_set(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def main() -> list[float]:
        running, early_s = asyncio.get_running_loop(), []
        for step in range(300):
            due_s = running.time() + 0.001 + step % 17 * 0.00031
            done = running.create_future()
            timer = running.call_at(due_s, done.set_result, None)
            assert timer.when() > due_s - 1e-6
            await done
            early_s.append(running.time() - due_s)
        return early_s

    with asyncio.Runner(loop_factory=make) as runner:
        late_s = runner.run(main())

    assert [] == [one for one in late_s if one < 0]


@LOOPS
def test_a_timer_whose_time_has_passed_says_when_that_was(make: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> float:
        running = asyncio.get_running_loop()
        return running.call_at(running.time() - 1, hold_up).when() - running.time()

    with asyncio.Runner(loop_factory=make) as runner:
        ahead_s = runner.run(main())

    assert ahead_s < 0.01


@LOOPS
def test_its_time_is_that_of_the_monotonic_clock_also_while_it_is_held_up(
    make: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def main() -> float:
        running = asyncio.get_running_loop()
        hold_up()
        return running.time() - time.monotonic()

    with asyncio.Runner(loop_factory=make) as runner:
        apart_s = runner.run(main())

    assert abs(apart_s) < 0.01
