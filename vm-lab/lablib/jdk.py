# SPDX-License-Identifier: Apache-2.0
"""A JDK 25 or newer: one that is on this machine, else Debian 13's packages unpacked into the cache."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import host, image, progress
from .errors import LabError

WANTED = 25

# What the JDK's launchers and libjvm link to; used where the machine's own glibc is older than Debian 13's.
RUNTIME_LIBRARIES = ("libc6", "libgcc-s1", "libstdc++6", "zlib1g")


def _version(home: Path) -> int:
    """The feature release of a full JDK, 0 for anything else."""
    if not (home / "bin/javac").exists() or not (home / "bin/jlink").exists():
        return 0
    try:
        release = (home / "release").read_text()
    except OSError:
        return 0
    found = re.search(r'JAVA_VERSION="(\d+)', release)
    return int(found[1]) if found else 0


def find() -> Path:
    candidates = [Path(value) for name in ("MXFS_JAVA_HOME", "JAVA_HOME") if (value := os.environ.get(name))]
    if javac := shutil.which("javac"):
        candidates.append(Path(javac).resolve().parents[1])
    candidates += sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)
    for home in candidates:
        if _version(home) >= WANTED:
            return home
    return _unpacked()


def _unpacked() -> Path:
    """Debian 13's openjdk packages, unpacked and not installed, with this machine's own trusted certificates."""
    folder = host.cache() / f"jdk-{WANTED}"
    home = folder / "jdk"
    if _version(home) >= WANTED:
        return home
    with host.locked(host.cache() / "jdk.lock", "a JDK is being unpacked"):
        if _version(home) >= WANTED:
            return home
        new = host.cache() / f".jdk-{WANTED}.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        hook = ('set -e; mkdir -p "$1/debs"; cd "$1/debs"; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; '
                f'apt-get download openjdk-{WANTED}-jdk-headless openjdk-{WANTED}-jre-headless '
                f'{" ".join(RUNTIME_LIBRARIES)}')
        with progress.step(f"no JDK {WANTED} on this machine: unpacking Debian 13's (once)"):
            with open(new / "debs.tar", "wb") as out:
                done = subprocess.run(["setpriv", "--pdeathsig", "TERM", host.tool("mmdebstrap"), "--variant=custom",
                                       "--format=tar", f"--customize-hook={hook}", image.SUITE, "-", host.mirror()],
                                      stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True)
            if done.returncode:
                raise LabError(f"fetching openjdk-{WANTED} failed:\n{done.stderr[-1500:]}",
                               f"install a JDK {WANTED} yourself and set JAVA_HOME")
            host.call(["sh", "-c", 'set -e; cd "$0"; tar -xf debs.tar --wildcards --strip-components=2 "./debs/*.deb"; '
                       'for d in *.deb; do dpkg-deb -x "$d" root; done; rm -f *.deb debs.tar', str(new)], "unpacking the JDK")
            (tree,) = (new / "root/usr/lib/jvm").glob(f"java-{WANTED}-openjdk-*")
            # The package links its configuration to /etc, which is inside what was unpacked.
            for link in [path for path in tree.rglob("*") if path.is_symlink() and os.readlink(path).startswith("/etc/")]:
                inside = new / "root" / os.readlink(link)[1:]
                link.unlink()
                if inside.is_dir():
                    shutil.copytree(inside, link, symlinks=True)
                elif inside.exists():
                    shutil.copy2(inside, link)
            tree.rename(new / "jdk")
            libraries = new / "root/usr/lib/x86_64-linux-gnu"
            libraries.rename(new / "libraries")
            shutil.rmtree(new / "root")
            shutil.rmtree(folder, ignore_errors=True)
            if not _runs(new / "jdk"):
                _use_libraries(new / "jdk", folder / "libraries", new / "libraries")
            new.rename(folder)
            try:
                _trust(home)
            except BaseException:
                shutil.rmtree(folder)
                raise
    if _version(home) < WANTED:
        raise LabError(f"{home} is no JDK {WANTED}", f"install one yourself and set JAVA_HOME; remove {folder}")
    return home


def _runs(home: Path) -> bool:
    return subprocess.run([str(home / "bin/java"), "-version"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def _use_libraries(home: Path, final: Path, present: Path) -> None:
    """Makes the JDK's programs start with Debian 13's own glibc, by absolute path; what they start is not affected.

    Only the unpacked programs are changed: images that jlink makes come from the jmods, which stay as they are.
    """
    if not (present / "ld-linux-x86-64.so.2").exists():
        raise LabError(f"no dynamic loader among {', '.join(RUNTIME_LIBRARIES)}", f"install a JDK {WANTED} and set JAVA_HOME")
    for program in [*(home / "bin").iterdir(), home / "lib/jspawnhelper"]:
        with open(program, "rb") as file:
            if program.is_symlink() or file.read(4) != b"\x7fELF":
                continue
        host.call([host.tool("patchelf"), "--set-interpreter", str(final / "ld-linux-x86-64.so.2"), "--force-rpath",
                   "--set-rpath", f"$ORIGIN/../lib:{final}", str(program)], f"patchelf {program.name}")


def _trust(tree: Path) -> None:
    """The machine's own certificates: a proxy's certificate is known to nobody else."""
    store = tree / "lib/security/cacerts"
    store.unlink(missing_ok=True)
    machine = Path("/etc/ssl/certs/java/cacerts")
    if machine.exists():
        shutil.copy(machine, store)
        return
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    if not bundle.exists():
        raise LabError("no certificates on this machine (/etc/ssl/certs/ca-certificates.crt)",
                       "apt-get install ca-certificates")
    certificates = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", bundle.read_text(), re.S)
    one = store.with_suffix(".pem")
    for number, certificate in enumerate(certificates):
        one.write_text(certificate + "\n")
        host.call([str(tree / "bin/keytool"), "-importcert", "-noprompt", "-storepass", "changeit", "-alias", f"ca{number}",
                   "-keystore", str(store), "-file", str(one)], "keytool")
    one.unlink()
