"""`HTTPS=1`: the certificate, the address, and what the settings become."""

from __future__ import annotations

import datetime
import json
import ssl
import stat
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from pydantic import SecretStr

from repartee.cli import https
from repartee.cli.https import address_of, certificate_for, over_https, qr_code
from repartee.cli.livekit import _write_config
from repartee.errors import ConfigError
from repartee.settings import Settings

NOW = datetime.datetime(2026, 11, 27, 12, tzinfo=datetime.UTC)
LAN = "192.168.1.20"


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None: ...


def test_a_client_that_is_told_to_believe_it_does_and_no_other(tmp_path: Path) -> None:
    tls = certificate_for(tmp_path / "tls", "127.0.0.1")
    assert tls.authority is not None
    server = HTTPServer(("127.0.0.1", 0), Hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    url = f"https://127.0.0.1:{server.server_address[1]}"
    try:
        assert httpx.get(url, verify=ssl.create_default_context(cafile=tls.authority)).text == "hello"
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(url)
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def test_the_authority_may_sign_for_this_address_only_and_its_key_is_kept_nowhere(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    tls = certificate_for(folder, LAN, NOW)
    assert tls.authority is not None
    authority = x509.load_pem_x509_certificate(tls.authority.read_bytes())
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert [name.value for name in limits.value.permitted_subtrees or ()] == [ip_network(f"{LAN}/32")]
    keys = [file for file in folder.iterdir() if b"PRIVATE KEY" in file.read_bytes()]
    assert keys == [tls.key]
    assert stat.S_IMODE(tls.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    certificate = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc < datetime.timedelta(days=398)
    certificate.verify_directly_issued_by(authority)


def test_it_is_kept_until_it_no_longer_fits(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    first = certificate_for(folder, LAN, NOW).certificate.read_bytes()
    assert certificate_for(folder, LAN, NOW + datetime.timedelta(days=300)).certificate.read_bytes() == first
    later = certificate_for(folder, LAN, NOW + datetime.timedelta(days=395)).certificate.read_bytes()
    assert later != first, "it had run out in two days"
    elsewhere = certificate_for(folder, "10.0.0.7", NOW + datetime.timedelta(days=395))
    assert elsewhere.certificate.read_bytes() != later
    (folder / "server.pem").write_text("damaged")
    assert certificate_for(folder, "10.0.0.7", NOW).certificate.read_bytes() != b"damaged"


def test_the_server_is_the_network_s_and_asks_for_its_key(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "lan_address", lambda: LAN)
    settings, tls = over_https(plain_settings)
    assert settings.host == LAN, "this address and no other"
    assert settings.livekit_public_url == f"wss://{LAN}:8080"
    assert settings.media_address == LAN
    assert settings.visit_key is not None
    key = settings.visit_key.get_secret_value()
    assert len(key) >= 20
    assert address_of(settings) == f"https://{LAN}:8080/?key={key}"
    assert key in settings.secrets, "the log knows what to leave out"
    assert tls.certificate.is_file()
    again, _ = over_https(plain_settings)
    assert again.visit_key != settings.visit_key


def test_keys_of_one_s_own_and_a_livekit_server_of_one_s_own_stay_what_they_are(
    plain_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "lan_address", lambda: LAN)
    own = plain_settings.model_copy(
        update={"api_token": SecretStr("secret"), "livekit_url": "wss://rtc.example"}
    )
    settings, _ = over_https(own)
    assert settings.visit_key is None
    assert settings.livekit_public_url is None
    assert address_of(settings) == f"https://{LAN}:8080"


def test_a_certificate_of_one_s_own_is_used(
    plain_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "lan_address", lambda: LAN)
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    own = plain_settings.model_copy(update={"tls_cert": cert, "tls_key": key})
    with pytest.raises(ConfigError, match=r"there is no file .*c\.pem"):
        over_https(own)
    cert.touch()
    key.touch()
    assert over_https(own)[1].certificate == cert
    assert over_https(own)[1].authority is None
    with pytest.raises(ConfigError, match="go together"):
        over_https(own.model_copy(update={"tls_key": None}))


def test_a_machine_in_no_network_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "NOWHERE", ("127.0.0.1", 9))
    with pytest.raises(ConfigError, match="set REPARTEE_HOST"):
        https.lan_address()


def test_the_media_server_s_sound_comes_from_the_network_and_its_signalling_does_not(
    plain_settings: Settings,
) -> None:
    config = _write_config(plain_settings.model_copy(update={"media_address": LAN}), "k", "s").read_text()
    assert f'"node_ip": "{LAN}"' in config
    assert f'"{LAN}/32"' in config
    assert '"bind_addresses": ["127.0.0.1"]' in config
    assert "interfaces" not in config
    assert LAN not in _write_config(plain_settings, "k", "s").read_text()


def test_the_address_fits_a_terminal() -> None:
    lines = qr_code(f"https://{LAN}:8080/?key={'x' * 22}").splitlines()
    assert 15 <= len(lines) <= 22
    assert max(map(len, lines)) <= 60


def test_the_address_that_stands_for_no_stun_is_one_that_browsers_take(plain_settings: Settings) -> None:
    """Firefox blocks the ports of old services for STUN as well, and then makes no connection at all."""
    config = json.loads(_write_config(plain_settings, "k", "s").read_text())
    (stun,) = config["rtc"]["stun_servers"]
    host, _, port = stun.partition(":")
    assert host == "127.0.0.1", "nobody else is asked"
    assert int(port) > 1024
    assert int(port) not in {
        2049,
        3659,
        4045,
        4190,
        5060,
        5061,
        6000,
        6566,
        6679,
        6697,
        10080,
        *range(6665, 6670),
    }
