# SPDX-License-Identifier: Apache-2.0
"""Builds inside the Debian 13 builder root: the kernel module and the C test programs; and puts together the
install tree (`lab dist`).

Results are cached under a hash of their sources, the image and the flags. Sources are copied into a work folder
of the builder root that belongs to one checkout, only where they differ, so that make builds incrementally.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import host, image, kernel, progress
from .errors import BuildFailed, LabError

MODULE_FOLDER = host.CHECKOUT / "kmod"
C_TESTS = host.CHECKOUT / "tests" / "c"

_GENERATED = re.compile(r"(.*\.(o|ko|mod|mod\.c|cmd|symvers|order|a|d)|\.tmp_versions|Module\.symvers|modules\.order)$")


def _checkout_id() -> str:
    return host.digest(str(host.CHECKOUT))[:8]


def _sources(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*"))
            if path.is_file() and not _GENERATED.fullmatch(path.name) and not path.name.startswith(".")]


def _mirror(sources: list[Path], base: Path, work: Path) -> None:
    """Makes `work` hold exactly these sources (besides what make made), touching only what differs."""
    wanted = {path.relative_to(base) for path in sources}
    for old in _sources(work) if work.exists() else []:
        if old.relative_to(work) not in wanted:
            old.unlink()
    for path in sources:
        target = work / path.relative_to(base)
        data = path.read_bytes()
        if not target.exists() or target.read_bytes() != data:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        target.chmod(path.stat().st_mode & 0o777 | 0o200)


def in_builder(made: image.Image, command: str) -> subprocess.CompletedProcess:
    """Runs a shell line with the builder as root file system; stdout and stderr together.

    chroot needs no mount for root; an ordinary user becomes root in a user namespace of its own.
    """
    root = str(made.builder)
    prepare = ""
    if os.getuid():
        enter = ["unshare", "--map-root-user", "--mount", "--"]
        prepare = ('touch "$0/dev/null"; mount --bind /dev/null "$0/dev/null"; '
                   'mount --rbind /proc "$0/proc" 2>/dev/null; ')
    else:
        enter = []
        null = made.builder / "dev/null"
        if not null.exists():
            null.parent.mkdir(exist_ok=True)
            os.mknod(null, 0o20666, os.makedev(1, 3))
    script = prepare + f'exec {host.tool("chroot")} "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8 /bin/sh -c "$1"'
    return subprocess.run(["setpriv", "--pdeathsig", "KILL", *enter, "/bin/sh", "-c", script, root, command],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")


def module(sparse: bool = False, folder: Path = MODULE_FOLDER, make_arguments: str = "",
           made: image.Image | None = None) -> Path:
    """Builds the kernel module without a warning; returns the .ko (for sparse: the cached report)."""
    if not (folder / "Makefile").exists():
        raise LabError(f"no kernel module sources in {folder} (no Makefile)", "name a Kbuild folder with --source")
    made = made or image.ensure()
    if made.kind == "debug":
        make_arguments = f"KCFLAGS=-g {make_arguments}".strip()  # a report's offsets can be told as lines
    sources = _sources(folder)
    mode = "C=2" if sparse else "C=0"
    key = host.digest(Path(__file__), made.name, mode, make_arguments,
                      *[part for path in sources for part in (str(path.relative_to(folder)), path)])
    result = host.cache() / "kmod" / key
    if not result.exists():
        name = f"{folder.name}-{host.digest(str(folder))[:8]}{'-sparse' if sparse else ''}{'-debug' if made.kind == 'debug' else ''}"
        relative = f"work/{_checkout_id()}/{name}"
        work = made.builder / relative
        with host.locked(host.cache() / f"build-{_checkout_id()}.lock", "a build of this checkout"), \
                progress.step(f"{'checking' if sparse else 'building'} {folder.name} with Debian 13's gcc for "
                              f"{made.kernel_version}"):
            _mirror(sources, folder, work)
            done = in_builder(made, f"make -j{os.cpu_count()} -C {made.build_folder} M=/{relative} "
                                    f"W=1 {mode} {make_arguments} modules")
            said = done.stdout.replace(f"/{relative}/", f"{folder.name}/")
            complaints = [line for line in said.splitlines() if re.search(r"\b(warning|error|WARNING|ERROR)\b:?", line)
                          and not re.search(r"^make.*Error|compiler differs from", line)]
            if done.returncode or complaints:
                shutil.rmtree(work)  # make would not compile what it has compiled, and so not warn, again
                raise BuildFailed(f"{'sparse' if sparse else 'build'} of {folder.name} failed "
                                  f"(make status {done.returncode}, {len(complaints)} warnings or errors):\n{said.strip()}",
                                  "mend the sources; a warning counts as an error")
            modules = list(work.glob("*.ko"))
            if not modules:
                raise BuildFailed(f"{folder.name}: make ended well and left no .ko:\n{said}", "is 'obj-m' set?")
            new = result.with_suffix(f".new{os.getpid()}")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            for file in modules:
                shutil.copy(file, new)
            (new / "build.log").write_text(said)
            try:
                new.rename(result)
            except OSError:
                shutil.rmtree(new)  # another build of the same sources was faster
    (ko, *_) = sorted(result.glob("*.ko"))
    return ko


def checkpatch(folder: Path = MODULE_FOLDER) -> str:
    """Runs the kernel's checkpatch.pl, of Debian 13's kernel sources, over the module."""
    made = image.ensure()
    scripts = _checkpatch_scripts(made)
    files = [path for path in _sources(folder) if path.suffix in (".c", ".h")]
    if not files:
        raise LabError(f"no C sources in {folder}")
    # On a copy: inside a git checkout checkpatch leaves a file of its own there.
    copy = host.cache() / "checkpatch" / f"work-{_checkout_id()}"
    with host.locked(host.cache() / f"build-{_checkout_id()}.lock", "a build of this checkout"), \
            progress.step(f"checkpatch over {len(files)} files"):
        _mirror(files, folder.parent, copy)
        done = subprocess.run([host.tool("perl"), str(scripts / "checkpatch.pl"), "--no-tree", "--terse",
                               "--show-types", "--no-summary", "--max-line-length=100", "--color=never", "-f",
                               *[str(path.relative_to(folder.parent)) for path in files]], cwd=copy,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or done.stdout.strip():
        raise BuildFailed(f"checkpatch of {folder.name}:\n{done.stdout.strip()}", "mend the sources")
    return f"checkpatch: {len(files)} files clean"


def _checkpatch_scripts(made: image.Image) -> Path:
    """checkpatch.pl is in no headers package; it is taken out of the kernel source package, once."""
    folder = host.cache() / "checkpatch" / made.kernel_version
    if folder.exists():
        return folder
    with host.locked(host.cache() / "checkpatch" / "lock", "checkpatch is being fetched"):
        if folder.exists():
            return folder
        new = folder.with_name(".new")
        with progress.step("fetching checkpatch out of the kernel source package (once)"):
            kernel_source(made, new, "--strip-components=2", "*/scripts/checkpatch.pl", "*/scripts/spelling.txt",
                          "*/scripts/const_structs.checkpatch")
        new.rename(folder)
    return folder


def kernel_source(made: image.Image, place: Path, strip: str = "--strip-components=1", *files: str) -> None:
    """Unpacks the source package of the lab's kernel (its series, as the archive has it now), or only some files of it."""
    series = ".".join(made.kernel_version.split(".")[:2])
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    tar = place / ".source.tar"
    hook = ('set -e; mkdir -p "$1/source"; cd "$1/source"; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; '
            f'apt-get download linux-source-{series}')
    with open(tar, "wb") as out:
        done = subprocess.run(["setpriv", "--pdeathsig", "TERM", host.tool("mmdebstrap"), "--variant=custom",
                               "--format=tar", f"--customize-hook={hook}", image.SUITE, "-", host.mirror()],
                              stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise LabError(f"fetching the kernel source package failed:\n{done.stderr[-1500:]}",
                       "is the mirror reachable? Another one: set MXFS_LAB_MIRROR")
    host.call(["sh", "-c", 'set -e; cd "$0"; tar -xf .source.tar --wildcards --strip-components=2 "./source/*.deb"; '
               'rm .source.tar; deb=$(echo linux-source-*.deb); dpkg-deb --fsys-tarfile "$deb" | '
               'tar -xO --wildcards "./usr/src/linux-source-*.tar.xz" | xz -dc -T0 | tar -x --wildcards "$@"; rm "$deb"',
               str(place), strip, *files], "unpacking the kernel source package")


def c_tests(folder: Path = C_TESTS) -> Path:
    """Compiles every tests/c/*.c into one program for the guest; returns the folder of programs.

    A line `LDLIBS: -laio` in a program's first comment names the libraries it wants.
    """
    programs = sorted(folder.glob("*.c"))
    if not programs:
        raise LabError(f"no C test programs in {folder}")
    made = image.ensure()
    headers = MODULE_FOLDER / "include" / "uapi"
    inputs = _sources(folder) + (_sources(headers) if headers.exists() else [])
    key = host.digest(Path(__file__), made.name,
                      *[part for path in inputs for part in (path.name, path)])
    result = host.cache() / "ctests" / key
    if result.exists():
        return result
    relative = f"work/{_checkout_id()}/c-{folder.name}"
    work = made.builder / relative
    with host.locked(host.cache() / f"build-{_checkout_id()}.lock", "a build of this checkout"), \
            progress.step(f"compiling {len(programs)} C programs of {folder.name}"):
        _mirror(_sources(folder), folder, work / "c")
        if headers.exists():
            _mirror(_sources(headers), headers, work / "uapi")
        new = result.with_suffix(f".new{os.getpid()}")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for program in programs:
            libraries = re.search(r"LDLIBS:\s*([^*\n]*)", program.read_text()[:2000])
            done = in_builder(made, f"cd /{relative}/c && gcc -std=gnu17 -O2 -g -Wall -Wextra -Werror -D_GNU_SOURCE -pthread "
                                    f"-I. -I../uapi -o ../{program.stem} {program.name} "
                                    f"{libraries[1].strip() if libraries else ''}")
            if done.returncode:
                shutil.rmtree(new)
                raise BuildFailed(f"{program} does not compile:\n{done.stdout.strip()}", "mend it")
            shutil.copy(work / program.stem, new)
        try:
            new.rename(result)
        except OSError:
            shutil.rmtree(new)
    return result


# ---- the install tree

# What the daemon is made of; anything else in the checkout does not change it.
JAVA_MODULES = ("bindings", "netlink", "scsi", "blockio", "daemon")
DAEMON_FOLDER = host.CHECKOUT / "daemon"


def dist(folder: Path, made: image.Image | None = None) -> Path:
    """Puts everything a node needs besides a bare Debian 13 into `folder`, which may hold an older install tree."""
    tree = install_tree(made)
    new = folder.with_name(f".{folder.name}.new{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(tree, new, symlinks=True)
        if folder.exists():
            _remove_dist(folder)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return folder


def _remove_dist(folder: Path) -> None:
    """Replaces an older install tree, and nothing else that may bear the name."""
    if any(folder.iterdir()) and not list(folder.glob("lib/modules/*/updates/mxfs.ko")):
        raise LabError(f"{folder} exists and is no install tree of mxfs", "name another folder, or remove it yourself")
    shutil.rmtree(folder)


def install_tree(made: image.Image | None = None, beats: int | None = None) -> Path:
    """The install tree in the cache: module for the lab's kernel, mount helper, daemon with its trained AOT cache.

    `beats`: how often a node writes its heartbeat, in milliseconds; None: as the product has it.
    """
    stock = image.ensure()
    made = made or stock
    ko = module(made=made)
    helper = mount_helper(stock)
    daemon = daemon_tree()
    trained = aot_cache(daemon, stock)  # it belongs to the processor, not to the kernel
    key = host.digest(made.name, ko.parent.name, helper or "", daemon.name, trained.name, "" if beats is None else f"beats {beats}")
    result = host.cache() / "dist" / key
    if not result.exists():
        new = _new(result)
        with progress.step("install tree"):
            shutil.copytree(daemon, new, symlinks=True)
            shutil.copytree(trained, new, dirs_exist_ok=True)
            place = new / "lib/modules" / made.kernel_version / "updates"
            place.mkdir(parents=True)
            shutil.copy(ko, place / "mxfs.ko")
            if helper:
                shutil.copy(helper, new / "usr/sbin/mount.mxfs")
            if beats is not None:
                with open(new / "usr/lib/mxfs/options", "a") as settings:
                    settings.write(f"-Dmxfs.beats={beats}\n")
            _publish(new, result)
    _keep_newest(host.cache() / "dist", result)
    return result


def mount_helper(made: image.Image) -> Path | None:
    """kmod/mount.mxfs.c, which mount(8) runs where it is installed; None when this checkout has none."""
    source = MODULE_FOLDER / "mount.mxfs.c"
    if not source.exists():
        return None
    result = host.cache() / "mount" / host.digest(Path(__file__), made.name, source)
    if not result.exists():
        relative = f"work/{_checkout_id()}/mount"
        with host.locked(host.cache() / f"build-{_checkout_id()}.lock", "a build of this checkout"):
            _mirror([source], MODULE_FOLDER, made.builder / relative)
            done = in_builder(made, f"cd /{relative} && gcc -std=gnu17 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE "
                                    "-o mount.mxfs mount.mxfs.c")
            if done.returncode:
                raise BuildFailed(f"{source} does not compile:\n{done.stdout.strip()}", "mend it")
            new = _new(result)
            new.mkdir()
            shutil.copy(made.builder / relative / "mount.mxfs", new)
            _publish(new, result)
    return result / "mount.mxfs"


def daemon_sources() -> list[Path]:
    parts = [host.CHECKOUT / "pom.xml", DAEMON_FOLDER / "make-image.sh"]
    for name in JAVA_MODULES:
        parts += [path for path in sorted((host.CHECKOUT / name).rglob("*"))
                  if path.is_file() and "/target/" not in str(path) and "/src/test/" not in str(path)]
    return sorted(set(parts))


def maven(goals: list[str], home: Path, log: Path | None = None) -> subprocess.CompletedProcess:
    """Maven over the whole checkout with this JDK; stdout and stderr together, also into `log`."""
    with host.locked(host.cache() / f"java-{_checkout_id()}.lock", "a Java build of this checkout"):
        done = subprocess.run(["setpriv", "--pdeathsig", "TERM", host.tool("mvn"), "-B", "-q", *goals], cwd=host.CHECKOUT,
                              env={**os.environ, "JAVA_HOME": str(home)}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if log is not None:
        log.write_text(done.stdout)
    return done


def daemon_tree() -> Path:
    """The daemon's install tree (usr/sbin/mxfsd, usr/lib/mxfs/...), built with a JDK 25 on this host."""
    from . import jdk
    script = DAEMON_FOLDER / "make-image.sh"
    if not script.exists():
        raise LabError(f"no daemon to build: {script} is missing", "an install tree needs the Java part of the project")
    home = jdk.find()
    key = host.digest(home / "release", *[part for path in daemon_sources()
                                          for part in (str(path.relative_to(host.CHECKOUT)), path)])
    result = host.cache() / "daemon" / key
    if not result.exists():
        with progress.step(f"mvn package with {home.name}"):
            done = maven(["-Dmaven.test.skip=true", "-pl", "daemon,daemon/ctl", "-am", "package"], home)
            if done.returncode:
                raise BuildFailed(f"mvn package ended with status {done.returncode}:\n{last_lines(done.stdout, 40)}",
                                  "mend the sources, or look at the network: Maven fetches from Maven Central")
        new = _new(result)
        with progress.step("daemon image (jlink)"):
            host.call([str(script), str(home), str(new)], "daemon/make-image.sh", cwd=host.CHECKOUT,
                      env={**os.environ, "JAVA_HOME": str(home)})
        if not (new / "usr/sbin/mxfsd").exists():
            raise BuildFailed(f"daemon/make-image.sh left no {new}/usr/sbin/mxfsd", "see its output")
        _publish(new, result)
    _keep_newest(host.cache() / "daemon", result)
    return result


SCSI_TOOL = host.CHECKOUT / "scsi/src/test/java/org/mxfs/scsi/tool/ScsiCommandLine.java"


def scsi_tool(tree: Path) -> Path:
    """The test program that sends SCSI commands as it is told, compiled against the run time of an install tree; a class path."""
    from . import jdk
    result = host.cache() / "scsitool" / host.digest(Path(__file__), tree.name, SCSI_TOOL)
    if not result.exists():
        new = _new(result)
        host.call([str(jdk.find() / "bin/javac"), "--system", str(tree / "usr/lib/mxfs"), "--add-modules", "org.mxfs.scsi",
                   "-proc:none", "-d", str(new), str(SCSI_TOOL)],
                  "compiling the SCSI test program")
        _publish(new, result)
    _keep_newest(host.cache() / "scsitool", result)
    return result


# What the block I/O library's tests need of a Java run time.
_TEST_MODULES = "java.base,java.instrument,java.logging,java.management,java.xml,jdk.management,jdk.unsupported"


def share_blockio_tests(share: Path) -> str:
    """Builds the block I/O library's tests into a lab's shared folder, with a Java run time; the folder's name there."""
    from . import jdk
    home = jdk.find()
    with progress.step("block I/O tests for a node"):
        done = maven(["-DskipTests", "-pl", "bindings,blockio", "package"], home)
        if done.returncode:
            raise BuildFailed(f"mvn package ended with status {done.returncode}:\n{last_lines(done.stdout, 40)}", "mend the sources")
        place = share / "blockio-tests"
        shutil.rmtree(place, ignore_errors=True)
        for classes in ("bindings/target/classes", "blockio/target/classes", "blockio/target/test-classes"):
            shutil.copytree(host.CHECKOUT / classes, place / "classes", dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("module-info.class"))
        shutil.copytree(host.CHECKOUT / "blockio/target/test-lib", place / "lib")
        host.call([str(home / "bin/jlink"), "--add-modules", _TEST_MODULES, "--strip-debug", "--no-header-files",
                   "--no-man-pages", "--output", str(place / "jre")], "jlink")
    return place.name


def aot_cache(daemon: Path, made: image.Image) -> Path:
    """The daemon's AOT cache, trained in a lab node: such a cache fits only the processor it was trained on.

    The node runs /usr/lib/mxfs/train; whatever that writes below /usr/lib/mxfs is the cache. The result is a tree to lay
    over the daemon's.
    """
    from . import accel
    from .lab import Lab
    chosen = accel.choose(made)
    key = host.digest(daemon.name, made.name, chosen, accel.processor(chosen))
    result = host.cache() / "aot" / key
    if not result.exists():
        new = _new(result)
        with progress.step("training the daemon's AOT cache on the lab's processor"), \
                Lab.ephemeral("train", 1, dist=daemon, memory=1536) as lab:
            node = lab.nodes[0]
            node.run("touch /run/before && /usr/lib/mxfs/train", timeout=300)
            made_files = node.run("find /usr/lib/mxfs -newer /run/before -type f").out.split()
            if not made_files:
                raise BuildFailed("/usr/lib/mxfs/train ended well and wrote nothing below /usr/lib/mxfs", "see daemon/")
            for file in made_files:
                target = new / file.removeprefix("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                node.pull(file, target)
        _publish(new, result)
    _keep_newest(host.cache() / "aot", result)
    return result


def last_lines(text: str, lines: int) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _new(result: Path) -> Path:
    new = result.with_name(f".{result.name}.new{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.parent.mkdir(parents=True, exist_ok=True)
    return new


def _publish(new: Path, result: Path) -> None:
    try:
        new.rename(result)
    except OSError:
        if not result.exists():
            raise
        shutil.rmtree(new)  # another command made the same meanwhile


def _keep_newest(folder: Path, used: Path, count: int = 4) -> None:
    """Bounds a cache folder: removes what nobody used for an hour, except the newest ones."""
    os.utime(used)
    entries = sorted((path for path in folder.iterdir() if path.is_dir()), key=host.age)
    for path in entries[count:]:
        if host.age(path) > 3600:
            shutil.rmtree(path, ignore_errors=True)


def dist_image(tree: Path | None, place: Path, made: image.Image) -> Path:
    """The install tree as an erofs image: a layer above the guest's root, its module known to modprobe.

    The debug kernel's own modules are not in the guest's root: they come with this layer, also without an install tree.
    """
    if tree is not None and not (tree / "usr").is_dir() and not (tree / "lib").is_dir():
        raise LabError(f"{tree} is no install tree (neither usr/ nor lib/)", "'lab dist DIR' makes one")
    built_for = {path.parts[-3] for path in tree.glob("lib/modules/*/updates/*.ko")} if tree else set()
    if built_for and made.kernel_version not in built_for:
        raise LabError(f"{tree} has its module for {', '.join(sorted(built_for))}, and the nodes run {made.kernel_version}",
                       f"'lab dist --kernel {made.kind} {tree}' makes it anew")
    with progress.step("dist image"):
        layer = place.with_suffix(".tree")
        shutil.rmtree(layer, ignore_errors=True)
        layer.mkdir(parents=True)
        if made.kind == "debug":
            shutil.copytree(made.modules / "lib", layer / "usr/lib", symlinks=True)
        for part in tree.iterdir() if tree else ():
            # In Debian 13 /lib, /bin and /sbin are links into /usr; a folder of that name would hide the link.
            target = layer / ("usr/" + part.name if part.name in ("lib", "lib64", "bin", "sbin") else part.name)
            if part.is_dir():
                shutil.copytree(part, target, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(part, target)
        updates = layer / "usr/lib/modules" / made.kernel_version / "updates"
        if updates.exists():
            _depmod(layer, updates, made)
        host.call([host.tool("mkfs.erofs"), "--all-root", "-T0", str(place), str(layer)], "mkfs.erofs")
        shutil.rmtree(layer)
    return place


def _depmod(layer: Path, updates: Path, made: image.Image) -> None:
    """Module indexes for the guest's modules and ours together."""
    version = made.kernel_version
    both = layer / ".depmod"
    stock = made.modules / "lib/modules" / version
    place = both / "lib/modules" / version
    place.mkdir(parents=True)
    for part in stock.iterdir():
        if part.name == "kernel" or part.name.startswith("modules.builtin") or part.name == "modules.order":
            (place / part.name).symlink_to(part)
    shutil.copytree(updates, place / "updates")
    host.call([host.tool("depmod"), "-b", str(both), version], "depmod")
    for index in place.glob("modules.*"):
        if not index.is_symlink():
            shutil.copy(index, updates.parent)
    shutil.rmtree(both)
