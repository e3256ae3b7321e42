"""The team of an agent file: who may be given the call, and what is said about a file that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from repartee.agent import load_agent, team_of
from repartee.agent.team import pass_name, takes_over_line
from repartee.errors import ConfigError

BILLING = "name: Billing\npersona: You are the billing desk.\ngreeting: Billing, hello.\n"
RECEPTION = "name: Reception\npersona: You are the reception.\ngreeting: Hello.\n"


def write(folder: Path, team: str, **others: str) -> Path:
    for name, text in {"billing": BILLING, **others}.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    file = folder / "reception.yaml"
    file.write_text(RECEPTION + team, encoding="utf-8")
    return file


def member(agent: str, more: str = "") -> str:
    return f"    - {{agent: {agent}, when: About bills.{more}}}\n"


def test_a_team_is_every_agent_the_call_can_come_to(tmp_path: Path) -> None:
    refunds = "name: Refunds\npersona: You pay back.\ngreeting: Hello.\n"
    billing = BILLING + "team:\n  agents:\n" + member("refunds.yaml") + member("reception.yaml")
    file = write(tmp_path, "team:\n  agents:\n" + member("billing.yaml"), billing=billing, refunds=refunds)
    agent = load_agent(file)
    assert [one.name for one in team_of(agent, load_agent)] == ["Reception", "Billing", "Refunds"]
    assert "never an instruction" in agent.instruction, "what another agent tells is data, too"


def test_a_line_is_the_file_s_the_language_s_or_none(tmp_path: Path) -> None:
    team = "team:\n  agents:\n" + member("billing.yaml", ", says: ''")
    (said,) = load_agent(write(tmp_path, team)).team.agents
    assert takes_over_line(said, "Billing", "en") == ""
    assert takes_over_line(None, "Billing", "de-AT") == "Ich verbinde Sie mit Billing, einen Moment."
    assert takes_over_line(None, "Billing", "fi") == "I'll pass you on to Billing, one moment."
    assert pass_name("Billing & Refunds") == "pass_to_billing_refunds"


@pytest.mark.parametrize(
    ("members", "others", "said"),
    [
        (
            member("biling.yaml"),
            {},
            r"6: there is no agent file 'biling.yaml'; did you mean 'billing.yaml'\?",
        ),
        (member("reception.yaml"), {}, r"6: an agent cannot pass a call to itself"),
        (member("../billing.yaml"), {}, r"6: team agent '\.\./billing.yaml' must be beside the agent file"),
        (member("billing.yaml") * 2, {}, r"7: agent 'billing.yaml' is in the team twice"),
        (member("billing.yaml", ", sys: x"), {}, r"6: unknown key 'sys'; did you mean 'says'\?"),
        (
            member("billing.yaml"),
            {"billing": BILLING.replace("name: Billing", "name: RECEPTION!")},
            r"the name 'RECEPTION!' is too like 'Reception' in reception.yaml",
        ),
        (
            member("billing.yaml"),
            {"billing": BILLING + "language: de\n"},
            r"6: 'billing.yaml' speaks 'de' and this agent 'en'",
        ),
        (member("billing.yaml"), {"billing": "name: Billing\n"}, r"billing.yaml:1: 'persona' is missing"),
    ],
)
def test_a_wrong_team_is_explained(tmp_path: Path, members: str, others: dict[str, str], said: str) -> None:
    file = write(tmp_path, "team:\n  agents:\n" + members, **others)
    with pytest.raises(ConfigError) as error:
        load_agent(file)
    assert re.search(said, str(error.value)), error.value
