"""What is broken on purpose of the ways to devices: who they are, and what may lie between their replies."""

from tests.campaigns.mutations_table import MODBUS, Mutation, tests

RTU = ("tests.campaigns.rtu", "5000", "--ports", "0", "--seed", "1", "--round", "0")
ASCII = ("tests.campaigns.rtu", "5000", "--ports", "0", "--seed", "1", "--round", "1")

TRANSPORTS = (
    Mutation(
        "the checksum of an RTU frame is not looked at",
        "drivers/tidegate_drivers/modbus/_rtu_py.py",
        "        if end <= len(heard) and crc16(heard[at:end]) == 0:\n",
        "        if end <= len(heard):\n",
        RTU,
        ("wrong values accepted",),
    ),
    Mutation(
        "the checksum of an ASCII frame is not looked at",
        "drivers/tidegate_drivers/modbus/ascii.py",
        "            if lrc(body) == 0 and _fits(",
        "            if _fits(",
        ASCII,
        ("wrong values accepted",),
    ),
    Mutation(
        "on a line a late reply is taken for that of the next question",
        "drivers/tidegate_drivers/modbus/abandoned.py",
        "        if at is None or now - at >= KEPT_S:\n",
        "        if True or at is None or now - at >= KEPT_S:\n",
        ASCII,
        ("wrong values accepted",),
    ),
    Mutation(
        "a Modbus device over TLS need not prove who it is",
        "drivers/tidegate_drivers/modbus/tls.py",
        "        context.minimum_version = ssl.TLSVersion.TLSv1_2\n",
        "        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n",
        tests("tests/drivers/test_modbus_tls.py"),
        ("test_a_device_is_believed_by_the_name", "test_an_authority_that"),
    ),
    Mutation(
        "a heartbeat inside a reply of Modbus TCP is taken for its data",
        "drivers/tidegate_drivers/modbus/unasked.py",
        "                    raise HeartbeatInside\n",
        "                    pass\n",
        tests("tests/drivers/test_dial_in.py"),
        ("test_a_heartbeat_inside_a_reply",),
    ),
    Mutation(
        "whoever reaches the listening port is listened to",
        "drivers/tidegate_drivers/modbus/switchboard.py",
        "if rules is None or not any(address in network for network in rules.allow):",
        "if rules is None:",
        tests("tests/drivers/test_dial_in.py"),
        ("test_an_address_that_is_not_allowed",),
    ),
    Mutation(
        "strangers at the listening port are as many as like to come",
        "drivers/tidegate_drivers/modbus/switchboard.py",
        "STRANGERS_MAX = 16\n",
        "STRANGERS_MAX = 1_000_000\n",
        tests("tests/drivers/test_dial_in.py"),
        ("test_a_flood_of_strangers",),
    ),
    Mutation(
        "the compiled twin takes a Modbus reply of any unit",
        "drivers/tidegate_drivers/modbus/_mbap_c.pyx",
        " or view[at + 6] != unit or",
        " or",
        MODBUS,
        ("wrong values accepted",),
    ),
)
