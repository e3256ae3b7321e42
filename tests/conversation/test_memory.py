"""The memory: the budget holds, order holds, nothing is lost or doubled, whatever order folds and words come in."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repartee.conversation.facts import Fact
from repartee.conversation.fitting import fit
from repartee.conversation.history import ENDLESS, History
from repartee.conversation.memory import Folding, Memory, Resting
from repartee.conversation.notes import Budget
from repartee.conversation.summaries import Message, Summary
from repartee.conversation.tokens import request_tokens

SMALL = Budget(turns=4, tokens=1500, fixed_tokens=200)


def call(call_id: str, name: str = "look_up", result: str = "found") -> list[Message]:
    function = {"name": name, "arguments": json.dumps({"day": "friday"})}
    return [
        {"role": "assistant", "tool_calls": [{"id": call_id, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": call_id, "content": result},
    ]


def talked(memory: Memory, turns: int, *, first: int = 0) -> Memory:
    for number in range(first, first + turns):
        memory = memory.heard_user(f"Message {number} about the garden.").heard_agent(
            f"Answer {number} to that."
        )
    return memory


def check(memory: Memory, messages: list[Message] | None = None) -> None:
    """What is always true."""
    numbers = [turn.number for turn in memory.turns]
    folded = [number for piece in memory.notes.pieces for number in range(piece.first, piece.upto)]
    assert folded + numbers == list(range(len(folded) + len(numbers))), (
        "each turn is in exactly one place, in order"
    )
    if messages is not None:
        assert request_tokens(messages, memory.budget.fixed_tokens) <= memory.budget.tokens
        open_calls: set[str] = set()
        for message in messages:
            if message.get("role") == "tool":
                assert message["tool_call_id"] in open_calls, "a result without its call"
                open_calls.discard(message["tool_call_id"])
            else:
                assert not open_calls, "a call without its results"
                open_calls = {c["id"] for c in message.get("tool_calls") or ()}
        assert not open_calls


class TestFolds:
    def test_few_turns_are_shown_word_by_word(self) -> None:
        memory, messages = talked(Memory(SMALL), 5).request([{"role": "user", "content": "And now?"}])
        assert [m["content"] for m in messages][:2] == ["Message 0 about the garden.", "Answer 0 to that."]
        assert messages[-1] == {"role": "user", "content": "And now?"}
        assert memory.due_upto is None

    def test_a_fold_moves_the_oldest_turns_into_the_notes(self) -> None:
        memory, job = talked(Memory(SMALL), 6).begin()
        assert job is not None
        assert (job.upto, len(job.lines)) == (2, 4)
        memory = memory.done(job.number, Summary("The garden was talked about."))
        check(memory)
        _, messages = memory.request()
        assert "The garden was talked about." in messages[0]["content"]
        assert messages[1]["content"] == "Message 2 about the garden."
        assert len(memory.turns) == SMALL.turns

    def test_one_fold_at_a_time(self) -> None:
        memory, _ = talked(Memory(SMALL), 6).begin()
        assert memory.begin() == (memory, None)

    def test_a_late_or_doubled_result_changes_nothing(self) -> None:
        memory, first = talked(Memory(SMALL), 6).begin()
        assert first is not None
        memory = memory.failed(first.number)
        assert memory.done(first.number, Summary("Late.")) == memory
        memory, second = memory.begin()
        assert second is not None
        assert second.number > first.number
        assert memory.done(first.number, Summary("Late.")) == memory
        folded = memory.done(second.number, Summary("Right."))
        assert folded.notes.summary == "Right."
        assert folded.done(second.number, Summary("Doubled.")) == folded
        assert folded.failed(second.number) == folded

    def test_a_failed_fold_keeps_its_turns(self) -> None:
        before = talked(Memory(SMALL), 6)
        memory, job = before.begin()
        assert job is not None
        after = memory.failed(job.number)
        assert (after.turns, after.notes, after.fold, after.failures) == (
            before.turns,
            before.notes,
            Resting(),
            1,
        )

    def test_without_a_summary_turns_are_folded_at_once(self) -> None:
        memory = Memory(SMALL)
        for number in range(60):
            memory = memory.heard_user(f"Message {number}: the order of {number} bags of cement is late.")
            memory, messages = memory.heard_agent("I am sorry to hear that, truly.").request()
            check(memory, messages)
        assert memory.notes.pieces
        assert all(piece.made == "picked" for piece in memory.notes.pieces)

    def test_better_notes_take_the_place_of_picked_ones_when_they_come(self) -> None:
        memory, job = talked(Memory(SMALL), 7).begin()
        assert job is not None
        memory = talked(memory, 8, first=7).squeezed()
        check(memory)
        assert isinstance(memory.fold, Folding)
        assert memory.notes.upto > job.upto, "the squeeze reaches over the fold"
        assert job.upto in {piece.upto for piece in memory.notes.pieces}, (
            "and a piece ends where the fold does"
        )
        later = [piece for piece in memory.notes.pieces if piece.first >= job.upto]
        memory = memory.done(job.number, Summary("By the model."))
        check(memory)
        assert memory.notes.pieces[0].text == "By the model."
        assert list(memory.notes.pieces[1:]) == later

    def test_a_correction_after_the_fold_was_begun_holds_in_its_result(self) -> None:
        memory = Memory(SMALL).heard_user("My name is Jennifer Smith.").heard_agent("Thank you.")
        memory, job = talked(memory, 6, first=1).begin()
        assert job is not None
        memory = memory.heard_user("It's Smyth, not Smith.").heard_agent("I see.")
        memory = talked(memory, 8, first=8).squeezed()
        memory = memory.done(job.number, Summary("Jennifer Smith called."))
        assert "Jennifer Smyth called." in memory.notes.summary
        assert [fact.text for fact in memory.notes.facts if fact.about == "caller"] == ["Jennifer Smyth"]

    def test_a_correction_in_the_turns_that_are_folded_holds_in_what_is_picked(self) -> None:
        memory = Memory(SMALL).heard_user("My name is Jennifer Smith and I need help.").heard_agent("Yes?")
        memory = talked(memory.heard_user("No, it's Smyth.").heard_agent("I see."), 8, first=2).picked(6)
        assert "Smyth and I need help" in memory.notes.summary
        assert "Smith" not in memory.whole_summary

    def test_a_correction_holds_in_what_was_picked_before(self) -> None:
        memory = Memory(SMALL).heard_user("My name is Jennifer Smith and I need help.").heard_agent("Yes?")
        memory = talked(memory, 6, first=1).picked(4)
        assert "Jennifer Smith and I need help" in memory.notes.summary
        memory = talked(memory.heard_user("It's Smyth, not Smith.").heard_agent("I see."), 6, first=9).picked(
            12
        )
        assert "Jennifer Smyth and I need help" in memory.notes.summary

    def test_another_person_of_the_old_name_keeps_it(self) -> None:
        memory = Memory(SMALL).heard_user("My name is Jennifer Smith.").heard_agent("Yes?")
        memory = talked(memory.heard_user("No, it's Smyth.").heard_agent("I see."), 8, first=2).picked(8)
        memory = memory.heard_user("The plumber Bob Smith came by at last.").heard_agent("Did he?")
        memory, job = talked(memory, 8, first=11).begin()
        assert job is not None
        memory = memory.done(job.number, Summary("The plumber Bob Smith came."))
        assert "Bob Smith came" in memory.notes.summary

    def test_forgetting_drops_what_is_on_its_way_too(self) -> None:
        memory, job = talked(Memory(SMALL).heard_user("My name is Ann Hill."), 6).begin()
        assert job is not None
        memory = memory.forgotten().done(job.number, Summary("Ann Hill called."))
        check(memory)
        assert (memory.notes.summary, memory.notes.facts, memory.all_facts) == ("", (), ())


class TestPrompt:
    def test_between_folds_a_request_begins_with_the_one_before(self) -> None:
        memory, changes, before = Memory(SMALL), 0, list[Message]()
        for number in range(40):
            memory = memory.heard_user(f"Message {number} with my code {number}77.")
            memory, messages = memory.request()
            if messages[: len(before)] != before:
                changes += 1
            before = messages
            memory = memory.heard_agent(f"Answer {number}.")
            if (begun := memory.begin())[1] is not None:
                memory = begun[0].done(begun[1].number, Summary(f"Notes {number}."))
        assert changes <= 40 // SMALL.step, "the beginning changes at folds only"

    @pytest.mark.parametrize("seed", range(8))
    def test_whatever_is_said_the_budget_holds(self, seed: int) -> None:
        rng = random.Random(seed)
        memory = Memory(Budget(turns=rng.randint(2, 12), tokens=rng.randint(1100, 3000), fixed_tokens=400))
        for number in range(40):
            words = rng.choice((3, 20, 200, 800 if rng.random() < 0.1 else 10))
            memory = memory.heard_user(" ".join(rng.choice(WORDS) for _ in range(words)))
            if rng.random() < 0.3:
                memory = memory.tools_ran(call(f"call_{number}", result="word " * rng.choice((3, 1500))))
            memory, messages = memory.request(
                [{"role": "user", "content": rng.choice(WORDS) * rng.choice((1, 200))}]
            )
            check(memory, messages)
            grown = [*messages, *call("call_x", result="9" * rng.choice((10, 5_000)))]
            check(memory, memory.fitted(grown))
            memory = memory.heard_agent(" ".join(rng.choice(WORDS) for _ in range(rng.choice((3, 60)))))

    def test_a_long_result_of_a_tool_is_cut_and_the_pair_kept(self) -> None:
        memory = Memory(SMALL).heard_user("Look it up.").tools_ran(call("c", result="row " * 2000))
        _, messages = memory.request()
        assert [m["role"] for m in messages] == ["user", "assistant", "tool"]
        assert "…" in messages[2]["content"]


@pytest.mark.parametrize("room", range(20, 400, 15))
def test_calls_of_tools_and_their_results_leave_together(room: int) -> None:
    pairs = [message for number in range(8) for message in call(f"call_{number}", result="row " * 9)]
    messages = fit([{"role": "user", "content": "Look them all up."}, *pairs], room)
    check(Memory(), messages)
    if room > 100:
        assert request_tokens(messages) <= room + 3
        assert messages[-1] == pairs[-1], "the newest stays"


WORDS = ("garden", "appointment", "Szczepański", "4711", "yes", "漢字", "Tuesday", "x" * 400, "price?", "and")


class TestRandomWalks:
    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_words_folds_and_interruptions_in_any_order(self, data: Any) -> None:
        history, jobs, said = History(Memory(SMALL)), list[Any](), 0
        for _ in range(data.draw(st.integers(10, 80))):
            match data.draw(
                st.sampled_from(("turn", "turn", "turn", "cut", "tool", "begin", "done", "fail", "again"))
            ):
                case "turn":
                    history.messages(f"Sentence {said} is said.")
                    history.remember_user(f"Sentence {said} is said.")
                    history.remember_heard(f"Reply {said} is heard.")
                    said += 1
                case "cut":
                    history.messages("Cut off.")
                    history.remember_user("Cut off.")
                    history.remember_heard("Half of an", interrupted=True)
                case "tool":
                    history.messages("Please look.")
                    history.remember_tools(call(f"call_{said}"))
                    if data.draw(st.booleans()):
                        history.remember_user("Please look.")
                    history.remember_heard("", interrupted=True)
                case "begin":
                    if (job := history.begin_fold()) is not None:
                        jobs.append(job)
                case "done" if jobs:
                    job = data.draw(st.sampled_from(jobs))
                    history.fold_done(job.number, Summary(f"Summary {job.number}."), by_model=True)
                case "fail" if jobs:
                    history.fold_failed(data.draw(st.sampled_from(jobs)).number)
                case "again" if jobs:
                    history.fold_withdrawn(data.draw(st.sampled_from(jobs)).number)
                case _:
                    pass
            check(history.memory, history.messages("And?"))
        shown = [m["content"] for m in history.entries if str(m.get("content")).startswith("Reply")]
        numbers = [
            int(n.split(" ")[1])
            for text in shown
            for n in str(text).split("Reply")[1:]
            for n in [f"Reply{n}"]
        ]
        assert numbers == list(range(said - len(numbers), said)), "the newest are shown, in order, once"

    @pytest.mark.parametrize("seed", range(10))
    def test_pinned_facts_survive_a_hundred_folds_each(self, seed: int) -> None:
        """A thousand folds in all: done, failed, late, withdrawn, squeezed; more numbers than there is room for."""
        rng = random.Random(seed)
        memory = Memory(Budget(turns=4, tokens=6000))
        planted, folds, number = dict[str, str](), 0, 0
        things = itertools.cycle(("order", "invoice", "customer", "policy", "booking", "ticket"))
        late: list[int] = []
        while folds < 100:
            number += 1
            if number % 20 == 1:
                thing, value = next(things), str(rng.randint(10_000, 99_999))
                planted[f"{thing} number"] = value
                memory = memory.heard_user(f"My {thing} number is {value}.")
            else:
                memory = memory.heard_user(
                    f"Then there is matter {number}, which {rng.choice(WORDS[:5])} concerns."
                )
            memory = memory.heard_agent("I see, please go on.")
            memory, job = memory.begin()
            if job is not None:
                late.append(job.number)
                match rng.random():
                    case r if r < 0.6:
                        memory = memory.done(job.number, Summary(f"Matters up to {job.upto}."))
                    case r if r < 0.75:
                        memory = memory.failed(job.number)
                    case r if r < 0.9:
                        memory = memory.withdrawn(job.number)
                    case _:
                        pass  # it never comes back by itself; the squeeze goes on without it
                folds += 1
            if isinstance(memory.fold, Folding) and rng.random() < 0.2:
                memory = memory.done(memory.fold.number, Summary("At last."))
            memory = (
                memory.done(rng.choice(late), Summary("Doubled.")) if late and rng.random() < 0.1 else memory
            )
            memory, messages = memory.request()
            check(memory, messages)
            known = {fact.about: fact.text for fact in memory.all_facts if fact.about}
            assert known == planted
        assert memory.notes.dropped > 0, "what stands without a name gave way"

    def test_more_facts_than_there_is_room_for_are_dropped_and_counted(self) -> None:
        memory = Memory(SMALL).heard_user("My name is Jennifer Smith.").heard_agent("Good day.")
        for number in range(120):
            memory = memory.heard_user(
                f"On the {number % 28 + 1}th I paid {number + 100} euros."
            ).heard_agent("I see.")
            memory, messages = memory.request()
            check(memory, messages)
        assert memory.notes.dropped > 0
        assert memory.notes.facts[0].text == "Jennifer Smith", "what has a name of its own stays"


class TestHistory:
    def test_tools_that_ran_before_their_words_were_remembered_come_after_them(self) -> None:
        history = History()
        history.messages("Is friday free?")
        history.remember_tools(call("c1"))
        history.remember_user("Is friday free?")
        history.remember_heard("It is.")
        assert [m["role"] for m in history.entries] == ["user", "assistant", "tool", "assistant"]

    def test_tools_of_a_reply_that_was_thrown_away_are_true_and_come_first(self) -> None:
        history = History()
        history.messages("Is friday")
        history.remember_tools(call("c1"))
        history.remember_heard("", interrupted=True)
        assert [m["role"] for m in history.messages("Is friday or monday free?")] == [
            "assistant",
            "tool",
            "user",
        ]
        history.remember_tools(call("c2"))
        history.remember_user("Is friday or monday free?")
        history.remember_heard("Both are.")
        ids = [m.get("tool_call_id") for m in history.entries if m["role"] == "tool"]
        roles = [m["role"] for m in history.entries]
        assert roles == ["assistant", "tool", "user", "assistant", "tool", "assistant"]
        assert ids == ["c1", "c2"]

    def test_answers_without_a_model_see_every_turn_of_the_user(self) -> None:
        history = History(Memory(SMALL), keeps_user_turns=True)
        for number in range(50):
            history.messages(f"Question {number}")
            history.remember_user(f"Question {number}")
            history.remember_heard("An answer.")
            if (job := history.begin_fold()) is not None:
                history.fold_done(job.number, Summary("Questions."), by_model=False)
        texts = [m["content"] for m in history.messages("The last") if m["role"] == "user"]
        assert texts == [*(f"Question {number}" for number in range(50)), "The last"]

    def test_they_see_what_tools_did_in_turns_that_have_left(self) -> None:
        history = History(Memory(SMALL), keeps_user_turns=True)
        for number in range(40):
            history.remember_user(f"Turn {number}")
            history.remember_tools(call(f"c{number}"))
            history.remember_heard("Yes.")
            if (job := history.begin_fold()) is not None:
                history.fold_done(job.number, Summary("Much."), by_model=False)
        messages = history.messages("And now?")
        assert len(history.memory.turns) < 40
        assert [m["content"] for m in messages if m["role"] == "user"][-1] == "And now?"
        assert sum(m["role"] == "tool" for m in messages) == 40

    def test_a_note_is_shown_last_once_and_never_remembered(self) -> None:
        history = History(Memory(SMALL))
        history.remember_user("Hello")
        history.remember_heard("Hi.")
        assert history.messages("Book me", "Goal: book")[-1] == {"role": "developer", "content": "Goal: book"}
        assert [m["role"] for m in history.messages("Book me")] == ["user", "assistant", "user"]

    def test_a_long_note_takes_room_from_older_turns_not_from_the_budget(self) -> None:
        history = History(talked(Memory(SMALL), 30))
        messages = history.messages("And now?", "Goal: book. " * 40)
        assert request_tokens(messages, SMALL.fixed_tokens) <= SMALL.tokens
        assert messages[-1]["content"] == "Goal: book. " * 40
        assert messages[-2]["content"] == "And now?"

    def test_without_a_memory_every_word_is_shown(self) -> None:
        history = History(Memory(ENDLESS))
        for number in range(200):
            history.remember_user(f"Question {number}")
            history.remember_heard("An answer.")
            assert history.begin_fold() is None
        assert len(history.messages("x")) == 401

    def test_tools_that_come_in_the_call_take_their_room(self) -> None:
        history = History(Memory(SMALL))
        for number in range(12):
            history.remember_user(f"Message {number}, {'on and on ' * 20}")
            history.remember_heard("I see.")
        history.reserve(SMALL.tokens - 700)
        assert request_tokens(history.messages("And now?"), SMALL.tokens - 700) <= SMALL.tokens

    def test_a_fact_a_model_found_is_pinned_once_and_never_over_the_user_s_own_words(self) -> None:
        memory, job = talked(Memory(SMALL).heard_user("My order number is 48213."), 6).begin()
        assert job is not None
        found = (
            Fact("number", "order number", "48214", 1),
            Fact("detail", "garden", "the fence is broken", 1),
            Fact("detail", "", "order number 48213", 1),
        )
        memory = memory.done(job.number, Summary("Order.", found))
        assert [fact.shown for fact in memory.notes.facts] == [
            "order number: 48213",
            "garden: the fence is broken",
        ]
