"""Fills in `${env:NAME}` and `${credential:NAME}`. A credential becomes a Secret and nothing else ever does.

Credentials are files: in $CREDENTIALS_DIRECTORY (systemd's LoadCredential), else in the folder `credentials` beside
the configuration. They are looked up when the configuration is loaded, and no message ever repeats one.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from tidegate.config.quantities import Unfit
from tidegate.secret import Secret

CREDENTIAL_BYTES_MAX = 64 * 1024
CREDENTIALS_DIRECTORY = "CREDENTIALS_DIRECTORY"

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^{}]*)\}?")
_ENV = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
_CREDENTIAL = re.compile(r"credential:([A-Za-z0-9_][A-Za-z0-9_.-]*)")


class Placeholders:
    """What placeholders stand for: the environment, and the credentials beside a configuration."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env = env
        self._folder = folder

    def fill(self, text: str) -> str:
        """`text` with every `${env:NAME}` filled in; `$${` stands for `${` itself. Raises Unfit."""
        return _PLACEHOLDER.sub(self._variable, text)

    def secret(self, text: str) -> Secret:
        """The secret that `text` is a placeholder of; a secret written out is refused. Raises Unfit."""
        found = _PLACEHOLDER.fullmatch(text)
        if found and found[1] is not None:
            if (credential := _CREDENTIAL.fullmatch(found[1])) and text.endswith("}"):
                return Secret(self._credential(credential[1]), lambda: self._again(credential[1]), text)
            return Secret(self._variable(found), placeholder=text)
        raise Unfit(
            "a secret stands in the file",
            'Put it into a file `credentials/NAME` (mode 0600) beside this one, and write "${credential:NAME}" here',
        )

    def _variable(self, found: re.Match[str]) -> str:
        if found[1] is None:
            return "${"
        name = _ENV.fullmatch(found[1])
        if _CREDENTIAL.fullmatch(found[1]):
            raise Unfit(f"{found[0]} stands where no secret belongs", "Credentials can be used for passwords only")
        if name is None or not found[0].endswith("}"):
            raise Unfit(f"{found[0]!r} is no placeholder", "Write ${env:NAME} or ${credential:NAME}; $${ is a plain ${")
        if name[1] not in self._env:
            raise Unfit(f"the environment has no {name[1]}", f"Set {name[1]}, or write the value here")
        return self._env[name[1]]

    def _again(self, name: str) -> str | None:
        try:
            return self._credential(name)
        except Unfit:
            return None

    def _credential(self, name: str) -> str:
        given = self._env.get(CREDENTIALS_DIRECTORY)
        folder = Path(given) if given else self._folder / "credentials"
        # systemd owns its folder and grants the service's user by an ACL, which shows as the group's bits.
        forbidden = stat.S_IRWXO if given else stat.S_IRWXO | stat.S_IRWXG
        path = folder / name
        try:
            # Without waiting: a named pipe of that name would hold up the start for ever.
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if not stat.S_ISREG(mode):
                    raise Unfit(f"{path} is not a file", "Put the secret into a file of that name")
                if mode & forbidden:
                    raise Unfit(f"others may read {path} (mode {stat.S_IMODE(mode):04o})", f"Run: chmod 600 {path}")
                data = file.read(CREDENTIAL_BYTES_MAX + 1)
        except OSError as error:
            raise Unfit(f"{path} can't be read: {error.strerror}", "Put the secret into it, mode 0600") from None
        if len(data) > CREDENTIAL_BYTES_MAX:
            raise Unfit(f"{path} is larger than {CREDENTIAL_BYTES_MAX:,} bytes", "It should hold the secret alone")
        try:
            text = data.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise Unfit(f"{path} is not UTF-8 text", "It should hold the secret alone") from None
        if not text:
            raise Unfit(f"{path} is empty", "Put the secret into it")
        return text
