"""Checks messages against the shipped JSON Schemas. `check(topic, payload)` finds the schema by the topic.

from tests.schemas import check

check("tidegate/g1/cloud/live", payload)
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

KINDS = {
    "live": "data", "backlog": "data", "replay": "data", "head": "head", "status": "status", "request": "request",
    "answer": "answer", "receipt": "receipt",
}  # fmt: skip


@cache
def schema(kind: str) -> Draft202012Validator:
    """The validator of a kind of message: data, head, table, status, request, answer, receipt."""
    text = files("tidegate.publish.formats.schemas").joinpath(f"{kind}.json").read_text("utf-8")
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


def kind_of(topic: str) -> str:
    """Which schema a topic's messages follow. Raises KeyError for a topic that is none of a target's."""
    *_, before, leaf = topic.split("/")
    return "table" if before == "table" else KINDS[leaf]


def check(topic: str, payload: bytes) -> Any:
    """The message, parsed; raises AssertionError that names everything in it that is not as its schema says."""
    body = json.loads(payload.split(b"\n", 1)[0], parse_constant=_no_constant)
    faults = problems(topic, body)
    assert not faults, f"{topic}: " + "; ".join(faults[:10])
    return body


def problems(topic: str, body: Any) -> list[str]:
    """Everything in a parsed message that is not as its schema says."""
    return [f"{topic} {error.json_path}: {error.message[:200]}" for error in schema(kind_of(topic)).iter_errors(body)]


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")
