"""Settings: how a device is reached, from the texts of a device list, with all that is wrong with them.

It opens nothing, and asks for nothing that the machine would have to answer.
"""

from dataclasses import dataclass

from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.model.option import Options
from tidegate_drivers.modbus.address import HOW_TO_WRITE, Place, parse_place
from tidegate_drivers.modbus.call import Call, parse_call
from tidegate_drivers.modbus.cost import cost
from tidegate_drivers.modbus.line import Line, parse_line
from tidegate_drivers.modbus.plan import Limits
from tidegate_drivers.modbus.point import REGISTERS_MAX
from tidegate_drivers.modbus.quirks import Quirks, parse_quirks
from tidegate_drivers.modbus.tls import Tls, parse_tls
from tidegate_drivers.modbus.zone import check_zone

UNIT_MAX = 255
UNITS_RESERVED = range(248, 255)
TIMEOUT_S = 1.0
TIMEOUT_S_MIN, TIMEOUT_S_MAX = 0.01, 60.0
CONNECTIONS_MAX = 16
# What a server may take at a time, as MODBUS Messaging on TCP/IP V1.0b has it (NumberMaxOfServerTransaction).
IN_FLIGHT_MAX = 16
REPLY_S_MAX, PAUSE_S_MAX = 60.0, 5.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How one device is reached. `connections` is its bus's; `hole_registers_max` is what a request may read along.

    `in_flight` is how many requests of one read may be under way at a time, None where that is to be learnt. `line` is
    how RTU or ASCII frames travel, None for Modbus TCP. `tls` is whom it believes over TLS, `call` how it
    is recognised when it dials in.

    `pause_s` is between two requests to it, `connect_pause_s` between a connection and the first; `reply_s` is how long
    it takes by itself, None where nobody said so: with its line it makes what a request costs.
    """

    place: Place
    tls: Tls | None
    call: Call | None
    line: Line | None
    unit: int
    timeout_s: float
    connections: int
    in_flight: int | None
    registers_max: int
    hole_registers_max: int
    quirks: Quirks
    reply_s: float | None
    pause_s: float
    connect_pause_s: float

    @property
    def limits(self) -> Limits:
        """What one request to it may read, and what it costs the bus."""
        made = cost(self.line, self.reply_s, self.pause_s)
        return Limits(self.registers_max, self.hole_registers_max, self.quirks, made)

    @property
    def bus(self) -> str:
        """Host and port (and who calls there), or the real path of the serial port: equal for all that share it."""
        return self.place.bus


def parse_device(device: Device) -> tuple[Settings | None, list[Problem]]:
    """The settings of a device, and what is wrong with its address, unit and options; None when that is fatal."""
    options = Options(device.options, device.name, device.row)
    try:
        place = parse_place(device.address)
    except ValueError as wrong:
        options.wrong("address", str(wrong), HOW_TO_WRITE)
        place = Place(device.address.strip().startswith(("rtu", "ascii")), device.address)
    line = parse_line(device, options, place)
    unit = 1 if device.unit is None else device.unit
    if line and unit == 0:
        options.wrong("unit", "unit id 0 calls all units of a line, and none answers", "Choose 1 to 247")
    elif not 0 <= unit <= UNIT_MAX:
        options.wrong("unit", f"{unit} is no Modbus unit id", "Choose 1 to 247, or 255 or 0 for the TCP device itself")
    elif unit in UNITS_RESERVED:
        options.wrong("unit", f"unit id {unit} is reserved", "Choose 1 to 247, or 255 or 0", fatal=False)
    timeout_s = options.duration_s("timeout", TIMEOUT_S, TIMEOUT_S_MIN, TIMEOUT_S_MAX)
    connections = options.whole("connections", 1, 1, CONNECTIONS_MAX)
    learns = options.text("in_flight", "auto").lower() == "auto"
    in_flight = None if learns else options.whole("in_flight", 1, 1, IN_FLIGHT_MAX)
    settings = Settings(
        place,
        parse_tls(device, options, place),
        parse_call(device, options, place),
        line,
        unit,
        timeout_s + (line.travel_s if line else 0.0),
        1 if line or place.caller else connections,
        1 if line or place.caller else in_flight,
        options.whole("registers_max", REGISTERS_MAX, 1, REGISTERS_MAX),
        options.whole("hole_registers_max", REGISTERS_MAX, 0, REGISTERS_MAX),
        parse_quirks(options),
        options.duration_s("reply_time", 0.0, 0.0, REPLY_S_MAX) if options.text("reply_time") else None,
        options.duration_s("pause", 0.0, 0.0, PAUSE_S_MAX),
        options.duration_s("connect_pause", 0.0, 0.0, PAUSE_S_MAX),
    )
    check_zone(options)
    options.refuse_unknown()
    fatal = any(problem.fatal for problem in options.problems)
    return (None if fatal else settings), options.problems
