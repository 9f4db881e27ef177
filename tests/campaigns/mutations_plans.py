"""What is broken on purpose of how machines are asked: what is never read, what is learnt of them, what is foreseen."""

from tests.campaigns.mutations_table import Mutation, tests

PLANS = (
    Mutation(
        "a range that is forbidden is read along between two tags",
        "drivers/tidegate_drivers/modbus/plan.py",
        "        or limits.quirks.forbids(function, end, address) is not None\n",
        "",
        tests("tests/drivers/test_modbus_plan.py", "tests/drivers/test_modbus_quirks.py"),
        ("test_any_plan_reads_every_point", "test_a_forbidden_hole"),
    ),
    Mutation(
        "a plan takes the first way to join registers instead of the cheapest",
        "drivers/tidegate_drivers/modbus/plan.py",
        "        while open_ and open_[-1][1] >= begin_ps:\n            open_.pop()\n",
        "",
        tests("tests/drivers/test_modbus_plan.py"),
        ("FAILED tests/drivers/test_modbus_plan.py",),
    ),
    Mutation(
        "each reconnect forgets which registers a device refuses",
        "drivers/tidegate_drivers/modbus/driver.py",
        'What was learnt of them stays. Raises NotConnected."""\n',
        'What was learnt of them stays. Raises NotConnected."""\n'
        "        self._polls.clear()\n        self._machines.clear()\n",
        tests("tests/drivers/test_modbus_refusals.py"),
        ("test_what_is_refused_is_remembered",),
    ),
    Mutation(
        "a register that is refused is asked for at every read",
        "drivers/tidegate_drivers/modbus/refusals.py",
        "        return field is not None and now < field.until\n",
        "        return False\n",
        tests("tests/drivers/test_modbus_refusals.py"),
        ("FAILED tests/drivers/test_modbus_refusals.py",),
    ),
    Mutation(
        "nobody is told which tags a machine refuses",
        "agent/tidegate/acquire/poller.py",
        "            bus.refused.look()\n",
        "            pass\n",
        tests("tests/acquire/test_refused_tags.py"),
        ("FAILED tests/acquire/test_refused_tags.py",),
    ),
    Mutation(
        "a unit is not left alone between two requests as long as it wants",
        "drivers/tidegate_drivers/modbus/pace.py",
        "        at = max(now, self._free_at)\n",
        "        at = now\n",
        tests("tests/drivers/test_modbus_quirks.py"),
        ("test_a_unit_is_left_alone",),
    ),
    Mutation(
        "what a line is loaded with leaves out the time of its units",
        "drivers/tidegate_drivers/modbus/cost.py",
        " + own_s + silence_s",
        " + silence_s",
        tests("tests/drivers/test_modbus_foresight.py"),
        ("FAILED tests/drivers/test_modbus_foresight.py",),
    ),
    Mutation(
        "a device of which much is missing is searched in the same way for ever",
        "drivers/tidegate_drivers/modbus/poll.py",
        "                self._turn += splits > 0\n",
        "",
        tests("tests/drivers/test_modbus_search.py"),
        ("FAILED tests/drivers/test_modbus_search.py",),
    ),
)
