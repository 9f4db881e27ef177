"""An authority and a server's certificate for loopback, made anew in every run of the tests: no key lies in a file."""

import atexit
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import trustme


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: `authority` to trust, `server` with key and chain, `client` likewise and its key alone."""

    authority: Path
    server: Path
    client: Path
    client_key: Path


@cache
def certificates() -> Certificates:
    """Those of this run, for 127.0.0.1, ::1 and localhost."""
    folder = Path(mkdtemp(prefix="tidegate-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = Certificates(folder / "authority.pem", folder / "server.pem", folder / "client.pem", folder / "client.key")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made.authority))
    authority.issue_cert("127.0.0.1", "::1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(made.server))
    client = authority.issue_cert("gateway-7.example")
    client.private_key_and_cert_chain_pem.write_to_path(str(made.client))
    client.private_key_pem.write_to_path(str(made.client_key))
    return made
