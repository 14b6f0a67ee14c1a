"""Passwords: argon2id, with the library's own parameters.

Owns nothing but the two calls. Each takes tens of milliseconds: the edge runs them in a native
thread.
"""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()


def hash_password(password: str) -> str:
    """The encoded hash, with a new salt."""
    return _HASHER.hash(password)


def verify_password(password: str, encoded: str) -> bool:
    """Whether the hash is that of the password."""
    try:
        return _HASHER.verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False
