"""Loads a configuration in a process of its own, so that the memory which that takes is not a running gateway's.

    gateway ──▶ python -m tidegate.config.loading PATH ──▶ the Config, pickled ──▶ gateway
                                    └── its problems ──▶ ConfigError

No secret goes that way: its placeholder does, and the gateway fills it in by itself.
"""

import io
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tidegate.config.loaded import Config
from tidegate.config.placeholders import Placeholders
from tidegate.config.quantities import Unfit
from tidegate.errors import ConfigError, Problem, TidegateError
from tidegate.secret import Secret

# A list of 100,000 tags on a slow board takes a minute.
DEADLINE_S = 300.0


class NotLoaded(TidegateError):
    """The process that loads the configuration could not be started, or died; its own words are on stderr."""


class SecretlessPickler(pickle.Pickler):
    """Writes a secret's placeholder in its place."""

    def persistent_id(self, value: Any) -> str | None:
        """See the library."""
        return value.placeholder if isinstance(value, Secret) else None


class _Unpickler(pickle.Unpickler):
    """Fills secrets in."""

    def __init__(self, file: IO[bytes], placeholders: Placeholders) -> None:
        super().__init__(file)
        self._placeholders = placeholders

    def persistent_load(self, placeholder: str) -> Secret:
        """See the library. Raises Unfit when the secret is gone since it was looked at."""
        return self._placeholders.secret(placeholder)


def load_apart(path: Path, env: Mapping[str, str]) -> Config:
    """What `tidegate.config.load.load` gives. Raises ConfigError as it does, or NotLoaded."""
    # -P: what lies in the current folder is none of our modules.
    command = [sys.executable, "-P", "-m", "tidegate.config.loading", str(path)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=dict(env), timeout=DEADLINE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotLoaded(f"{path} could not be loaded: {error}") from error
    if done.returncode != 0:
        raise NotLoaded(f"{path} could not be loaded: the process that does so ended with {done.returncode}")
    try:
        found = _Unpickler(io.BytesIO(done.stdout), Placeholders(env, path.parent)).load()
    except Unfit as unfit:
        raise ConfigError([Problem(str(path), "", unfit.what, unfit.remedy)]) from None
    if isinstance(found, Config):
        return found
    raise ConfigError(found)
