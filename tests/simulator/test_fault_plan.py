"""A plan of faults is read strictly, and what is wrong with it is one sentence: file, line, the nearest verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from repartee.errors import ConfigError
from repartee.simulator.faults import Fault, Match, Plan, read_plan
from repartee.simulator.faults.arguments import VERBS, Stall, Status
from repartee.simulator.faults.plan import parse_plan, served

WHOLE = """\
seed: 7
faults:
  - status: {code: 429, retry_after_s: 2}
    match: {stage: llm, provider: openai, path: /v1/chat/*}
    from: 3
    until: 5
    probability: 0.5
  - stall: {after: 5, for_s: 10}
    match: {stage: llm}
    count: 2
  - refuse:
"""


def test_a_whole_plan_is_read() -> None:
    plan = parse_plan(WHOLE)
    status, stall, refuse = plan.faults
    assert plan.seed == 7
    assert status.arguments == Status(code=429, retry_after_s=2)
    assert status.match == Match("llm", "openai", "/v1/chat/*")
    assert (status.first, status.last, status.probability) == (3, 5, 0.5)
    assert stall.arguments == Stall(after=5, for_s=10)
    assert (stall.first, stall.last) == (1, 2)
    assert (refuse.verb, refuse.first, refuse.last, refuse.match) == ("refuse", 1, None, Match())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("faults:\n  - stal: {for_s: 1}\n", "p:2: there is no 'stal' in a fault; did you mean 'stall'?"),
        ("faults:\n  - stall: {fors: 1}\n", "p:2: 'stall' needs 'for_s'"),
        ("faults:\n  - stall: {for_s: 1, afer: 2}\n", "p:2: 'stall' has no 'afer'; did you mean 'after'?"),
        (
            "faults:\n  - stall:\n      for_s: 1\n      after: x\n",
            "p:4: 'after' of 'stall': input should be a valid",
        ),
        ("faults:\n  - status: 500\n", "p:2: 'status' takes a mapping of code, retry_after_s, not 500"),
        ("faults:\n  - status: {code: 200}\n", "p:2: 'code' of 'status': input should be greater than"),
        (
            "faults:\n  - corrupt: {what: jsn}\n",
            "p:2: 'what' of 'corrupt' cannot be 'jsn'; did you mean 'json'?",
        ),
        ("faults:\n  - refuse: {of: request}\n", "p:2: 'of' of 'refuse' cannot be 'request'"),
        ("faults:\n  - reset_after: {}\n", "p:2: 'reset_after' needs one of 'bytes' and 'share'"),
        (
            "faults:\n  - refuse:\n    silent:\n",
            "p:2: a fault is one verb, this has 'refuse' and 'silent'; write two",
        ),
        ("faults:\n  - from: 2\n", "p:2: a fault needs a verb: refuse, tls_fail"),
        (
            "faults:\n  - refuse:\n    match:\n      stage: sst\n",
            "p:4: there is no stage 'sst'; did you mean 'stt'?",
        ),
        (
            "faults:\n  - refuse:\n    match: {providr: x}\n",
            "p:3: there is no 'providr' in 'match'; did you mean",
        ),
        (
            "faults:\n  - refuse:\n    match: {provider: opnai}\n",
            "p:3: there is no provider 'opnai'; did you mean",
        ),
        (
            "faults:\n  - refuse:\n    from: 3\n    until: 2\n",
            "p:2: requests are counted from 1: from 3 to 2",
        ),
        (
            "faults:\n  - refuse:\n    count: 1\n    until: 2\n",
            "p:2: a fault has 'until' or 'count', not both",
        ),
        ("faults:\n  - refuse:\n    probability: 2\n", "p:3: 'probability' is from 0 to 1, not 2"),
        ("faults:\n  - refuse:\n    from: two\n", "p:3: 'from' is a whole number, not 'two'"),
        ("faults:\n  - refuse:\n    from: 1\n    from: 2\n", "p:4: 'from' is given twice"),
        ("faults: {refuse: }\n", "p:1: 'faults' is a list, as in"),
        ("seed: 1\n", "p:1: 'faults' is missing"),
        ("fault: []\n", "p:1: there is no 'fault' in a plan of faults; did you mean 'faults'?"),
        ("- refuse:\n", "p:1: a plan of faults is a mapping of seed, faults"),
        ("faults: [\n", "p:2: not valid YAML: "),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_plan(text, "p")
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)


def test_a_plan_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the plan of faults .* cannot be read"):
        read_plan(tmp_path / "none.yaml")


def test_paths_tell_what_a_request_is_for() -> None:
    assert served("/v1/audio/transcriptions") == ("stt", "openai")
    assert served("/v1/realtime?intent=transcription") == ("stt", "openai-realtime")
    assert served("/v1/realtime?model=gpt-realtime") == ("llm", "openai-realtime")
    assert served("/v1/chat/completions") == ("llm", "openai")
    assert served("/v1/text-to-speech/abc/multi-stream-input") == ("tts", "elevenlabs")
    assert served("/tts/websocket") == ("tts", "cartesia")
    assert served("/v1/models") == (None, "")
    assert not Match(stage="tts").fits("/v1/models")
    assert Match(path="/v1/*").fits("/v1/models")
    assert Match(stage="llm", path="*/realtime").fits("/v1/realtime?model=gpt-realtime")


def test_who_is_hit_depends_on_seed_and_number_alone() -> None:
    def hit(seed: int) -> list[int]:
        fault = Fault("refuse", VERBS["refuse"](), probability=0.3)
        plan = Plan((fault,), seed)
        return [n for n in range(1, 1001) if fault.hits(n, plan.chance(0, n))]

    assert hit(1) == hit(1)
    assert hit(1) != hit(2)
    assert 240 < len(hit(1)) < 360
