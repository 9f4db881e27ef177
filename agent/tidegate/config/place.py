"""Finds the state folder that a command is about: given itself, or by the configuration that names it.

It reads no more of the configuration than that, so that a gateway can be asked while somebody edits its tables.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tidegate.config.files import read_bounded
from tidegate.config.placeholders import Placeholders
from tidegate.config.quantities import Unfit
from tidegate.errors import ConfigError, Problem

HOW = 'Name the state folder, or a configuration with [gateway] state = "/var/lib/tidegate"'


def state_folder(place: Path, env: Mapping[str, str] = os.environ) -> Path:
    """The state folder of `place`: itself when it is a folder, else as that TOML file says. Raises ConfigError."""
    # Unlike the path's own question, this one is False where the user may not even look.
    if os.path.isdir(place):
        return place
    try:
        state = tomllib.loads(read_bounded(place).decode("utf-8-sig"))["gateway"]["state"]
        if not isinstance(state, str) or not state:
            raise Unfit("gateway.state is not text", HOW)
        return place.parent / Placeholders(env, place.parent).fill(state)
    except Unfit as unfit:
        problem = Problem(str(place), "", unfit.what.removeprefix(f"{place} "), unfit.remedy)
    except (KeyError, TypeError):
        problem = Problem(str(place), "", "it names no state folder", HOW)
    except ValueError as error:
        problem = Problem(str(place), "", f"it is no TOML ({error})", HOW)
    raise ConfigError([problem])
