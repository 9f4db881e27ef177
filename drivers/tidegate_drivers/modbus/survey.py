"""What Modbus offers to whoever commissions a plant: scans, and a listener. See tidegate.acquire.survey."""

from collections.abc import Mapping
from typing import ClassVar

from tidegate.acquire.survey import SURVEY_CONTRACT, Listener, Scan
from tidegate_drivers.modbus.scan import scan
from tidegate_drivers.modbus.sniff import listen


class ModbusSurvey:
    """Modbus TCP, RTU and ASCII on serial ports, and both over TCP."""

    contract: ClassVar[int] = SURVEY_CONTRACT
    schemes: ClassVar[tuple[str, ...]] = ("tcp", "rtu", "ascii", "rtu+tcp", "ascii+tcp")
    listens: ClassVar[bool] = True

    @classmethod
    def scan(cls, address: str, wishes: Mapping[str, str]) -> Scan:
        """A scan of TCP addresses or of a line; see scan.py."""
        return scan(address, wishes)

    @classmethod
    def listen(cls, address: str, wishes: Mapping[str, str]) -> Listener:
        """A listener on a serial line; see sniff.py."""
        return listen(address, wishes)
