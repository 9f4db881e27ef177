"""Answers of a server to Publish and Read, made up by Hypothesis and put into bytes by asyncua."""

from datetime import UTC, datetime

from asyncua import ua
from hypothesis import strategies as st

HANDLES = 8
# Types of slots by handle, with some that are none; a handle may have none either.
KINDS = st.lists(st.integers(0, 13), max_size=HANDLES).map(bytes)

_type = ua.VariantType
_moments = st.datetimes(datetime(1601, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
# Foreign text need not be UTF-8.
_texts = st.none() | st.text(max_size=12) | st.binary(max_size=6).map(lambda b: b.decode("utf-8", "surrogateescape"))
_plain = st.text(max_size=6)
_nodes = st.one_of(
    st.builds(ua.NodeId, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF), st.just(ua.NodeIdType.Numeric)),
    st.builds(ua.TwoByteNodeId, st.integers(0, 255)),
    st.builds(ua.FourByteNodeId, st.integers(0, 0xFFFF), st.integers(0, 255)),
    st.builds(ua.StringNodeId, _plain, st.integers(0, 0xFFFF)),
    st.builds(ua.GuidNodeId, st.uuids(), st.integers(0, 0xFFFF)),
    st.builds(ua.ByteStringNodeId, st.binary(max_size=6), st.integers(0, 0xFFFF)),
)
_expanded = st.builds(
    ua.ExpandedNodeId, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFF), st.just(ua.NodeIdType.Numeric),
    _plain, st.integers(0, 9),
)  # fmt: skip
_structures = st.one_of(
    st.builds(ua.Range, st.floats(allow_nan=False), st.floats(allow_nan=False)),
    st.builds(ua.ExtensionObject, st.just(ua.NodeId(3001, 4)), st.binary(min_size=1, max_size=9)),
)
_codes = st.sampled_from([0, 0, 0, 0x40900000, 0x80310000, 0x00000480, 0x803C0480, 0xFFFFFFFF])
_statuses = st.builds(ua.StatusCode, _codes)
_diagnostics = st.builds(
    ua.DiagnosticInfo,
    SymbolicId=st.none() | st.integers(-9, 9),
    Locale=st.none() | st.integers(-9, 9),
    AdditionalInfo=st.none() | _plain,
    InnerStatusCode=st.none() | _statuses,
)

SCALARS = {
    _type.Boolean: st.booleans(),
    _type.SByte: st.integers(-(1 << 7), (1 << 7) - 1),
    _type.Byte: st.integers(0, (1 << 8) - 1),
    _type.Int16: st.integers(-(1 << 15), (1 << 15) - 1),
    _type.UInt16: st.integers(0, (1 << 16) - 1),
    _type.Int32: st.integers(-(1 << 31), (1 << 31) - 1),
    _type.UInt32: st.integers(0, (1 << 32) - 1),
    _type.Int64: st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-(1 << 54), 1 << 54),
    _type.UInt64: st.integers(0, (1 << 64) - 1) | st.integers((1 << 53) - 2, (1 << 53) + 2),
    _type.Float: st.floats(width=32),
    _type.Double: st.floats(),
    _type.String: _texts,
    _type.DateTime: _moments,
    _type.Guid: st.uuids(),
    _type.ByteString: st.binary(max_size=9),
    _type.NodeId: _nodes,
    _type.ExpandedNodeId: _expanded,
    _type.StatusCode: _statuses,
    _type.QualifiedName: st.builds(ua.QualifiedName, _plain, st.integers(0, 0x7FFF)),
    _type.LocalizedText: st.builds(ua.LocalizedText, st.none() | _plain, st.none() | _plain),
    _type.ExtensionObject: _structures,
    _type.DataValue: st.builds(ua.DataValue, st.builds(ua.Variant, st.integers(0, 9), st.just(_type.Int16)), _statuses),
    _type.DiagnosticInfo: _diagnostics,
}


def _variant(kind: ua.VariantType) -> st.SearchStrategy[ua.Variant]:
    one = SCALARS[kind]
    some = st.lists(one, max_size=4)
    grid = st.lists(st.lists(one, min_size=2, max_size=2), min_size=2, max_size=2)
    return st.one_of(
        st.builds(ua.Variant, one, st.just(kind)),
        st.builds(ua.Variant, one, st.just(kind)),
        st.builds(ua.Variant, some, st.just(kind), is_array=st.just(True)),
        st.builds(ua.Variant, grid, st.just(kind)),
    )


VARIANTS = st.one_of(
    st.sampled_from([ua.Variant(), ua.Variant(None, _type.Int32, is_array=True)]),
    *[_variant(kind) for kind in SCALARS],
    st.lists(st.one_of(*[_variant(kind) for kind in (_type.Int16, _type.String)]), max_size=3).map(
        lambda inner: ua.Variant(inner, _type.Variant, is_array=True)
    ),
)


@st.composite
def data_values(draw: st.DrawFn) -> ua.DataValue:
    """A DataValue of any sort, each of its parts there or not."""
    value = ua.DataValue(
        draw(VARIANTS), draw(st.none() | _statuses), draw(st.none() | _moments), draw(st.none() | _moments)
    )
    if draw(st.integers(0, 9)) == 0:
        value.Value = None
    return value


@st.composite
def same_moments(draw: st.DrawFn) -> list[ua.DataValue]:
    """Values that a server took at one moment, as most do: the columns of that are constant."""
    moment, status = draw(_moments), draw(_statuses)
    return [
        ua.DataValue(variant, status, moment, draw(st.sampled_from([None, moment])))
        for variant in draw(st.lists(_variant(_type.Double), max_size=4))
    ]


VALUES = st.lists(data_values(), max_size=HANDLES) | same_moments()
_changes = st.builds(
    lambda values, handles, diagnostics: ua.DataChangeNotification(
        [ua.MonitoredItemNotification(handle, value) for handle, value in zip(handles, values, strict=False)],
        diagnostics,
    ),
    VALUES,
    st.lists(st.integers(0, HANDLES), min_size=HANDLES, max_size=HANDLES) | st.just(list(range(HANDLES))),
    st.lists(_diagnostics, max_size=1),
)
_events = st.builds(
    lambda values: ua.EventNotificationList([ua.EventFieldList(3, values)]), st.lists(VARIANTS, max_size=2)
)
_notifications = st.one_of(
    _changes, _changes, _events, st.builds(ua.StatusChangeNotification, _statuses, _diagnostics), _structures
)


@st.composite
def publish_responses(draw: st.DrawFn) -> ua.PublishResponse:
    """A PublishResponse: notifications of any sort, or none, and whatever else it may hold."""
    response = ua.PublishResponse()
    _fill_header(draw, response.ResponseHeader)
    told = response.Parameters
    told.SubscriptionId = draw(st.integers(0, 0xFFFFFFFF))
    told.AvailableSequenceNumbers = draw(st.lists(st.integers(0, 0xFFFFFFFF), max_size=3))
    told.MoreNotifications = draw(st.booleans())
    told.NotificationMessage.SequenceNumber = draw(st.integers(0, 0xFFFFFFFF))
    told.NotificationMessage.PublishTime = draw(_moments)
    told.NotificationMessage.NotificationData = draw(st.lists(_notifications, max_size=3))
    told.Results = draw(st.lists(_statuses, max_size=3))
    told.DiagnosticInfos = draw(st.lists(_diagnostics, max_size=2))
    return response


@st.composite
def read_responses(draw: st.DrawFn) -> ua.ReadResponse:
    """A ReadResponse."""
    response = ua.ReadResponse()
    _fill_header(draw, response.ResponseHeader)
    response.Results = draw(VALUES)
    response.DiagnosticInfos = draw(st.lists(_diagnostics, max_size=2))
    return response


def _fill_header(draw: st.DrawFn, header: ua.ResponseHeader) -> None:
    header.RequestHandle = draw(st.integers(0, 0xFFFFFFFF))
    header.ServiceResult = draw(st.sampled_from([ua.StatusCode(0)] * 9 + [ua.StatusCode(0x80250000)]))
    header.ServiceDiagnostics = draw(_diagnostics)
    header.StringTable = draw(st.lists(_plain, max_size=2))
