"""What is broken on purpose of lines that healthy units share with bad ones. See mutations_table.py."""

from tests.campaigns.mutations_table import Mutation, tests

LINE = ("tests.campaigns.line", "--hours", "0.4", "--port-s", "0", "--seed", "1")

SHARED_LINES = (
    Mutation(
        "units that fail may take all of a full line",
        "agent/tidegate/acquire/toll.py",
        "PRESSED_SHARE = 0.02\n",
        "PRESSED_SHARE = 0.9\n",
        LINE,
        ("healthy units read",),
    ),
    Mutation(
        "what is down is tried again before its last try is paid for",
        "agent/tidegate/acquire/toll.py",
        "        if now_us < ready_us:\n            return ready_us\n",
        "        if False:\n            return ready_us\n",
        LINE,
        ("healthy units read",),
    ),
    Mutation(
        "a reply that a babbling unit spoiled is waited for until the deadline",
        "drivers/tidegate_drivers/modbus/line_link.py",
        "            elif now < self._deadline:\n                self._was_spoiled(now)\n",
        "            elif now < self._deadline:\n                self._arm(self._deadline)\n",
        LINE,
        ("healthy units read",),
    ),
    Mutation(
        "units that answer now and then are read at their pace on a full line",
        "agent/tidegate/acquire/toll.py",
        "        costly = turn.lost_us > max(ALLOWANCE_US, 2 * took_us)\n",
        "        costly = False\n",
        tests("tests/acquire/test_toll.py"),
        ("test_units_that_answer_now_and_then_take_no_more",),
    ),
)
