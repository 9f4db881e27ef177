"""What is broken on purpose of scans and of listening, and which test must find it. See mutations_table.py."""

from tests.campaigns.mutations_table import Mutation, tests

SURVEYS = (
    Mutation(
        "what is heard on a line is a frame whatever its checksum",
        "drivers/tidegate_drivers/modbus/ear.py",
        "            elif crc16(head[:length]) == 0:\n",
        "            else:\n",
        tests("tests/drivers/test_ear.py"),
        ("FAILED tests/drivers/test_ear.py",),
    ),
    Mutation(
        "an answer that has the form of a question is heard as one",
        "drivers/tidegate_drivers/modbus/ear.py",
        "kinds if asked and self._answers(head, at) else kinds[::-1]",
        "kinds[::-1]",
        tests("tests/drivers/test_ear.py"),
        ("FAILED tests/drivers/test_ear.py",),
    ),
    Mutation(
        "a listener may write to its line",
        "drivers/tidegate_drivers/modbus/sniff.py",
        "        port = open_port(self._path, line, hearing, os.O_RDONLY)\n",
        '        port = open_port(self._path, line, hearing)\n        port.write(b"?")\n',
        tests("tests/drivers/test_sniff.py"),
        ("nothing_is_written",),
    ),
    Mutation(
        "a gateway's word that nobody is there is taken for a unit",
        "drivers/tidegate_drivers/modbus/probe.py",
        "NOBODY = frozenset({10, 11})",
        "NOBODY: frozenset[int] = frozenset()",
        tests("tests/drivers/test_scan.py"),
        ("FAILED tests/drivers/test_scan.py",),
    ),
    Mutation(
        "a scan asks machines before it has asked a person",
        "agent/tidegate/cli/scan.py",
        "    if not yes:\n",
        "    if False:\n",
        tests("tests/cli/test_scan.py"),
        ("where_nobody_can_agree", "a_person_is_asked_first"),
    ),
)
