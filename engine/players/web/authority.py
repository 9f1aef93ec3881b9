"""A certificate authority of this computer's own, for phones on its network: browsers offer WebGPU over HTTPS only.

It is made on first use and kept in the user's configuration folder. A phone that trusts it trusts every server it
signs, so its key stays in a file that only the user can read. Each start gets a server certificate of its own, whose
key is never kept.
"""

from __future__ import annotations

import ipaddress
import os
import plistlib
import re
import socket
import ssl
import tempfile
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from platformdirs import user_config_dir
from starlette.responses import Response

from ...errors import PlayerError

YEARS = 5
LEAF_DAYS = 397  # Safari refuses more than 398
DAY = timedelta(days=1)  # clocks of phones differ: certificates are valid from yesterday
HERE = ("localhost", "127.0.0.1", "::1")
DNS_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\.?", re.ASCII)
REMEDY = "remove it, and a new one will be made, which phones have to trust anew"
KEY_FILE, CERTIFICATE_FILE = "authority.pem", "authority.crt"


@dataclass(frozen=True)
class Authority:
    """``path``: the authority's certificate alone, for people and programs that install it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    path: Path

    def context(self, names: Iterable[str]) -> ssl.SSLContext:
        """TLS for a server that is reached under ``names``: addresses, DNS names, and this computer's own."""
        key = ec.generate_private_key(ec.SECP256R1())
        chain = self._leaf(key, [*names, *HERE]).public_bytes(Encoding.PEM) + self._pem()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # ssl reads files only; this one is the user's alone
            file.write(_key_pem(key) + chain)
            file.flush()
            context.load_cert_chain(file.name)
        return context

    def responses(self) -> dict[str, Response]:
        """The certificate as phones download it, by path."""
        der = self.certificate.public_bytes(Encoding.DER)
        return {
            "/authority.crt": Response(der, media_type="application/x-x509-ca-cert"),
            "/authority.mobileconfig": Response(self._profile(der), media_type="application/x-apple-aspen-config"),
        }

    def _pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def _leaf(self, key: ec.EllipticCurvePrivateKey, names: Iterable[str]) -> x509.Certificate:
        end = min(_now() - DAY + LEAF_DAYS * DAY, self.certificate.not_valid_after_utc)
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        reached = x509.SubjectAlternativeName([_general(name) for name in dict.fromkeys(names)])
        builder = (
            _builder(_name("Tritmark"), self.certificate.subject, key, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(reached, critical=False)
            .add_extension(authority_id, critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())

    def _profile(self, der: bytes) -> bytes:
        """A configuration profile for iOS that holds the certificate. The same authority gives the same profile."""
        fingerprint = self.certificate.fingerprint(hashes.SHA256()).hex()
        name = self.certificate.subject.rfc4514_string().removeprefix("CN=")

        def payload(kind: str, about: str, **more: object) -> dict[str, object]:
            identifier = f"tritmark.{about}.{fingerprint[:16]}"
            return {
                "PayloadType": kind, "PayloadVersion": 1, "PayloadIdentifier": identifier, "PayloadDisplayName": name,
                "PayloadUUID": str(uuid.uuid5(uuid.NAMESPACE_URL, identifier)).upper(), **more,
            }  # fmt: skip

        content = {"PayloadContent": der, "PayloadCertificateFileName": CERTIFICATE_FILE}
        root = payload("com.apple.security.root", "root", **content)
        about = "Lets this device open pages that Tritmark serves from the computer that made this profile."
        return plistlib.dumps(payload("Configuration", "profile", PayloadContent=[root], PayloadDescription=about))


def open_authority(folder: Path | None = None) -> Authority:
    """The authority kept in ``folder``, by default in the user's configuration; made if there is none that is valid."""
    folder = folder or Path(user_config_dir("tritmark"))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = folder / KEY_FILE
    if not kept.exists():
        with suppress(FileExistsError):  # another process was quicker: its authority is taken
            _store(kept, _made(), os.link)
    authority = _read(kept)
    if authority.certificate.not_valid_after_utc < _now() + DAY:
        _store(kept, _made(), os.replace)
        authority = _read(kept)
    if not authority.path.exists() or authority.path.read_bytes() != authority._pem():
        _store(authority.path, authority._pem(), os.replace, mode=0o644)
    return authority


def _made() -> bytes:
    """A new authority: key and certificate in one file, so that no two can ever be mixed up."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Tritmark on {socket.gethostname()}"[:64])
    builder = (
        _builder(name, name, key, _now() + YEARS * 365 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _key_pem(key) + builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _read(kept: Path) -> Authority:
    pem = kept.read_bytes()
    try:
        key, certificate = load_pem_private_key(pem, None), x509.load_pem_x509_certificate(pem)
    except (ValueError, TypeError) as error:
        raise PlayerError(f"{kept} holds no certificate authority ({error}); {REMEDY}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise PlayerError(f"{kept}: key and certificate do not belong together; {REMEDY}")
    return Authority(key, certificate, kept.with_name(CERTIFICATE_FILE))


def _store(path: Path, content: bytes, place: Callable[[str, Path], None], mode: int = 0o600) -> None:
    """Write a file whole or not at all. ``place`` puts it at ``path``: os.link spares what is there, os.replace does
    not.
    """
    descriptor, part = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
            os.fchmod(descriptor, mode)
        place(part, path)
    finally:
        Path(part).unlink(missing_ok=True)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime
) -> x509.CertificateBuilder:
    """What both kinds of certificates have."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_now() - DAY)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass  # no address, so a name
    try:
        ascii_name = name.encode("idna").decode()
    except UnicodeError:
        ascii_name = ""
    if not DNS_NAME.fullmatch(ascii_name):
        raise PlayerError(f"{name[:80]!r} is neither an address nor a name that a certificate can carry")
    return x509.DNSName(ascii_name)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
