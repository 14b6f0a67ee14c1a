"""The wire: requests and replies as values, and JSON read strictly.

Owns the border to WSGI. Refuses bodies that are too large, too deep, not UTF-8, or ambiguous
(duplicate keys, NaN): what passes here can be stored and sent back as it is.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from controller.api.faults import Fault, fault, quoted

DEEPEST = 32
_MOST_PARAMETERS = 1000
_HOST = re.compile(r"[A-Za-z0-9._-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: a JSON value, text, or nothing."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What came in. `base` is the address that the client used, without a path."""

    method: str
    path: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    base: str
    headers: Mapping[str, str]
    raw: bytes
    id: str

    def json(self) -> Any:
        """The body as a JSON value."""
        return parse_json(self.raw)

    def values(self, name: str) -> list[str]:
        """All values of a query parameter."""
        return [value for key, value in self.query if key == name]

    def value(self, name: str) -> str | None:
        """The last value of a query parameter."""
        found = self.values(name)
        return found[-1] if found else None


def bad(reason: str) -> Fault:
    """400: the request itself cannot be understood."""
    return fault("HTTPBadRequest", reason=reason)


def read_path(environ: Mapping[str, Any]) -> tuple[str, ...]:
    """The segments of the path; a fault for what is no text. `.json` at the end is tolerated."""
    try:
        path = str(environ.get("PATH_INFO", "")).encode("latin-1").decode()
    except UnicodeError:
        raise fault("HTTPNotFound") from None
    segments = tuple(part for part in path.split("/") if part)
    if segments and segments[-1].endswith(".json"):
        segments = (*segments[:-1], segments[-1].removesuffix(".json"))
    return segments


def read_query(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The query's parameters in order."""
    try:
        return tuple(parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True,
                               errors="strict", max_num_fields=_MOST_PARAMETERS))
    except ValueError:
        raise bad("The query string is malformed.") from None


def read_base(environ: Mapping[str, Any], otherwise: str) -> str:
    """Scheme and host as the client named them."""
    host = environ.get("HTTP_HOST", "")
    scheme = environ.get("wsgi.url_scheme", "http")
    return f"{scheme}://{host if _HOST.fullmatch(host) else otherwise}"


def read_body(environ: Mapping[str, Any], limit: int) -> bytes:
    """The body; a fault when it is larger than `limit`, cut short or announced wrongly."""
    announced = environ.get("CONTENT_LENGTH") or ""
    chunked = "chunked" in str(environ.get("HTTP_TRANSFER_ENCODING", "")).lower()
    if chunked:
        wanted = limit + 1
    elif not announced:
        return b""
    elif announced.isascii() and announced.isdigit() and len(announced) < 20:
        wanted = int(announced)
    else:
        raise bad(f"Content-Length {quoted(announced)} is not a number.")
    if wanted > limit and not chunked:
        raise fault("HTTPRequestEntityTooLarge", limit=limit)
    parts: list[bytes] = []
    while wanted > 0:
        try:
            part = environ["wsgi.input"].read(wanted)
        except (OSError, ValueError):
            raise bad("The request body could not be read.") from None
        if not part:
            break
        parts.append(part)
        wanted -= len(part)
    if chunked and wanted == 0:
        raise fault("HTTPRequestEntityTooLarge", limit=limit)
    if not chunked and wanted:
        raise bad("The request body is shorter than its Content-Length.")
    return b"".join(parts)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise bad(f"Malformed request body: key {quoted(twice)} appears twice.")
    return found


def _constant(name: str) -> NoReturn:
    raise bad(f"Malformed request body: {name} is not JSON.")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise bad(f"Malformed request body: {quoted(text)} is out of range.")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant,
                            parse_float=_number)


def parse_json(raw: bytes) -> Any:
    """A body as a JSON value; a fault that says what is wrong."""
    if not raw:
        raise bad("The request has no body.")
    try:
        value = _DECODER.decode(raw.decode())
    except UnicodeDecodeError:
        raise bad("Malformed request body: it is not UTF-8.") from None
    except RecursionError:
        raise bad(f"Malformed request body: nested deeper than {DEEPEST} levels.") from None
    except ValueError as error:
        raise bad(f"Malformed request body: {error}.") from None
    _check(value)
    return value


def _check(value: Any) -> None:
    """Refuse what is nested too deeply, and strings that no UTF-8 can carry."""
    waiting: list[tuple[Any, int]] = [(value, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            if not value.isascii():
                _check_text(value)
        elif isinstance(value, (dict, list)):
            if depth > DEEPEST:
                raise bad(f"Malformed request body: nested deeper than {DEEPEST} levels.")
            if isinstance(value, dict):
                waiting.extend((key, depth + 1) for key in value)
                waiting.extend((item, depth + 1) for item in value.values())
            else:
                waiting.extend((item, depth + 1) for item in value)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad("Malformed request body: a string holds half a surrogate pair.") from None
