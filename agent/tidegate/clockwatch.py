"""Clock watch: looks at the clock once a second, so that a step is seen soon, and says in the log what became of it."""

import asyncio
import logging

from tidegate.clock import Clock, Trust, span

LOOK_S = 1.0

log = logging.getLogger("tidegate.clock")


async def watch(clock: Clock) -> None:
    """Run until cancelled. Trust is told when it changes, a step of the wall clock when it is seen."""
    told, steps = None, clock.steps
    while True:
        trust, words = clock.trust, clock.words
        if clock.steps != steps:
            steps = clock.steps
            log.warning("the wall clock was stepped by %s; timers don't follow it", span(clock.step_us))
        if trust is not told:
            told = trust
            level = logging.WARNING if trust is Trust.UNSET else logging.INFO
            log.log(level, "clock %s: %s", trust.name.lower(), words)
        await asyncio.sleep(LOOK_S)
