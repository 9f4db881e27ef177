"""What is broken on purpose of the ways to devices: who they are, and what may lie between their replies."""

from tests.campaigns.mutations_table import Mutation, tests

TRANSPORTS = (
    Mutation(
        "a Modbus device over TLS need not prove who it is",
        "drivers/tidegate_drivers/modbus/tls.py",
        "        context.minimum_version = ssl.TLSVersion.TLSv1_2\n",
        "        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n",
        tests("tests/drivers/test_modbus_tls.py"),
        ("test_a_device_is_believed_by_the_name", "test_an_authority_that"),
    ),
)
