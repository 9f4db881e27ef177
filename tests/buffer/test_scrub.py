"""The scrub: what nobody reads is proven all the same, at a rate, and its progress can be seen."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from tests.buffer.world import SMALL, World, damage, fill, segments
from tidegate.buffer.buffer import Buffer
from tidegate.buffer.scrub import ScrubStatus, prove_step
from tidegate.model.gap import Why
from tidegate.proof import Ranges


async def passed(buffer: Buffer, passes: int = 1) -> ScrubStatus:
    async with asyncio.timeout(20):
        while buffer.status().scrub.passes < passes:  # noqa: ASYNC110  # nobody announces a pass
            await asyncio.sleep(0.01)
    return buffer.status().scrub


def test_a_pass_proves_every_sealed_segment(world: World) -> None:
    asyncio.run(fill(world, 120, **SMALL))

    async def run() -> ScrubStatus:
        async with world.running(scrub_delay_s=0.01, scrub_bytes_s=100_000_000) as buffer:
            return await passed(buffer)

    status = asyncio.run(run())

    assert (len(segments(world)), 0) == (status.segments, status.damaged)
    assert status.segments == status.of
    assert status.bytes > 120 * 160


def test_damage_that_nobody_reads_is_found_salvaged_and_told(world: World) -> None:
    asyncio.run(fill(world, 120, **SMALL))
    second = segments(world)[1]
    first = int(second.stem.split("-")[1])
    damage(second, 3)

    async def run() -> tuple[ScrubStatus, list[tuple[Ranges, Why]]]:
        async with world.running(scrub_delay_s=3600) as buffer:
            buffer.scrub()
            status = await passed(buffer)
            return status, await buffer.gone("cloud", buffer.epoch, Ranges([(1, 120)]))

    status, gone = asyncio.run(run())

    assert (1, 1) == (status.damaged, status.salvaged)
    assert [(Ranges([(first + 3, first + 3)]), Why.CORRUPT)] == gone
    assert not second.exists()


def test_the_rate_is_kept(world: World) -> None:
    asyncio.run(fill(world, 60, **SMALL))

    async def run() -> int:
        async with world.running(scrub_delay_s=0.001, scrub_bytes_s=20_000) as buffer:
            await asyncio.sleep(0.3)
            return buffer.status().scrub.bytes

    # 6,000 bytes are due; a step is at most a second's worth, and is paid for afterwards.
    assert asyncio.run(run()) <= 20_000 + 6_000


@pytest.mark.parametrize("block", [0, 5, 11])
def test_a_step_names_the_damaged_block_and_goes_on_behind_it(world: World, block: int) -> None:
    asyncio.run(fill(world, 12))
    [path] = segments(world)
    damage(path, block)
    found = []
    at = 1
    while at <= 12:
        step = prove_step(path, at, 12, 1000)
        found += [(d.first, d.last) for d in step.damaged]
        at = step.upto + 1

    assert [(block + 1, block + 1)] == found


def test_a_flip_in_the_chain_of_hashes_is_found(world: World) -> None:
    asyncio.run(fill(world, 120, **SMALL))
    second = segments(world)[1]
    first = int(second.stem.split("-")[1])
    with closing(sqlite3.connect(second)) as db:
        (before,) = db.execute("SELECT prev FROM blocks WHERE first = ?", (first + 3,)).fetchone()
    content = bytearray(second.read_bytes())
    at = -1
    while (at := content.find(before, at + 1)) >= 0:
        content[at + 7] ^= 0x20
    second.write_bytes(content)

    [damaged] = [step.damaged for n in (first + 2,) if (step := prove_step(second, n, first + 20, 1 << 20)).damaged]

    assert [(first + 3, first + 3)] == [(one.first, one.last) for one in damaged]
