"""All benchmarks: figures for people last, JSON lines in build/bench.jsonl; exits 1 when the chain costs too much."""

import argparse
import sys

from tests.bench import chain, stages
from tests.bench.figures import LINES, keep


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", choices=("chain", "stages"))
    given = parser.parse_args()
    LINES.unlink(missing_ok=True)
    figures, cheap = ([], True) if given.only == "stages" else chain.measure()
    if given.only != "chain":
        figures = [*stages.measure(), *figures]
    print(f"bench: figures as JSON lines in {LINES}")
    keep(figures)
    if not cheap:
        print(f"  FAIL  the whole chain costs more than 1/{chain.RATIO_MIN:.0f} of the usual way")
    sys.exit(0 if cheap else 1)


if __name__ == "__main__":
    main()
