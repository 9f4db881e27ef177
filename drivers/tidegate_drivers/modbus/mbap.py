"""Chooses the twin that takes replies of Modbus TCP apart. It knows no connection."""

from typing import TYPE_CHECKING

from tidegate.twins import choose

if TYPE_CHECKING:
    from tidegate_drivers.modbus import _mbap_py as twin
else:
    twin = choose("tidegate_drivers.modbus._mbap")

# See _mbap_py.py.
whole = twin.whole
