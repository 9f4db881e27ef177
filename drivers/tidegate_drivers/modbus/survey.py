"""What Modbus offers to whoever commissions a plant: a listener on a serial line. See tidegate.acquire.survey."""

from collections.abc import Mapping
from typing import ClassVar

from tidegate.acquire.survey import SURVEY_CONTRACT, Listener
from tidegate_drivers.modbus.sniff import listen


class ModbusSurvey:
    """Modbus TCP, RTU on serial ports, and RTU over TCP."""

    contract: ClassVar[int] = SURVEY_CONTRACT
    schemes: ClassVar[tuple[str, ...]] = ("tcp", "rtu", "rtu+tcp")
    listens: ClassVar[bool] = True

    @classmethod
    def listen(cls, address: str, wishes: Mapping[str, str]) -> Listener:
        """A listener on a serial line; see sniff.py."""
        return listen(address, wishes)
