"""What asyncua's server can be told to do wrong: refuse services, lose subscriptions, say nothing, count anew.

It knows nothing of the nodes. `Faults(server).commands()` are lines of own_server.py.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.uaprocessor import UaProcessor

Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]
SUFFIX = "Request_Encoding_DefaultBinary"
NAMES = {value: name.removesuffix(SUFFIX) for name, value in vars(ua.ObjectIds).items() if name.endswith(SUFFIX)}


class Faults:
    """Those of one server. A fault of a service lasts for so many of its requests; -1 is for ever."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._refused: dict[str, tuple[int, int]] = {}
        self._silent: dict[str, int] = {}
        self._came: Counter[str] = Counter()
        self._skew = timedelta()
        self._plug_in()

    def _plug_in(self) -> None:
        process, pop, faults = UaProcessor._process_message, InternalSubscription._pop_publish_result, self

        async def processed(processor: Any, typeid: Any, header: Any, sequence: Any, body: Any) -> Any:
            name = NAMES.get(typeid.Identifier, "")
            faults._came[name] += 1
            if faults._spend(faults._silent, name):
                return True
            code, times = faults._refused.get(name, (0, 0))
            if times:
                faults._refused[name] = code, times - 1
                raise ServiceError(code)
            return await process(processor, typeid, header, sequence, body)

        def popped(subscription: Any) -> Any:
            result = pop(subscription)
            result.NotificationMessage.PublishTime += faults._skew
            return result

        UaProcessor._process_message, InternalSubscription._pop_publish_result = processed, popped

    def _spend(self, of: dict[str, int], name: str) -> bool:
        left = of.get(name, 0)
        if left:
            of[name] = left - 1
        return bool(left)

    @property
    def _subscriptions(self) -> list[Any]:
        found = self._server.iserver.subscription_service.subscriptions.values()
        return [one for one in found if one.pub_request_callback is not None]

    def commands(self) -> dict[str, Command]:
        """By name."""
        return {
            "refuse": self._refuse, "silence": self._silence, "came": self._count, "end": self._end, "mute": self._mute,
            "delete_subscriptions": self._delete, "lose": self._lose, "number": self._number, "strange": self._strange,
            "publish_skew": self._publish_skew,
        }  # fmt: skip

    async def _refuse(self, asked: dict[str, Any]) -> None:
        self._refused[asked["service"]] = getattr(ua.StatusCodes, asked["code"]), asked.get("times", -1)

    async def _silence(self, asked: dict[str, Any]) -> None:
        self._silent[asked["service"]] = asked.get("times", -1)

    async def _count(self, _: dict[str, Any]) -> dict[str, Any]:
        return {"came": dict(self._came)}

    async def _end(self, _: dict[str, Any]) -> None:
        """Subscriptions end as one whose lifetime is over: their client is told, if it asks."""
        for one in self._subscriptions:
            one._triggered_statuschanges.append(ua.StatusCode(ua.StatusCodes.BadTimeout))
            request = one.pub_request_callback(one.data.SubscriptionId)
            if request is not None:
                await one.pub_result_callback(one._pop_publish_result(), request)
        await self._delete({})

    async def _delete(self, _: dict[str, Any]) -> None:
        ids = [one.data.SubscriptionId for one in self._subscriptions]
        await self._server.iserver.subscription_service.delete_subscriptions(ids)

    async def _mute(self, _: dict[str, Any]) -> None:
        for one in self._subscriptions:
            one._task.cancel()

    async def _lose(self, _: dict[str, Any]) -> None:
        for one in self._subscriptions:
            one._not_acknowledged_results.clear()

    async def _number(self, asked: dict[str, Any]) -> None:
        for one in self._subscriptions:
            one._notification_seq = asked["at"]

    async def _strange(self, _: dict[str, Any]) -> None:
        """A message of a subscription that nobody knows."""
        for one in self._subscriptions:
            result = ua.PublishResult()
            result.SubscriptionId, result.NotificationMessage.SequenceNumber = 999_999, 7
            result.NotificationMessage.NotificationData = [ua.DataChangeNotification()]
            await self._answer(one, result)

    async def _answer(self, one: Any, result: Any) -> None:
        request = one.pub_request_callback(one.data.SubscriptionId)
        if request is not None:
            await one.pub_result_callback(result, request)

    async def _publish_skew(self, asked: dict[str, Any]) -> None:
        self._skew = timedelta(milliseconds=asked["ms"])
