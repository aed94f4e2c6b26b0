"""Who may use the page: a file of lines `name:hash`, the hashes made by scrypt (RFC 7914)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import unicodedata
from binascii import Error as NotBase64
from dataclasses import dataclass
from pathlib import Path

from segdemo.datatypes import InputError
from segdemo.regular_files import read_regular

COST, BLOCK_SIZE, PARALLEL = 2**14, 8, 1  # 16 MiB and some 50 ms a try
MOST_MEMORY = 2**26  # bytes that a line of the file may ask for
KIND, LENGTH = "scrypt", 32
LARGEST_FILE = 2**20  # bytes
FORM = "name:scrypt$cost$block$parallel$salt$hash, as --make-password NAME prints it"


@dataclass(frozen=True)
class PasswordHash:
    """A password's hash, and how it was made."""

    cost: int
    block_size: int
    parallel: int
    salt: bytes
    value: bytes

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """Hash a password with a salt of its own."""
        blank = cls(COST, BLOCK_SIZE, PARALLEL, secrets.token_bytes(16), bytes(LENGTH))
        return cls(COST, BLOCK_SIZE, PARALLEL, blank.salt, blank._hash(password))

    @classmethod
    def parse(cls, text: str) -> PasswordHash:
        """Read what `str` writes; raises ValueError."""
        kind, *numbers, salt, value = text.split("$")
        cost, block_size, parallel = map(int, numbers)
        read = cls(cost, block_size, parallel, _decoded(salt), _decoded(value))
        if kind != KIND or len(read.value) < 16 or not 0 < read.memory <= MOST_MEMORY:
            raise ValueError
        read._hash("")  # scrypt has rules of its own for these numbers
        return read

    def __str__(self) -> str:
        """Return one word without a colon."""
        salt, value = (base64.b64encode(part).decode() for part in (self.salt, self.value))
        return f"{KIND}${self.cost}${self.block_size}${self.parallel}${salt}${value}"

    @property
    def memory(self) -> int:
        """Return how many bytes hashing needs."""
        return 128 * self.block_size * (self.cost + self.parallel)

    def fits(self, password: str) -> bool:
        """Whether it is this password's, in a time that does not depend on the answer."""
        return hmac.compare_digest(self._hash(password), self.value)

    def _hash(self, password: str) -> bytes:
        return hashlib.scrypt(
            unicodedata.normalize("NFC", password).encode(),
            salt=self.salt,
            n=self.cost,
            r=self.block_size,
            p=self.parallel,
            maxmem=2 * MOST_MEMORY,
            dklen=len(self.value),
        )


class Accounts:
    """Names and their passwords' hashes."""

    def __init__(self, hashes: dict[str, PasswordHash]) -> None:
        """Admit these."""
        self._hashes = hashes
        self._nobody = PasswordHash.of(secrets.token_hex())

    @classmethod
    def read(cls, path: Path) -> Accounts:
        """Read a file of lines `name:hash`; empty lines and those that begin with # are left out.

        Raises InputError, which names the line, for anything else.
        """
        try:
            text = read_regular(path, LARGEST_FILE).decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InputError(f"{path} cannot be read ({reason}): check the path.") from error
        hashes: dict[str, PasswordHash] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, _, written = (part.strip() for part in line.partition(":"))
            if name in hashes:
                raise InputError(f"{path}, line {number}: {name} has a line already; remove one.")
            try:
                hashes[name] = PasswordHash.parse(written)
            except (ValueError, OverflowError) as error:
                raise InputError(f"{path}, line {number} is not {FORM}.") from error
            if not name:
                raise InputError(f"{path}, line {number} has no name before the colon.")
        if not hashes:
            raise InputError(f"{path} holds no line: make one by --make-password NAME.")
        return cls(hashes)

    def knows(self, name: str, password: str) -> bool:
        """Whether the password is the name's; an unknown name takes as long."""
        known = self._hashes.get(name)
        fits = (known or self._nobody).fits(password)
        return fits and known is not None

    async def admit(self, name: str, password: str) -> bool:
        """Do what `knows` does, without holding up the server meanwhile."""
        return await asyncio.to_thread(self.knows, name, password)


def password_line(name: str, password: str) -> str:
    """Return a line for the file; raises InputError for names that cannot stand in one."""
    if not name.strip() or name != name.strip() or ":" in name or name.startswith("#"):
        raise InputError(
            f"Name {name!r}: choose one that has no colon, no space at its ends and no # in front."
        )
    if not password:
        raise InputError("The password is empty: choose one.")
    return f"{name}:{PasswordHash.of(password)}"


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except NotBase64 as error:
        raise ValueError from error
