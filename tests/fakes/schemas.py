"""The shipped JSON Schemas, for holding messages against them."""

import json
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

KINDS = {
    "live": "data", "backlog": "data", "replay": "data", "head": "head", "status": "status", "request": "request",
    "answer": "answer",
}  # fmt: skip
FOLDER = files("tidegate.publish.formats.schemas")
VALIDATORS = {
    kind: Draft202012Validator(json.loads((FOLDER / f"{kind}.json").read_text()))
    for kind in {*KINDS.values(), "table"}
}  # fmt: skip


def problems(topic: str, said: Any) -> list[str]:
    """What a message's schema finds wrong with it."""
    *_, before, leaf = topic.split("/")
    kind = "table" if before == "table" else KINDS[leaf]
    return [f"{topic}: {error.message[:200]}" for error in VALIDATORS[kind].iter_errors(said)]
