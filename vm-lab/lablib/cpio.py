# SPDX-License-Identifier: Apache-2.0
"""Writes an initramfs: cpio "newc" (kernel: Documentation/driver-api/early-userspace/buffer-format.rst)."""

import stat
from typing import BinaryIO


class Writer:
    def __init__(self, out: BinaryIO):
        self.out = out
        self.inode = 0

    def _member(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        self.inode += 1
        path = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(path), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
        self.out.write(head + b"\0" * (-len(head) % 4))
        self.out.write(data + b"\0" * (-len(data) % 4))

    def folder(self, name: str) -> None:
        self._member(name, stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._member(name, stat.S_IFREG | mode, data)

    def character_device(self, name: str, major: int, minor: int) -> None:
        self._member(name, stat.S_IFCHR | 0o600, device=(major, minor))

    def close(self) -> None:
        self.inode = -1
        self._member("TRAILER!!!", 0)
