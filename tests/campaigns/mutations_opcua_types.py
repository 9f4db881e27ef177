"""What is broken on purpose of OPC UA's types: values, structures, definitions, and what is written."""

from tests.campaigns.mutations_table import Mutation, tests

DRIVER = "drivers/tidegate_drivers/opcua"
VALUES = "tests/drivers/opcua/test_values.py"
STRUCTURES = "tests/drivers/opcua/test_structures.py"
ENCODE = "tests/drivers/opcua/test_encode.py"

TWO_WAYS = "tests/drivers/opcua/test_two_ways.py"

OPCUA_TYPES = (
    Mutation(
        "what fits a tag depends on the way that a value goes",
        f"{DRIVER}/values.py",
        "WIDTH[kind] > WIDTH[Type(wire)]",
        "WIDTH[kind] >= WIDTH[Type(wire)]",
        tests(f"{TWO_WAYS}::test_a_number_is_the_same_in_a_tag_of_each_type"),
        ("test_a_number_is_the_same_in_a_tag_of_each_type",),
    ),
    Mutation(
        "a number that a tag can't hold arrives as another one",
        f"{DRIVER}/values.py",
        "and (content >= 0 or kind in SIGNED)",
        "and True",
        tests(f"{VALUES}::test_what_does_not_fit_a_tag_is_no_number"),
        ("test_what_does_not_fit_a_tag_is_no_number",),
    ),
    Mutation(
        "a large whole number is rounded into a float64",
        f"{DRIVER}/values.py",
        "whole and abs(content) <= FLOAT64_INTEGERS",
        "whole",
        tests(f"{VALUES}::test_what_does_not_fit_a_tag_is_no_number"),
        ("test_what_does_not_fit_a_tag_is_no_number",),
    ),
    Mutation(
        "a Bad value comes with a number",
        f"{DRIVER}/values.py",
        "    if is_bad(sample.status):\n",
        "    if False:\n",
        tests(f"{VALUES}::test_a_bad_status_is_kept_whole_and_comes_without_a_value"),
        ("test_a_bad_status_is_kept_whole_and_comes_without_a_value",),
    ),
    Mutation(
        "an array of no bytes fills the memory",
        f"{DRIVER}/wire.py",
        "        if self.left < 0:\n",
        "        if False:\n",
        tests(f"{VALUES}::test_the_limit_on_values_is_that_of_one_reading"),
        ("test_the_limit_on_values_is_that_of_one_reading",),
    ),
    Mutation(
        "dimensions that do not fit their array are taken",
        f"{DRIVER}/wire.py",
        "        if found and prod(found) != count:\n",
        "        if False:\n",
        tests(f"{VALUES}::test_a_variant_that_contradicts_itself_is_none"),
        ("test_a_variant_that_contradicts_itself_is_none",),
    ),
    Mutation(
        "a structure whose definition is another one gives wrong fields",
        f"{DRIVER}/structures.py",
        "        if reader.at != reader.end:\n",
        "        if False:\n",
        tests(f"{STRUCTURES}::test_a_body_that_is_not_as_defined_is_no_value"),
        ("test_a_body_that_is_not_as_defined_is_no_value",),
    ),
    Mutation(
        "optional fields that are not defined are passed over",
        f"{DRIVER}/structures.py",
        "        if mask:\n            raise",
        "        if False:\n            raise",
        tests(f"{STRUCTURES}::test_a_body_that_is_not_as_defined_is_no_value"),
        ("test_a_body_that_is_not_as_defined_is_no_value",),
    ),
    Mutation(
        "structures in structures go down without an end",
        f"{DRIVER}/plain.py",
        "    if depth > DEPTH_MAX:\n",
        "    if False:\n",
        tests(f"{STRUCTURES}::test_structures_that_hold_themselves_have_an_end_though_each_has_a_body_of_its_own"),
        ("test_structures_that_hold_themselves_have_an_end_though_each_has_a_body_of_its_own",),
    ),
    Mutation(
        "two servers share what one of them said of its types",
        f"{DRIVER}/structures.py",
        "    encodings: dict[Identifier, Identifier] = field(default_factory=dict)\n",
        "    encodings: dict[Identifier, Identifier] = field(default_factory=dict)\n"
        "    shared = {}\n"
        "    def __post_init__(self):\n"
        "        self.structures = self.shared\n",
        tests(f"{STRUCTURES}::test_types_of_a_server_that_clash_with_those_of_another_are_its_own"),
        ("test_types_of_a_server_that_clash_with_those_of_another_are_its_own",),
    ),
    Mutation(
        "a field whose value comes with its type is read as if it came without",
        f"{DRIVER}/definitions.py",
        "not (any_structure or subtyped)",
        "not any_structure",
        tests("tests/drivers/opcua/test_definitions.py"),
        ("test_fields_are_of_the_types_that_their_data_types_come_down_to",),
    ),
    Mutation(
        "a type that is met only in a value stays unknown",
        f"{DRIVER}/definitions.py",
        "    wanted = sorted(types.unknown - types.asked, key=str)\n",
        "    wanted = []\n",
        tests(f"{STRUCTURES}::test_a_type_that_is_met_only_in_a_value_is_asked_for"),
        ("test_a_type_that_is_met_only_in_a_value_is_asked_for",),
    ),
    Mutation(
        "a dictionary may define entities that unfold",
        f"{DRIVER}/dictionary.py",
        'or "<!" in text',
        "or False",
        tests(f"{STRUCTURES}::test_a_dictionary_that_unfolds_is_none"),
        ("test_a_dictionary_that_unfolds_is_none",),
    ),
    Mutation(
        "a name that two values of an enumeration have writes one of them",
        f"{DRIVER}/encode.py",
        "    if len(found) == 1:\n",
        "    if found:\n",
        tests(f"{ENCODE}::test_a_name_that_an_enumeration_does_not_have_or_has_twice_is_refused"),
        ("test_a_name_that_an_enumeration_does_not_have_or_has_twice_is_refused",),
    ),
    Mutation(
        "a number outside of the node's type is written",
        f"{DRIVER}/encode.py",
        "or not low <= exact <= high:",
        "or False:",
        tests(f"{ENCODE}::test_what_can_not_be_held_is_refused_with_words"),
        ("test_what_can_not_be_held_is_refused_with_words",),
    ),
)
