"""What is not as the format says proves nothing, and is refused aloud."""

import json

import pytest

from tests.proof.messages import answer, data, gap, head, proof_of
from tidegate.proof import Proof, ProofError, UnknownVersion


@pytest.mark.parametrize("version", [0, 2, "1", None, True])
def test_an_unknown_version_is_refused_aloud(version: object) -> None:
    proof, message = Proof(), json.dumps(json.loads(data(1, 4)) | {"v": version}).encode()

    with pytest.raises(UnknownVersion, match="this reader knows version 1"):
        proof.take(message, 0.0)
    assert (1, ()) == (proof.report(0).refused, proof.report(0).epochs)


def test_a_message_of_another_gateway_is_refused() -> None:
    with pytest.raises(ProofError, match="a message of g2/cloud; this is the proof of g1/cloud"):
        proof_of(data(1, 1), data(1, 1, gw="g2"))


WRONG = {
    "no JSON": b"{",
    "no object": b"[1]",
    "nested too deep": b"[" * 100_000,
    "no numbers": b'{"v":1,"gw":"g1","target":"cloud","epoch":"e","lane":"live","frames":[],"gaps":[]}',
    "backwards": data(1, 4).replace(b'"from": 1', b'"from": 9'),
    "a foreign number": data(1, 4).replace(b'"seq": 2', b'"seq": 7'),
    "a number that is a text": data(1, 4).replace(b'"to": 4', b'"to": "4"'),
    "a number that is true": data(1, 1).replace(b'"to": 1', b'"to": true'),
    "a number too large": data(1, 4).replace(b'"last": 4', b'"last": 9007199254740992'),
    "a part of none": data(1, 1, part=(1, 1)).replace(b'"part": [1, 1]', b'"part": [1, 0]'),
    "part without end": data(1, 1, part=(1, 1)).replace(b'"part": [1, 1]', b'"part": [1, 99999999]'),
    "a gap of nothing": data(1, 1, gaps=(gap(1),)).replace(b'"n": 40', b'"n": null'),
    "a range of three": answer(gone=(("lost", 1, 2),)).replace(b"[1, 2]", b"[1, 2, 3]"),
    "a value too few": data(1, 1).replace(b'"v": [1, 1]', b'"v": [1]'),
    "a status too few": data(1, 1).replace(b'"v": [1, 1]', b'"v": [1, 1], "st": [0]'),
    "frames that are a number": data(1, 1).replace(b'"frames": [{', b'"frames": 5, "x": [{', 1),
}


@pytest.mark.parametrize("message", WRONG.values(), ids=WRONG)
def test_what_is_not_as_the_format_says_changes_nothing(message: bytes) -> None:
    proof = proof_of(head(9), data(7, 9))
    before = json.loads(proof.save())

    with pytest.raises(ProofError):
        proof.take(message, 0.0)
    before["counts"]["refused"] += 1
    assert before == json.loads(proof.save())


@pytest.mark.parametrize("body", [b'{"v":1,"online":true}', b'{"id":1,"epoch":"e","want":[]}', b'{"v":1,"dev":"m"}'])
def test_other_messages_of_a_target_prove_nothing_and_disturb_nothing(body: bytes) -> None:
    assert not Proof().take(body, 0.0).new


@pytest.mark.parametrize("state", ["", "{}", '{"v":2}', '{"v":1,"gw":"g","target":"t","counts":{}}', "[]"])
def test_a_state_that_is_none_is_refused(state: str) -> None:
    with pytest.raises(ProofError):
        Proof.load(state)


def test_the_proof_of_another_target_is_not_merged() -> None:
    with pytest.raises(ProofError, match="this is the proof of g1/cloud"):
        proof_of(data(1, 1)).merge(proof_of(data(1, 1, gw="g2")))
