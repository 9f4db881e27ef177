"""The Modbus campaign: a hostile peer against the real driver, on virtual time and through sockets.

    python -m tests.campaigns.modbus 10000000 [--sockets 20000] [--seed 7] [--round 12]

The rounds on virtual time follow from seed and round alone, to the last byte. Exits 1 when a claim does not hold.
"""

import argparse
import random
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from demo.child import ChildFailed
from tests.campaigns.checker import Finding
from tests.campaigns.modbus_checker import Verdict
from tests.campaigns.modbus_sockets import campaign as through_sockets
from tests.campaigns.modbus_virtual import FAILURES_MAX, Round, play

# More than there are transaction numbers, so that a patient line uses all of them.
ROUND_REPLIES = 100_000
PROCESSES = 2
# Its pauses would cost all devices their pace. What there is comes from the clock's look at the kernel, once a second.
GARBAGE_MAX = 1.0
TELL_EVERY = 10
REPLIES, SOCKET_REPLIES = 10_000_000, 20_000


def rounds(replies: int) -> Iterator[tuple[int, int]]:
    """Index and size of each round."""
    for index, begin in enumerate(range(0, replies, ROUND_REPLIES)):
        yield index, min(ROUND_REPLIES, replies - begin)


def virtually(replies: int, seed: int, only: int | None) -> list[Finding]:
    """All rounds on virtual time, or one; what they showed."""
    wanted = list(rounds(replies)) if only is None else [(only, min(replies, ROUND_REPLIES))]
    begin, done = time.monotonic(), []
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        for played in pool.map(play, *zip(*[(seed, index, size) for index, size in wanted], strict=True)):
            done.append(played)
            if not len(done) % TELL_EVERY:
                print(f"  {len(done)} of {len(wanted)} rounds, {time.monotonic() - begin:.0f} s", flush=True)
    return judged(done, seed, time.monotonic() - begin)


def judged(done: list[Round], seed: int, took_s: float) -> list[Finding]:
    """Findings over rounds, after a table of what became of each kind of reply."""
    total = Verdict()
    for played in done:
        total.add(played.verdict)
    print(table(total))
    for played in done:
        verdict = played.verdict
        for sentence in verdict.told:
            print(f"    round {played.index}: {sentence}")
        if verdict.told or not played.lively or played.left_over:
            print(f"    again: python -m tests.campaigns.modbus {ROUND_REPLIES} --seed {seed} --round {played.index}")
    virtual_h = sum(played.virtual_s for played in done) / 3600
    connections = sum(played.connections for played in done)
    turned = sum(played.turned for played in done)
    garbage = sum(played.garbage for played in done) / max(1, total.replies)
    lively = sum(played.lively for played in done)
    left = [f"round {played.index}: {played.left_over}" for played in done if played.left_over]
    patient = any(played.index % 8 == 2 and played.verdict.replies >= ROUND_REPLIES for played in done)
    return [
        Finding(
            not total.wrong_values,
            f"{total.replies:,} replies on {connections:,} connections, {virtual_h:,.0f} hours in {took_s:.0f} s: "
            f"{total.wrong_values} wrong values accepted of {total.values:,}",
        ),
        Finding(not total.misjudged, f"{total.misjudged} replies became what their kind may not become"),
        Finding(turned > 0 or not patient, f"{turned:,} of them came a whole turn of transaction numbers too late"),
        Finding(
            lively == len(done),
            f"after {lively} of {len(done)} rounds an honest peer was read again: at most {FAILURES_MAX} failed reads, "
            "and all tags a minute later",
        ),
        Finding(
            garbage < GARBAGE_MAX,
            f"{garbage:.2f} objects a reply were left to the garbage collector (limit {GARBAGE_MAX:g})",
        ),
        Finding(not left, "; ".join(left) or "nothing was left: no tasks, timers, connections, links"),
    ]


def table(total: Verdict) -> str:
    """For each kind of reply, what became of how many questions."""
    kinds = sorted({kind for kind, _ in total.classes})
    lines = []
    for kind in kinds:
        found = sorted(((n, name) for (of, name), n in total.classes.items() if of == kind), reverse=True)
        lines.append(f"  {kind:34} {sum(n for n, _ in found):>9,}  " + ", ".join(f"{name} {n:,}" for n, name in found))
    return "\n".join(lines)


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.modbus")
    parser.add_argument("replies", type=int, nargs="?", default=REPLIES)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    parser.add_argument("--round", type=int, help="only this round, again")
    parser.add_argument("--sockets", type=int, default=SOCKET_REPLIES, help="so many replies through sockets, or 0")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    print(f"modbus campaign: {given.replies:,} replies, seed {given.seed}", flush=True)
    findings = virtually(given.replies, given.seed, given.round)
    if given.sockets and given.round is None:
        try:
            findings += through_sockets(given.seed, given.sockets)
        except ChildFailed as failure:
            findings.append(Finding(False, str(failure)))
    print(f"modbus campaign, seed {given.seed}")
    print("\n".join(map(str, findings)), flush=True)
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


if __name__ == "__main__":
    main()
