"""The line campaign: 32 RTU units at 19200 baud, 3 dead and 1 babbling, beside the same line without those four.

    python -m tests.campaigns.line [--hours 1] [--port-s 240] [--seed 7]

On virtual time, exact, and on pseudo terminals, real. The product's own poller and driver; in place of the port and its
units a wire on which two that talk at once are not understood. Exits 1 when a claim does not hold.
"""

import argparse
import asyncio
import logging
import random
import signal
import sys
import time
from random import Random

from tests.campaigns.checker import Finding
from tests.campaigns.line_play import BABBLE_S, BABBLING, BAD, Played, play_on_ports, play_virtually

KEEPS = 0.95
# On a full line each unit is due far more often than it can be read; with slack the line is busy for half of the time.
FULL_S, SLACK_S = 0.5, 2.5
# How often the babbling unit may talk on average, told beside the claim: what no gateway can help shows here.
OTHER_BABBLES_S = (5.0, 2.0, 1.0)
OTHER_S = 1200.0
HOURS, PORT_S = 1.0, 240.0


def judged(name: str, alone: Played, beside: Played) -> list[Finding]:
    """What a line with bad units showed beside one without."""
    share = beside.rate / alone.rate
    slowest = min(beside.by_unit[unit] / alone.by_unit[unit] for unit in alone.by_unit)
    wrong = alone.wrong + beside.wrong
    bad = ", ".join(f"{unit} {count}" for unit, count in sorted(beside.tried.items()))
    return [
        Finding(
            share >= KEEPS,
            f"{name}: healthy units read {beside.rate:.2f} times a second of {alone.rate:.2f} without the bad ones, "
            f"{share:.1%} (limit {KEEPS:.0%}); the one that lost most keeps {slowest:.1%}",
        ),
        Finding(not wrong, f"{name}: {wrong} wrong values of {alone.values + beside.values:,} of healthy units"),
        Finding(
            len(beside.tried) == len(BAD) and not beside.stayed_down,
            f"{name}: reads of bad units: {bad} ({beside.chanced} met what {BABBLING} babbled just then); "
            f"spoiled by {beside.babbles} babbles: {beside.spoiled}; "
            f"healthy units down at the end: {beside.stayed_down}",
        ),
    ]


def virtually(seed: int, hours: float) -> list[Finding]:
    """Both cases on virtual time, and what other babbling would cost."""
    findings = []
    for name, interval_s in (("full line", FULL_S), ("line with slack", SLACK_S)):
        alone = play_virtually(Random(seed), interval_s, hours * 3600, bad=False, babble_s=0.0)
        beside = play_virtually(Random(seed), interval_s, hours * 3600, bad=True, babble_s=BABBLE_S)
        findings += judged(f"{name} ({hours:g} h virtual)", alone, beside)
        for babble_s in OTHER_BABBLES_S if hours >= HOURS else ():
            other = play_virtually(Random(seed), interval_s, OTHER_S, bad=True, babble_s=babble_s)
            print(
                f"  {name}: with a babble each {babble_s:g} s instead of {BABBLE_S:g} s they would keep "
                f"{other.rate / alone.rate:.1%}, {other.wrong} wrong values",
                flush=True,
            )
            findings.append(Finding(not other.wrong, f"{name}, babbling each {babble_s:g} s: {other.wrong} wrong"))
    return findings


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.line")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    parser.add_argument("--hours", type=float, default=HOURS, help="of virtual time, each case")
    parser.add_argument("--port-s", type=float, default=PORT_S, help="so long on pseudo terminals, or 0")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # What is down is known here.
    logging.getLogger("tidegate").setLevel(logging.ERROR)
    print(f"line campaign: seed {given.seed}", flush=True)
    begin = time.monotonic()
    findings = virtually(given.seed, given.hours)
    if given.port_s:
        alone, beside = asyncio.run(play_on_ports(Random(given.seed), FULL_S, given.port_s))
        findings += judged(f"full line (pseudo terminals, {given.port_s:g} s)", alone, beside)
    print(f"line campaign, seed {given.seed}, {time.monotonic() - begin:.0f} s")
    print("\n".join(map(str, findings)), flush=True)
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


if __name__ == "__main__":
    main()
