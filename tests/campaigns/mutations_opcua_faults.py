"""What is broken on purpose of how delivery from OPC UA servers outlives their faults and those of lines."""

from tests.campaigns.mutations_table import Mutation, tests

FAULTS, LINES = "tests/drivers/opcua/test_faults.py", "tests/drivers/opcua/test_lines.py"
NEXT, TROUBLES = "tests/drivers/opcua/test_next_process.py", "tests/drivers/opcua/test_troubles.py"

OPCUA_FAULTS = (
    Mutation(
        "a subscription of another run of the server is taken for ours",
        "drivers/tidegate_drivers/opcua/takeover.py",
        "    return abs(one_us - other_us) <= RUN_US\n",
        "    return True\n",
        tests(NEXT),
        ("test_a_number_of_another_run",),
    ),
    Mutation(
        "what a server tells once more over a new connection is a reading again",
        "drivers/tidegate_drivers/opcua/framer.py",
        "        repeats = which is None and now.mono_us < self._repeats_until_us\n",
        "        repeats = False\n",
        tests(LINES),
        ("test_a_line_that_is_cut_in_the_middle",),
    ),
    Mutation(
        "a number that was told before is dropped as known",
        "drivers/tidegate_drivers/opcua/delivery.py",
        "            if ahead(message.sequence, one.sequence) <= 0:\n",
        "            if ahead(message.sequence, one.sequence) <= 0:\n                return\n            if False:\n",
        tests(FAULTS),
        ("test_a_server_that_counts_anew",),
    ),
    Mutation(
        "what answered the requests of before is where numbers begin",
        "drivers/tidegate_drivers/opcua/delivery.py",
        "            one.fresh = False\n",
        "            pass\n",
        tests(FAULTS),
        ("test_a_subscription_that_says_nothing_any_more",),
    ),
    Mutation(
        "a buffer without room is a silent server",
        "drivers/tidegate_drivers/opcua/delivery.py",
        "            if publisher.busy:\n",
        "            if False:\n",
        tests(TROUBLES),
        ("test_a_buffer_without_room",),
    ),
    Mutation(
        "nothing is asked of a server while nothing is told",
        "drivers/tidegate_drivers/opcua/connection.py",
        "                await self.alive()\n                missed = 0\n",
        "                missed = 0\n",
        tests(TROUBLES, FAULTS),
        ("test_a_buffer_without_room", "test_a_line_that_is_dead"),
    ),
    Mutation(
        "a subscription that stays silent is taken over for ever",
        "drivers/tidegate_drivers/opcua/takeover.py",
        " or one.tries >= TRIES_MAX:\n",
        ":\n",
        tests(LINES),
        ("test_a_service_that_is_never_answered",),
    ),
    Mutation(
        "marks that can't be read are no gap",
        "drivers/tidegate_drivers/opcua/delivery.py",
        "        since_us = 0 if kept else await asyncio.to_thread(self.marks.age_us)\n",
        "        since_us = 0\n",
        tests(NEXT),
        ("test_marks_that_cannot_be_read",),
    ),
    Mutation(
        "a mark counts what is not known to be committed",
        "drivers/tidegate_drivers/opcua/delivery.py",
        "pending[0][2] if pending else feed.place\n",
        "feed.place\n",
        tests(NEXT),
        ("test_a_mark_is_older",),
    ),
    Mutation(
        "groups that are no more leave their subscriptions",
        "drivers/tidegate_drivers/opcua/delivery.py",
        "                if mark.subscription and same_run(mark.started, connection.started):\n",
        "                if False:\n",
        tests(NEXT),
        ("test_a_group_that_is_no_more",),
    ),
    Mutation(
        "a server that can't subscribe is given up",
        "drivers/tidegate_drivers/opcua/subscription.py",
        "            if error.code not in READ_INSTEAD:\n",
        "            if True:\n",
        tests(FAULTS),
        ("test_a_server_that_cannot_subscribe",),
    ),
    Mutation(
        "a wrong clock is believed",
        "drivers/tidegate_drivers/opcua/framer.py",
        "            self._skew_us = off_us\n",
        "            self._skew_us = 0\n",
        tests(TROUBLES),
        ("test_a_clock_that_is_wrong",),
    ),
)
