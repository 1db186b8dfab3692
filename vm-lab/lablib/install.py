# SPDX-License-Identifier: Apache-2.0
"""docs/install.md as somebody reads it who has two Debian machines and a disk: its commands, as they stand there, on two nodes that have
nothing of mxfs, from Debian's packages and ours. There is no systemd on a lab's node, and no other network than the nodes' own: what apt
would fetch is fetched before, by apt, for just these nodes.
"""

import re
import subprocess
from pathlib import Path

from . import host, image, packages, progress
from .errors import CheckFailed, LabError
from .lab import Lab
from .node import Node

PAGE = host.CHECKOUT / "docs" / "install.md"
MEMORY = 3072       # what is installed lies in memory on a lab's node
PLACE = "/mnt/shared"
OURS = "/root/mxfs"  # where somebody has put the packages, on the nodes
# What stands for what: the page's examples, and the lab.
EXAMPLES = {"/dev/sdb": "/dev/sda", "10.0.0.0/24": "10.66.0.0/24"}
ARCHIVE_LIMIT, INSTALL_LIMIT = 300, 1500


class Page:
    """The commands of the page, in order; each has to be asked for, or the page has one that nobody tried."""

    def __init__(self, text: str):
        self._left = []
        section = ""
        for line in text.splitlines():
            if line.startswith("## "):
                section = line[3:]
            elif line.startswith("    ") and (command := re.sub(r"\s+# .*", "", line[4:]).strip()):
                self._left.append((section, command))

    def take(self, section: str, begins: str) -> str:
        """The next command, which has to begin so."""
        if not self._left or self._left[0][0] != section or not self._left[0][1].startswith(begins):
            raise CheckFailed(f"{PAGE.name}: after what was tried comes {self._left[:1] or 'nothing'}, not '{begins}…' of '{section}'",
                              "mend the page, or lablib/install.py, which tries it")
        command = self._left.pop(0)[1]
        for example, ours in EXAMPLES.items():
            command = command.replace(example, ours)
        return command

    def end(self) -> None:
        if self._left:
            raise CheckFailed(f"{PAGE.name} has commands that nobody tried: {self._left}", "try them in lablib/install.py")


def _archive(share: Path, status: str, ours: list[Path], release: str) -> None:
    """All that a node with this dpkg status lacks for our packages and the kernel's headers, as an archive for apt."""
    wanted = {"linux-headers-amd64", f"linux-headers-{release}"}
    for file in ours:
        for field in ("Depends", "Recommends"):
            said = host.call(["dpkg-deb", "-f", str(file), field], "dpkg-deb").stdout
            wanted |= {part.split("|")[0].split()[0].split(":")[0] for part in said.split(",") if part.strip()}
    wanted -= set(packages.PACKAGES)
    folder = share / "archive"
    folder.mkdir()
    (folder / "status").write_text(status)
    tar = folder / "archive.tar"
    hook = ('set -e; mkdir -p "$1/debs/partial"; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; apt-get -q -y --no-install-recommends '
            '-o Dir::State::status="$1/status" -o Dir::Cache::archives="$1/debs/" -o APT::Sandbox::User=root --download-only install '
            + " ".join(sorted(wanted)))
    with progress.step(f"what the nodes lack for {len(wanted)} packages, by apt"), open(tar, "wb") as out:
        done = subprocess.run(["setpriv", "--pdeathsig", "TERM", host.tool("mmdebstrap"), "--variant=custom", "--format=tar",
                               f"--customize-hook=upload {folder / 'status'} /status", f"--customize-hook={hook}", image.SUITE, "-",
                               host.mirror()], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE,
                              text=True, errors="replace")
    if done.returncode:
        raise LabError(f"apt, for the nodes: status {done.returncode}:\n{done.stderr[-1500:]}", "is the mirror reachable? MXFS_LAB_MIRROR")
    host.call(["tar", "-C", str(folder), "--strip-components=2", "--no-same-owner", "-xf", str(tar), "--wildcards", "./debs/*.deb"],
              "unpacking the archive")
    tar.unlink()
    index = ""
    for file in sorted(folder.glob("*.deb")):
        file = file.rename(file.with_name(file.name.replace("%3a", ".")))  # an epoch's colon, which the archive's names have not
        control = host.call(["dpkg-deb", "-f", str(file)], "dpkg-deb").stdout
        digest = host.call(["sha256sum", str(file)], "sha256sum").stdout.split()[0]
        index += f"{control.rstrip()}\nFilename: ./{file.name}\nSize: {file.stat().st_size}\nSHA256: {digest}\n\n"
    (folder / "Packages").write_text(index)


def _ours(node: Node, files: list[Path]) -> None:
    """The packages of one version, where the page's `./` is."""
    node.run(f"rm -rf {OURS}; mkdir -p {OURS}")
    for file in files:
        node.push(file, f"{OURS}/{file.name}")


def _sh(node: Node, command: str, fails: str | None = None, limit: float = 120) -> str:
    """A command as somebody types it, in the folder with the packages; all it says. `fails`: it has to, and says so."""
    done = node.run(f"cd {OURS} 2>/dev/null || cd /; {command} 2>&1", check=False, timeout=limit)
    if (done.rc != 0) != (fails is not None):
        raise CheckFailed(f"{node.name}: {command}\nended with status {done.rc}:\n{done.out.strip()[-3000:]}")
    if fails is not None and not re.search(fails, done.out):
        raise CheckFailed(f"{node.name}: {command}\nfails, as it has to, and says nothing like '{fails}':\n{done.out.strip()[-3000:]}")
    return done.out


def _same(got, wanted, what: str) -> None:
    if got != wanted:
        raise CheckFailed(f"{what}: {got!r}, expected {wanted!r}")


def _unbuilt(node: Node, later: Path, release: str, mount: str, umount: str) -> None:
    """A later module, that cannot be built for the kernel that runs, while nothing is mounted: the one that is loaded goes on."""
    _ours(node, [later])
    headers = f"/lib/modules/{release}/build"
    said = _sh(node, f"mv {headers} {headers}.away && dpkg --force-depends --install ./{later.name} && mv {headers}.away {headers}",
               limit=INSTALL_LIMIT)
    for text in ("the old one, which is loaded, stays", f"'apt install linux-headers-{release}'"):
        if text not in said:
            raise CheckFailed(f"an upgrade without headers says nothing like '{text}':\n{said}")
    _sh(node, "! modinfo mxfs")
    _sh(node, f"{mount} && {umount}")


def check() -> None:
    """Every command of docs/install.md, and what the page says of it."""
    from . import build
    page = Page(PAGE.read_text())
    files = packages.make()
    page.take("Making the packages", "vm-lab/lab packages DIR")
    programs = build.c_tests()
    with Lab.ephemeral("install", 2, memory=MEMORY) as lab:
        for node in lab.nodes:
            node.run("test -e /dev/mxfs-lab")
        one, two = lab.nodes
        release = one.run("uname -r").out.strip()
        _archive(lab.share, one.run("cat /var/lib/dpkg/status").out, files, release)
        later = [packages.renumbered(file, lab.folder, "99") for file in files]

        def furnish(node: Node) -> None:
            node.run("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; echo 'deb [trusted=yes] file:/host/archive ./' >/etc/apt/sources.list; "
                     "printf 'APT::Get::Assume-Yes \"true\";\\nAPT::Install-Recommends \"true\";\\n' >/etc/apt/apt.conf.d/zz-lab; apt-get -q update", timeout=ARCHIVE_LIMIT)
            _ours(node, files)
            node.push(programs / "stress", "/run/stress")
        lab.in_parallel(furnish)

        # ---- On each machine
        section = "On each machine"
        # The kernel comes with its headers, and nobody boots it here: an initramfs would cost minutes.
        quiet = "INITRD=No DEBIAN_FRONTEND=noninteractive "
        install = quiet + page.take(section, "apt install ./mxfs_*.deb ./mxfs-dkms_*.deb")
        headers = f"apt install linux-headers-{release}"

        def first(node: Node) -> str:
            if node is one:
                return _sh(node, install, limit=INSTALL_LIMIT)
            # Who forgets the headers is told, twice.
            said = _sh(node, re.sub(r"linux-headers-(amd64|\$\(uname -r\))", "", install) + " --no-install-recommends", limit=INSTALL_LIMIT)
            for text in (said, _sh(node, f"mount -t mxfs /dev/sda {PLACE}", fails="modprobe: FATAL: Module mxfs not found")):
                if f"'{headers}'" not in text:
                    raise CheckFailed(f"without the kernel's headers nobody says what to do:\n{text[-3000:]}")
            return said + _sh(node, f"{quiet}{headers}", limit=INSTALL_LIMIT)
        two.run(f"mkdir -p {PLACE}")
        with progress.step("apt install, on both nodes"):
            logs = lab.in_parallel(first)
        for node, said in zip(lab.nodes, logs):
            built = _sh(node, "dkms status -m mxfs")
            if not re.search(rf", {re.escape(release)}, x86_64: installed", built):
                raise CheckFailed(f"{node.name}: DKMS has installed nothing for {release}: {built}\n{said[-3000:]}")
        # What the page says of Secure Boot needs openssl, which only mxfs-dkms recommends.
        if not re.search(r"(?m)^signer: +\S", said := _sh(one, "modinfo mxfs")):
            raise CheckFailed(f"DKMS has not signed the module:\n{said}")
        which = page.take(section, "ls -l /dev/disk/by-id/")
        for node in lab.nodes:
            _sh(node, which)
        check_disk = page.take(section, "mxfsctl scsi check")
        if "USABLE" not in (said := _sh(one, check_disk)):
            raise CheckFailed(f"{check_disk}:\n{said}")
        _sh(one, page.take(section, "mkfs.xfs"))
        folder, mount, status = (page.take(section, begins) for begins in ("mkdir -p", "mount -t mxfs", "mxfsctl status"))
        for node in lab.nodes:
            _sh(node, folder)
            _sh(node, mount)
        _sh(one, f"echo one >{PLACE}/from-one")
        _same(_sh(two, f"cat {PLACE}/from-one"), "one\n", "what the first node wrote, on the second")
        for node in lab.nodes:
            if not re.search(r"health: ok", said := _sh(node, status)):
                raise CheckFailed(f"{node.name}: {status}:\n{said}")

        # ---- Firewall: what is not let in is dropped, but for ssh, which the lab needs.
        section = "Firewall"
        rules = [page.take(section, "nft insert rule inet filter input ip saddr") for _ in range(2)]
        for node in lab.nodes:
            _sh(node, f"umount {PLACE}")
            _sh(node, "nft 'add table inet filter; add chain inet filter input { type filter hook input priority 0; policy drop; }; "
                      "add rule inet filter input iifname { lo, mgmt0 } accept; add rule inet filter input ct state established,related accept'")
        _sh(one, mount)
        _sh(two, mount, fails="cannot be reached|is not heard|unreachable", limit=180)
        for node in lab.nodes:
            for rule in rules:
                _sh(node, rule)
        _sh(two, mount)
        _same(_sh(two, f"echo two >{PLACE}/from-two; cat {PLACE}/from-one"), "one\n", "behind a firewall")
        _same(_sh(one, f"cat {PLACE}/from-two"), "two\n", "behind a firewall")

        # ---- At boot
        section = "At boot"
        names = page.take(section, "ls -l /dev/disk/by-id/")
        line = page.take(section, "/dev/disk/by-id/wwn-")
        again = page.take(section, "mount /mnt/shared")
        for node in lab.nodes:
            _sh(node, f"umount {PLACE}")
            name = re.search(r"(\S+) -> \.\./\.\./sda$", _sh(node, names), re.M)
            if not name:
                raise CheckFailed(f"{node.name}: {names} shows no name of the disk")
            node.run("cat >>/etc/fstab", input=re.sub(r"^\S+", f"/dev/disk/by-id/{name[1]}", line) + "\n")
            _sh(node, again)
        _same(_sh(two, f"cat {PLACE}/from-one"), "one\n", "by the line in fstab")

        # ---- Machines that are cloned
        forget = page.take("Machines that are cloned", "rm /etc/mxfs/node.uuid")
        who = _sh(two, f"umount {PLACE}; cat /etc/mxfs/node.uuid")
        _sh(two, f"{forget}; {again}")
        if _sh(two, "cat /etc/mxfs/node.uuid") == who:
            raise CheckFailed("a machine that has forgotten who it is is the same one again")

        # ---- Upgrading, with the volume in use on both nodes
        section = "Upgrading"
        upgrade = quiet + page.take(section, "apt install ./mxfs_*.deb ./mxfs-dkms_*.deb")
        fits = page.take(section, "cat /usr/share/mxfs/fits")
        _same(_sh(one, fits), packages.fits() + "\n", fits)
        _sh(one, f"mkdir -p {PLACE}/d && chmod 755 /run/stress")
        _sh(two, "chmod 755 /run/stress")
        pid = _sh(one, "pgrep -f ^/usr/lib/mxfs/bin/java")
        loaded = _sh(one, "cat /sys/module/mxfs/srcversion 2>/dev/null || true")
        _ours(one, later)
        with progress.step("apt install of a later version under load"):
            results = lab.in_parallel(lambda node: _sh(node, f"/run/stress {PLACE}/d {node.number} 2 60", limit=INSTALL_LIMIT)
                                      if node is two else
                                      _sh(node, f"/run/stress {PLACE}/d {node.number} 2 60 >/run/stress.log 2>&1 & load=$!; {upgrade}; "
                                          "rc=$?; wait $load || { cat /run/stress.log; exit 1; }; exit $rc", limit=INSTALL_LIMIT))
        if "Setting up mxfs (99)" not in results[0] or "Setting up mxfs-dkms (99)" not in results[0]:
            raise CheckFailed(f"the upgrade:\n{results[0][-3000:]}")
        _same(_sh(one, "pgrep -f ^/usr/lib/mxfs/bin/java"), pid, "the daemon after the upgrade")
        _same(_sh(one, "cat /sys/module/mxfs/srcversion 2>/dev/null || true"), loaded, "the module that is loaded after the upgrade")
        _same(_sh(one, f"dkms status -m mxfs | cut -d, -f1"), "mxfs/99\n", "what DKMS has")

        # ---- What is refused, and changes nothing
        state = ("dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\\n' mxfs mxfs-dkms; dkms status -m mxfs; "
                 "ls /lib/modules/*/updates/dkms; cat /usr/share/mxfs/fits; apt-get -q check")
        before = _sh(one, state)
        _ours(one, files)
        _sh(one, upgrade.replace("apt install", "apt install --allow-downgrades"), "99 is installed and .* is older", INSTALL_LIMIT)
        _same(_sh(one, state), before, "after a downgrade that was refused")
        others = [packages.hollow(lab.folder, name, "100", "netlink 99, peers 99, discovery 99") for name in packages.PACKAGES]
        _ours(one, others)
        said = _sh(one, "dpkg --install ./*.deb", f"{PLACE} is mounted", INSTALL_LIMIT)
        for name in packages.PACKAGES:
            if f"{name}: {PLACE} is mounted" not in said:
                raise CheckFailed(f"what does not fit what is mounted: {name} says nothing of it:\n{said}")
        _same(_sh(one, state), before, "after an upgrade that does not fit was refused")

        section = "Removing"
        umount, purge = page.take(section, "umount"), page.take(section, "apt purge")
        said = _sh(one, purge, f"{PLACE} is mounted: unmount it first", INSTALL_LIMIT)
        _same(_sh(one, state), before, "after a purge that was refused")
        _sh(one, f"echo still >{PLACE}/still")

        # ---- Removed
        who = _sh(one, "cat /etc/mxfs/node.uuid")
        for node in lab.nodes:
            _sh(node, umount)
        _same(_sh(one, "sg_persist -n -k /dev/sda | grep -c 'no registered'"), "1\n", "keys after the last unmount")
        _sh(one, "xfs_repair -n /dev/sda", limit=300)
        _unbuilt(one, packages.renumbered(files[1], lab.folder, "99.1"), release, again, umount)
        _sh(one, "umount /var/log/mxfs")  # in the lab the logs are on the host
        _sh(one, purge, limit=INSTALL_LIMIT)
        _same(_sh(one, "cat /etc/mxfs/node.uuid"), who, "the node's UUID after purge")
        # By name: all that has mxfs in it, outside of what is the lab's and the tools'.
        left = _sh(one, "find / -xdev \\( -path /host -o -path /root -o -path /proc -o -path /sys -o -path /usr/lib/mxfs-lab -o -path '/var/log/*' "
                        "-o -path '/var/cache/*' -o -path '/var/lib/apt/*' \\) -prune -o -iname '*mxfs*' -print").split()
        _same(sorted(set(left) - {"/dev/mxfs-lab", "/usr/lib/mxfs-lab"}), ["/etc/mxfs"], "what is left after purge")
        _same(_sh(one, "grep -c mxfs /proc/filesystems || true"), "0\n", "the module in the kernel, after purge")
        _same(_sh(one, "ls -A /etc/mxfs"), "node.uuid\n", "what is left in /etc/mxfs")
        page.end()
        lab.scan()
