# SPDX-License-Identifier: Apache-2.0
"""What the reader of heartbeats makes of slots that are whole, torn, somebody else's, or not there at all."""

import struct

from .errors import CheckFailed
from .lockstate import ALIVE, SLOTS, beating, crc32c, heartbeat

_VOLUME = bytes(range(16))


def _record(index: int, host: bytes = b"", state: int = 0, key: int = 0, slot: int = 512, volume: bytes = _VOLUME) -> bytes:
    head = struct.pack("<4sHHII16sQQQIIII", b"MXLS", 1, 1, index, slot, volume, key, 1, 1, state, 0, 8000, len(host))
    body = (head.ljust(72, b"\0") + host).ljust(508, b"\0")
    return (body + struct.pack("<I", crc32c(body))).ljust(slot, b"\0")


def _disk(slot: int = 512, **slots: bytes) -> bytes:
    return b"".join(slots.get(f"at{index}", _record(index, slot=slot)) for index in range(SLOTS))


def check() -> None:
    one, two = _record(1, b"n1", ALIVE, 5), _record(3, b"n2", ALIVE, 6)
    torn = two[:256] + _record(3)[256:]
    for what, data, expected in (
            ("two that live", _disk(at1=one, at3=two), ["n1", "n2"]),
            ("one with two slots", _disk(at1=one, at4=_record(4, b"n1", ALIVE, 5)), ["n1", "n1"]),
            ("one that pauses, one without a key", _disk(at1=_record(1, b"n1", 3, 5), at3=_record(3, b"n2", ALIVE)), []),
            ("one that is torn", _disk(at1=one, at3=torn), ["n1"]),
            ("one in the wrong place, one of another volume", _disk(at2=one, at3=_record(3, b"n2", ALIVE, 6, volume=bytes(16))), []),
            ("large slots", _disk(slot=4096, at1=_record(1, b"n1", ALIVE, 5, slot=4096)), ["n1"]),
            ("no lock state yet", b"", [])):
        try:
            found = beating(_VOLUME, data)
        except Exception as error:
            raise CheckFailed(f"{what}: {error!r}") from error
        if found != expected:
            raise CheckFailed(f"{what}: {found}, expected {expected}")
    try:
        heartbeat(_VOLUME, 3, 512, torn)
    except CheckFailed:
        return
    raise CheckFailed("a torn slot is taken for a record where each has to be one")
