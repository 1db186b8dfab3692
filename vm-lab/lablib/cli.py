# SPDX-License-Identifier: Apache-2.0
"""The command line: parses, calls the library, prints; errors become one message and an exit code."""

import argparse
import json
import os
import re
import select
import shlex
import signal
import socket
import sys
import termios
import time
import tty
from pathlib import Path

from . import accel, build, demo, host, image, kernel as kernels, lab as labs, progress, requirements, scan as scanner, ssh, test
from .errors import EXIT_CODES, INTERRUPTED, USAGE, CheckFailed, LabError
from .lab import Lab


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    progress.quiet = options.quiet
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        if options.cleans_up:
            labs.clean_up_interrupted()
        return options.action(options) or 0
    except LabError as error:
        if getattr(options, "json", False):
            print(json.dumps({"error": error.what, "todo": error.todo, "code": error.code}))
        print(f"lab {options.command}: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print(f"lab {options.command}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return 0


def _interrupt(number, _frame):
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXIT_CODES,
        description="Virtual machines that share one SCSI disk with persistent reservations, made from ordinary Debian "
                    "packages. Each command installs and builds what is missing. 'lab COMMAND --help' says more.")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def with_kernel(sub) -> None:
        sub.add_argument("--kernel", choices=kernels.KERNELS, default="stock",
                         help="Debian's own kernel (default), or one with KASAN, lockdep, kmemleak and other checks, "
                              "built at its first use, which takes half an hour")

    def add(name: str, action, text: str, json_output: bool = False, in_lab: bool = True, cleans_up: bool = True):
        sub = commands.add_parser(name, help=text, description=text, epilog=EXIT_CODES,
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
        sub.set_defaults(action=action, cleans_up=cleans_up)
        if in_lab:
            sub.add_argument("--name", default=None, help="which lab (default: $MXFS_LAB, else one a checkout)")
        if json_output:
            sub.add_argument("--json", action="store_true", help="print the result as JSON")
        return sub

    sub = add("setup", _setup, "install the host packages, make the guest image and the builder root", True, False)
    sub.add_argument("--prune", action="store_true", help="also remove images of older recipes (no lab may be up)")

    sub = add("up", _up, "make a lab and boot its nodes node1..nodeN, which share /dev/sda", True)
    sub.add_argument("nodes", type=int, metavar="N", help="how many nodes (1-63)")
    with_kernel(sub)
    sub.add_argument("--mem", type=int, default=None, metavar="MIB",
                     help=f"memory of a node (default {image.Image.default_memory}; debug kernel {kernels.DebugImage.default_memory})")
    sub.add_argument("--cpus", type=int, default=1, help="processors of a node (default 1)")
    sub.add_argument("--disk-size", default="10G", metavar="SIZE", help="size of the shared disk, sparse (default 10G)")
    sub.add_argument("--sector-size", type=int, default=512, choices=(512, 4096), help="logical block size (default 512)")
    sub.add_argument("--dist", type=Path, metavar="DIR", help="install tree ('lab dist DIR') to put into the nodes' root")
    sub.add_argument("--accel", choices=tuple(accel.CPU), help="force an accelerator (default: KVM if it proves to work)")
    sub.add_argument("--append", default="", metavar="ARGS", help="more kernel arguments")

    add("down", _down, "end the lab; only its logs stay").add_argument("--all", action="store_true", help="every lab")
    add("status", _status, "the lab, its nodes and its disk", True).add_argument(
        "--all", action="store_true", help="every lab of this user")
    add("disk", _disk, "the shared disk: file, size, target, sessions", True)

    sub = add("run", _run, "run a command on a node and pass its input, output and exit status through. One argument "
              "is a line for the node's shell; several are passed exactly as they are", cleans_up=False)
    sub.add_argument("node", metavar="NODE")
    sub.add_argument("words", nargs=argparse.REMAINDER, metavar="CMD...")
    add("ssh", _ssh, "a shell on a node", cleans_up=False).add_argument("node", metavar="NODE")

    sub = add("push", _push, "copy a file or folder to a node", cleans_up=False)
    sub.add_argument("node", metavar="NODE")
    sub.add_argument("source", type=Path, metavar="FILE")
    sub.add_argument("place", metavar="PLACE", help="its name on the node, or a folder that ends in '/'")
    sub = add("pull", _pull, "copy a file or folder from a node", cleans_up=False)
    sub.add_argument("node", metavar="NODE")
    sub.add_argument("source", metavar="FILE")
    sub.add_argument("place", type=Path, metavar="PLACE")

    add("kill", _kill, "power a node off at once: nothing is flushed").add_argument("node", metavar="NODE")
    add("start", _start, "boot a node that is off").add_argument("node", metavar="NODE")
    add("pause", _pause, "freeze a node (QMP stop)").add_argument("node", metavar="NODE")
    add("resume", _resume, "let a paused node go on (QMP cont)").add_argument("node", metavar="NODE")
    sub = add("link", _link, "plug a node's private network in or out; ssh stays")
    sub.add_argument("node", metavar="NODE")
    sub.add_argument("state", choices=("on", "off"))
    sub = add("console", _console, "a node's console; leave with Ctrl-]", cleans_up=False)
    sub.add_argument("node", metavar="NODE")
    sub.add_argument("--log", action="store_true", help="print the console log instead")
    sub = add("scan", _scan, "look for kernel complaints (WARN, BUG, oops, hung task, lockdep, XFS corruption) in the "
              "console logs; status 1 and the excerpt when there is one", True)
    sub.add_argument("--expect", action="append", default=[], metavar="REGEX", help="lines that a test provokes on purpose")
    sub.add_argument("files", nargs="*", type=Path, metavar="FILE", help="console logs (default: those of the lab's nodes)")

    sub = add("kmod", _kmod, "build the kernel module in the Debian 13 builder root and print where it is", True, False)
    sub.add_argument("--source", type=Path, default=build.MODULE_FOLDER, metavar="DIR", help="Kbuild folder (default kmod/)")
    sub.add_argument("--sparse", action="store_true", help="check with sparse (C=2) instead")
    sub.add_argument("--checkpatch", action="store_true", help="check with the kernel's checkpatch.pl instead")
    sub.add_argument("--make", default="", metavar="ARGS", help="more arguments for make, such as KCFLAGS=-O1")
    with_kernel(sub)
    sub = add("ctests", _ctests, "compile the C test programs (tests/c) for the guest and print their folder", True, False)
    sub.add_argument("--source", type=Path, default=build.C_TESTS, metavar="DIR", help="folder (default tests/c)")
    sub = add("dist", _dist, "build module and daemon and stage everything a node needs into DIR", True, False)
    sub.add_argument("folder", type=Path, metavar="DIR")

    with_kernel(sub)
    sub = add("packages", _packages, "make the Debian packages mxfs and mxfs-dkms of this checkout's last commit, and put them into DIR", True, False)
    sub.add_argument("folder", type=Path, metavar="DIR")
    sub.add_argument("--twice", action="store_true", help="make them a second time, from nothing, in a copy of the checkout at "
                     "another place, and compare every byte (some minutes)")

    sub = add("demo", _demo, "two machines share one XFS volume, from mkfs to the last comparison; a wrong byte, a kernel "
              "complaint or an unclean volume makes it fail", in_lab=False)
    sub.add_argument("--seed", type=int, default=None, help="what the files are made from (default: a new one, printed)")
    sub.add_argument("--seconds", type=int, default=20, help="how long both write at once (default 20)")
    sub.add_argument("--files", type=int, default=400, help="how many small files (default 400)")
    sub.add_argument("--big", default="256M", metavar="SIZE", help="size of the large file (default 256M)")
    sub = add("test", _test, "run every test: Java, C, documents, the protocol on paper (Spin), the VM protocol, the demo; the last line is "
              "'N passed, N failed'", in_lab=False)
    sub.add_argument("parts", nargs="*", metavar="PART", help=f"only these: {', '.join(test.PARTS)}")
    sub.add_argument("--seed", type=int, default=None, help="the demo's seed")
    sub = add("protocol", _protocol, "scripts that prove one thing each on two nodes that share a disk; without a name all of them, in "
              "a lab of their own. RUN_TIMEOUT=90s replaces a script's time limit, RUN_UNTIL_MARKER=1 ends it at its marker", True)
    sub.add_argument("scripts", nargs="*", metavar="SCRIPT", help="which ones (default: all, in order)")
    sub.add_argument("--list", action="store_true", help="what there is, with time limits and markers")
    sub.add_argument("--dist", type=Path, metavar="DIR", help="install tree (default: built as by 'lab dist')")
    sub.add_argument("--beats", type=int, default=None, metavar="MILLIS",
                     help="how often a node writes its heartbeat, 0: never (default: as the product has it)")
    sub.add_argument("--rounds", type=int, default=None, help="of 'durability': how many faults (default 8)")
    sub.add_argument("--takeover", action="store_true", help="of 'durability': with crash takeover, which the product has off: who goes on does so while the other is off")
    sub.add_argument("--seed", type=int, default=None, help="of 'durability': in which order, and what they hit (default: a new one, printed)")
    with_kernel(sub)
    sub = add("bench", _bench, "speed against plain XFS in the same boot, printed as ratios with their targets", True, in_lab=False)
    sub.add_argument("benches", nargs="*", metavar="BENCH", help="which ones (default: all)")
    sub.add_argument("--list", action="store_true", help="what there is, with the targets")
    sub.add_argument("--rounds", type=int, default=3, help="alternating rounds (default 3)")
    sub.add_argument("--dist", type=Path, metavar="DIR", help="install tree (default: built as by 'lab dist')")
    sub = add("requirements", _requirements, "check the table of requirements and their tests", in_lab=False, cleans_up=False)
    sub.add_argument("--write", action="store_true", help="make docs/requirements.md from tests/requirements.tsv")
    return parser


def _print(options, result: dict, text: str) -> None:
    print(json.dumps(result, indent=1, default=str) if options.json else text)


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMGT]?)(i?B)?", text.strip(), re.I)
    if not match:
        raise LabError(f"'{text}' is no size", "such as 512M, 10G, 1T", USAGE)
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[match[2].upper()]


# ---- set-up and labs

def _setup(options) -> None:
    host.install_packages()
    made = image.ensure()
    if options.prune:
        if labs.all_labs():
            raise LabError("labs are up; their images cannot be removed", "lab down --all")
        image.remove_old()
    chosen = accel.choose(made)
    _print(options, {"image": made.name, "kernel": made.kernel_version, "folder": str(made.folder), "accel": chosen},
           f"image {made.name}, kernel {made.kernel_version}, accelerator {chosen}, in {made.folder}")


def _up(options) -> None:
    lab = Lab.up(options.name or labs.default_name(), options.nodes, options.mem, _size(options.disk_size),
                 options.sector_size, options.cpus, options.accel, options.dist, options.append,
                 kernel=options.kernel)
    _print(options, {**lab.status(), "boot_seconds": {node.name: round(node.boot_seconds, 2) for node in lab.nodes}},
           f"lab '{lab.name}' is up: " + ", ".join(f"{node.name} ({node.boot_seconds:.1f} s)" for node in lab.nodes)
           + f"; shared disk /dev/sda; exchange folder {lab.share} = /host")


def _down(options) -> None:
    if options.all:
        for lab in labs.all_labs():
            lab.down()
            print(f"lab '{lab.name}' is down; logs: {labs.logs_folder(lab.name)}")
        return
    lab = Lab(options.name or labs.default_name())
    lab.down()
    print(f"lab '{lab.name}' is down; logs: {labs.logs_folder(lab.name)}")


def _status(options) -> None:
    chosen = labs.all_labs() if options.all else [Lab.open(options.name)]
    states = [lab.status() for lab in chosen]
    lines = []
    for state in states:
        lines.append(f"lab {state['name']}: {state['phase']}, {state['accel']}, kernel {state['kernel']}, since {state['made']}")
        disk = state["disk"]
        lines.append(f"  disk   {disk['size'] >> 20} MiB ({disk['used'] >> 20} MiB used), "
                     f"{'served' if disk['target_running'] else 'NOT SERVED'} on {disk['portal']}")
        lines += [f"  {node['name']:<6} {node['state']:<10} {node['address']}  ssh 127.0.0.1:{node['ssh_port']}"
                  for node in state["nodes"]]
    _print(options, states if options.all else states[0], "\n".join(lines) if lines else "no lab is up")


def _disk(options) -> None:
    lab = Lab.open(options.name)
    state = lab.disk()
    show = lab.target.show()
    _print(options, {**state, "target_show": show}, "\n".join(f"{name}: {value}" for name, value in state.items()) + "\n" + show)


# ---- nodes

def _node(options):
    return Lab.open(options.name).node(options.node)


def _run(options) -> int:
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise LabError("run: no command", "lab run NODE CMD...", USAGE)
    node = _node(options)
    command = words[0] if len(words) == 1 else shlex.join(words)
    argv = node.command_line(command)
    # ssh takes our place: signals, input and exit status are its own affair.
    sys.stdout.flush()
    os.execvpe(argv[0], argv, ssh.environment())


def _ssh(options) -> int:
    argv = _node(options).command_line(None, tty=sys.stdin.isatty())
    os.execvpe(argv[0], argv, ssh.environment())


def _push(options) -> None:
    _node(options).push(options.source, options.place)


def _pull(options) -> None:
    _node(options).pull(options.source, options.place)


def _kill(options) -> None:
    _node(options).kill()


def _start(options) -> None:
    node = _node(options)
    with progress.step(f"booting {node.name}"):
        node.start()
    print(f"{node.name} up in {node.boot_seconds:.1f} s")


def _pause(options) -> None:
    _node(options).pause()


def _resume(options) -> None:
    _node(options).resume()


def _link(options) -> None:
    _node(options).link(options.state == "on")


def _console(options) -> None:
    node = _node(options)
    if options.log:
        sys.stdout.write(node.console())
        return
    with socket.socket(socket.AF_UNIX) as channel:
        channel.connect(str(node.console_socket))
        if not sys.stdin.isatty():
            raise LabError("console wants a terminal", f"lab console --log {node.name}, or lab run", USAGE)
        print(f"console of {node.name}; leave with Ctrl-]", file=sys.stderr)
        before = termios.tcgetattr(sys.stdin)
        try:
            tty.setraw(sys.stdin)
            channel.sendall(b"\n")
            while True:
                ready, _, _ = select.select([sys.stdin, channel], [], [])
                if channel in ready:
                    data = channel.recv(4096)
                    if not data:
                        return
                    os.write(1, data)
                if sys.stdin in ready:
                    data = os.read(0, 1024)
                    if not data or b"\x1d" in data:
                        return
                    channel.sendall(data)
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
            print()


def _scan(options) -> int:
    files = options.files or [node.console_log for node in Lab.open(options.name).nodes]
    for file in files:
        if not file.exists():
            raise LabError(f"{file}: no such file")
    found = [complaint for file in files for complaint in scanner.scan(file, options.expect)]
    _print(options, {"files": [str(file) for file in files], "complaints": [
        {"file": str(one.file), "line": one.line, "text": one.text, "excerpt": one.excerpt} for one in found]},
        "\n".join(map(str, found)) or f"no kernel complaint in {len(files)} console logs")
    return CheckFailed.code if found else 0


# ---- builds

def _kmod(options) -> None:
    folder = options.source.resolve()
    if options.checkpatch:
        said = build.checkpatch(folder)
        _print(options, {"checkpatch": "clean"}, said)
        return
    made = kernels.ensure(options.kernel)
    ko = build.module(options.sparse, folder, options.make, made)
    if options.sparse:
        _print(options, {"sparse": "clean"}, f"sparse: {folder.name} clean")
    else:
        _print(options, {"module": str(ko), "kernel": made.kernel_version}, str(ko))


def _ctests(options) -> None:
    folder = build.c_tests(options.source.resolve())
    _print(options, {"folder": str(folder), "programs": sorted(path.name for path in folder.iterdir())}, str(folder))


def _dist(options) -> None:
    start = time.monotonic()
    folder = build.dist(options.folder.absolute(), kernels.ensure(options.kernel))
    _print(options, {"folder": str(folder), "seconds": round(time.monotonic() - start, 1)}, str(folder))


def _packages(options) -> None:
    from . import packages
    files = packages.place(options.folder.absolute())
    if options.twice:
        packages.check_same_bytes()
    _print(options, {"packages": [str(file) for file in files], "same_bytes": options.twice or None}, "\n".join(map(str, files)))


# ---- the main job, and all tests

def _demo(options) -> None:
    big = _size(options.big)
    if options.files < 20 or options.seconds < 1 or big < 16 << 20:
        raise LabError("demo: at least 20 files, 1 second and 16M", "see 'lab demo --help'", USAGE)
    demo.run(demo.Settings(options.seed if options.seed is not None else demo.new_seed(), options.files, big, options.seconds))
    print("mxfs demo: ok")


def _test(options) -> int:
    if unknown := [part for part in options.parts if part not in test.PARTS]:
        raise LabError(f"no part '{unknown[0]}'", f"parts: {', '.join(test.PARTS)}", USAGE)
    return CheckFailed.code if test.run(options.parts, options.seed) else 0


def _protocol(options) -> int:
    from . import protocol
    if options.list:
        found = protocol.catalogue()
        _print(options, found, "\n".join(f"{one['name']:<16} {one['limit']:>4} s  {one['proves']}" for one in found))
        return 0
    if options.rounds is not None and options.rounds < 1:
        raise LabError(f"--rounds {options.rounds}: at least one", "such as 20", USAGE)
    results = []
    asked = protocol.Asked(options.rounds, options.seed, options.takeover)
    for result in protocol.run(options.scripts or protocol.names(), options.dist, options.name, options.kernel, options.beats, asked):
        results.append(result)
        if not options.json:
            print(f"{result.name:<16} {'ok' if result.ok else 'FAILED'} ({result.seconds:.1f} s)", flush=True)
            if result.why:
                print("    " + result.why.strip().replace("\n", "\n    "), flush=True)
    failed = sum(not result.ok for result in results)
    _print(options, [vars(result) for result in results], f"{len(results) - failed} passed, {failed} failed")
    return CheckFailed.code if failed else 0


def _bench(options) -> int:
    from . import bench
    if options.list:
        _print(options, bench.catalogue(), "\n".join(f"{one['name']:<12} {one['measures']}" for one in bench.catalogue()))
        return 0
    lines = bench.run(options.benches or bench.names(), options.rounds, options.dist)
    _print(options, [vars(line) | {"met": line.met} for line in lines], bench.table(lines))
    return 0 if all(line.met for line in lines) else CheckFailed.code


def _requirements(options) -> None:
    if options.write:
        requirements.PAGE.parent.mkdir(exist_ok=True)
        requirements.PAGE.write_text(requirements.page())
    if found := requirements.problems():
        raise CheckFailed("\n".join(found), f"mend {requirements.TABLE}")
    without = [row.id for row in requirements.rows() if not row.tests]
    print(f"{len(requirements.IDS)} requirements, {len(without)} without a test yet: {', '.join(without) or '-'}")
