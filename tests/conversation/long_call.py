"""A call of an hour, scripted: facts planted early, corrections, topics that come and go, a judge that asks.

The clock is the script's own. Everything follows from the seed. The judge's questions are not part of the call: each
is asked of the prompt as it stands, and the simulated model answers from that alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from repartee.conversation.facts import render
from repartee.conversation.history import History
from repartee.conversation.memory import FoldJob, Memory
from repartee.conversation.notes import Budget
from repartee.conversation.summaries import Summary, pick, read_summary, summary_request
from repartee.conversation.tokens import request_tokens, text_tokens
from repartee.simulator.providers.replies import Replies

MINUTES = 60
TURN_S = 12.0
JUDGED_AT = (10, 20, 30, 40, 50, 59)
OLD_ENOUGH_MINUTES = 5
PERSONA = "You are the front desk of a house of many services. Be short, warm and exact. " * 12
Summarise = Callable[[FoldJob], Summary]


@dataclass(frozen=True)
class Planted:
    """A fact, how it is told, and how the judge asks for it."""

    minute: float
    said: tuple[tuple[str, str], ...]
    question: str
    expected: str
    stale: str | None = None
    pinned: bool = True


def plant(minute: float, user: str, agent: str, question: str, expected: str, **more: Any) -> Planted:
    return Planted(minute, ((user, agent),), question, expected, **more)


FACTS = (
    plant(
        3,
        "My order number is 48213, by the way.",
        "Thank you, I have it.",
        "Do you remember my order number?",
        "48213",
    ),
    Planted(
        3.2,
        (
            ("My name is Jennifer Smith.", "Thank you, Mrs Smith."),
            ("No, it's Smyth. S M Y T H.", "Sorry, Mrs Smyth."),
        ),
        "Do you remember what name the caller has?",
        "Smyth",
        stale="Smith",
    ),
    plant(
        4,
        "You can reach me at five five five, one two three, double eight nine four.",
        "Thank you.",
        "Do you remember the phone number of the caller?",
        "5551238894",
    ),
    plant(
        5,
        "The boiler rattles whenever somebody opens the tap in the bathroom.",
        "That sounds like air in the pipes.",
        "Do you remember when the boiler rattles?",
        "bathroom",
        pinned=False,
    ),
    plant(
        8,
        "My wife's name is Anna Keller, she may call too.",
        "I will note that.",
        "Do you remember my wife's name?",
        "Anna Keller",
    ),
    Planted(
        12,
        (
            ("Let's take Friday at ten in the morning for the boiler.", "Friday at ten it is."),
            ("No, at eleven.", "At eleven, then."),
        ),
        "Do you remember what we take for the boiler on Friday?",
        "eleven",
        stale="at ten",
    ),
    plant(
        16,
        "Send it to jane dot doe at example dot com.",
        "I will.",
        "Do you remember the e-mail address of the caller?",
        "jane.doe@example.com",
    ),
    plant(
        19,
        "Our budget is 1200 euros, not more.",
        "That should do.",
        "Do you remember our budget?",
        "1200 euros",
    ),
    plant(
        21,
        "My policy number is KX 7741.",
        "Let me see.",
        "Do you remember my policy number?",
        "KX 7714",
        stale="7741",
    ),
    plant(
        23,
        "The neighbour keeps complaining about the scaffolding on his side of the hedge.",
        "That is unpleasant.",
        "Do you remember what the neighbour keeps complaining about?",
        "scaffolding",
        pinned=False,
    ),
    plant(
        26,
        "We will be 34 guests at the birthday party.",
        "What a party!",
        "Do you remember how many guests will be at the birthday party?",
        "34",
    ),
    plant(
        30,
        "We'll take the vegetarian menu for the party.",
        "A good choice.",
        "Do you remember which menu we take for the party?",
        "vegetarian",
    ),
    plant(
        33,
        "Do you know whether the hall has a ramp for a wheelchair?",
        "I'm not sure, I'll find out.",
        "Do you remember the question about the hall and the wheelchair?",
        "ramp",
    ),
    plant(
        34,
        "Sorry, I was wrong before, my policy number is KX 7714.",
        "I have corrected it.",
        "Do you remember my policy number?",
        "KX 7714",
        stale="7741",
    ),
    plant(
        36,
        "The card I paid with is the one ending in 4421.",
        "I see it here.",
        "Do you remember which card I paid with?",
        "4421",
    ),
    plant(
        37,
        "My sister Laura will be there in case we are late.",
        "Good to know.",
        "Do you remember my sister's name?",
        "Laura",
    ),
    plant(
        38,
        "The move is on the 4th of May, early.",
        "So soon.",
        "Do you remember when the move is?",
        "4th of May",
    ),
    plant(41, "My daughter is called Emma.", "A lovely name.", "Do you remember my daughter's name?", "Emma"),
    plant(
        45,
        "The piano must not be carried over the back stairs, they are rotten.",
        "We will use the front.",
        "Do you remember why the piano must not go over the back stairs?",
        "rotten",
        pinned=False,
    ),
    plant(
        48,
        "My new zip code is 10115.",
        "Noted.",
        "Do you remember my new zip code?",
        "10115",
    ),
)
TOPICS: dict[str, tuple[tuple[str, str], ...]] = {
    "boiler": (
        ("The {part} of the boiler {does} again.", "Our technician will look at the {part}."),
        ("Is the {part} expensive?", "The {part} is not, the work is."),
        ("Somebody already cleaned the {part}, and it still {does}.", "Then we replace it."),
    ),
    "party": (
        ("Could the {dish} be served {when}?", "Of course, {when}."),
        ("My aunt does not like {dish}, so please have something else too.", "There will be an alternative."),
        ("And the {dish}, is it made here?", "Everything is made here."),
    ),
    "move": (
        ("The {thing} has to go to the cellar.", "We will carry the {thing} down."),
        ("Please wrap the {thing} well, it was a present.", "We always do."),
        ("How do you move a {thing} through a narrow door?", "We take the door out."),
    ),
    "insurance": (
        ("The letter about the {thing} is hard to understand.", "I can explain it."),
        ("Does the insurance pay when the {part} {does}?", "Mostly, yes."),
        ("I sent photographs of the {thing} to your colleague.", "They are in the file."),
    ),
}
WORDS = {
    "part": ("burner", "pump", "valve", "thermostat", "flue", "pressure gauge", "heat exchanger"),
    "does": ("leaks", "drips", "whistles", "stops", "overheats", "clicks"),
    "dish": ("soup", "cake", "risotto", "salad", "lemonade", "strudel", "mushroom pie"),
    "when": ("before the speech", "after the speech", "late", "on the terrace", "at the tables"),
    "thing": ("wardrobe", "bookcase", "mirror", "sofa", "bicycle", "chandelier", "washing machine"),
}
SMALL_TALK = (
    ("Okay.", "All right."),
    ("Mm-hm, I see.", "Is there anything else?"),
    ("Wait, somebody is at the door.", "Take your time."),
    ("Sorry, go on.", "Of course."),
    ("Can we come back to that in a moment?", "Certainly."),
    ("", "Are you still there?"),
)


def script(seed: int) -> Iterator[tuple[float, str, str]]:
    """Yield minute, user, agent: about three hundred turns."""
    rng = random.Random(seed)
    planted = [(f.minute, user, agent) for f in FACTS for user, agent in f.said]
    topic, minute = "boiler", 0.0
    yield 0.0, "", "Good day, how can I help you?"
    while minute < MINUTES:
        minute += TURN_S / 60 * rng.uniform(0.7, 1.3)
        if planted and planted[0][0] <= minute:
            _, user, agent = planted.pop(0)
        elif rng.random() < 0.15:
            user, agent = rng.choice(SMALL_TALK)
        else:
            topic = rng.choice(tuple(TOPICS)) if rng.random() < 0.2 else topic
            chosen = {name: rng.choice(words) for name, words in WORDS.items()}
            user, agent = (text.format(**chosen) for text in rng.choice(TOPICS[topic]))
        yield minute, user, agent


@dataclass
class Figures:
    """What a run came to."""

    turns: int = 0
    folds: int = 0
    folds_failed_late_or_withdrawn: int = 0
    largest_prompt_tokens: int = 0
    prompt_tokens: int = 0
    whole_call_tokens: int = 0
    budget_tokens: int = 0
    asked: dict[str, int] = field(default_factory=lambda: {"pinned": 0, "details": 0})
    kept: dict[str, int] = field(default_factory=lambda: {"pinned": 0, "details": 0})
    lost: list[str] = field(default_factory=list)

    def share(self, what: str) -> float:
        """The fraction kept."""
        return round(self.kept[what] / self.asked[what], 4)

    def told(self) -> dict[str, Any]:
        """As a result file has it."""
        return {
            "turns": self.turns,
            "folds": self.folds,
            "folds_failed_late_or_withdrawn": self.folds_failed_late_or_withdrawn,
            "budget_tokens": self.budget_tokens,
            "largest_prompt_tokens": self.largest_prompt_tokens,
            "mean_prompt_tokens": round(self.prompt_tokens / self.turns),
            "last_prompt_tokens_without_memory": self.whole_call_tokens,
            "questions": sum(self.asked.values()),
            "pinned_kept": self.share("pinned"),
            "details_kept": self.share("details"),
        }


def by_picking(job: FoldJob) -> Summary:
    """The notes without a model."""
    return Summary(pick([*job.earlier.split("\n"), *job.lines], job.max_tokens))


def by_simulated_model(job: FoldJob) -> Summary:
    """The notes by the simulator's chat model, through the same request and the same reading as in a call."""
    answer = Replies(None).answer(summary_request(job.earlier, job.facts, job.lines, job.max_tokens)).text
    return read_summary(answer, "\n".join((job.earlier, render(job.facts), *job.lines)), job.upto - 1)


@dataclass
class _Folds:
    """Brings results back late, twice, or not at all."""

    history: History
    summarise: Summarise
    rng: random.Random
    figures: Figures
    on_their_way: list[tuple[int, FoldJob, Summary]] = field(default_factory=list)

    def turn_over(self, turn: int) -> None:
        for item in [item for item in self.on_their_way if item[0] <= turn]:
            self.on_their_way.remove(item)
            for _ in range(1 + (self.rng.random() < 0.1)):
                self.history.fold_done(item[1].number, item[2], by_model=True)
        job = self.history.begin_fold()
        if job is None:
            return
        self.figures.folds += 1
        fate = self.rng.random()
        if fate < 0.1:
            self.history.fold_failed(job.number)
        elif fate < 0.2:
            self.history.fold_withdrawn(job.number)
        if fate < 0.2:
            self.figures.folds_failed_late_or_withdrawn += 1
            if fate < 0.05:  # and it comes after all
                self.on_their_way.append((turn + 2, job, self.summarise(job)))
        else:
            self.on_their_way.append((turn + self.rng.randint(0, 4), job, self.summarise(job)))


def run(
    summarise: Summarise | None, *, seed: int = 1, tokens: int = 2600, turns: int = 10, notes: bool = True
) -> Figures:
    """Hold the call.

    Args:
        summarise: Makes the notes; None leaves every fold to be made at once, at the limit.
        seed: Of the script and of what becomes of folds.
        tokens: The budget.
        turns: Kept word by word.
        notes: Without them the old turns are just cut off: what a memory is compared with.
    """
    rng, figures, model = random.Random(seed), Figures(budget_tokens=tokens), Replies(None)
    fixed = text_tokens(PERSONA)
    history = History(Memory(Budget(turns, tokens, fixed)))
    folds = _Folds(history, summarise or by_picking, random.Random(seed + 1), figures)
    whole = History()
    judged = list(JUDGED_AT)
    for number, (minute, user, agent) in enumerate(script(seed)):
        prompt = history.messages(user)
        size = request_tokens(prompt, fixed)
        figures.largest_prompt_tokens = max(figures.largest_prompt_tokens, size)
        figures.prompt_tokens += size
        figures.turns += 1
        cut = agent.endswith(".") and rng.random() < 0.05 and len(agent.split()) > 5
        for kept in (history, whole):
            kept.remember_user(user)
            kept.remember_heard(agent[: len(agent) // 2] if cut else agent, interrupted=cut)
        if summarise is not None:
            folds.turn_over(number)
        if not notes:
            history.forget()
        if judged and minute >= judged[0]:
            judge(history, model, judged.pop(0), figures, fixed)
    figures.whole_call_tokens = request_tokens(whole.messages(), fixed)
    return figures


def judge(history: History, model: Replies, minute: int, figures: Figures, fixed: int) -> None:
    """Ask for everything told long enough ago."""
    for fact in FACTS:
        corrected_later = fact.minute == 21 and minute < 35  # its correction is still to come
        if fact.minute > minute - OLD_ENOUGH_MINUTES or corrected_later:
            continue
        prompt = history.messages(fact.question)
        figures.largest_prompt_tokens = max(figures.largest_prompt_tokens, request_tokens(prompt, fixed))
        answer = model.answer(prompt).text
        good = fact.expected in answer and (fact.stale is None or fact.stale not in answer)
        what = "pinned" if fact.pinned else "details"
        figures.asked[what] += 1
        figures.kept[what] += good
        if not good:
            figures.lost.append(f"minute {minute}: {fact.question} -> {answer}")
