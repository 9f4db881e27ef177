"""OPC UA servers of two makes as real processes, and what was read of each and proven: how many checks, and which hold.

    python -m tests.campaigns.interop_opcua

The servers are npm node-opcua (with its conformance address space and secured endpoints) and asyncua's own. The checks
are tests, which CI runs too; this says what was checked against whom.
"""

import sys
import time

from tests.campaigns.interop import Peer, judge, run

FOLDER = "tests/drivers/opcua"

PEERS = (
    Peer("node-opcua, every variable of its conformance address space", f"{FOLDER}/test_conformance.py"),
    Peer("asyncua, every built-in type", f"{FOLDER}/test_values.py", "from_a_server_over_its_socket"),
    Peer("node-opcua, every change of its counters, over kills and lost connections", f"{FOLDER}/test_delivery.py"),
    Peer("node-opcua, counters told and read in cycles", f"{FOLDER}/test_both_servers.py", "node-opcua"),
    Peer("asyncua, counters told and read in cycles", f"{FOLDER}/test_both_servers.py", "asyncua"),
    Peer("node-opcua, structures, unions, enumerations", f"{FOLDER}/test_structures.py", "node_opcua"),
    Peer("asyncua, structures, unions, enumerations", f"{FOLDER}/test_structures.py", "asyncua_server"),
    Peer("node-opcua, units, ranges, types, access", f"{FOLDER}/test_metadata.py", "node_opcua"),
    Peer("asyncua, units, ranges, types, access", f"{FOLDER}/test_metadata.py", "asyncua_server"),
    Peer("node-opcua, variables selected by browsing", f"{FOLDER}/test_wildcard.py", "node_opcua"),
    Peer("asyncua, variables selected by browsing", f"{FOLDER}/test_wildcard.py", "asyncua_server"),
    Peer("asyncua, addresses by URI and by path, re-indexed", f"{FOLDER}/test_resolve.py"),
    Peer("node-opcua, events", f"{FOLDER}/test_events.py", "node-opcua"),
    Peer("node-opcua, alarms", f"{FOLDER}/test_events.py", "an_alarm_tells"),
    Peer("asyncua, events", f"{FOLDER}/test_events.py", "asyncua"),
)


def main() -> None:
    """The command: see the module's text."""
    begun_s = time.monotonic()
    findings = judge(run(PEERS), PEERS)
    print(f"interop, OPC UA: {time.monotonic() - begun_s:.0f} s")
    print("\n".join(map(str, findings)))
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


if __name__ == "__main__":
    main()
