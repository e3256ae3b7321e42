"""Facts by rule, from the words of a turn: what is labelled, what is decided, what is corrected, what stays open.

Rules are for English; e-mail addresses, digits and the commonest ways to give a name are read in German and Spanish
too. What the user says counts; what the agent says is pinned beside it and never in its place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from repartee.conversation import reading
from repartee.conversation.corrections import Correction, correction_in, spelling_of
from repartee.conversation.facts import Fact, FactKind, Facts, Speaker, correct, pin, plain, shorten, unpin

_CALLER = re.compile(
    r"\b(?i:my (?:full )?name(?:'s| is| was)|i am called|they call me|you can call me|call me"
    r"|(?:it's|it is|booked|put it) under|in the name of|mein name ist|ich heiße|me llamo|mi nombre es)\s+"
)
_PART_OF_NAME = re.compile(r"\b(?i:my (?P<part>first|last|family|sur|middle|maiden) ?name(?:'s| is))\s+")
_WEAK = re.compile(
    r"^(?:(?i:hello|hi|hey|yes|good \w+|so|well)[,.!]?\s+)*(?i:i'm|i am|this is|hier ist|soy)\s+"
)
_WEAK_TAIL = re.compile(r"[.,!?]?$|[,!?.]\s| (?:from|calling|speaking|here|and|again)\b")
_NATIONS = (
    "german american british english french spanish italian dutch swiss austrian indian chinese japanese irish "
    "scottish canadian australian polish turkish russian catholic muslim jewish vegan"
)
_NO_PEOPLE = frozenset(_NATIONS.split())
_RELATION = re.compile(
    r"\b(?i:my|our|his|her|their|the)\s+(?P<who>[a-z][a-z' -]{1,28}?)(?P<named>'s (?:first |last |full )?name)?\s+"
    r"(?i:is called|is named|are called|is|was)\s+"
)
_KIN = re.compile(
    r"\b(?i:my|our)\s+(?P<who>(?i:(?:older |younger |little )?(?:wife|husband|partner|son|daughter|sister|brother"
    r"|mother|father|mum|mom|dad|boss|colleague|assistant|neighbour|neighbor|friend|doctor|lawyer|aunt|uncle|dog|cat)))\s+"
)
_HEALTH = re.compile(
    r"\b(?:allerg\w+|diabet\w+|pregnan\w+|vegetarian|vegan|wheelchair|deaf|blind|gluten|lactose|asthma\w*|pacemaker"
    r"|hard of hearing|kosher|halal)\b",
    re.IGNORECASE,
)
"""Said once and to be kept in mind for the rest of the call."""
_MENTIONED = re.compile(
    r"\b(?i:named|called|spoke (?:to|with)|talked (?:to|with)|met with|recommended by)\s+"
)
_ASKED_NAME = re.compile(
    r"\b(?:(?P<who>your \w+(?:'s)?|whose|the \w+(?:'s)?) )?(?:full |last )?name\b[^?.]*\?", re.IGNORECASE
)
_BARE = re.compile(r"^(?i:yes|sure|of course|it's|it is|that's|that is|that would be|for|under)?[,.!]?\s*")
_OWNER = re.compile(
    r"\b(?:my|our|his|her|their|the|a)\s+(?P<who>[\w' ]{0,30}?)\s?"
    r"\b(?P<what>number|phone|telephone|mobile|cell|landline|fax|e-?mail)\b",
    re.IGNORECASE,
)
_THING = (
    r"number|code|id|pin|reference|zip|postcode|plate|iban|account|policy|invoice|booking|flight|room|order|ticket"
    r"|case|extension|apartment|gate|platform|model|serial"
)
_LABELLED = re.compile(
    rf"\b(?P<label>(?:[A-Za-z']+\s){{0,2}}(?:{_THING})(?:\s(?:number|code|id|address))?)"
    r"(?:\s(?:is|was|ends (?:in|with)|starts with)|'s|:)?\s+(?:still |just |now )?$",
    re.IGNORECASE,
)
_BEFORE_LABELS = (
    "my our the your a an his her their is and so that by for in it of with to on at its under i'm i we're we "
    "am it's that's about have has got"
)
_NO_LABEL = frozenset(_BEFORE_LABELS.split())
_MEASURE = re.compile(
    r"\b(?P<label>budget|price|costs?|rent|salary|deposit|limit|weight|height|fee|rate|size|offer|total|discount"
    r"|distance|age)\b[^.?!,;\d]{0,28}$",
    re.IGNORECASE,
)
_DECISION = re.compile(
    r"\b(?:let's (?:take|do|go|make|say|book|have|use|keep|stick|schedule|meet|plan)"
    r"|(?:i|we)(?:'ll| will) (?:take|have|go|come|choose|pick|keep|stick|pay|bring|order|book)"
    r"|(?:i|we)(?:'d| would) (?:rather|prefer|like the)|(?:i|we) want the|we settled on|put (?:me|us) down for"
    r"|(?:i|we)(?:'ve| have)? (?:decided|agreed|chose)"
    r"|(?:i'm|we're|i am|we are) going (?:with|for)|go ahead (?:with|and)"
    r"|please (?:book|cancel|order|reserve|move|change|deliver|use|put|schedule)|book (?:it|me|us|that)"
    r"|make (?:it|that) (?!sure)|sign (?:me|us) up|that's (?:settled|agreed|decided)|the decision is"
    r"|cancel (?:it|the|my|that|our)|nehmen wir|wir nehmen|ich nehme|abgemacht|me quedo con|vamos con)\b",
    re.IGNORECASE,
)
_AGENT_DECISION = re.compile(
    r"\b(?:i(?:'ve| have) (?:booked|cancelled|reserved|moved|changed|ordered|noted|put|sent|scheduled|added"
    r"|registered)|(?:you're|you are|it's|it is|that's|that is|is now) (?:booked|confirmed|cancelled|all set|reserved"
    r"|scheduled)|(?:i|we)(?:'ll| will) (?:send|book|call|cancel|deliver|reserve))\b",
    re.IGNORECASE,
)
_CHANGED = re.compile(r"\b(?:actually|instead|rather|on second thought|change of plan|no)\b", re.IGNORECASE)
_STILL_OPEN = re.compile(
    r"\b(?:remind me|don't (?:let me )?forget|(?:i|we) still (?:need|have|want)|come back to (?:that|this|it)"
    r"|later (?:i|we)(?:'d| would| will|'ll)? (?:want|like|need|ask)|(?:tell|give|send) you .{0,40}later)\b",
    re.IGNORECASE,
)
_PUT_OFF = re.compile(
    r"\b(?:find out|don't know|not sure|get back to you|let me check|i'll (?:have to )?(?:check|ask)|call you back"
    r"|come back to|can't (?:answer|say|tell)|cannot (?:answer|say|tell)|in a moment|one moment)\b",
    re.IGNORECASE,
)
_DROPPED = re.compile(r"\b(?:never ?mind|forget (?:about )?(?:it|that)|doesn't matter)\b", re.IGNORECASE)
_SMALL = (
    "a an the and or but of to in on at for with about is are was were be been do does did have has had can could "
    "will would should may i you he she it we they my your our his her their me us them this that these those what "
    "when where who which why how there here any some so if not no yes please also still just than then as by from "
    "up out know tell need want get got one"
)
_SMALL_WORDS = frozenset(_SMALL.split())


@dataclass(frozen=True, slots=True)
class Words:
    """What a turn is read from.

    Attributes:
        number: The turn.
        asked: What the agent had said just before.
        user: What the user said.
        agent: What the user heard of the answer.
        actions: What tools did, a sentence each.
    """

    number: int
    asked: str = ""
    user: str = ""
    agent: str = ""
    actions: tuple[str, ...] = ()


def learn(facts: Facts, words: Words) -> tuple[Facts, tuple[Correction, ...]]:
    """Pin what a turn tells; return the facts and the corrections that were made to older ones."""
    made: list[Correction] = []
    wrong = False
    for sentence in reading.sentences(reading.with_digits(words.user)):
        correction, wrong = correction_in(sentence, facts, words.number, after_no=wrong)
        if correction is not None:
            facts = correct(facts, correction.target, correction.old, correction.new, words.number)
            made.append(correction)
            continue
        facts, spelling = _from_user(facts, sentence, words)
        made += [spelling] if spelling else []
    facts = _question(facts, words)
    for sentence in reading.sentences(words.agent):
        facts = _from_agent(facts, sentence, words.number)
    for action in words.actions:
        facts = pin(facts, Fact("action", "", action, words.number, "tool"))
    return facts, tuple(made)


# --- what the user says ---------------------------------------------------------------------------------------


def _from_user(facts: Facts, sentence: str, words: Words) -> tuple[Facts, Correction | None]:
    number = words.number
    found = [*_names(sentence, words, facts), *_labelled(sentence, number, "user")]
    if (letters := reading.spelled(sentence)) is not None:
        target, old = spelling_of(letters, (*facts, *found), number)
        if target is not None:
            facts = correct(_pin_all(facts, found), target, old, letters, number)
            return facts, Correction(target, old, letters, number) if old != letters else None
        found.append(
            Fact("name", _asked_about(words.asked) or "spelled", letters, number, "user", (letters,))
        )
    if sentence.rstrip().endswith("?"):
        return _pin_all(facts, found), None
    if _DECISION.search(sentence):
        facts = _pin_decision(facts, sentence, number)
    elif _STILL_OPEN.search(sentence):
        facts = pin(facts, Fact("question", "", sentence, number))
    else:
        found += _unlabelled(sentence, number, "user", {value for fact in found for value in fact.values})
    return _pin_all(facts, found), None


def _pin_all(facts: Facts, found: list[Fact]) -> Facts:
    for fact in found:
        facts = pin(facts, fact)
    return facts


def _names(sentence: str, words: Words, facts: Facts) -> list[Fact]:
    def fact(about: str, name: str, text: str = "") -> Fact:
        return Fact("name", about, text or name, words.number, "user", (name,))

    if match := _PART_OF_NAME.search(sentence):
        name = reading.name_at(sentence[match.end() :])
        return [fact(f"caller's {match['part'].lower()} name", name)] if name else []
    if match := _CALLER.search(sentence):
        name = reading.name_at(sentence[match.end() :])
        return [fact("caller", name)] if name else []
    found = []
    if match := _RELATION.search(sentence):
        rest = sentence[match.end() :]
        name, who = reading.name_at(rest), _label(match["who"])
        if name and who and len(who.split()) <= 3 and not reading.CODE.match(rest):
            found.append(fact(who, name))
    if not found and (match := _KIN.search(sentence)):
        name = reading.name_at(sentence[match.end() :])
        found += [fact(match["who"].lower(), name)] if name else []
    if not found and (match := _MENTIONED.search(sentence)):
        name = reading.name_at(sentence[match.end() :])
        found += [fact("", name, _excerpt(sentence, (name,)))] if name else []
    known = any(fact.kind == "name" and fact.about == "caller" for fact in facts)
    if not found and not known and (match := _WEAK.search(sentence)):
        name = reading.name_at(sentence[match.end() :])
        rest = sentence[match.end() + len(name or "") :]
        if name and name.lower() not in _NO_PEOPLE and _WEAK_TAIL.match(rest):
            found.append(fact("caller", name))
    if not found and (about := _asked_about(words.asked)):
        bare = sentence[(match.end() if (match := _BARE.match(sentence)) else 0) :]
        name = reading.name_at(bare)
        if name and not re.search(r"\w", bare[len(name) :].split(",", 1)[0]):
            found.append(fact(about, name))
    return found


def _asked_about(asked: str) -> str | None:
    """Whose name the agent asked for last; None when it asked for something else."""
    questions = [sentence for sentence in reading.sentences(asked) if sentence.endswith("?")]
    match = _ASKED_NAME.search(questions[-1]) if questions else None
    if match is None:
        return None
    who = re.sub(r"'s$", "", (match["who"] or "").lower().removeprefix("your ").removeprefix("the "))
    return who if who and who not in ("whose", "full", "last", "first", "your") else "caller"


def _labelled(sentence: str, number: int, speaker: Speaker) -> list[Fact]:
    """What a sentence gives a name to: e-mail, telephone, numbers and codes, amounts."""
    found: list[Fact] = []
    for match in reading.EMAIL.finditer(sentence):
        address = _address(match.group())
        if address is not None:
            owner = _owner(sentence[: match.start()], "")
            found.append(Fact("email", owner, address, number, speaker, (address,)))
    for match in reading.CODE.finditer(sentence):
        before, value = sentence[: match.start()], match.group().strip()
        digits = len(re.sub(r"\D", "", value))
        label = _label(labelled["label"]) if (labelled := _LABELLED.search(before)) else ""
        if reading.AMOUNT.match(sentence, match.start()) or reading.TIME.match(sentence, match.start()):
            continue
        if label and not _is_phone(label, digits):
            found.append(Fact("number", label, value, number, speaker, (value,)))
    for match in reading.PHONE.finditer(sentence):
        value = match.group().strip()
        if not any(value in known for fact in found for known in fact.values) and not reading.DATE.search(
            value
        ):
            found.append(
                Fact("phone", _owner(sentence[: match.start()], "number"), value, number, speaker, (value,))
            )
    for match in reading.AMOUNT.finditer(sentence):
        if measured := _MEASURE.search(sentence[: match.start()]):
            value = match.group()
            found.append(Fact("amount", measured["label"].lower(), value, number, speaker, (value,)))
    return found


def _is_phone(label: str, digits: int) -> bool:
    return digits >= 7 and (
        label in ("number", "") or re.search(r"phone|mobile|cell|landline|fax", label) is not None
    )


def _owner(before: str, usual: str) -> str:
    """Whose number or address it is: "caller", "wife", "caller's mobile"."""
    match = next(reversed(list(_OWNER.finditer(before))), None)
    if match is None:
        return "caller"
    who = _label(match["who"]).removesuffix("'s").strip()
    what = match["what"].lower()
    who = re.sub(r"\b(?:new|own|phone|telephone|e-?mail)\b", "", who).strip()
    which = f" {what}" if what not in ("number", "phone", "telephone", "email", "e-mail") and usual else ""
    return f"{who or 'caller'}{which}"


def _label(words: str) -> str:
    kept = [word for word in words.lower().split() if word not in _NO_LABEL]
    return " ".join(kept)


def _address(said: str) -> str | None:
    if "@" in said:
        return said.rstrip(".")
    local, _, domain = said.lower().rpartition(" at ")
    if local in ("is", "it's", "me", "us", "look", "are", "was", "be"):
        return None
    signs = {" dot ": ".", " underscore ": "_", " dash ": "-"}
    for word, sign in signs.items():
        local, domain = local.replace(word, sign), domain.replace(word, sign)
    return f"{local}@{domain}"


def _unlabelled(sentence: str, number: int, speaker: Speaker, known: set[str]) -> list[Fact]:
    """A sentence with an amount, a date, a time, a number or a name in it is kept as it is."""
    values = values_in(sentence)
    if speaker == "user":
        inside = [value for _, value in values]
        figures = [match.group() for match in reading.FIGURE.finditer(sentence)]
        values += [("number", figure) for figure in figures if not any(figure in value for value in inside)]
        values += [
            ("name", name) for name in reading.names(sentence) if not sentence.startswith(name) or " " in name
        ]
        if not values and _HEALTH.search(sentence):
            return [Fact("detail", "", _excerpt(sentence, ()), number)]
    fresh = [(kind, value) for kind, value in values if not any(value in other for other in known)]
    if not fresh:
        return []
    texts = tuple(value for _, value in fresh)
    return [Fact(fresh[0][0], "", _excerpt(sentence, texts), number, speaker, texts)]


def values_in(sentence: str) -> list[tuple[FactKind, str]]:
    """Return the amounts, dates and times in a sentence."""
    values: list[tuple[FactKind, str]] = []
    patterns: tuple[tuple[FactKind, re.Pattern[str]], ...] = (
        ("amount", reading.AMOUNT),
        ("date", reading.DATE),
        ("time", reading.TIME),
    )
    for kind, pattern in patterns:
        values += [(kind, match.group().strip()) for match in pattern.finditer(sentence)]
    return values


def _excerpt(sentence: str, values: tuple[str, ...]) -> str:
    """Return a sentence short enough to keep, its values in it."""
    text = shorten(sentence, 150)
    missing = [value for value in values if value not in text]
    return f"{shorten(sentence, 110)} {' '.join(missing)}" if missing else text


def _pin_decision(facts: Facts, sentence: str, number: int) -> Facts:
    """Pin what was decided; a change of mind replaces the values it names, and what it does not name stays."""
    values = values_in(sentence)
    old = _latest_decision(facts, {kind for kind, _ in values}, number) if _CHANGED.search(sentence) else None
    if old is not None and values:
        before = dict(values_in(old.text))
        for kind, value in values:
            facts = correct(facts, old, before[kind], value, number)
            old = next((f for f in facts if f.kind == "decision" and value in f.values), old)
        return facts
    texts = tuple(value for _, value in values)
    if old is not None and re.search(r"\binstead\b", sentence, re.IGNORECASE):
        facts = unpin(facts, old)
    return pin(facts, Fact("decision", "", _excerpt(sentence, texts), number, "user", texts))


def _latest_decision(facts: Facts, kinds: set[FactKind], number: int) -> Fact | None:
    """The user's latest decision that tells all of these kinds of values, so that it can be what is changed."""
    for fact in reversed(facts):
        recent = fact.kind == "decision" and fact.speaker == "user" and number - fact.turn <= 10
        if recent and kinds <= {kind for kind, _ in values_in(fact.text)}:
            return fact
    return None


# --- open questions and the agent -----------------------------------------------------------------------------


def _question(facts: Facts, words: Words) -> Facts:
    """Close what the answer answers; keep open what was asked and not answered."""
    if words.user and _DROPPED.search(words.user):
        newest = next((fact for fact in reversed(facts) if fact.kind == "question"), None)
        facts = unpin(facts, newest) if newest else facts
    answers = [s for s in reading.sentences(words.agent) if not s.endswith("?") and not _PUT_OFF.search(s)]
    for fact in facts:
        if fact.kind == "question" and fact.turn < words.number:
            answer = next((s for s in answers if _answers(fact.text, s)), None)
            if answer is not None:
                facts = unpin(facts, fact)
                told = f"{shorten(fact.text, 70)} {shorten(answer, 85)}"
                facts = pin(facts, Fact("detail", "", told, words.number, "agent"))
    asked = [s for s in reading.sentences(words.user) if s.endswith("?") and len(s.split()) >= 4]
    cut_off = words.agent.rstrip().endswith("…") and len(words.agent.split()) < 6
    if asked and (not words.agent.strip() or cut_off or _PUT_OFF.search(words.agent)):
        facts = pin(facts, Fact("question", "", asked[-1], words.number))
    return facts


def _answers(question: str, sentence: str) -> bool:
    about = {word.rstrip("s") for word in plain(question).split()} - _SMALL_WORDS
    told = {word.rstrip("s") for word in plain(sentence).split()}
    shared = len(about & told)
    return bool(about) and shared >= max(min(2, len(about)), 0.6 * len(about))


def _from_agent(facts: Facts, sentence: str, number: int) -> Facts:
    if sentence.endswith("?"):
        return facts
    known = {value.lower() for fact in facts if fact.speaker == "user" for value in fact.values}
    found = _labelled(sentence, number, "agent")
    if _AGENT_DECISION.search(sentence):
        values = tuple(value for _, value in values_in(sentence))
        found = [Fact("decision", "", _excerpt(sentence, values), number, "agent", values)]
    elif not found:
        found = _unlabelled(sentence, number, "agent", set())
    for fact in found:
        told_by_user = any(f.identity == fact.identity and f.speaker == "user" for f in facts)
        repeats = fact.kind != "decision" and all(value.lower() in known for value in fact.values)
        if not told_by_user and not repeats:
            facts = pin(facts, replace(fact, text=shorten(fact.text, 150)))
    return facts
