# SPDX-License-Identifier: Apache-2.0
"""An independent reader of .mxfs/lockstate (docs/daemon.md, The lock state), by device offset, as a node's disk has it."""

import base64
import struct

from .errors import CheckFailed
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


class NoHeartbeat(CheckFailed):
    """A slot holds something else, or half of one."""


def heartbeat(uuid: bytes, index: int, slot: int, data: bytes) -> tuple[int, int, str]:
    """State, key and host of a record, after everything else in it was found to be right."""
    magic, version, kind, where, size, volume, key, _epoch, _sequence, state, _, _lease, length = struct.unpack_from("<4sHHII16sQQQIIII", data)
    (crc,) = struct.unpack_from("<I", data, 508)
    if (magic, version, kind, where, size, volume, crc) != (b"MXLS", 1, 1, index, slot, uuid, crc32c(data[:508])):
        raise NoHeartbeat(f"slot {index} is no heartbeat of this volume: {data[:96].hex()}")
    return state, key, data[72:72 + length].decode()


class Heartbeats:
    """Those on the disk of the volume that a node has mounted. Made once: its UUID and its place on the device do not change while it is mounted."""

    def __init__(self, node: Node, device=DEVICE):
        self.node, self.device, self.volume, self.extents = node, device, volume_of(node, device), []

    def hosts(self) -> list[str]:
        """Who says that he lives, each slot looked at; one host twice where it has two. Nobody, before the lock state is there."""
        if not self.extents:
            self.extents = told_of(self.node)["extents"]
        return beating(self.volume, read(self.node, self.extents, self.device))


def beating(volume: bytes, data: bytes) -> list[str]:
    """Hosts whose records in these slots say that they live. A slot that is being written, or was torn, says nothing."""
    slot, found = len(data) // SLOTS, []
    for index in range(SLOTS if slot else 0):
        try:
            state, key, host = heartbeat(volume, index, slot, data[index * slot:(index + 1) * slot])
        except NoHeartbeat:
            continue
        if state == ALIVE and key:
            found.append(host)
    return sorted(found)
