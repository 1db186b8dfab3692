# SPDX-License-Identifier: Apache-2.0
"""An independent reader of .mxfs/lockstate (docs/daemon.md, The lock state), by device offset, as a node's disk has it."""

import base64
import struct

from .node import Node
from .protocol import DEVICE

SLOTS = 64
ALIVE = 2


def crc32c(data: bytes) -> int:
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def volume_of(node: Node, device=DEVICE) -> bytes:
    return bytes.fromhex(node.run(f"xfs_db -r -c 'sb 0' -c 'print uuid' {device}").out.split()[-1].replace("-", ""))


def told_of(node: Node) -> dict:
    """What the module tells its daemon."""
    told = {"extents": []}
    for line in node.run("cat /sys/kernel/debug/mxfs/*/lockstate").out.splitlines():
        name, value = line.split(" ", 1)
        if name == "extent":
            told["extents"].append(tuple(int(number) for number in value.split()))
        else:
            told[name] = int(value) if value.isdigit() else value
    return told


def read(node, extents, device=DEVICE) -> bytes:
    data = b""
    for file, at, length in extents:
        out = node.run(f"dd if={device} iflag=direct,skip_bytes,count_bytes bs=4096 skip={at} count={length} status=none | base64 -w0").out
        data += base64.b64decode(out)
    return data


def heartbeat(uuid: bytes, index: int, slot: int, data: bytes) -> tuple[int, int, str]:
    """State, key and host of a record, after everything else in it was found to be right."""
    magic, version, kind, where, size, volume, key, _epoch, _sequence, state, _, _lease, length = struct.unpack_from("<4sHHII16sQQQIIII", data)
    (crc,) = struct.unpack_from("<I", data, 508)
    if (magic, version, kind, where, size, volume, crc) != (b"MXLS", 1, 1, index, slot, uuid, crc32c(data[:508])):
        raise AssertionError(f"slot {index} is no heartbeat of this volume: {data[:96].hex()}")
    return state, key, data[72:72 + length].decode()


def hosts_that_beat(node: Node) -> list[str]:
    """Whose heartbeats are on the disk and say that they live, each slot looked at; one host twice where it has two."""
    volume, data = volume_of(node), read(node, told_of(node)["extents"])
    found = [heartbeat(volume, index, 512, data[index * 512:(index + 1) * 512]) for index in range(SLOTS)]
    return sorted(host for state, key, host in found if state == ALIVE and key)
