"""A unit behind a port of this machine, asked who it is through the Modbus driver."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tidegate.acquire.conversation import Conversation
from tidegate.clock import Clock
from tidegate.profiles.asking import Asker
from tidegate.profiles.trial import stranger
from tidegate_drivers.modbus.driver import ModbusDriver


@asynccontextmanager
async def asking(port: int, unit: int = 1, timeout_s: float = 5.0, scheme: str = "tcp") -> AsyncIterator[Asker]:
    """An asker without pauses."""
    device = stranger("modbus", f"{scheme}://127.0.0.1:{port}", unit, {"timeout": f"{timeout_s:g}s"})
    async with Conversation(ModbusDriver([device], Clock()), device.name) as conversation:
        yield Asker(conversation.ask, 0.0)
