"""All benchmarks: figures for people last, JSON lines in build/bench.jsonl; exits 1 when one is over its limit."""

import argparse
import sys
from collections.abc import Callable

from demo.child import ChildFailed
from tests.bench import chain, drain, flood, latency, memory, paced, stages, wear
from tests.bench.figures import LINES, Figure, keep

# Each gives its figures, and whether all are within their limits.
PARTS: dict[str, Callable[[], tuple[list[Figure], bool]]] = {
    "stages": lambda: (stages.measure(), True),
    "chain": chain.measure,
    "flood": flood.measure,
    "latency": latency.measure,
    "paced": paced.measure,
    "drain": drain.measure,
    "memory": memory.measure,
    "wear": wear.measure,
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", choices=sorted(PARTS), nargs="+", help="these parts instead of all")
    given = parser.parse_args()
    LINES.unlink(missing_ok=True)
    figures: list[Figure] = []
    failures: list[str] = []
    well = True
    for name, measure in PARTS.items():
        if given.only and name not in given.only:
            continue
        try:
            found, within = measure()
        except ChildFailed as failure:
            # The other parts have their figures all the same.
            failures.append(f"  FAIL  {name}: {failure}")
            continue
        figures += found
        well = well and within
    print(f"bench: figures as JSON lines in {LINES}")
    keep(figures)
    for line in failures:
        print(line)
    sys.exit(0 if well and not failures else 1)


if __name__ == "__main__":
    main()
