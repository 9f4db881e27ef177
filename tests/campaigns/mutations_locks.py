"""What is broken on purpose of the locks of devices that are others than before."""

from tests.campaigns.mutations_table import Mutation, tests

LOCKS = (
    Mutation(
        "readings of a device that is not who was accepted are good",
        "agent/tidegate/acquire/inspection.py",
        "        return doubted(frame) if lock.why else frame\n",
        "        return frame\n",
        tests("tests/acquire/test_inspection.py"),
        ("test_no_reading_of_a_locked_device_is_good",),
    ),
    Mutation(
        "a device that comes back is not asked who it is",
        "agent/tidegate/acquire/lock.py",
        "        self.due = self.failed < FAILED_MAX\n",
        "        pass\n",
        tests("tests/acquire/test_inspection.py"),
        ("test_a_device_that_was_down_is_asked", "test_a_device_whose_bus_was_gone"),
    ),
    Mutation(
        "a restart forgets that a device was locked",
        "agent/tidegate/profiles/locks.py",
        "                if entry.found is not None:\n",
        "                if False and entry.found is not None:\n",
        tests("tests/profiles/test_locks.py"),
        ("test_a_locked_device_stays_so_over_a_restart",),
    ),
)
