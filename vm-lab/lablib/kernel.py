# SPDX-License-Identifier: Apache-2.0
"""The kernels a node can boot: Debian's own, as it is, and the debug kernel, which finds what testing alone does not.

The debug kernel is Debian 13's kernel source with the configuration vm-lab/kernel/debug.config, built in the builder root. It is
kept under a hash of what it is made from, with what modules are built against. For everything that takes an image, a
`DebugImage` is the same guest with another kernel.
"""

import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from . import cpio, host, image, progress
from .errors import BuildFailed, LabError

KERNELS = ("stock", "debug")
CONFIG = host.LAB_FOLDER / "kernel" / "debug.config"

_CONFIGURE = "make -s -C src O={place}/out KCONFIG_ALLCONFIG={place}/debug.config allnoconfig"
# Beside what other commands of this machine do: it takes a while and nobody should have to wait for it.
_BUILD = "nice -n 15 make -j{jobs} -C out bzImage modules"
_INSTALL = "make -s -C out INSTALL_MOD_PATH={place}/modules modules_install"
# What a module is built against is little of both trees.
_TRIM = (r"cp out/arch/x86/boot/bzImage vmlinuz && cp out/.config config && cp out/System.map System.map && "
         r"rm -f modules/lib/modules/*/build modules/lib/modules/*/source && "
         r"find out -name 'vmlinux*' -type f -delete && "
         r"find out \( -name '*.o' -o -name '*.a' -o -name '*.ko' -o -name '*.mod*' -o -name '.*.cmd' \) -type f "
         r"-not -path 'out/scripts/*' -not -path 'out/tools/*' -delete && "
         r"rm -rf src/Documentation src/drivers src/fs src/net src/sound src/samples src/LICENSES src/rust && "
         r"find src/arch -mindepth 1 -maxdepth 1 -type d -not -name x86 -exec rm -rf {} +")


@dataclass(frozen=True)
class DebugImage(image.Image):
    """The guest with the debug kernel: its root and its builder, another kernel, its own modules."""

    kernel_folder: Path

    kind = "debug"
    # KASAN and lockdep look at each access and each lock; measured under TCG, with room for a busy host.
    kernel_slowness = 5.0
    default_memory = 2560

    @property
    def name(self) -> str:
        return f"{self.folder.name}-debug-{self.kernel_folder.name}"

    @property
    def kernel_version(self) -> str:
        return (self.kernel_folder / "kernel-version").read_text().strip()

    @property
    def kernel(self) -> Path:
        return self.kernel_folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The guest's own, and behind it an empty list of modules: what the initramfs needs is built in."""
        place = self.kernel_folder / f"initrd-{self.folder.name}"
        if not place.exists():
            new = place.with_suffix(f".new{os.getpid()}.{threading.get_ident()}")  # each node starts in a thread of its own
            with open(new, "wb") as out:
                out.write(super().initrd.read_bytes())
                out.write(b"\0" * (-out.tell() % 512))
                archive = cpio.Writer(out)
                archive.file("modules/order", b"")
                archive.close()
            new.rename(place)
        return place

    @property
    def modules(self) -> Path:
        return self.kernel_folder / "modules"

    @property
    def build_folder(self) -> str:
        """Where modules are built against it, in the builder root; put there when that is a new one."""
        place = _place(self.kernel_folder.name)
        here = self.builder / place[1:]
        if not here.exists():
            new = here.with_name(f".{here.name}.new{os.getpid()}")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            for part in ("src", "out"):
                host.call(["cp", "-a", "--link", str(self.kernel_folder / part), str(new)], "linking the kernel's build folder")
            try:
                new.rename(here)
            except OSError:
                shutil.rmtree(new)  # another command did the same
        return f"{place}/out"


def ensure(kind: str | None = None) -> image.Image:
    """The image with this kernel, made when it is not there yet."""
    made = image.ensure()
    if kind in (None, "stock"):
        return made
    if kind != "debug":
        raise LabError(f"there is no kernel '{kind}'", f"one of: {', '.join(KERNELS)}")
    key = _key(made)
    result = host.cache() / "kernels" / key
    if not result.exists():
        with host.locked(host.cache() / "kernels" / "lock", "the debug kernel is being built"):
            if not result.exists():
                _make(made, key, result)
    return DebugImage(made.folder, result)


def find(folder: Path, kernel: str | None) -> image.Image:
    """The image of a lab that is up, by what its description says."""
    return DebugImage(folder, host.cache() / "kernels" / kernel) if kernel else image.Image(folder)


def _key(made: image.Image) -> str:
    return host.digest(CONFIG, made.kernel_version, _CONFIGURE, _BUILD, _INSTALL, _TRIM)


def _place(key: str) -> str:
    return f"/srv/debug-kernel-{key}"


def _make(made: image.Image, key: str, result: Path) -> None:
    from . import build
    host.need_space(host.cache(), 8)
    place = _place(key)
    work = made.builder / place[1:]
    log = host.cache() / "logs" / "debug-kernel.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("")

    def run(command: str, what: str) -> None:
        command = command.replace("{place}", place).replace("{jobs}", str(os.cpu_count()))
        done = build.in_builder(made, f"cd {place} && {command}")
        with open(log, "a") as out:
            out.write(done.stdout)
        if done.returncode:
            said = "\n".join(done.stdout.strip().splitlines()[-30:])
            raise BuildFailed(f"debug kernel: {what} failed with status {done.returncode}; the whole log: {log}\n{said}",
                              "see vm-lab/kernel/debug.config")

    shutil.rmtree(work, ignore_errors=True)
    new = result.with_name(f".new-{key}")
    shutil.rmtree(new, ignore_errors=True)
    try:
        with progress.step("debug kernel: Debian 13's kernel source"):
            build.kernel_source(made, work / "src")
        (work / "out").mkdir()
        shutil.copy(CONFIG, work / "debug.config")
        run(_CONFIGURE, "configuration")
        if wrong := _differences(CONFIG, work / "out/.config"):
            raise BuildFailed("debug kernel: the source does not take this configuration: " + "; ".join(wrong),
                              "mend vm-lab/kernel/debug.config")
        with progress.step("debug kernel: building (once; half an hour on two processors)"):
            run(_BUILD, "build")
            run(_INSTALL, "installation of its modules")
        release = (work / "out/include/config/kernel.release").read_text()
        run(_TRIM, "tidying up")
        new.mkdir()
        for part in ("vmlinuz", "config", "System.map", "modules", "src", "out"):
            (work / part).rename(new / part)
        host.call([host.tool("depmod"), "-b", str(new / "modules"), release.strip()], "depmod")
        (new / "kernel-version").write_text(release)
        new.rename(result)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(new, ignore_errors=True)


def _differences(wanted: Path, got: Path) -> list[str]:
    """What Kconfig made otherwise than asked; a debugging option that got lost would find nothing, silently."""
    have = dict(line.split("=", 1) for line in got.read_text().splitlines() if line.startswith("CONFIG_"))
    asked = dict(line.split("=", 1) for line in wanted.read_text().splitlines() if line.startswith("CONFIG_"))
    return [f"{name} is {have.get(name, 'n')} instead of {value}" for name, value in asked.items() if have.get(name, "n") != value]
