# SPDX-License-Identifier: Apache-2.0
"""Which accelerator to use: KVM only after a guest really booted and worked under it, otherwise TCG.

/dev/kvm proves little: nested and emulated ones start QEMU and then lose their way. The verdict is kept
for this boot of the machine and this image.
"""

import json
import os
import subprocess
from pathlib import Path

from . import host, proc, progress
from .errors import LabError
from .image import Image

# Under TCG `rep movsb/stosb` goes byte by byte and five page-table levels are one more than any guest needs.
CPU = {"tcg": "max,-erms,-fsrm,-la57", "kvm": "host"}
PROBE_LIMIT = 25.0


def arguments(accel: str) -> list[str]:
    if accel == "kvm":
        return ["-accel", "kvm", "-cpu", CPU["kvm"]]
    return ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", CPU["tcg"]]


def choose(image: Image, forced: str | None = None) -> str:
    forced = forced or os.environ.get("MXFS_LAB_ACCEL")
    if forced:
        if forced not in CPU:
            raise LabError(f"unknown accelerator '{forced}'", "tcg or kvm")
        return forced
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    verdict_file = host.cache() / "accel.json"
    subject = {"boot": proc.boot_id(), "image": image.name}
    with host.locked(host.cache() / "accel.lock", "KVM is being tried"):
        try:
            verdict = json.loads(verdict_file.read_text())
            if {name: verdict[name] for name in subject} == subject:
                return verdict["accel"]
        except (FileNotFoundError, ValueError, KeyError):
            pass
        works, why = _probe(image)
        verdict_file.write_text(json.dumps({**subject, "accel": "kvm" if works else "tcg", "why": why}) + "\n")
    progress.say(f"accelerator: {'KVM' if works else 'TCG'} ({why})")
    return "kvm" if works else "tcg"


def processor(accel: str) -> str:
    """Names the processor that guests see: what is tuned to a processor (an AOT cache) is kept under it."""
    if accel == "kvm":
        wanted = ("model name", "flags")
        return "\n".join(sorted({line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(wanted)}))
    version = host.call([host.tool("qemu-system-x86_64"), "--version"], "qemu --version").stdout.splitlines()[0]
    return f"{version} {CPU[accel]}"


def kernel_arguments(accel: str) -> str:
    """Under TCG a guest is told how fast its clock runs: see vm-lab/host/tsc.c. Under KVM it knows."""
    if accel != "tcg" or " constant_tsc" not in Path("/proc/cpuinfo").read_text():
        return ""
    from . import build
    kept = host.cache() / "tsc.json"
    with host.locked(host.cache() / "tsc.lock", "the clock is being measured"):
        try:
            known = json.loads(kept.read_text())
            if known["boot"] == proc.boot_id():
                return f"tsc_early_khz={known['khz']}"
        except (FileNotFoundError, ValueError, KeyError):
            pass
        program = build.c_tests(host.LAB_FOLDER / "host") / "tsc"
        khz = int(host.call([str(program)], "measuring the time stamp counter").stdout)
        kept.write_text(json.dumps({"boot": proc.boot_id(), "khz": khz}) + "\n")
    return f"tsc_early_khz={khz}"


def _probe(image: Image) -> tuple[bool, str]:
    """Boots the lab's kernel twice with two processors into a small workload."""
    for turn in (1, 2):
        command = [host.tool("qemu-system-x86_64"), *machine(), *arguments("kvm"), "-smp", "2", "-m", "512",
                   "-kernel", str(image.kernel), "-initrd", str(image.initrd), "-no-reboot",
                   "-append", "console=ttyS0 panic=-1 mxfs.probe=1", "-serial", "stdio",
                   *disk("mxfs-root", image.root)]
        # The probe is short-lived and must not survive a kill of this command.
        guarded = ["setpriv", "--pdeathsig", "KILL", *command]
        try:
            done = subprocess.run(guarded, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=PROBE_LIMIT, preexec_fn=_no_core)
        except subprocess.TimeoutExpired:
            return False, f"a guest under KVM did not end within {PROBE_LIMIT:.0f} s"
        said = done.stdout.decode(errors="replace")
        if "mxfs-lab: probe ok" not in said or done.returncode:
            last = next((line for line in reversed(said.strip().splitlines()) if line.strip()), "nothing said")
            return False, f"a guest under KVM failed, status {done.returncode}: {last.strip()[:160]}"
        if any(mark in said for mark in ("BUG:", "Oops", "Call Trace", "clocksource: timekeeping watchdog")):
            return False, "the kernel complained under KVM"
    return True, "two guests booted and worked under it"


def _no_core() -> None:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def machine() -> list[str]:
    return ["-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35,usb=off,vmport=off",
            "-rtc", "base=utc"]


def disk(serial: str, file: Path) -> list[str]:
    """A read-only image as a virtio disk; the host's page cache keeps it in memory for all nodes."""
    return ["-blockdev", f"driver=file,filename={file},read-only=on,node-name={serial},locking=off",
            "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]
