"""Forms with a model: the functions of the present step, checked values, and the tool at the end.

A held reply may fill a step and still be thrown away, so what it fills is kept apart until the user's words belong
to the conversation (`docs/decisions/0006-forms-are-ours.md`). The tool at the end runs in the toolbox, with its
permit, its confirmation and its key like any other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time
from typing import Any

from repartee.agent import ToolContext
from repartee.agent.forms import Branch, Form, FormSlot, Step
from repartee.agent.tools import OnInterrupt
from repartee.conversation.forms import END, Filling, FormRule, StepRule, begin, fill, missing, on_the_way
from repartee.conversation.quoting import quoted
from repartee.errors import ToolError
from repartee.session.tools import LiveReply, ReplyWatcher

MAX_TEXT = 500
_JSON_TYPES = {"number": "number"}
_FORMATS = {"date": "a day as YYYY-MM-DD", "time": "a time as HH:MM", "phone": "a telephone number, digits"}

ACTING: tuple[OnInterrupt, float] = ("finish", 120.0)
"""A function that may end the form is not cut off once the tool at its end has begun; the tool has its own limit."""

Submit = Callable[[str, dict[str, Any], ToolContext, int | None], Awaitable[Any]]
"""Calls the tool of a form with its values."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """The forms of a call: the one that is being filled, and what is known of each."""

    active: str | None = None
    fillings: Mapping[str, Filling] = field(default_factory=dict)

    def with_filling(self, filling: Filling) -> _Desk:
        return replace(self, active=filling.form, fillings={**self.fillings, filling.form: filling})

    def without(self, form: str) -> _Desk:
        left = {name: filling for name, filling in self.fillings.items() if name != form}
        return _Desk(None if self.active == form else self.active, left)

    @property
    def filling(self) -> Filling | None:
        return self.fillings.get(self.active) if self.active is not None else None


class FormDesk(ReplyWatcher):
    """The forms of one call.

    Args:
        forms: From the agent file.
        submit: Calls a form's tool.
        on_begun: Called with the turn and the form when one is begun.
        known: What is known of a form's slots already, by form.
    """

    def __init__(
        self,
        forms: tuple[Form, ...],
        submit: Submit,
        on_begun: Callable[[int, str], None],
        known: Callable[[str], Mapping[str, str]],
    ) -> None:
        self._forms = {form.name: form for form in forms}
        self._rules = {form.name: rule_of(form) for form in forms}
        self._submit_tool = submit
        self._on_begun = on_begun
        self._known = known
        self._kept = _Desk()
        self._fork: tuple[LiveReply, _Desk] | None = None
        self._live_id: int | None = None

    # --- what is offered --------------------------------------------------------------------------------------

    @property
    def tools(self) -> tuple[FormFunction, ...]:
        """Every function of every form, for registering."""
        return tuple(
            function
            for form in self._forms.values()
            for function in (
                self._start(form),
                *(self._step(form, step) for step in form.steps),
                self._correct(form),
                self._submit(form),
                self._leave(form),
            )
        )

    @property
    def submitting(self) -> set[str]:
        """Names of the functions that act."""
        return {f"submit_{name}" for name in self._forms}

    @property
    def own_tools(self) -> set[str]:
        """Tools that are only called through their form."""
        return {form.tool for form in self._forms.values()}

    def on_offer(self) -> tuple[FormFunction, ...]:
        """The functions that make sense now."""
        desk = self._desk
        offered = [self._start(form) for name, form in self._forms.items() if name != desk.active]
        if (filling := desk.filling) is None:
            return tuple(offered)
        form = self._forms[filling.form]
        step = next((step for step in form.steps if step.name == filling.step), None)
        offered.append(self._step(form, step) if step is not None else self._submit(form))
        if filling.values:
            offered.append(self._correct(form))
        return (*offered, self._leave(form))

    @property
    def filling(self) -> bool:
        """Whether a form is being filled."""
        return self._desk.filling is not None

    def note(self) -> str:
        """Return where the form stands, for the end of a request; empty when none is being filled."""
        if (filling := self._desk.filling) is None:
            return ""
        known = (
            ", ".join(f"{name}={quoted(value)}" for name, value in filling.values.items()) or "nothing yet"
        )
        return f"Form '{filling.form}', known: {known}. {self._next(filling)}"

    # --- the life of replies ----------------------------------------------------------------------------------

    @property
    def _desk(self) -> _Desk:
        return self._fork[1] if self._fork is not None else self._kept

    @_desk.setter
    def _desk(self, desk: _Desk) -> None:
        if self._fork is None:
            self._kept = desk
        else:
            self._fork = (self._fork[0], desk)

    def opened(self, reply: LiveReply) -> None:
        """What this reply fills is kept apart."""
        self._fork, self._live_id = (reply, self._kept), reply.reply_id

    def turn_remembered(self, reply: LiveReply, text: str) -> None:
        """The words are the conversation's, and what was filled from them too."""
        del text
        if self._fork is not None and self._fork[0].reply_id == reply.reply_id:
            self._kept, self._fork = self._fork[1], None

    def cancelled(self, reply_id: int) -> None:
        """Forget what was filled from words that were not final."""
        if reply_id == self._live_id:
            self._live_id = None
        if self._fork is not None and self._fork[0].reply_id == reply_id:
            self._fork = None

    def tool_done(self, tool: str) -> None:
        """A form whose tool has acted is over, whatever becomes of the reply."""
        for name, form in self._forms.items():
            if form.tool == tool:
                self._kept = self._kept.without(name)
                if self._fork is not None:
                    self._fork = (self._fork[0], self._fork[1].without(name))

    # --- the functions ----------------------------------------------------------------------------------------

    def _start(self, form: Form) -> FormFunction:
        async def run(_: dict[str, Any], __: ToolContext, ___: int | None) -> Any:
            known = {**self._known(form.name), **self._values_of(form.name)}
            good, _bad = check_values(form, known)
            filling = begin(self._rules[form.name], good)
            self._desk = self._desk.with_filling(filling)
            self._on_begun(self._fork[0].turn_id if self._fork is not None else 0, form.name)
            return {"known": dict(filling.values), "next": self._next(filling)}

        return FormFunction(
            f"start_{form.name}", f"{form.description} Begins or goes on with the form.", {}, run
        )

    def _step(self, form: Form, step: Step) -> FormFunction:
        async def run(arguments: dict[str, Any], ctx: ToolContext, reply_id: int | None) -> Any:
            self._must_be(form, step.name, reply_id)
            return await self._take(form, arguments, ctx, reply_id)

        ask = step.ask or " ".join(slot.ask for slot in step.slots.values())
        description = (
            f"Note what the caller said of this step: {ask} Only what they said; leave out the rest."
        )
        properties = {name: slot_schema(slot) for name, slot in step.slots.items()}
        return FormFunction(f"{form.name}_{step.name}", description, properties, run, *ACTING)

    def _correct(self, form: Form) -> FormFunction:
        async def run(arguments: dict[str, Any], ctx: ToolContext, reply_id: int | None) -> Any:
            self._must_be(form, None, reply_id)
            return await self._take(form, arguments, ctx, reply_id)

        properties = {name: slot_schema(slot) for name, slot in form.slots.items()}
        return FormFunction(
            f"correct_{form.name}",
            "The caller corrects what they said before.",
            properties,
            run,
            *ACTING,
        )

    def _submit(self, form: Form) -> FormFunction:
        async def run(_: dict[str, Any], ctx: ToolContext, reply_id: int | None) -> Any:
            self._must_be(form, END, reply_id)
            return await self._act(form, ctx, reply_id)

        description = "All is known, and the caller has agreed if they were asked: do it."
        return FormFunction(f"submit_{form.name}", description, {}, run, *ACTING)

    def _leave(self, form: Form) -> FormFunction:
        async def run(_: dict[str, Any], __: ToolContext, ___: int | None) -> Any:
            self._desk = replace(self._desk, active=None)
            return "Left. What is known is kept, should they come back to it."

        return FormFunction(f"leave_{form.name}", "The caller does not want to go on with it now.", {}, run)

    async def _take(
        self, form: Form, arguments: dict[str, Any], ctx: ToolContext, reply_id: int | None
    ) -> Any:
        good, problems = check_values(form, arguments)
        filling = self._desk.fillings[form.name]
        filling = fill(self._rules[form.name], filling, good)
        self._desk = self._desk.with_filling(filling)
        if problems:
            return {
                "not_valid": problems,
                "instruction": "Say so and ask for it again.",
                "known": filling.values,
            }
        if filling.step == END:
            return await self._act(form, ctx, reply_id)
        return {"known": dict(filling.values), "next": self._next(filling)}

    async def _act(self, form: Form, ctx: ToolContext, reply_id: int | None) -> Any:
        values = on_the_way(self._rules[form.name], self._desk.fillings[form.name])
        return await self._submit_tool(form.tool, dict(values), ctx, reply_id)

    def _must_be(self, form: Form, step: str | None, reply_id: int | None) -> None:
        if reply_id is not None and reply_id != self._live_id:
            raise ToolError("the user went on speaking, so nothing was noted")
        filling = self._desk.filling
        if filling is None or filling.form != form.name:
            raise ToolError(f"the form '{form.name}' is not being filled; start_{form.name} begins it")
        if step is not None and filling.step != step:
            raise ToolError(f"the form stands at another step. {self._next(filling)}")

    def _next(self, filling: Filling) -> str:
        form = self._forms[filling.form]
        step = next((step for step in form.steps if step.name == filling.step), None)
        if step is None:
            return f"All is known: call submit_{form.name}."
        needed = missing(self._rules[form.name], filling)
        if step.ask is not None and len(needed) == len([s for s in step.slots.values() if not s.optional]):
            return f"Ask now: {step.ask}"
        return "Ask now: " + " ".join(step.slots[name].ask for name in needed)

    def _values_of(self, name: str) -> Mapping[str, str]:
        filling = self._desk.fillings.get(name)
        return filling.values if filling is not None else {}


Run = Callable[[dict[str, Any], ToolContext, int | None], Awaitable[Any]]


class FormFunction:
    """A function of a form, as the model sees a tool."""

    def __init__(
        self,
        name: str,
        description: str,
        properties: dict[str, Any],
        run: Run,
        on_interrupt: OnInterrupt = "cancel",
        timeout_s: float = 10.0,
    ) -> None:
        self.name = name
        self.description = description
        self.parameters = {"type": "object", "properties": properties, "required": []}
        self.on_interrupt: OnInterrupt = on_interrupt
        self.timeout_s = timeout_s
        self._run = run

    async def call(self, arguments: Mapping[str, Any], ctx: ToolContext, reply_id: int | None = None) -> Any:
        """Run it; what it changes is the form, and at the end whatever the form's tool does."""
        return await self._run(dict(arguments), ctx, reply_id)


def rule_of(form: Form) -> FormRule:
    """Return what the pure part must know of a form."""
    steps = []
    for index, step in enumerate(form.steps):
        following = form.following(index)
        optional = tuple(name for name, slot in step.slots.items() if slot.optional)
        required = tuple(name for name, slot in step.slots.items() if not slot.optional)
        rule = StepRule(step.name, required, optional, otherwise=following)
        match step.next:
            case Branch(slot=slot, cases=cases, otherwise=otherwise):
                rule = replace(rule, branch=slot, cases=dict(cases), otherwise=otherwise or following)
            case str(target):
                rule = replace(rule, otherwise=target)
            case _:
                pass
        steps.append(rule)
    return FormRule(form.name, form.tool, tuple(steps))


def slot_schema(slot: FormSlot) -> dict[str, Any]:
    """Return what a model is told of a slot."""
    note = "; ".join(part for part in (slot.ask, _FORMATS.get(slot.type, "")) if part)
    schema: dict[str, Any] = {"type": _JSON_TYPES.get(slot.type, "string"), "description": note}
    if slot.choices:
        schema["enum"] = list(slot.choices)
    if slot.minimum is not None:
        schema["minimum"] = slot.minimum
    if slot.maximum is not None:
        schema["maximum"] = slot.maximum
    return schema


def check_values(form: Form, values: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the valid values in one spelling, and what is wrong with the others."""
    good: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name, value in values.items():
        slot = form.slots.get(name)
        if slot is None or value is None or str(value).strip() == "":
            continue
        try:
            good[name] = read_value(slot, value)
        except ValueError as error:
            problems[name] = slot.error or str(error)
    return good, problems


def read_value(slot: FormSlot, value: Any) -> str:
    """Return a value in its one spelling.

    Raises:
        ValueError: It is not valid; the sentence says why.
    """
    text = " ".join(str(value).split())[:MAX_TEXT]
    match slot.type:
        case "date":
            text = _parsed(date.fromisoformat, text, "that is no day")
        case "time":
            text = _parsed(
                lambda said: time.fromisoformat(said).strftime("%H:%M"), text, "that is no time of day"
            )
        case "number":
            text = _number(slot, text)
        case "phone":
            digits = re.sub(r"[^\d+]", "", text)
            if not 5 <= len(digits) <= 16:
                raise ValueError("that is no telephone number")
            text = digits
        case "choice":
            chosen = next((c for c in slot.choices if c.casefold() == text.casefold()), None)
            if chosen is None:
                raise ValueError(f"it is one of: {', '.join(slot.choices)}")
            text = chosen
        case _:
            pass
    if slot.pattern is not None and not re.fullmatch(slot.pattern, text):
        raise ValueError("it does not have the right form")
    return text


def _parsed(parse: Callable[[str], Any], text: str, problem: str) -> str:
    try:
        return str(parse(text))
    except ValueError as error:
        raise ValueError(problem) from error


def _number(slot: FormSlot, text: str) -> str:
    try:
        number = float(text)
    except ValueError as error:
        raise ValueError("that is no number") from error
    if not math.isfinite(number):
        raise ValueError("that is no number")
    if (slot.minimum is not None and number < slot.minimum) or (
        slot.maximum is not None and number > slot.maximum
    ):
        low, high = slot.minimum, slot.maximum
        bounds = [f"at least {low:g}"] if low is not None else []
        bounds += [f"at most {high:g}"] if high is not None else []
        raise ValueError(f"it is {' and '.join(bounds)}")
    return f"{number:.15g}"
