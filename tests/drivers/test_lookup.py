"""Names that nobody answers for hold up no other name, and leave nothing behind, however often they are asked for."""

import asyncio
import socket
import threading
from typing import Any

import pytest

from tidegate.loop import new
from tidegate_drivers.modbus.lookup import addresses, resolve

DEADLINE_S = 30.0
NAMES, TIMES = 40, 5


def run(story: Any) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await story

    with asyncio.Runner(loop_factory=new) as runner:
        return runner.run(main())


def test_names_that_nobody_answers_for_hold_up_no_other_name_and_are_looked_up_once_at_a_time() -> None:
    server_is_back, asked = threading.Event(), []

    def look(host: str, port: int) -> list[tuple[Any, ...]]:
        asked.append(host)
        if host.startswith("dead"):
            server_is_back.wait(DEADLINE_S)
        return [(host, port)]

    async def story() -> tuple[list[tuple[Any, ...]], int, list[tuple[Any, ...]]]:
        for _ in range(TIMES):
            tries = [asyncio.create_task(addresses(f"dead{i}", 502, look)) for i in range(NAMES)]
            await asyncio.sleep(0)
            for one in tries:
                one.cancel()
            await asyncio.gather(*tries, return_exceptions=True)
        well = await addresses("well", 502, look)
        asked_while_it_was_gone = len(asked)
        server_is_back.set()
        return well, asked_while_it_was_gone, await addresses("dead0", 502, look)

    assert ([("well", 502)], NAMES + 1, [("dead0", 502)]) == run(story())


def test_a_name_that_is_none_is_told_and_asked_for_anew() -> None:
    def look(host: str, port: int) -> list[tuple[Any, ...]]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    async def story() -> list[str]:
        said = []
        for _ in range(2):
            with pytest.raises(OSError, match="unknown") as raised:
                await addresses("nobody", 502, look)
            said.append(str(raised.value.strerror))
        return said

    assert ["unknown", "unknown"] == run(story())


def test_a_name_that_this_machine_knows_has_its_addresses() -> None:
    assert "127.0.0.1" in {one[4][0] for one in run(addresses("localhost", 502, resolve))}
