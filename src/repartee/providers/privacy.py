"""What `privacy: on-device` asks of an installation: every part that is handed words or sound is on this machine.

What is checked, at start and again for each call: the language model's server, the database of calls, Redis, and
where traces go. The agent file itself is checked when it is read (`agent/privacy.py`). The media server is not: it is
what carries the call to its caller, wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import parse_qs, urlsplit

from repartee.agent import Agent
from repartee.agent.privacy import RULE
from repartee.errors import ConfigError
from repartee.machine import is_loopback
from repartee.settings import Settings, variable
from repartee.urls import host_of


def check_private(settings: Settings, agent: Agent) -> None:
    """Make sure that a private agent has all its parts on this machine; of others nothing is asked.

    Raises:
        ConfigError: Names each part that is elsewhere, and what to do about it.
    """
    if not agent.private:
        return
    wrong = list(_elsewhere(settings))
    if wrong:
        raise ConfigError("\n".join(f"{agent.path}: {sentence}" for sentence in wrong))


def check_sealed(agents: Sequence[Agent], *, sealed: bool) -> None:
    """Make sure that a call stays private whichever of its agents has it.

    Args:
        agents: Who takes the call, and those it may be passed to.
        sealed: Whether this process is.

    Raises:
        ConfigError: One of them is private, and the first or the process is not.
    """
    private = next((agent for agent in agents if agent.private), None)
    if private is None:
        return
    if not agents[0].private:
        raise ConfigError(
            f"{agents[0].path}: calls may be passed to '{private.name}', which is private, so this agent must be "
            "too; write 'privacy: on-device'"
        )
    if not sealed:
        raise ConfigError(
            f"{private.path}: 'privacy' was set to on-device while the worker ran; start it again, so that its "
            "processes are sealed"
        )


def without_vendors(settings: Settings) -> Settings:
    """Return settings in which no vendor has a key: what is not known cannot be used by mistake."""
    keys = ("openai_api_key", "elevenlabs_api_key", "cartesia_api_key")
    return settings.model_copy(update=dict.fromkeys(keys))


def allowed_hosts(settings: Settings, *, issuer: bool = False) -> tuple[str, ...]:
    """Return the hosts besides this machine that a private agent's processes may connect to: the media server's.

    Args:
        settings: With its address.
        issuer: Also that of the keys of those who may call, for the process that checks their tokens.
    """
    urls = (settings.livekit_url, settings.jwt_jwks if issuer else None)
    return tuple(host for url in urls if url and (host := host_of(url)))


def _elsewhere(settings: Settings) -> Iterator[str]:
    if not is_loopback(host := host_of(settings.llm_base_url)):
        yield _sentence("LLM_BASE_URL", host, "run the model's server here, or unset it")
    for host in _database_hosts(settings.store_url):
        yield _sentence("REPARTEE_DATABASE_URL", host, "use SQLite or a PostgreSQL on this machine")
    redis = settings.redis_url.get_secret_value() if settings.redis_url is not None else ""
    if not redis.startswith("unix:") and redis and not is_loopback(host := host_of(redis)):
        yield _sentence("REPARTEE_REDIS_URL", host, "unset it: on-device models have no health to share")
    if settings.otel_endpoint and not is_loopback(host := host_of(settings.otel_endpoint)):
        yield _sentence("OTEL_EXPORTER_OTLP_ENDPOINT", host, "use a collector on this machine, or unset it")


def _sentence(name: str, host: str, fix: str) -> str:
    return f"{name} is at '{host}', which is another machine, and {RULE}; {fix}"


def _database_hosts(url: str) -> list[str]:
    """Return the hosts of a database that are not this machine; files and UNIX sockets have none."""
    parts = urlsplit(url)
    if parts.scheme.startswith("sqlite"):
        return []
    asked = parse_qs(parts.query)
    named = [parts.hostname] if parts.hostname else asked.get("host", []) + asked.get("hostaddr", [])
    if not named:  # libpq asks the environment then
        named = [value for name in ("PGHOST", "PGHOSTADDR") if (value := variable(name))]
    hosts = [host for value in named for host in value.split(",")]
    return [host for host in hosts if not host.startswith(("/", "@")) and not is_loopback(host)]
