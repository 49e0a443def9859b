"""Files made from good ones: bytes that were changed, and JSON that says odd things."""

from __future__ import annotations

import copy
import io
import json
import random
import zipfile
from typing import Any

ODD = [
    None, True, -1, 0, 2**63, 10**400, 1e308, -1e-320, "", "\0", "=1+1", "a" * 5000, [], {}, [[]], [{}],
    {"type": "integer"}, "private", [1, 1], ["a", "a"], "nan", "1e999", 1.5, "\ud800", {"": {}},
]  # fmt: skip
RAW = ["1e400", "-1e400", "NaN", "Infinity", "1" * 400, "[" * 3000 + "]" * 3000, "[" * 70 + "]" * 70]
BYTES = [b"\x00", b"\xff", b"\xff" * 8, b"\x00" * 8, b"\x80", b"\x7f\xff\xff\xff", b"{", b"[" * 2000, b'"']


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return other bytes: of a zip file by its members, of JSON by its values, else as they stand."""
    if data[:2] == b"PK" and rng.random() < 0.7:
        return _zip(data, rng)
    if data[:1] == b"{" and rng.random() < 0.8:
        return _json(data, rng)
    return _bytes(data, rng)


def _bytes(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(len(changed) + 1)
        kind = rng.randrange(5)
        if kind == 0 and changed:
            changed[at % len(changed)] = rng.randrange(256)
        elif kind == 1:
            changed[at:at] = rng.choice(BYTES)
        elif kind == 2:
            del changed[at : at + rng.choice([1, 4, 100])]
        elif kind == 3:
            odd = rng.choice(BYTES)
            changed[at : at + len(odd)] = odd
        else:
            start = rng.randrange(len(changed) + 1)
            changed[at:at] = changed[start : start + rng.choice([1, 8, 64])]
    return bytes(changed[: rng.randrange(len(changed) + 1)]) if rng.random() < 0.05 else bytes(changed)


def _zip(data: bytes, rng: random.Random) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(held, "w") as other:
        chosen = rng.choice(archive.namelist())
        for info in archive.infolist():
            member = archive.read(info)
            if info.filename == chosen:
                member = mutated(member, rng)
            fresh = zipfile.ZipInfo(info.filename)
            fresh.compress_type = info.compress_type
            other.writestr(fresh, member)
    return held.getvalue()


def _json(data: bytes, rng: random.Random) -> bytes:
    try:
        value = json.loads(data)
    except ValueError:
        return _bytes(data, rng)
    marker = "<here>"
    for _ in range(rng.choice([1, 1, 2, 3])):
        parent, key = rng.choice(list(_places(value)) or [(value, None)])
        if key is None:
            return _bytes(data, rng)
        what = rng.randrange(4)
        if what == 0:
            parent[key] = copy.deepcopy(rng.choice(ODD))
        elif what == 1 and isinstance(parent, dict):
            parent[rng.choice(["", "type", "role", "low", "values", "x" * 300])] = parent.pop(key)
        elif what == 2:
            del parent[key]
        elif isinstance(parent[key], int | float) or rng.random() < 0.3:
            parent[key] = marker
        else:
            parent[key] = rng.choice([[parent[key]], {"a": parent[key]}, str(parent[key])])
    return json.dumps(value).replace(f'"{marker}"', rng.choice(RAW)).encode()


def _places(value: Any) -> Any:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield value, key
        yield from _places(part)
