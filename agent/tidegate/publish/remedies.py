"""Remedies: a fault on the way to a broker in one line that says what is wrong, and what to do about it."""

import errno
import socket
import ssl

from tidegate.publish.settings import Proxy, TargetSettings

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
NOT_YET_VALID, EXPIRED = 9, 10
MISMATCHES = frozenset({62, 64})  # of a name, of an IP address
UNTRUSTED = frozenset({2, 18, 19, 20, 21})
# MQTT 5, 2.4; those of MQTT 3.1.1 are told as these.
BAD_VERSION, BAD_CLIENT_ID, BAD_PASSWORD, NOT_AUTHORIZED, BAD_TOPIC = 0x84, 0x85, 0x86, 0x87, 0x90
UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL})
ACCESS_LIST = "allow it at the broker; `tidegate topics` prints the access list"


class NoTls(OSError):
    """The other side ended a TLS handshake as one does that speaks no TLS."""


class NoWebSocket(OSError):
    """The other side ended the opening of a WebSocket."""


def network(error: OSError, settings: TargetSettings) -> str:
    """What keeps us from the broker, or from the proxy before it."""
    said = (error.strerror or str(error)) + (f" ({error.filename})" if error.filename else "")
    remedy = _network_remedy(error, settings)
    return f"{said}: {remedy}" if remedy else said


def _network_remedy(error: OSError, settings: TargetSettings) -> str:
    first = Proxy.parse(settings.proxy) if settings.proxy else settings.address
    if isinstance(error, NoTls):
        return (
            f"no TLS is spoken at port {settings.address.port}; write the broker's TLS port, or mqtt:// for a plain one"
        )
    if isinstance(error, NoWebSocket):
        return f"no WebSocket is served at port {settings.address.port}; correct port and path, or write mqtt[s]://"
    if isinstance(error, socket.gaierror):
        return f"DNS has no address for {first.host}; correct the name, or look at the name server"
    if error.errno == errno.ECONNREFUSED:
        return f"nothing listens at {first.host}, port {first.port}; start it there, or correct the port"
    if error.errno in UNREACHABLE:
        return "there is no way to it; look at the network of this machine, and at `source` where one is set"
    return "name a file that is there" if error.errno == errno.ENOENT else ""


def tls(error: ssl.SSLError, settings: TargetSettings) -> str:
    """Why TLS did not come about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}: {_distrust(error.verify_code, settings)}"
    reason = error.reason or str(error)
    if reason == "KEY_VALUES_MISMATCH":
        return f"TLS: {reason}: `key` does not belong to `cert`; name the two that were made together"
    if reason in ("NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE", "PEM lib"):
        return f"TLS: {reason}: a file of `ca`, `cert` and `key` is not what it should be; name PEM files"
    if "ALERT" in reason:
        return f"TLS: {reason}: {_wants_certificate(settings)}"
    return f"TLS: {reason}: " + str(_network_remedy(NoTls(), settings))


def _distrust(code: int, settings: TargetSettings) -> str:
    if code == NOT_YET_VALID:
        return "look at the clock of this machine, and at the broker's"
    if code == EXPIRED:
        return "renew the broker's certificate (if the clock of this machine is right)"
    if code in MISMATCHES:
        return f"it is not for {settings.address.host}; write in url the name that it is for"
    if code in UNTRUSTED:
        known = f"{settings.ca}" if settings.ca else "this machine"
        return f"{known} does not know who signed it; name the authority's certificate in `ca`"
    return "have the broker's certificate put right"


def _wants_certificate(settings: TargetSettings) -> str:
    if settings.cert is None:
        return "it wants a certificate of ours; name it in `cert` and `key`"
    return f"it does not take our certificate ({settings.cert}); have one made by the authority that it trusts"


def silence(said: str, settings: TargetSettings) -> str:
    """Why a connection ended before the broker answered to CONNECT; `said` is what the socket's fault was called."""
    words = "ended the connection before it spoke MQTT"
    if settings.address.tls and "alert" in said:
        return f"{words} ({said.rpartition('] ')[2].partition(' (_ssl')[0]}): {_wants_certificate(settings)}"
    if settings.address.tls:
        wants = "wants a certificate (`cert` and `key`)" if settings.cert is None else "takes our certificate"
        return f"{words}: if it stays so, look at the port, and whether it {wants}"
    return f"{words}: if it stays so, look at the port (one for TLS wants mqtts://, one for WebSockets ws://)"


def connack(code: int, settings: TargetSettings) -> str:
    """What to do when a broker refuses CONNECT; "" where we don't know."""
    if code in (BAD_PASSWORD, NOT_AUTHORIZED):
        if not settings.user and settings.password is None:
            return "it wants to know who we are; set user and password"
        return f"user {settings.user!r} and its password are not those it knows, or may not use this client id"
    if code == BAD_VERSION:
        return f'it speaks no MQTT {settings.mqtt}; set mqtt = "{"3.1.1" if settings.mqtt == "5" else "5"}"'
    return "set another client_id" if code == BAD_CLIENT_ID else ""


def puback(code: int) -> str:
    """What to do when a broker refuses a message; "" where we don't know."""
    return {NOT_AUTHORIZED: ACCESS_LIST, BAD_TOPIC: "set another prefix"}.get(code, "")
