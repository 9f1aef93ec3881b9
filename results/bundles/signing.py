"""Signing: an Ed25519 key of one's own, and what a signature proves.

A signature covers a domain line and the bytes of the manifest, which holds the SHA-256 of every other member. It proves
that nothing changed since somebody signed; who that was it proves only to those who know the key's fingerprint, the
SHA-256 of the raw public key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..record import RecordError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHM = "Ed25519"
DOMAIN = b"tritmark bundle 1\n"  # a signature made here means nothing elsewhere
KEY_FILE = "signing-key.pem"
MISSING = "bundles need pip install 'tritmark[share]'"


@dataclass(frozen=True, kw_only=True)
class Key:
    """A private key and the file that holds it; ``made``: it was made just now."""

    private: Ed25519PrivateKey
    path: Path
    made: bool = False

    @property
    def public(self) -> bytes:
        """The raw public key, 32 bytes."""
        return self.private.public_key().public_bytes_raw()


def default_path() -> Path:
    """Where the key of this user is, or will be."""
    from platformdirs import user_config_path

    return user_config_path("tritmark") / KEY_FILE


def key_of(path: Path | None) -> Key:
    """The key in ``path``; None: this user's, made on first use. RecordError says what is wrong with the file."""
    found = path or default_path()
    if path is None and not found.exists():
        return _make(found)
    try:
        content, mode = found.read_bytes(), found.stat().st_mode
    except OSError as error:
        raise RecordError(f"cannot read the key {found}: {error.strerror}") from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise RecordError(f"others may read the key {found}; chmod 600 it, or make a new one if they have")
    return Key(private=_private(content, found), path=found)


def signed(key: Key, manifest: bytes) -> dict[str, str]:
    """What ``signature.json`` holds."""
    return {
        "algorithm": ALGORITHM,
        "public_key": base64.b64encode(key.public).decode(),
        "fingerprint": fingerprint(key.public),
        "signature": base64.b64encode(key.private.sign(DOMAIN + manifest)).decode(),
    }


def fingerprint(public: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(public).hexdigest()


def signer_of(signature: Mapping[str, Any], manifest: bytes) -> str:
    """The fingerprint of the key that signed ``manifest``; RecordError where the signature does not hold."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise RecordError(MISSING) from error
    if signature.get("algorithm") != ALGORITHM:
        raise RecordError(f"the algorithm is {str(signature.get('algorithm'))[:40]!r}; {ALGORITHM} was expected")
    public, made = (_bytes(signature, name) for name in ("public_key", "signature"))
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(made, DOMAIN + manifest)
    except (InvalidSignature, ValueError):
        raise RecordError("it is not the signature of this manifest by the key beside it") from None
    if signature.get("fingerprint") != fingerprint(public):
        raise RecordError("the fingerprint is not that of the key beside it")
    return fingerprint(public)


def _bytes(signature: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode(signature[name], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise RecordError(f"{name} is missing or not base64") from None


def _make(path: Path) -> Key:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    except ImportError as error:
        raise RecordError(MISSING) from error
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except OSError as error:
        raise RecordError(f"cannot make the key {path}: {error.strerror}; give one with --key") from error
    return Key(private=private, path=path, made=True)


def _private(content: bytes, path: Path) -> Ed25519PrivateKey:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise RecordError(MISSING) from error
    try:
        found = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PrivateKey):
        raise RecordError(f"{path} holds no Ed25519 key in PEM without a password; openssl genpkey -algorithm ed25519")
    return found
