"""Messages out of bytes: the same ones however they are cut, and nothing worse than an error."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.southbound.ovsdb.framing import Framer, FramingError, decode

TEXT = st.text(max_size=6) | st.text(alphabet='"\\{}[]\n', max_size=6)
VALUES = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=3)
CUTS = st.lists(st.integers(0, 500), max_size=8)
STRUCTURE = st.text(alphabet='{}[]"\\,:a1 \n', max_size=60).map(str.encode)


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[begin:end] for begin, end in zip([0, *places], [*places, len(data)])]


def received(framer: Framer, parts: Sequence[bytes]) -> list[bytes]:
    return [message for part in parts for message in framer.receive(part)]


@given(st.lists(OBJECTS, max_size=4), CUTS, st.booleans(),
       st.sampled_from(["", " ", "\n", "\r\n\t "]))
def test_any_cut_gives_the_same_messages(
    objects: list[dict[str, object]], cuts: list[int], ascii: bool, space: str
) -> None:
    data = space.join(
        json.dumps(value, ensure_ascii=ascii) for value in objects).encode()
    framer = Framer(max_depth=100)
    messages = received(framer, pieces(data, cuts))
    assert [json.loads(raw) for raw in messages] == objects
    assert not framer.partial


@given(st.lists(OBJECTS.map(json.dumps).map(str.encode) | STRUCTURE, max_size=4), CUTS)
def test_the_cut_never_matters_for_nonsense_either(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)

    def outcome(split: Sequence[bytes]) -> tuple[list[bytes], bool]:
        framer, messages = Framer(), []
        try:
            for part in split:
                messages += framer.receive(part)
        except FramingError:
            return [], True
        return messages, False

    assert outcome(pieces(data, cuts)) == outcome([bytes([byte]) for byte in data])


@given(st.binary(max_size=400) | STRUCTURE)
def test_random_bytes_raise_nothing_but_our_error(data: bytes) -> None:
    for prefix in (b"", b"{", b'{"a":"', b'{"a":"\\'):
        try:
            for raw in Framer().receive(prefix + data):
                assert isinstance(decode(raw), dict)
        except FramingError:
            pass


def test_a_message_may_be_as_long_as_the_limit_and_not_longer() -> None:
    fits = json.dumps({"a": "x" * 91}).encode()
    assert len(fits) == 100
    assert Framer(max_message=100).receive(fits * 3) == [fits] * 3
    with pytest.raises(FramingError, match="longer than 100"):
        Framer(max_message=100).receive(json.dumps({"a": "x" * 92}).encode())
    framer = Framer(max_message=100)
    with pytest.raises(FramingError, match="longer than 100"):
        for _ in range(1000):
            framer.receive(b'{"a":"xxxxx')


@pytest.mark.parametrize(("data", "why"), [
    (b"[1]", "opening brace"),
    (b"GET / HTTP/1.1\r\n", "opening brace"),
    (b"\x16\x03\x01\x02\x00", "opening brace"),
    (b'{"a":' + b"[" * 100, "nested deeper"),
    (b'{"a":' * 100, "nested deeper"),
])
def test_refused_before_decoding(data: bytes, why: str) -> None:
    with pytest.raises(FramingError, match=why):
        Framer().receive(data)


@pytest.mark.parametrize("raw", [
    b"{]", b'{"a"}', b'{"a":1,}', b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":"\xff"}',
    b'{"a":"\\ud800"}', b'{"\\udfff":1}', b'{"a":"\n"}', b'{"a":' + b"9" * 5000 + b"}",
])
def test_refused_by_the_decoder(raw: bytes) -> None:
    [framed] = Framer().receive(raw)
    with pytest.raises(FramingError):
        decode(framed)


def test_a_whole_pair_of_surrogates_is_a_character() -> None:
    assert decode(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    assert decode(b'{"a":"\\\\ud800"}') == {"a": "\\ud800"}


@pytest.mark.parametrize("unit", [b"x", b'\\"', b"\\\\", b'""', b'"a",', b" ", b"{}", b'["\\n"],'])
def test_the_work_grows_with_the_bytes_and_not_with_their_square(unit: bytes) -> None:
    """A message in small pieces: four times the bytes are not sixteen times the work."""
    def seconds(length: int) -> float:
        framer = Framer(max_message=1 << 30)
        framer.receive(b'{"a":"' if unit in (b"x", b'\\"', b"\\\\") else b'{"a":[')
        data = unit * (512 // len(unit))
        best = time.process_time()
        for _ in range(length // len(data)):
            framer.receive(data)
        return time.process_time() - best

    small = min(seconds(1 << 16) for _ in range(3))
    assert seconds(1 << 18) < 10 * max(small, 0.002)
