"""What is broken on purpose of whose turn it is, and of what is written to machines."""

from tests.campaigns.mutations_table import Mutation, tests

WRITES = (
    Mutation(
        "fast groups wait behind slow ones that came before them",
        "agent/tidegate/acquire/queue.py",
        "        if self._taken % LONGEST_EVERY == 0:\n",
        "        if True:\n",
        tests("tests/acquire/test_queue.py"),
        ("test_the_shortest_interval_is_taken_first", "test_on_a_full_bus_a_fast_group_keeps_its_pace"),
    ),
    Mutation(
        "slow groups are passed by fast ones for ever",
        "agent/tidegate/acquire/queue.py",
        "        if self._taken % LONGEST_EVERY == 0:\n",
        "        if False:\n",
        tests("tests/acquire/test_queue.py"),
        ("test_no_turn_waits_longer_than_its_place", "test_a_slow_group_comes_in_time"),
    ),
    Mutation(
        "a tag without write access may be given a value",
        "agent/tidegate/acquire/permission.py",
        '    if tag.access != "write":\n',
        "    if False:\n",
        tests("tests/cli/test_write.py"),
        ("test_no_value_is_allowed_for_a_tag_without_write_access", "test_what_is_not_allowed"),
    ),
    Mutation(
        "a tag may be given a value outside of its range",
        "agent/tidegate/acquire/permission.py",
        "        if not Fraction(repr(low)) <= Fraction(value) <= Fraction(repr(high)):\n",
        "        if False:\n",
        tests("tests/cli/test_write.py"),
        ("test_what_is_not_allowed", "test_a_value_is_allowed_within_the_range"),
    ),
    Mutation(
        "rounding brings a value out of its range",
        "drivers/tidegate_drivers/modbus/write.py",
        "        if tag.range is not None and not number(tag.range[0]) <= value_held <= number(tag.range[1]):\n",
        "        if tag.range is not None and False:\n",
        tests("tests/drivers/test_modbus_write.py"),
        ("test_what_rounding_brings_out_of_the_range",),
    ),
    Mutation(
        "a number that the device can't hold is rounded without being asked to",
        "drivers/tidegate_drivers/modbus/encoder.py",
        "    if raw != exact and not nearest:\n",
        "    if False:\n",
        tests("tests/drivers/test_modbus_write.py"),
        ("test_what_lies_between_two_values",),
    ),
    Mutation(
        "one bit of a register is written with the fifteen others",
        "drivers/tidegate_drivers/modbus/write.py",
        "    if point.bit is not None:\n",
        "    if False:\n",
        tests("tests/drivers/test_modbus_write.py"),
        ("test_a_tag_that_can_not_be_written_is_refused",),
    ),
)
