"""`HTTPS=1`: the page for phones in the same network, over TLS with a certificate that is made here.

Browsers give a microphone to https and localhost only. So the server listens on this machine's address in the network
with a certificate for that address, and passes the media server's signalling through the same origin. Who gets in has
the address with its key: from the QR code.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import segno
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.responses import FileResponse

from repartee.errors import ConfigError
from repartee.machine import is_loopback
from repartee.server.door import Door
from repartee.server.signalling import SignalProxy
from repartee.settings import Settings

DAYS, RENEW_DAYS = 397, 7
"""Longer than that Apple's devices do not believe a certificate."""
AUTHORITY_PATH = "/authority.pem"
NOWHERE = ("192.0.2.1", 9)
"""An address of no machine: a route to it says which of ours leads into the network; nothing is sent."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What the server shows, and what a phone may be given to believe it; `authority` is None where it is yours."""

    certificate: Path
    key: Path
    authority: Path | None

    def more(self, livekit_url: str | None) -> tuple[Callable[[FastAPI], None], ...]:
        """Return what the server answers besides: signalling of a media server, and the authority's certificate."""
        passing = (SignalProxy(livekit_url).install,) if livekit_url is not None else ()
        return (*passing, *((self._show,) if self.authority is not None else ()))

    def _show(self, app: FastAPI) -> None:
        async def shown() -> FileResponse:
            assert self.authority is not None  # noqa: S101 - asked above
            return FileResponse(self.authority, media_type="application/x-x509-ca-cert")

        app.add_api_route(AUTHORITY_PATH, shown, include_in_schema=False)


def over_https(settings: Settings) -> tuple[Settings, Tls]:
    """Return the settings of a server for the network, and its certificate, made where there is none for it.

    Raises:
        ConfigError: There is no network, the certificate cannot be kept, or the settings do not go together.
    """
    address = settings.host if not is_loopback(settings.host) else lan_address()
    shown = lan_address() if address in ("0.0.0.0", "::") else address
    changes: dict[str, object] = {"host": address}
    if settings.livekit_url is None:
        changes |= {"livekit_public_url": f"wss://{shown}:{settings.port}", "media_address": shown}
    if settings.visit_key is None and Door(settings).open_to_callers:
        changes["visit_key"] = SecretStr(secrets.token_urlsafe(16))
    if settings.tls_cert is not None or settings.tls_key is not None:
        if settings.tls_cert is None or settings.tls_key is None:
            raise ConfigError("REPARTEE_TLS_CERT and REPARTEE_TLS_KEY go together; one of them is missing")
        tls = Tls(settings.tls_cert, settings.tls_key, None)
        for file in (tls.certificate, tls.key):
            if not file.is_file():
                raise ConfigError(f"there is no file {file}; see REPARTEE_TLS_CERT and REPARTEE_TLS_KEY")
    else:
        tls = certificate_for(settings.state_dir / "tls", shown)
    return settings.model_copy(update=changes), tls


def address_of(settings: Settings) -> str:
    """Return where phones find the page, with its key."""
    host = settings.media_address or settings.host
    key = f"/?key={settings.visit_key.get_secret_value()}" if settings.visit_key is not None else ""
    return f"https://{f'[{host}]' if ':' in host else host}:{settings.port}{key}"


def qr_code(text: str) -> str:
    """Return a text as a QR code for a terminal, two rows a line."""
    out = StringIO()
    segno.make(text, error="l").terminal(out, border=2, compact=True)
    return out.getvalue()


def lan_address() -> str:
    """Return this machine's address in its network.

    Raises:
        ConfigError: It is in none.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(NOWHERE)
            found = str(probe.getsockname()[0])
        except OSError as error:
            raise ConfigError(
                "this machine is in no network that phones could be in; set REPARTEE_HOST to its address"
            ) from error
    if is_loopback(found) or found == "0.0.0.0":
        raise ConfigError("this machine's address in the network is not known; set REPARTEE_HOST to it")
    return found


def certificate_for(folder: Path, address: str, now: datetime.datetime | None = None) -> Tls:
    """Return a certificate for an address: the kept one, or a new one where that is of another or soon runs out.

    It is signed by an authority that may sign for this address only, and whose key is thrown away at once: what a
    phone is told to believe can never be used against it.

    Raises:
        ConfigError: It cannot be kept.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    tls = Tls(folder / "server.pem", folder / "server.key", folder / "authority.pem")
    try:
        if _holds(tls, address, now):
            return tls
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        authority_pem, certificate_pem, key_pem = _signed(address, now)
        for file, pem in (
            (tls.key, key_pem),
            (tls.certificate, certificate_pem),
            (tls.authority, authority_pem),
        ):
            assert file is not None  # noqa: S101 - made above
            _write(file, pem)
    except OSError as error:
        raise ConfigError(f"the certificate cannot be kept in {folder} ({error.strerror})") from error
    return tls


def _holds(tls: Tls, address: str, now: datetime.datetime) -> bool:
    try:
        kept = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
        names = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, ValueError, x509.ExtensionNotFound):
        return False
    good_until = kept.not_valid_after_utc - datetime.timedelta(days=RENEW_DAYS)
    same = ipaddress.ip_address(address) in names.get_values_for_type(x509.IPAddress)
    return same and now < good_until and tls.key.is_file()


def _signed(address: str, now: datetime.datetime) -> tuple[bytes, bytes, bytes]:
    """Return an authority, a certificate with the authority behind it, and the certificate's key, in PEM."""
    ip = ipaddress.ip_address(address)
    signing, serving = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"repartee at {address}")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
    only = [x509.IPAddress(ipaddress.ip_network(f"{address}/{ip.max_prefixlen}"))]
    identifier = x509.SubjectKeyIdentifier.from_public_key(signing.public_key())
    authority = (
        _begun(issuer, issuer, signing.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=only, excluded_subtrees=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(signing, hashes.SHA256())
    )
    certificate = (
        _begun(issuer, subject, serving.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip)]), critical=False)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(signing, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = serving.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return authority.public_bytes(pem), certificate.public_bytes(pem) + authority.public_bytes(pem), key


def _begun(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _write(file: Path, pem: bytes) -> None:
    """Replace a file with one that only its owner may read from its first byte on."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(pem)
