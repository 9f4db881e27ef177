"""The checksum of a block, with every single bit of its data flipped in turn."""

from dataclasses import replace

import pytest

from tests.buffer.world import World
from tidegate.buffer.block import Block, Encoded, decode, encode
from tidegate.errors import BufferDamaged
from tidegate.model.frame import Frame

FRAMES = 6


def block_of(world: World, values: bytes | None) -> Block:
    frames = [world.frame(value) for value in range(FRAMES)]
    if values is not None:
        frames = [replace(frame, values=values * len(frame.values)) for frame in frames]
    return encode(1, [Encoded(frame, frame.encode()) for frame in frames], bytes(32))


@pytest.mark.parametrize("values", [None, b"\0"], ids=["noise", "zeros"])
def test_no_flipped_bit_gives_a_wrong_value(world: World, values: bytes | None) -> None:
    block = block_of(world, values)
    passed = []
    for bit in range(8 * len(block.data)):
        data = bytearray(block.data)
        data[bit // 8] ^= 1 << bit % 8
        try:
            decode(replace(block, data=bytes(data)))
            passed.append(bit)
        except BufferDamaged:
            continue

    assert FRAMES == len([Frame.decode(frame) for _, frame in decode(block)])
    assert [] == passed
