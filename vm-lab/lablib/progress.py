# SPDX-License-Identifier: Apache-2.0
"""Progress on stderr, with elapsed time; stdout belongs to results."""

import contextlib
import sys
import threading
import time

_began = time.monotonic()
_lock = threading.Lock()
quiet = False


def say(text: str) -> None:
    if not quiet:
        with _lock:
            print(f"[{time.monotonic() - _began:7.1f}s] {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(what: str):
    """Announces a long step and says how long it took, whichever way it ended."""
    start = time.monotonic()
    say(f"{what} ...")
    try:
        yield
    except BaseException:
        say(f"{what}: FAILED after {time.monotonic() - start:.1f} s")
        raise
    say(f"{what}: done in {time.monotonic() - start:.1f} s")
