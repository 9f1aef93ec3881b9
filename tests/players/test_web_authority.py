"""HTTPS for phones: a certificate authority made once, whose certificates browsers' own TLS code accepts."""

from __future__ import annotations

import os
import plistlib
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from page_client import Page, Server, in_background, running

from tritmark.engine.errors import PlayerError
from tritmark.engine.players.web import authority
from tritmark.engine.players.web.authority import open_authority

NAMES = ["192.168.1.5", "fd00::5", "laptop.lan", "127.0.0.1"]


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's configuration, moved to where these tests may write."""
    folder = tmp_path_factory.mktemp("configuration")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        yield folder / "tritmark"


@pytest.fixture(scope="module")
def server(configuration: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("images"), https=True, names=NAMES) as started:
        yield started


def trusting(server: Server) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.served["authority"])
    context.verify_flags |= ssl.VERIFY_X509_STRICT  # what newer Pythons, like browsers, insist on
    return context


def leaf(server: Server, name: str) -> x509.Certificate:
    """The certificate that the server shows to a client that reaches it as ``name`` and trusts the authority."""
    with (
        socket.create_connection(("127.0.0.1", server.served["port"])) as plain,
        trusting(server).wrap_socket(plain, server_hostname=name) as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der)


def test_a_page_that_trusts_the_authority_reaches_the_run(server: Server, configuration: Path) -> None:
    assert server.served["scheme"] == "https" and Path(server.served["authority"]).parent == configuration
    page = Page(server.served, tls=trusting(server))
    assert page.hello().status == 200 and server.ask("open")["ok"]
    pending = server.begin("show", text="x")
    page.serve()
    assert pending.result(5)["ok"]


def test_a_page_that_does_not_know_the_authority_refuses_the_server(server: Server) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"self.signed certificate in certificate chain"):
        Page(server.served, tls=ssl.create_default_context()).get("")


@pytest.mark.parametrize("name", [*NAMES, "localhost", "::1"])
def test_the_certificate_names_what_was_asked_for(server: Server, name: str) -> None:
    assert leaf(server, name).issuer == open_authority().certificate.subject


@pytest.mark.parametrize("name", ["192.168.1.6", "evil.example", "lan"])
def test_the_certificate_is_good_for_nothing_else(server: Server, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        leaf(server, name)


def test_the_certificate_is_what_phones_ask_for(server: Server) -> None:
    shown, now = leaf(server, "localhost"), datetime.now(UTC)
    assert now - timedelta(days=2) < shown.not_valid_before_utc < now - timedelta(hours=23)
    assert shown.not_valid_after_utc - shown.not_valid_before_utc <= timedelta(days=398)
    assert list(shown.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert not shown.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    signer = open_authority().certificate
    assert signer.extensions.get_extension_for_class(x509.BasicConstraints).critical
    assert 4 * 365 < (signer.not_valid_after_utc - now).days <= 5 * 366


def test_the_authority_is_made_once_and_its_key_is_the_user_s_alone(tmp_path: Path) -> None:
    folder = tmp_path / "not yet" / "there"
    first, second = open_authority(folder), open_authority(folder)
    assert first.certificate == second.certificate
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {authority.KEY_FILE: 0o600, authority.CERTIFICATE_FILE: 0o644}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert b"PRIVATE" not in first.path.read_bytes() and b"PRIVATE" in (folder / authority.KEY_FILE).read_bytes()


def test_two_processes_that_come_first_agree(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def meet() -> bytes:
        barrier.wait()
        return open_authority(tmp_path).certificate.public_bytes(Encoding.PEM)

    made = {future.result(20) for future in [in_background(meet) for _ in range(4)]}
    assert made == {(tmp_path / authority.CERTIFICATE_FILE).read_bytes()}
    assert len(list(tmp_path.iterdir())) == 2


def test_an_expired_authority_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(authority, "YEARS", 0)
        old = open_authority(tmp_path).certificate
    new = open_authority(tmp_path)
    assert new.certificate != old and new.certificate == open_authority(tmp_path).certificate
    assert x509.load_pem_x509_certificate(new.path.read_bytes()) == new.certificate


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_spoilt_authority_is_one_line_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / authority.KEY_FILE).write_bytes(content)
    with pytest.raises(PlayerError, match=r"authority.pem holds no certificate authority.*remove it") as caught:
        open_authority(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_key_of_another_authority_is_noticed(tmp_path: Path) -> None:
    keys = [open_authority(tmp_path / name) and (tmp_path / name / authority.KEY_FILE) for name in "ab"]
    key, certificate = (path.read_bytes().partition(b"-----BEGIN CERT") for path in keys)
    keys[0].write_bytes(key[0] + certificate[1] + certificate[2])
    with pytest.raises(PlayerError, match="do not belong together"):
        open_authority(tmp_path / "a")


@pytest.mark.parametrize("name", ["", "a b" * 100, "\u0000", "x" * 64 + ".lan"])
def test_a_name_that_no_certificate_can_carry_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(PlayerError, match="neither an address nor a name"):
        open_authority(tmp_path).context([name])


def test_nothing_of_a_server_s_key_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    open_authority(tmp_path / "kept").context(["localhost"])
    assert os.listdir(tmp_path) == ["kept"]


def test_a_phone_downloads_the_authority_without_the_nonce(server: Server) -> None:
    """It has yet to trust the certificate, so a person has said yes to a warning."""
    page = Page(server.served, tls=ssl._create_unverified_context())
    certificate, profile = page.send("GET", "/authority.crt"), page.send("GET", "/authority.mobileconfig")
    assert certificate.headers["content-type"] == "application/x-x509-ca-cert"
    assert x509.load_der_x509_certificate(certificate.body) == open_authority().certificate
    assert profile.headers["content-type"] == "application/x-apple-aspen-config"
    found = plistlib.loads(profile.body)
    assert found["PayloadType"] == "Configuration" and found["PayloadVersion"] == 1
    [payload] = found["PayloadContent"]
    assert payload["PayloadType"] == "com.apple.security.root" and payload["PayloadContent"] == certificate.body
    assert len({found["PayloadUUID"], payload["PayloadUUID"]}) == 2
    assert page.send("GET", "/authority.mobileconfig").body == profile.body
    for path in ("/authority.pem", "/authority", "/"):
        assert page.send("GET", path).status == 404
    assert page.send("POST", "/authority.crt").status == 404


def test_without_https_there_is_no_authority(tmp_path: Path) -> None:
    with running(tmp_path) as plain:
        assert plain.served["scheme"] == "http" and plain.served["authority"] is None
        assert Page(plain.served).send("GET", "/authority.crt").status == 404
