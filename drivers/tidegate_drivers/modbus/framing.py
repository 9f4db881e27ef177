"""Chooses the twin that frames RTU. It knows no questions and no ports."""

from typing import TYPE_CHECKING

from tidegate.twins import choose

if TYPE_CHECKING:
    from tidegate_drivers.modbus import _rtu_py as twin
else:
    twin = choose("tidegate_drivers.modbus._rtu")

# See _rtu_py.py.
crc16 = twin.crc16
find = twin.find
