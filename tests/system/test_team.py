"""A call that is passed on, in a real room: what its clients are shown of who has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.helpers import calling, eventually, server, simulate, write_agent

pytestmark = [pytest.mark.livekit, pytest.mark.long]
SCRIPT = """
- {when: invoice, call: pass_to_billing, with: {summary: Asks about an invoice.}}
- {after: pass_to_billing, say: "This is billing."}
"""
BILLING = """\
name: Billing
persona: You answer questions about invoices.
greeting: This is billing.
"""


async def test_the_agent_s_attribute_names_who_has_the_call(speech: Path, tmp_path: Path) -> None:
    (tmp_path / "script.yaml").write_text(SCRIPT)
    (tmp_path / "billing.yaml").write_text(BILLING)
    agent = write_agent(
        tmp_path, "team:\n  agents:\n    - {agent: billing.yaml, when: Questions about bills.}"
    )
    async with (
        simulate(speech, tmp_path / "script.yaml") as simulator,
        server(agent, tmp_path, simulator) as running,
        calling(running.url) as caller,
    ):

        def who() -> str:
            return caller.agent_attributes().get("repartee.agent", "")

        assert who() == "Test"
        await caller.type("I have a question about my invoice")
        await eventually(lambda: who() == "Billing")
        assert caller.agent_attributes()["lk.agent.state"], "what else is shown stays"
