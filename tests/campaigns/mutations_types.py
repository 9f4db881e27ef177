"""What is broken on purpose of types: dates, arrays, and the names of values and bits."""

from tests.campaigns.mutations_table import Mutation, tests

TYPES = (
    Mutation(
        "an hour that a place has twice is told as if it were sure",
        "drivers/tidegate_drivers/modbus/dates.py",
        "GOOD if sure else UNCERTAIN",
        "GOOD",
        tests("tests/drivers/test_modbus_dates.py"),
        ("test_a_time_that_a_place_has_twice_or_never",),
    ),
    Mutation(
        "a date that is none arrives as a good number",
        "drivers/tidegate_drivers/modbus/columns.py",
        "            marks.append((slot, mark))\n",
        "            pass\n",
        tests("tests/drivers/test_modbus_dates.py"),
        ("test_a_date_that_is_none_is_bad_in_its_frame",),
    ),
    Mutation(
        "the time of a place is taken for UTC where the device has no time zone",
        "drivers/tidegate_drivers/modbus/tags.py",
        "            if point.layout is not None and point.layout.local and not ",
        "            if False and not ",
        tests("tests/drivers/test_modbus_dates.py"),
        ("test_a_date_time_that_can_not_be_read_is_told",),
    ),
    Mutation(
        "all elements of an array lie where the first one does",
        "drivers/tidegate_drivers/modbus/tags.py",
        "first + element * (step or size)",
        "first",
        tests("tests/config/test_arrays.py"),
        ("test_elements_lie_one_after_the_other",),
    ),
    Mutation(
        "tables without names are others than they were before there were names",
        "agent/tidegate/model/names.py",
        "for key, named in both.items() if named}",
        "for key, named in both.items()}",
        tests("tests/model/test_tag_table.py"),
        ("test_the_document_has_the_keys_of_the_wire_format",),
    ),
)
