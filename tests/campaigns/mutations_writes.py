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
)
