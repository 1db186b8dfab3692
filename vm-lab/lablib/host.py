# SPDX-License-Identifier: Apache-2.0
"""The machine the lab runs on: its packages, its Debian mirror, its cache folder."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from . import progress
from .errors import USAGE, LabError

CHECKOUT = Path(__file__).resolve().parents[2]
LAB_FOLDER = CHECKOUT / "vm-lab"

# What each package is for: the guest image, the machines, the shared disk, the private network, access, builds.
PACKAGES = {
    "image": ["mmdebstrap", "erofs-utils", "debian-archive-keyring", "kmod", "xz-utils", "zstd"],
    "machines": ["qemu-system-x86", "qemu-block-extra", "qemu-utils", "util-linux"],
    "disk": ["tgt", "sg3-utils", "xfsprogs"],
    "network": ["vde2", "iproute2"],
    "access": ["openssh-client"],
    "builds": ["maven", "gcc", "libc6-dev", "linux-libc-dev", "patchelf",
               "spin", "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "linux-libc-dev-arm64-cross"],
}


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base) / "mxfs-lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(path: Path, what: str):
    """Holds an exclusive file lock; says so when it has to wait for another lab."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(f"waiting for another command: {what}"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def digest(*parts: object) -> str:
    """A short content hash: strings, bytes, or files (by content)."""
    sum_ = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part if isinstance(part, bytes) else str(part).encode()
        sum_.update(len(data).to_bytes(8, "little"))
        sum_.update(data)
    return sum_.hexdigest()[:16]


def tool(name: str) -> str:
    """Where a program is; /usr/sbin is often missing from an ordinary user's PATH."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin")
    if not found:
        raise LabError(f"program {name} not found", "run 'vm-lab/lab setup'")
    return found


def call(argv: list[str], what: str, **options) -> subprocess.CompletedProcess:
    """Runs a host program to its end; a failure carries the last lines it said."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", **options)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise LabError(f"{what} failed: {argv[0]} ended with status {done.returncode}:\n{said}")
    return done


def missing_packages() -> list[str]:
    if not shutil.which("dpkg-query"):
        raise LabError("this is not a Debian machine (no dpkg-query)", "use Debian 12 or 13, or a container of it")
    wanted = sorted({name for group in PACKAGES.values() for name in group})
    if os.getuid():
        wanted.append("uidmap")  # newuidmap: lets mmdebstrap work as an ordinary user
    listing = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n", *wanted],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    present = {line.split()[-1] for line in listing.splitlines() if line.startswith("ii")}
    absent = [name for name in wanted if name not in present]
    if not Path("/usr/share/keyrings/debian-archive-trixie-stable.gpg").exists() \
            and "debian-archive-keyring" not in absent:
        absent.append("debian-archive-keyring")  # an old one knows nothing of Debian 13's keys: upgrade it
    return absent


def install_packages() -> None:
    absent = missing_packages()
    if not absent:
        return
    as_root: list[str] = []
    if os.getuid():
        if not shutil.which("sudo"):
            raise LabError(f"packages missing: {' '.join(absent)}; neither root nor sudo here",
                           f"as root: apt-get install --no-install-recommends {' '.join(absent)}")
        as_root = ["sudo"]
    with locked(cache() / "apt.lock", "package installation"), \
            progress.step(f"installing packages: {' '.join(absent)}"):
        call([*as_root, "apt-get", "update", "-q"], "apt-get update")
        call([*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q",
              "--no-install-recommends", *absent], "apt-get install")
        if "tgt" in absent and Path("/run/systemd/system").exists():
            # The package starts a daemon of its own; the lab runs its own ones and wants nobody else's port 3260.
            call([*as_root, "systemctl", "disable", "--now", "tgt.service"], "stopping the package's own tgtd")
    if left := missing_packages():
        raise LabError(f"packages still missing after installation: {' '.join(left)}", "see apt-get's own messages")


def debian_mirror() -> str:
    """The Debian mirror this machine itself uses; Debian 13 is in the same archive."""
    candidates = []
    for file in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if not file.is_file():
            continue
        text = file.read_text(errors="replace")
        if file.suffix == ".sources":
            for stanza in re.split(r"\n\s*\n", text):
                uris = re.search(r"^URIs:\s*(\S+)", stanza, re.M)
                suites = re.search(r"^Suites:\s*(\S+)", stanza, re.M)
                if uris and suites and "no" != (re.search(r"^Enabled:\s*(\S+)", stanza, re.M) or [None, "yes"])[1]:
                    candidates.append((uris[1], suites[1]))
        else:
            for line in text.splitlines():
                if entry := re.match(r"deb\s+(?:\[[^]]*]\s+)?(\S+)\s+(\S+)\s+.*\bmain\b", line.strip()):
                    candidates.append((entry[1], entry[2]))
    for uri, suite in candidates:
        if re.fullmatch(r"(bookworm|trixie|stable|testing|sid|unstable|forky)/?", suite) \
                and uri.rstrip("/").endswith("/debian"):
            return uri.rstrip("/")
    raise LabError("no Debian mirror in this machine's apt configuration (/etc/apt/sources.list*)",
                   "add Debian's own archive there, or set MXFS_LAB_MIRROR to its URL")


def mirror() -> str:
    return os.environ.get("MXFS_LAB_MIRROR") or debian_mirror()


def patience() -> float:
    """MXFS_LAB_PATIENCE=3: what time limits are multiplied with on a host that does much else."""
    said = os.environ.get("MXFS_LAB_PATIENCE") or "1"
    try:
        factor = float(said)
    except ValueError:
        factor = 0.0
    if not 1 <= factor <= 20:
        raise LabError(f"MXFS_LAB_PATIENCE={said} is no factor for time limits", "a number from 1 to 20", USAGE)
    return factor


def need_space(folder: Path, gigabytes: float) -> None:
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise LabError(f"{folder}: {free:.1f} GB free, {gigabytes:.1f} GB wanted", "make room, or set XDG_CACHE_HOME")


def age(path: Path) -> float:
    return time.time() - path.stat().st_mtime
