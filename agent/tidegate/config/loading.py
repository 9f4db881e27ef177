"""The process that loads a configuration for a gateway: `python -m tidegate.config.loading PATH`; see apart.py.

Its standard output is a pickle of the Config, or of the tuple of problems for which there is none.
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tidegate.config.apart import SecretlessPickler
from tidegate.config.load import load
from tidegate.errors import ConfigError


def main(path: Path, env: Mapping[str, str], out: BinaryIO) -> None:
    """Load, and hand over."""
    try:
        found = load(path, env)
    except ConfigError as error:
        SecretlessPickler(out, protocol=5).dump(error.problems)
        return
    SecretlessPickler(out, protocol=5).dump(found)


if __name__ == "__main__":
    # Ctrl-C is for the gateway, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(Path(sys.argv[1]), os.environ, sys.stdout.buffer)
