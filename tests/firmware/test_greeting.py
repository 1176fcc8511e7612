"""SHA-256, HMAC and the greeting of the host port, against the standards' examples and Python's."""

from __future__ import annotations

import ctypes as c
import hashlib
import hmac
import random
import subprocess
import sys
from pathlib import Path

import pytest

from mgdhw_drivers.protocol.greeting import HostGreeting

from .core import FIRMWARE

SECRET = bytes(range(100, 132))


class Greeting(c.Structure):
    _fields_ = (("nonce", c.c_uint8 * 32), ("line", c.c_uint8 * 130), ("count", c.c_size_t))


@pytest.fixture(scope="module")
def library(builds: Path) -> c.CDLL:
    """What the host port greets with."""
    if sys.platform == "win32":
        pytest.skip("the host port is a POSIX process")
    path = builds / "greeting.so"
    sources = [str(FIRMWARE / "ports" / "host" / name) for name in ("sha256.c", "handshake.c")]
    subprocess.run(["cc", "-std=c99", "-O1", "-fPIC", "-shared", "-o", str(path), *sources], check=True)
    return c.CDLL(str(path))


def sha256(library: c.CDLL, message: bytes) -> bytes:
    digest = c.create_string_buffer(32)
    library.mg_sha256(digest, message, c.c_size_t(len(message)))
    return digest.raw


def hmac_sha256(library: c.CDLL, key: bytes, message: bytes) -> bytes:
    digest = c.create_string_buffer(32)
    library.mg_hmac_sha256(digest, key, c.c_size_t(len(key)), message, c.c_size_t(len(message)))
    return digest.raw


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
    ids=["abc", "nothing", "448 bits", "a million"],
)
def test_the_examples_of_fips_180(library: c.CDLL, message: bytes, digest: str) -> None:
    assert sha256(library, message).hex() == digest


@pytest.mark.parametrize(
    ("key", "message", "digest"),
    [
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    ],
    ids=["1", "2", "3", "4"],
)
def test_the_examples_of_rfc_4231(library: c.CDLL, key: bytes, message: bytes, digest: str) -> None:
    assert hmac_sha256(library, key, message).hex() == digest


def test_every_length(library: c.CDLL) -> None:
    draw = random.Random(1)
    for size in range(300):
        message = draw.randbytes(size)
        assert sha256(library, message) == hashlib.sha256(message).digest()
    for size in range(129):
        key, message = draw.randbytes(draw.randint(0, 64)), draw.randbytes(size)
        assert hmac_sha256(library, key, message) == hmac.digest(key, message, hashlib.sha256)


def begin(library: c.CDLL) -> tuple[Greeting, bytes]:
    greeting, hello = Greeting(), c.create_string_buffer(78)
    assert library.mg_handshake_begin(c.byref(greeting), hello) == 1
    return greeting, hello.raw


def receive(library: c.CDLL, greeting: Greeting, data: bytes) -> tuple[int, bytes]:
    ok = c.create_string_buffer(68)
    found = library.mg_handshake_receive(c.byref(greeting), SECRET, data, c.c_size_t(len(data)), ok)
    return found, ok.raw


def test_it_greets_as_the_python_does(library: c.CDLL) -> None:
    for cut in range(131):
        greeting, hello = begin(library)
        host = HostGreeting(SECRET)
        answer = host.receive(hello)
        if cut < 130:
            assert receive(library, greeting, answer[:cut])[0] == 0
        found, ok = receive(library, greeting, answer[cut:] if cut < 130 else answer)
        assert found == 1
        host.receive(ok)
        assert host.proven
    assert len({begin(library)[1] for _ in range(50)}) == 50


def test_every_other_answer_is_refused(library: c.CDLL) -> None:
    draw = random.Random(1)
    for place in range(130):
        greeting, hello = begin(library)
        answer = bytearray(HostGreeting(SECRET).receive(hello))
        answer[place] = draw.choice(sorted({*b"0123456789abcdef \n\0Ggz\xff"} - {answer[place]}))
        assert receive(library, greeting, bytes(answer))[0] == -1, place
    for said in (b"P", b"\0", b"GET / HTTP/1.1\r\n", b"0" * 65, b"0" * 131, b"0" * 1_000_000, b" ", b"\n"):
        assert receive(library, begin(library)[0], said)[0] == -1
    greeting, hello = begin(library)
    for answer in (
        HostGreeting(SECRET).receive(begin(library)[1]),  # to another greeting
        HostGreeting(SECRET[::-1]).receive(hello),
        HostGreeting(SECRET).receive(hello) + b"\0",
    ):
        again, _ = begin(library)
        again.nonce = greeting.nonce
        assert receive(library, again, answer)[0] == -1
