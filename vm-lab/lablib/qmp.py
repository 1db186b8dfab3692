# SPDX-License-Identifier: Apache-2.0
"""QEMU's control channel (QMP): one command per connection, so that any number of labs' commands get their turn."""

import json
import socket
from pathlib import Path

from .errors import LabError, NotRunning


def listens(path: Path) -> bool:
    """Whether QEMU takes connections: its socket is there a moment before it does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        try:
            channel.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True


def command(path: Path, request: str, arguments: dict, limit: float = 20.0):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(limit)
        try:
            channel.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunning(f"QEMU does not listen on {path}: {error.strerror}", "is the node running? 'lab status'")
        stream = channel.makefile("rwb")

        def ask(name: str, options: dict) -> object:
            stream.write(json.dumps({"execute": name, "arguments": options}).encode() + b"\n")
            stream.flush()
            while True:
                line = stream.readline()
                if not line:
                    raise LabError(f"QEMU closed {path} during '{name}'", "see qemu.log beside the console log")
                answer = json.loads(line)
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise LabError(f"QEMU refuses '{name}' {options}: {answer['error'].get('desc')}")

        try:
            stream.readline()  # greeting
            ask("qmp_capabilities", {})
            return ask(request, arguments)
        except (TimeoutError, ConnectionResetError, BrokenPipeError) as error:
            raise LabError(f"QEMU on {path} did not answer '{request}': {error}", "see qemu.log beside the console log")
