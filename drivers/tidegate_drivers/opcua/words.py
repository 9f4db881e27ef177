"""Words: what a server said, or did not, for people; and which of our errors it is."""

import asyncio

from asyncua import ua

from tidegate.errors import DriverError, InvalidReply, NotConnected, Refused

# The server gave up a session, a channel or all subscriptions: nothing goes on over this connection.
LOST_CODES = frozenset(
    {
        ua.StatusCodes.BadSessionIdInvalid,
        ua.StatusCodes.BadSessionClosed,
        ua.StatusCodes.BadSessionNotActivated,
        ua.StatusCodes.BadSecureChannelClosed,
        ua.StatusCodes.BadSecureChannelIdInvalid,
        ua.StatusCodes.BadSecureChannelTokenUnknown,
        ua.StatusCodes.BadConnectionClosed,
        ua.StatusCodes.BadServerHalted,
        ua.StatusCodes.BadShutdown,
    }
)
REMEDIES = {
    ua.StatusCodes.BadUserAccessDenied: "give its user the right to it, or check user and password",
    ua.StatusCodes.BadIdentityTokenRejected: "check user and password, or the user's certificate",
    ua.StatusCodes.BadIdentityTokenInvalid: "it may not offer this kind of user: `tidegate scan` shows what it offers",
    ua.StatusCodes.BadSecurityChecksFailed: "it may not trust the gateway's certificate yet: accept it at the server",
    ua.StatusCodes.BadCertificateUntrusted: "it does not trust the gateway's certificate: accept it at the server",
    ua.StatusCodes.BadTooManySessions: "it takes no more sessions: close some, or raise its limit",
    ua.StatusCodes.BadServiceUnsupported: "it can't do that",
    ua.StatusCodes.BadTcpEndpointUrlInvalid: "it does not know the path of this address",
}


def status_word(code: int) -> str:
    """A StatusCode as the standard spells it."""
    return str(ua.StatusCode(code).name)


def service_error(code: int) -> Exception:
    """What asyncua raises for a service that failed with this StatusCode."""
    error: Exception = ua.UaStatusCodeError(code)
    return error


def is_service_error(error: BaseException) -> bool:
    """Whether a server refused a service."""
    return isinstance(error, ua.UaStatusCodeError)


def words(error: BaseException) -> str:
    """What went wrong, in one line, with what to do where that is known."""
    if isinstance(error, ua.UaStatusCodeError):
        code = ua.StatusCode(error.code)
        remedy = REMEDIES.get(error.code)
        return f"{code.name}{f': {remedy}' if remedy else ''}"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "it did not answer in time"
    return str(error) or type(error).__name__


def driver_error(device: str, error: Exception) -> DriverError:
    """The error of ours that something raised by a request is."""
    if isinstance(error, DriverError):
        return error
    if isinstance(error, ua.UaStatusCodeError):
        if error.code in LOST_CODES:
            return NotConnected(device, words(error))
        return Refused(device, words(error), error.code)
    if isinstance(error, (TimeoutError, asyncio.TimeoutError, OSError)):
        return NotConnected(device, words(error))
    return InvalidReply(device, f"its answer could not be read: {words(error)}")
