"""A caller who speaks another language: what changes with it, and what a reply that is thrown away leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from repartee.agent import Agent, load_agent
from repartee.conversation import Idle, Speaking
from repartee.errors import ToolError
from repartee.providers.hearing import ASSUMED, Recogniser, Transcriber, spoken_language
from repartee.session.fillers import words_of
from repartee.session.fixed_texts import fixed_texts
from repartee.session.languages import CallLanguage, in_language
from repartee.session.lines import lines_of
from tests.session.rig import Ask, Call
from tests.session.test_call import NOW, said

FILE = """
name: Desk
language: en-GB
persona: x
greeting: Hello
waiting: {say: {question: [Bear with me.]}, hang_up: Cheerio.}
languages:
  de: {instruction: Say Sie.}
  fr: {}
"""
GERMAN = "Ich hätte gerne einen Termin am Dienstag."


class Marks:
    """Takes what is marked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, name: str, **values: Any) -> None:
        self.seen.append((name, values))


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    file = tmp_path / "a.yaml"
    file.write_text(FILE)
    return load_agent(file)


@pytest.fixture
def language(agent: Agent) -> CallLanguage:
    return CallLanguage(agent, Marks())


def test_a_reply_is_in_the_language_of_the_words_it_answers(language: CallLanguage) -> None:
    assert language.answer("When are you open?") == "en-GB"
    assert language.note() == ""
    assert language.answer(GERMAN) == "de"
    assert language.note() == "The user speaks German. Answer in German. Say Sie."
    assert language.foreign
    assert language.language == "en-GB", "nothing is decided before the words belong to the conversation"


def test_a_reply_that_is_thrown_away_changes_nothing(language: CallLanguage) -> None:
    told: list[str] = []
    language.on_change(told.append)
    language.answer(GERMAN)
    language.answer("Sorry, I meant: when are you open on Tuesday?")
    language.remember("Sorry, I meant: when are you open on Tuesday?")
    assert (language.shown, told) == ("en-GB", [])


def test_what_belongs_to_the_conversation_is_told_once(language: CallLanguage) -> None:
    told: list[str] = []
    language.on_change(told.append)
    for _ in range(2):
        language.answer(GERMAN)
        language.remember(GERMAN)
    language.remember("Danke.")
    assert told == ["de"]
    language.remember("Sorry, could we speak English, please?")
    assert told == ["de", "en-GB"]
    assert not language.foreign


def test_the_recogniser_s_word_counts_for_languages_whose_words_are_not_known(language: CallLanguage) -> None:
    french = "Je voudrais un rendez-vous mardi matin"
    language.heard("fr", 0.95)
    assert language.answer(french) == "fr"
    language.remember(french)
    assert language.language == "fr"
    assert language.note() == "The user speaks French. Answer in French."
    language.heard("ru", 0.99)  # one the agent does not speak
    assert language.answer("Bonjour tout le monde ici") == "fr"


def test_a_tool_may_choose_a_language_and_is_told_what_there_is(language: CallLanguage) -> None:
    language.choose("de")
    assert language.shown == "de"
    with pytest.raises(ToolError, match="there is no language 'es'"):
        language.choose("es")


def test_without_a_model_nothing_changes(language: CallLanguage) -> None:
    language.stay()
    assert language.answer(GERMAN) == "en-GB"
    language.remember(GERMAN)
    assert language.language == "en-GB"


def test_an_agent_of_one_language_weighs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("name: Desk\npersona: x\ngreeting: Hello\n")
    one = CallLanguage(load_agent(file), Marks())
    assert not one.several
    one.answer(GERMAN)
    one.remember(GERMAN)
    assert (one.language, one.note()) == ("en", "")


def test_fixed_sentences_are_those_of_the_language_and_not_the_file_s(agent: Agent) -> None:
    german = in_language(agent, "de")
    assert lines_of(german)["still_there"] == "Sind Sie noch da?"
    assert lines_of(agent)["hang_up"] == "Cheerio."
    assert lines_of(german)["hang_up"].endswith("Auf Wiederhören!")
    assert "Bear with me." in words_of(agent).all
    assert "Bear with me." not in words_of(german).all
    assert "Sind Sie noch da?" in fixed_texts(german)
    assert in_language(agent, "en-GB") is agent


async def test_a_call_goes_on_in_german(agent: Agent) -> None:
    language = CallLanguage(agent, Marks())
    call = Call(Ask("Wir haben von acht bis sechs auf."), policies=NOW)
    call.language = language

    def speaks(code: str) -> None:
        call.bridge.speak(lines_of(in_language(agent, code)), {})

    language.on_change(speaks)
    call.connect()
    async with call:
        said(call, "Wann haben Sie denn am Dienstag auf?")
        await call.play_until(lambda: isinstance(call.state, Speaking))
        await call.play_until(lambda: isinstance(call.state, Idle))
        (asked,) = call.model.asked
    assert asked[-1]["content"] == "The user speaks German. Answer in German. Say Sie."
    assert (
        call.bridge._performer.script.lines["not_heard"] == "Entschuldigung, das habe ich nicht verstanden."
    )


class Answer:
    """Of a recogniser."""

    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (Answer(text="x"), (None, None)),
        (Answer(language="german"), ("de", ASSUMED)),
        (Answer(language="de", language_probability=0.97), ("de", 0.97)),
        (Answer(language=""), (None, None)),
        (None, (None, None)),
    ],
)
def test_the_language_a_recogniser_tells_is_read(answer: object, found: tuple[object, object]) -> None:
    assert spoken_language(answer) == found


class Client:
    """Takes what a recogniser is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.audio = self.transcriptions = self

    async def create(self, **values: Any) -> Answer:
        self.asked.append(values)
        return Answer(text="")


class Attempt:
    """The first of one."""

    index, first_s = 0, 1.0

    def first(self) -> None:
        """It answers."""


@pytest.mark.parametrize(
    ("model", "languages", "one", "asked"),
    [
        ("gpt-4o-mini-transcribe", (), "de", {"language": "de"}),
        ("gpt-4o-mini-transcribe", (), None, {}),
        ("whisper-1", (), None, {"response_format": "verbose_json"}),
        (
            "base",
            ("en", "de"),
            None,
            {"response_format": "verbose_json", "extra_body": {"languages": "en,de"}},
        ),
    ],
)
async def test_a_recogniser_is_told_the_language_or_asked_for_it(
    model: str, languages: tuple[str, ...], one: str | None, asked: dict[str, Any]
) -> None:
    client = Client()
    recogniser = Recogniser(client, model, languages)  # type: ignore[arg-type]
    transcriber = Transcriber(None, [recogniser], None, one)  # type: ignore[arg-type]
    await transcriber.ask(Attempt(), b"RIFF")  # type: ignore[arg-type]
    (told,) = client.asked
    del told["file"], told["model"]
    assert told == asked
