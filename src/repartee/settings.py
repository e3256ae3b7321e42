"""Everything read from the environment, in one place.

Order: command line > environment > `.env` > defaults. Only the command line module builds `Settings`;
every other package is handed the part it needs. Secrets are `SecretStr`, so they never print.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def _state_dir() -> Path:
    return Path.home() / ".local" / "state" / "repartee"


def _cache_dir() -> Path:
    return Path.home() / ".cache" / "repartee"


class Settings(BaseSettings):
    """Process settings; the field name in upper case is the environment variable unless an alias is given."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    # LiveKit. Unset URL: `repartee up` starts its own server on loopback with a random key.
    livekit_url: str | None = None
    #: What callers connect to, where that is another address than this process uses.
    livekit_public_url: str | None = None
    livekit_api_key: str | None = None
    livekit_api_secret: SecretStr | None = None

    # Providers; a missing key means the next rung of the ladder.
    openai_api_key: SecretStr | None = None
    openai_base_url: str = "https://api.openai.com/v1"
    elevenlabs_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("elevenlabs_api_key", "eleven_api_key")
    )
    elevenlabs_base_url: str = "wss://api.elevenlabs.io"
    cartesia_api_key: SecretStr | None = None
    cartesia_base_url: str = "wss://api.cartesia.ai"
    #: Any OpenAI-compatible chat server (Ollama, vLLM, llama.cpp); probed when no OpenAI key is there.
    llm_base_url: str = "http://127.0.0.1:11434/v1"
    llm_api_key: SecretStr | None = None
    #: Requests at once that the vendor's plan allows, by the plan's name or as a number.
    elevenlabs_plan: str | None = None
    cartesia_plan: str | None = None
    #: This machine's own models stand by for vendors that fail.
    standby: bool = Field(default=True, validation_alias="repartee_standby")
    #: Shares what is known of the vendors among machines; unset: each machine finds out for itself.
    redis_url: SecretStr | None = Field(default=None, validation_alias="repartee_redis_url")

    # This process.
    agent: Path = Field(default=Path("agents/front-desk.yaml"), validation_alias="repartee_agent")
    agent_name: str = Field(default="repartee", validation_alias="repartee_agent_name")
    host: str = Field(default="127.0.0.1", validation_alias="repartee_host")
    port: int = Field(default=8080, ge=1, le=65535, validation_alias="repartee_port")
    livekit_port: int = Field(default=7880, ge=1, le=65535, validation_alias="repartee_livekit_port")
    livekit_udp_port: int = Field(default=7882, ge=1, le=65535, validation_alias="repartee_livekit_udp_port")
    #: The page over TLS for phones in the network, see `cli/https.py`.
    https: bool = Field(default=False, validation_alias="repartee_https")
    tls_cert: Path | None = Field(default=None, validation_alias="repartee_tls_cert")
    tls_key: Path | None = Field(default=None, validation_alias="repartee_tls_key")
    #: With it the page's address lets in whoever opens it; unset: nobody needs one.
    visit_key: SecretStr | None = Field(default=None, validation_alias="repartee_visit_key", min_length=16)
    #: Where clients reach the media of a LiveKit server of our own; unset: on this machine only.
    media_address: str | None = Field(default=None, validation_alias="repartee_media_address")
    worker_health_port: int = Field(default=8081, ge=0, le=65535, validation_alias="repartee_worker_port")
    #: Calls of a worker; 0: as many as were measured for its cores, see `worker/capacity.py`.
    max_calls: int = Field(default=0, ge=0, le=1000, validation_alias="repartee_max_calls")
    #: Session processes; 0: one for each core.
    session_processes: int = Field(default=0, ge=0, le=256, validation_alias="repartee_session_processes")
    #: Calls in one process; 0: all calls shared out evenly; 1: each call in a process of its own.
    calls_per_process: int = Field(default=0, ge=0, le=1000, validation_alias="repartee_calls_per_process")
    #: How long a worker that is told to end waits for its calls.
    drain_s: float = Field(default=20.0, ge=0, le=86_400, validation_alias="repartee_drain_s")
    warm_processes: int = Field(default=1, ge=0, le=64, validation_alias="repartee_warm_processes")
    state_dir: Path = Field(default_factory=_state_dir, validation_alias="repartee_state_dir")
    cache_dir: Path = Field(default_factory=_cache_dir, validation_alias="repartee_cache_dir")
    #: Where models are fetched from.
    hub_url: str = Field(default="https://huggingface.co", validation_alias="hf_endpoint")
    #: Where calls are kept; unset: an SQLite file in the state folder. It may hold a password.
    database_url: SecretStr | None = Field(default=None, validation_alias="repartee_database_url")
    prices: Path | None = Field(default=None, validation_alias="repartee_prices")
    keep_days: int = Field(default=30, ge=1, le=36_500, validation_alias="repartee_keep_days")
    #: USD that all calls of this installation may cost in a day (UTC); unset: no limit.
    budget_day_usd: Decimal | None = Field(default=None, gt=0, validation_alias="repartee_budget_day_usd")
    allowed_origins: str = Field(default="", validation_alias="repartee_allowed_origins")
    #: Conversations in text that other agents may have with this one at once, over A2A; 0: it cannot be reached so.
    a2a_calls: int = Field(default=0, ge=0, le=1000, validation_alias="repartee_a2a_calls")
    # Who may call and who may see calls; what they mean is in `server/door.py` and docs/security.md.
    api_token: SecretStr | None = Field(default=None, validation_alias="repartee_api_token")
    api_keys: str = Field(default="", validation_alias="repartee_api_keys")
    operator_keys: str = Field(default="", validation_alias="repartee_operator_keys")
    #: Keys of devices, see `server/devices.py`; unset: a file in the state folder.
    devices: Path | None = Field(default=None, validation_alias="repartee_devices")
    #: Asked of who reads `/metrics`; unset: this machine may.
    metrics_token: SecretStr | None = Field(
        default=None, min_length=16, validation_alias="repartee_metrics_token"
    )
    #: Without a token, other machines may read a worker's `/metrics` too: the network keeps strangers out.
    metrics_open: bool = Field(default=False, validation_alias="repartee_metrics_open")
    jwt_jwks: str | None = Field(default=None, validation_alias="repartee_jwt_jwks")
    jwt_secret: SecretStr | None = Field(default=None, validation_alias="repartee_jwt_secret")
    jwt_audience: str | None = Field(default=None, validation_alias="repartee_jwt_audience")
    jwt_issuer: str | None = Field(default=None, validation_alias="repartee_jwt_issuer")
    trusted_proxies: str = Field(default="", validation_alias="repartee_trusted_proxies")
    calls_per_user: int = Field(default=1, ge=0, le=1000, validation_alias="repartee_calls_per_user")
    #: Tokens that one address may ask for in a minute.
    token_rate: int = Field(default=30, ge=1, le=1_000_000, validation_alias="repartee_token_rate")
    #: Where traces go (OTLP over HTTP); its other standard variables are read by OpenTelemetry itself.
    otel_endpoint: str | None = Field(default=None, validation_alias="otel_exporter_otlp_endpoint")
    #: Holds one level of the ladder of degradation, 0 to 5, whatever is measured: to try it out. Unset: measured.
    level: int | None = Field(default=None, ge=0, le=5, validation_alias="repartee_level")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", validation_alias="repartee_log_level"
    )

    @property
    def store_url(self) -> str:
        """The database of calls."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.state_dir.absolute() / 'repartee.db'}"

    @property
    def devices_file(self) -> Path:
        """Where keys of devices are kept, as digests."""
        return self.devices or self.state_dir.absolute() / "devices"

    @property
    def recordings_dir(self) -> Path:
        """Where recordings of calls are kept."""
        return self.state_dir.absolute() / "recordings"

    @property
    def models_dir(self) -> Path:
        """Where fetched models are kept."""
        return self.cache_dir.absolute() / "models"

    @property
    def timelines_dir(self) -> Path:
        """Where the timelines of calls are kept."""
        return self.state_dir.absolute() / "calls"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret in it, for what keeps them out of the log."""
        fields = (getattr(self, name) for name in type(self).model_fields)
        known = [field.get_secret_value() for field in fields if isinstance(field, SecretStr)]
        password = urlsplit(self.store_url).password
        return (*known, *((password,) if password else ()))

    @property
    def spool_dir(self) -> Path:
        """Where rows wait while the database is away."""
        return self.state_dir.absolute() / "spool"


def variable(name: str) -> str | None:
    """Return one environment variable that an agent file asks for by name: from the environment, else from `.env`."""
    value = os.environ.get(name)
    return value if value is not None else dotenv_values(".env").get(name)
