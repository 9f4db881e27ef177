"""Credentials: whether the files that a target shows or trusts in TLS still hold what it last connected with."""

from hashlib import sha256

from tidegate.publish.settings import TargetSettings


def fingerprint(settings: TargetSettings) -> bytes:
    """Of the contents of `ca`, `cert` and `key`. Raises OSError when one of them can't be read."""
    digest = sha256()
    for path in (settings.ca, settings.cert, settings.key):
        digest.update(sha256(path.read_bytes()).digest() if path is not None else b"-")
    return digest.digest()
