"""Forms, step by step: branches, corrections, and random walks."""

from __future__ import annotations

import random

import pytest

from repartee.conversation.forms import END, Filling, FormRule, StepRule, begin, fill, missing, on_the_way

FORM = FormRule(
    "register",
    "register_patient",
    (
        StepRule("person", ("name", "born"), otherwise="insurance"),
        StepRule(
            "insurance", ("kind",), branch="kind", cases={"private": "card", "none": END}, otherwise="fund"
        ),
        StepRule("card", ("number",), otherwise=END),
        StepRule("fund", ("fund",), ("since",), otherwise=END),
    ),
)


def test_it_goes_step_by_step() -> None:
    filling = begin(FORM)
    assert (filling.step, missing(FORM, filling)) == ("person", ("name", "born"))
    filling = fill(FORM, filling, {"name": "Ann"})
    assert (filling.step, missing(FORM, filling)) == ("person", ("born",))
    filling = fill(FORM, filling, {"born": "1980-05-03"})
    assert filling.step == "insurance"
    assert fill(FORM, filling, {"kind": "none"}).step == END
    assert fill(FORM, filling, {"kind": "private"}).step == "card"
    assert fill(FORM, filling, {"kind": "public"}).step == "fund"


def test_what_is_known_is_not_asked() -> None:
    everything = {"name": "Ann", "born": "1980-05-03", "kind": "private", "number": "77"}
    filling = begin(FORM, everything)
    assert filling.step == END
    assert on_the_way(FORM, filling) == everything


def test_a_correction_leads_another_way_and_the_old_way_is_not_told() -> None:
    filling = begin(FORM, {"name": "Ann", "born": "1980-05-03", "kind": "private", "number": "77"})
    filling = fill(FORM, filling, {"kind": "public"})
    assert filling.step == "fund"
    filling = fill(FORM, filling, {"fund": "TK"})
    assert filling.step == END
    assert "number" not in on_the_way(FORM, filling)
    assert filling.values["number"] == "77", "kept, should they change their mind"


def test_unknown_slots_and_empty_values_change_nothing() -> None:
    filling = begin(FORM)
    assert fill(FORM, filling, {"pet": "cat", "name": ""}) == filling


@pytest.mark.parametrize("seed", range(30))
def test_random_walks(seed: int) -> None:
    draw = random.Random(seed)
    names = [name for step in FORM.steps for name in step.slots]
    filling = begin(FORM)
    for _ in range(200):
        name = draw.choice(names)
        value = draw.choice(("private", "none", "public")) if name == "kind" else str(draw.randrange(9))
        before, filling = filling, fill(FORM, filling, {name: value})
        assert set(before.values) <= set(filling.values)
        if filling.step == END:
            told = on_the_way(FORM, filling)
            steps = [step for step in FORM.steps if set(step.required) <= set(told)]
            assert {"person", "insurance"} <= {step.name for step in steps}
        else:
            assert missing(FORM, filling)
        assert fill(FORM, filling, {}) == filling
        assert begin(FORM, filling.values) == Filling("register", filling.step, filling.values)
