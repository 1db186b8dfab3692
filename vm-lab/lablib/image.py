# SPDX-License-Identifier: Apache-2.0
"""The two Debian 13 roots: the guest (one read-only image, kernel, initramfs) and the builder of the module.

Both are made in one go from one state of the archive, so that the builder's headers are those of the guest's
kernel. They are cached under a hash of their recipe: everything in this file, and the files in vm-lab/guest.
"""

import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from . import cpio, host, progress
from .errors import LabError

SUITE = "trixie"

GUEST_PACKAGES = ["acl", "attr", "busybox-static", "dmsetup", "e2fsprogs", "fio", "iproute2", "iputils-ping", "kmod", "libcap2-bin",
                  "liburing2", "lsof", "mount", "netcat-openbsd", "nftables", "open-iscsi", "openssh-server", "procps", "psmisc", "quota",
                  "sg3-utils", "strace", "tcpdump", "util-linux", "xfsprogs"]
BUILDER_PACKAGES = ["gcc", "make", "libc6-dev", "linux-headers-amd64", "sparse", "perl", "libelf-dev", "kmod",
                    "libaio-dev", "libcap-dev", "liburing-dev", "libattr1-dev", "libacl1-dev",
                    "bc", "bison", "flex"]  # these three for the debug kernel

# What the initramfs needs to reach the real root; dependencies come from modules.dep.
# libcrc32c asks the crypto API for crc32c without naming its providers; the accelerated one may decline.
EARLY_MODULES = ["crc32c_generic", "crc32c_intel", "virtio_pci", "virtio_blk", "erofs", "overlay"]

# Kernel modules a lab node can have a use for; the rest (graphics, sound, wireless, ...) would only cost
# time at every depmod and space in the image.
KEPT_MODULES = ("arch", "block", "crypto", "fs", "kernel", "lib", "mm", "security", "virt",
                "drivers/block", "drivers/char", "drivers/dax", "drivers/md", "drivers/net/dummy", "drivers/net/veth",
                "drivers/net/tun", "drivers/net/virtio_net", "drivers/net/net_failover", "drivers/nvdimm",
                "drivers/nvme", "drivers/scsi/sd_mod", "drivers/scsi/sg", "drivers/scsi/scsi", "drivers/scsi/virtio_scsi",
                "drivers/scsi/device_handler", "drivers/scsi/libiscsi", "drivers/scsi/iscsi_tcp", "drivers/target",
                "drivers/vhost", "drivers/virtio", "drivers/watchdog/softdog", "drivers/watchdog/i6300esb",
                "net/9p", "net/802", "net/8021q", "net/bridge", "net/core", "net/dlm", "net/ipv4", "net/ipv6", "net/llc",
                "net/netfilter", "net/netlink", "net/packet", "net/sched", "net/sctp", "net/sunrpc", "net/tls",
                "net/unix", "net/vmw_vsock", "net/xdp")

KERNEL_HOOK = ('set -e; mkdir "$1/lab-kernel"; cd "$1/lab-kernel"; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; '
               'apt-get download "$(apt-cache depends linux-image-amd64 | sed -n "s/^ *Depends: //p" | head -n1)"')


@dataclass(frozen=True)
class Image:
    folder: Path

    kind = "stock"
    kernel_slowness = 1.0
    default_memory = 1024   # of a node, in MiB

    @property
    def slowness(self) -> float:
        """What time limits are multiplied with."""
        return self.kernel_slowness * host.patience()

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def kernel_version(self) -> str:
        return (self.folder / "kernel-version").read_text().strip()

    @property
    def root(self) -> Path:
        return self.folder / "guest.erofs"

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd"

    @property
    def modules(self) -> Path:
        """A folder with lib/modules/<version> as the guest has it, for depmod -b."""
        return self.folder / "modules"

    @property
    def build_folder(self) -> str:
        """What modules are built against, in the builder root."""
        return f"/lib/modules/{self.kernel_version}/build"

    @property
    def builder(self) -> Path:
        return self.folder / "builder"

    @property
    def key(self) -> Path:
        return self.folder / "id_ed25519"

    @property
    def host_key(self) -> str:
        return (self.folder / "host_ed25519.pub").read_text().split()[1]


def recipe() -> str:
    guest = sorted(path for path in (host.LAB_FOLDER / "guest").iterdir() if path.is_file())
    return host.digest(Path(__file__), Path(cpio.__file__), *[part for path in guest for part in (path.name, path)])


def find() -> Image | None:
    folder = host.cache() / "images" / recipe()
    return Image(folder) if folder.exists() else None


def ensure() -> Image:
    """The cached image, or a new one."""
    if found := find():
        return found
    host.install_packages()
    images = host.cache() / "images"
    with host.locked(images / "lock", "the guest image is being made"):
        if found := find():
            return found
        for left in images.glob(".new-*"):
            progress.say(f"removing what an interrupted set-up left: {left.name}")
            shutil.rmtree(left)
        host.need_space(images, 5)
        new = images / f".new-{recipe()}"
        new.mkdir()
        with progress.step("guest image and builder root (once; later runs use the cache)"):
            try:
                _make(new)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
        new.rename(images / recipe())
    return Image(images / recipe())


def _make(new: Path) -> None:
    source = host.mirror()
    failures: list[BaseException] = []

    def guarded(work) -> threading.Thread:
        def body():
            try:
                work()
            except BaseException as error:
                failures.append(error)
        thread = threading.Thread(target=body)
        thread.start()
        return thread

    guest, builder = new / "guest", new / "builder"
    threads = [guarded(lambda: _bootstrap(source, guest, GUEST_PACKAGES, [f"--customize-hook={KERNEL_HOOK}"])),
               guarded(lambda: _bootstrap(source, builder, BUILDER_PACKAGES, []))]
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]

    version = _kernel(new, guest)
    if not (builder / "usr/lib/modules" / version / "build").is_symlink():
        raise LabError(f"guest kernel {version} and builder headers "
                       f"{[path.name for path in (builder / 'usr/lib/modules').iterdir()]} differ",
                       "the archive changed in between: run the command again")
    (new / "kernel-version").write_text(version + "\n")
    _keys(new)
    _furnish(new, guest)
    _initrd(new, guest, version)
    with progress.step("guest root image"):
        host.call([host.tool("mkfs.erofs"), "--all-root", "-T0", str(new / "guest.erofs"), str(guest)], "mkfs.erofs")
    shutil.rmtree(guest)
    (builder / "work").mkdir()


def _bootstrap(source: str, folder: Path, packages: list[str], options: list[str]) -> None:
    """A Debian 13 root as a folder of our own files: unpacked without device nodes, so that it needs no root."""
    folder.mkdir()
    with progress.step(f"Debian 13 root '{folder.name}' ({len(packages)} packages and what they need)"):
        tar = folder.with_suffix(".tar")
        log = folder.with_suffix(".log")
        command = ["setpriv", "--pdeathsig", "TERM",
                   host.tool("mmdebstrap"), "--variant=apt", "--format=tar", '--aptopt=Apt::Install-Recommends "false"',
                   "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
                   "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/info/*",
                   f"--include={','.join(packages)}", *options, SUITE, "-", source]
        with open(tar, "wb") as out, open(log, "wb") as err:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        if done.returncode:
            said = "\n".join(log.read_text(errors="replace").strip().splitlines()[-15:])
            raise LabError(f"mmdebstrap ({folder.name}) ended with status {done.returncode}:\n{said}",
                           f"is {source} reachable? Another mirror: set MXFS_LAB_MIRROR")
        host.call(["tar", "-C", str(folder), "--no-same-owner", "-xpf", str(tar), "--exclude=./dev/*"],
                  f"unpacking {tar.name}")
        # dpkg leaves a few folders unreadable; an ordinary user must be able to copy and remove everything.
        host.call(["chmod", "-R", "u+rwX", str(folder)], "chmod")
        tar.unlink()
        log.unlink()


def _kernel(new: Path, guest: Path) -> str:
    """Unpacks the kernel package without installing it: no initramfs-tools, no boot loader."""
    (package,) = (guest / "lab-kernel").glob("linux-image-*.deb")
    with progress.step(f"kernel {package.name.split('_')[0].removeprefix('linux-image-')}"):
        unpacked = new / "kernel"
        host.call(["dpkg-deb", "-x", str(package), str(unpacked)], "unpacking the kernel package")
        shutil.rmtree(guest / "lab-kernel")
        (image,) = (unpacked / "boot").glob("vmlinuz-*")
        version = image.name.removeprefix("vmlinuz-")
        shutil.copy(image, new / "vmlinuz")
        shutil.copy(unpacked / "boot" / f"System.map-{version}", new / "System.map")
        shutil.copy(unpacked / "boot" / f"config-{version}", new / "config")
        tree = next(path for path in (unpacked / "usr/lib/modules" / version, unpacked / "lib/modules" / version)
                    if path.is_dir())
        for module in (tree / "kernel").rglob("*.ko*"):
            if not str(module.relative_to(tree / "kernel")).startswith(KEPT_MODULES):
                module.unlink()
        # Unpacking xz in the guest, under emulation, costs more than a larger image.
        host.call(["sh", "-c", 'find "$0" -name "*.ko.xz" -print0 | xargs -0 -r -P 2 -n 64 xz -d', str(tree)],
                  "decompressing kernel modules")
        place = new / "modules/lib/modules" / version
        place.parent.mkdir(parents=True)
        tree.rename(place)
        for link in ("build", "source"):
            (place / link).unlink(missing_ok=True)
        host.call([host.tool("depmod"), "-b", str(new / "modules"), version], "depmod")
        shutil.copytree(place, guest / "usr/lib/modules" / version, symlinks=True)
        shutil.rmtree(unpacked)
    return version


def _keys(new: Path) -> None:
    for name in ("id_ed25519", "host_ed25519"):
        host.call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mxfs lab", "-f", str(new / name)], "ssh-keygen")


def _furnish(new: Path, guest: Path) -> None:
    mine = host.LAB_FOLDER / "guest"

    def put(source: Path, place: str, mode: int = 0o644) -> None:
        target = guest / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
        target.chmod(mode)

    put(mine / "rc", "usr/lib/mxfs-lab/rc", 0o755)
    (guest / "usr/lib/mxfs-lab/init").symlink_to("/usr/bin/busybox")
    put(mine / "inittab", "etc/inittab")
    put(mine / "sshd_config", "etc/ssh/sshd_config")
    put(new / "host_ed25519", "etc/ssh/ssh_host_ed25519_key", 0o600)
    put(new / "host_ed25519.pub", "etc/ssh/ssh_host_ed25519_key.pub")
    put(new / "id_ed25519.pub", "etc/ssh/lab_authorized_keys")
    for key in guest.glob("etc/ssh/ssh_host_*"):
        if "ed25519" not in key.name:
            key.unlink()
    with open(guest / "etc/hosts", "w") as hosts:
        hosts.write("127.0.0.1 localhost\n" + "".join(f"10.66.0.{n} node{n}\n" for n in range(1, 65)))
    # Two ordinary users, for tests of permissions.
    for user, number in (("user1", 1001), ("user2", 1002)):
        for file, line in (("passwd", f"{user}:x:{number}:{number}::/tmp:/bin/bash"),
                           ("group", f"{user}:x:{number}:"), ("shadow", f"{user}:*:20000::::::")):
            with open(guest / "etc" / file, "a") as out:
                out.write(line + "\n")
    for folder in ("host", "mnt/shared"):
        (guest / folder).mkdir(parents=True, exist_ok=True)
    (guest / "etc/resolv.conf").unlink(missing_ok=True)
    for left in ("etc/fstab", "etc/machine-id"):
        (guest / left).write_text("")


def _initrd(new: Path, guest: Path, version: str) -> None:
    place = new / "modules/lib/modules" / version
    needs = {}
    for line in (place / "modules.dep").read_text().splitlines():
        module, _, others = line.partition(":")
        needs[module] = others.split()
    by_name = {Path(path).stem.replace("-", "_"): path for path in needs}
    builtin = {Path(path).stem.replace("-", "_") for path in (place / "modules.builtin").read_text().split()}
    order: list[str] = []
    for name in EARLY_MODULES:
        if name in builtin:
            continue
        if name not in by_name:
            raise LabError(f"kernel {version} has no module {name}", "the recipe in lablib/image.py wants another list")
        # modules.dep lists dependencies last-needed first, so load them from the back.
        for path in [*reversed(needs[by_name[name]]), by_name[name]]:
            if path not in order:
                order.append(path)
    with open(new / "initrd", "wb") as out:
        archive = cpio.Writer(out)
        for folder in ("bin", "dev", "proc", "sys", "modules", "base", "dist", "rw", "new"):
            archive.folder(folder)
        archive.character_device("dev/console", 5, 1)
        archive.file("bin/busybox", (guest / "usr/bin/busybox").read_bytes(), 0o755)
        archive.file("init", (host.LAB_FOLDER / "guest/init").read_bytes(), 0o755)
        for path in order:
            archive.file(f"modules/{Path(path).name}", (place / path).read_bytes())
        archive.file("modules/order", "".join(Path(path).name + "\n" for path in order).encode())
        archive.close()


def remove_old() -> list[str]:
    """Removes images of other recipes; the caller makes sure that no lab runs."""
    keep = recipe()
    gone = [folder for folder in (host.cache() / "images").glob("*") if folder.is_dir() and folder.name != keep]
    for folder in gone:
        shutil.rmtree(folder)
    return [folder.name for folder in gone]


