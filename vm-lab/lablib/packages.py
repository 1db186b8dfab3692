# SPDX-License-Identifier: Apache-2.0
"""Debian 13 packages of mxfs (`lab packages`): mxfs-dkms, the module's source, and mxfs, all else of the install tree.

They are put together and looked at in a Debian 13 root of their own, so that neither this machine's dpkg nor its
lintian decides what comes out. Nothing is fetched but that root.
"""

import contextlib
import datetime
import email.utils
import gzip
import json
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from . import build, host, image, progress
from .errors import USAGE, BuildFailed, CheckFailed, LabError

FOLDER = host.LAB_FOLDER / "packages"
MAN_PAGES = host.CHECKOUT / "docs" / "man"
DOCUMENTS = ("CHANGELOG.md", "README.md", "docs/daemon.md", "docs/differences.md", "docs/install.md", "docs/kernel.md", "docs/mxfsctl.md", "docs/takeover.md")
# Of the sources: what these tell is of use to who has them, and is not installed.
SOURCE_DOCUMENTS = ("docs/lab.md", "docs/native.md", "docs/requirements.md", "docs/tests.md", "scsi/README.md")
MAINTAINER = "The mxfs authors <mxfs@example.org>"  # of packages that nobody publishes
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
PARTS = {"IN_USE": "in-use.sh", "OUT_OF_DKMS": "out-of-dkms.sh"}  # of scripts: @IN_USE@
PACKAGES = {"mxfs": "amd64", "mxfs-dkms": "all"}

# dkms and what it builds with, dpkg-shlibdeps, and what looks at packages and man pages.
ROOT_PACKAGES = ["binutils", "bash-completion", "dkms", "dpkg-dev", "gcc", "kmod", "libc6-dev", "linux-headers-amd64", "lintian",
                 "logrotate", "make", "man-db", "mandoc", "mount", "openssl", "xz-utils"]
# The headers bring the kernel, which nobody boots here: to index its modules at each try would cost more than all the rest.
ROOT_HOOK = 'rm -rf "$1"/boot/initrd* "$1"/boot/vmlinuz* "$1"/usr/lib/modules/*/kernel/*'


@dataclass(frozen=True)
class Root:
    """The root the packages are made and tried in; `build.in_builder` takes it like an image."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def builder(self) -> Path:
        return self.folder / "root"


def root() -> Root:
    """The cached root, or a new one. It is never written to but below work/: packages are tried in copies."""
    roots = host.cache() / "package-roots"
    made = Root(roots / host.digest(image.SUITE, ROOT_HOOK, *ROOT_PACKAGES))
    if made.folder.exists():
        return made
    host.install_packages()
    with host.locked(roots / "lock", "the root for packages is being made"):
        if made.folder.exists():
            return made
        host.need_space(roots, 3)
        new = roots / f".new-{made.name}"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        with progress.step(f"Debian 13 root for packages ({len(ROOT_PACKAGES)} packages and what they need; once)"):
            tar = new / "root.tar"
            with open(tar, "wb") as out:
                done = subprocess.run(["setpriv", "--pdeathsig", "TERM", host.tool("mmdebstrap"), "--variant=apt", "--format=tar",
                                       '--aptopt=Apt::Install-Recommends "false"', f"--include={','.join(ROOT_PACKAGES)}",
                                       f"--customize-hook={ROOT_HOOK}", image.SUITE, "-", host.mirror()],
                                      env={**os.environ, "INITRD": "No"},  # initramfs-tools makes none then
                                      stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace")
            if done.returncode:
                raise LabError(f"mmdebstrap ended with status {done.returncode}:\n{done.stderr[-1500:]}",
                               "is the mirror reachable? Another one: set MXFS_LAB_MIRROR")
            (new / "root").mkdir()
            host.call(["tar", "-C", str(new / "root"), "--no-same-owner", "-xpf", str(tar), "--exclude=./dev/*"], "unpacking the root")
            # dpkg leaves a few folders unreadable; an ordinary user must be able to copy and remove everything.
            host.call(["chmod", "-R", "u+rwX", str(new / "root")], "chmod")
            tar.unlink()
            (new / "root/work").mkdir()
        new.rename(made.folder)
    return made


# ---- what goes in

@dataclass(frozen=True)
class Version:
    text: str
    seconds: int       # of the last commit: what SOURCE_DATE_EPOCH is


def version(checkout: Path = host.CHECKOUT) -> Version:
    """The version of the commit: with its tag that of the release, else with the time and name of the commit, so that later ones are higher.

    Which side of a release a commit is on, its own CHANGELOG.md says and not the tags, which a clone need not have. For dpkg '~' is before
    the end of a version and '+' behind it: 0.2.0 < 0.2.0+git... < 0.3.0~git... < 0.3.0.
    """
    def git(*words: str) -> str:
        done = subprocess.run(["git", "-c", f"safe.directory={checkout}", "-C", str(checkout), *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise LabError(f"git {words[0]}: {done.stderr.strip()}", "packages are made from a git checkout")
        return done.stdout.strip()

    base = re.search(r"<version>([^<]+)</version>", (checkout / "pom.xml").read_text())[1]
    sections = re.findall(r"^## (Next$|\d+(?:\.\d+)*)", (checkout / "CHANGELOG.md").read_text(), re.M)
    newest = next((one for one in sections if one != "Next"), "0")
    if not re.fullmatch(r"\d+(\.\d+)*", base) or _numbers(base) < _numbers(newest):
        raise LabError(f"pom.xml is of {base}, CHANGELOG.md of {newest}", "a version is numbers and dots, and none is below the newest release")
    seconds, commit = git("log", "-1", "--format=%ct %h", "--abbrev=12").split()
    changed = bool(git("status", "--porcelain"))
    tagged = f"v{base}" in git("tag", "--points-at", "HEAD").split()
    if tagged and not changed:
        return Version(base, int(seconds))
    released = tagged or sections[:2] == ["Next", base]
    at = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
    return Version(f"{base}{'+' if released else '~'}git{at:%Y%m%d%H%M%S}.{commit}{'.changed' if changed else ''}", int(seconds))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]


def maintainer() -> str:
    """MXFS_MAINTAINER="Name <address>": whoever publishes the packages is the one to write to."""
    said = os.environ.get("MXFS_MAINTAINER") or MAINTAINER
    if not re.fullmatch(r"[^<>\n]*[^<>\s] <[^<>@\s]+@[^<>@\s]+>", said):
        raise LabError(f"MXFS_MAINTAINER={said} is no maintainer", "a name and an address, such as 'Ada Lovelace <ada@example.org>'", USAGE)
    return said


def fits() -> str:
    """What a daemon has to have in common with the module that is loaded, and with the other nodes."""
    wire = host.CHECKOUT / "daemon/src/main/java/org/mxfs/daemon/wire"
    parts = (("netlink", host.CHECKOUT / "kmod/include/uapi/linux/mxfs.h", r"#define MXFS_GENL_VERSION\s+(\d+)"),
             ("peers", wire / "FrameLayout.java", r"int VERSION = (\d+);"),
             ("discovery", wire / "AnnouncementLayout.java", r"int VERSION = (\d+);"))
    said = []
    for name, file, pattern in parts:
        found = re.findall(pattern, file.read_text())
        if len(found) != 1:
            raise LabError(f"{file}: no version, or more than one ({pattern})", "mend lablib/packages.py")
        said.append(f"{name} {found[0]}")
    return ", ".join(said)


def _java(home: Path) -> dict[str, str]:
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', (home / "release").read_text(), re.M))
    return {"JAVA_VERSION": release.get("JAVA_RUNTIME_VERSION") or release["JAVA_VERSION"],
            "JAVA_VENDOR": release.get("IMPLEMENTOR", "vendor not told")}


def _filled(file: Path, words: dict[str, str], keep_licence: bool = True) -> str:
    licence = re.compile(r"\A# SPDX-License-Identifier: .*\n")
    text = file.read_text()
    if not keep_licence:  # the format knows no comments
        text = licence.sub("", text)
    for name, part in PARTS.items():
        text = text.replace(f"@{name}@\n", licence.sub("", (FOLDER / part).read_text()) + "\n")
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    if left := re.findall(r"@[A-Z_]+@", text):
        raise LabError(f"{file}: nothing stands for {left[0]}", "mend the file, or lablib/packages.py")
    return text


def _put(place: Path, data: str | bytes, mode: int = 0o644) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data.encode() if isinstance(data, str) else data)
    place.chmod(mode)


def _zipped(text: str | bytes) -> bytes:
    return gzip.compress(text.encode() if isinstance(text, str) else text, 9, mtime=0)


def module_sources() -> list[Path]:
    """What DKMS builds the module from."""
    return [path for path in build._sources(build.MODULE_FOLDER) if path.name != "mount.mxfs.c"]


# What is in the run time's image besides it and mxfs: Maven coordinates, licence, who publishes it.
LIBRARIES = {"info.picocli": ("info.picocli/picocli", "Apache-2.0", "Remko Popma"),
             "org.jctools.core": ("org.jctools/jctools-core", "Apache-2.0", "JCTools"),
             "org.slf4j": ("org.slf4j/slf4j-api", "MIT", "QOS.ch")}
SBOM = "usr/share/doc/mxfs/mxfs.spdx.json"


def modules(run_time: Path) -> dict[str, str]:
    """The modules of a run time's image, by what it says itself, with their versions."""
    said = host.call([str(run_time / "bin/java"), "--list-modules"], "java --list-modules").stdout.split()
    return dict(line.split("@") for line in said)


def bill_of_materials(made: Version, run_time: Path, words: dict[str, str]) -> str:
    """What both packages carry that somebody else wrote, in SPDX 2.3 (JSON), read off the run time that goes in."""
    parts, relations = [], []

    def part(spdx: str, name: str, text: str | None, licence: str, supplier: str | None = None, purl: str | None = None,
             comment: str | None = None) -> str:
        one = {"SPDXID": f"SPDXRef-{spdx}", "name": name, "versionInfo": text, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
               "licenseConcluded": "NOASSERTION", "licenseDeclared": licence, "copyrightText": "NOASSERTION", "comment": comment,
               "supplier": supplier and f"Organization: {supplier}",
               "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}] if purl else None}
        parts.append({key: value for key, value in one.items() if value is not None})
        return one["SPDXID"]

    def related(one: str, how: str, other: str) -> None:
        relations.append({"spdxElementId": one, "relationshipType": how, "relatedSpdxElement": other})

    mxfs = part("mxfs", "mxfs", made.text, "Apache-2.0")
    dkms = part("mxfs-dkms", "mxfs-dkms", made.text, "GPL-2.0-only")
    for one in (mxfs, dkms):
        related("SPDXRef-DOCUMENT", "DESCRIBES", one)
    related(mxfs, "DEPENDS_ON", dkms)
    jdk = part("openjdk", "OpenJDK", words["JAVA_VERSION"], "GPL-2.0-only WITH Classpath-exception-2.0", words["JAVA_VENDOR"],
               f"pkg:generic/openjdk@{words['JAVA_VERSION'].replace('+', '%2B')}")
    related(mxfs, "CONTAINS", jdk)
    for name, text in sorted(modules(run_time).items()):
        if name.startswith(("java.", "jdk.")):
            related(jdk, "CONTAINS", part(name, name, text, "GPL-2.0-only WITH Classpath-exception-2.0"))
        elif name.startswith("org.mxfs."):
            related(mxfs, "CONTAINS", part(name, name, text, "Apache-2.0"))
        elif name in LIBRARIES:
            coordinates, licence, publisher = LIBRARIES[name]
            related(mxfs, "CONTAINS", part(name, coordinates.split("/")[1], text, licence, publisher, f"pkg:maven/{coordinates}@{text}"))
        else:
            raise LabError(f"the run time has the module {name}, of which nobody says what it is", "add it to LIBRARIES of lablib/packages.py "
                           "and to vm-lab/packages/copyright")
    # What OpenJDK took from others: one notice each, whose first line is its name and its version.
    for notice in sorted((run_time / "legal").rglob("*.md")):
        name, text = re.fullmatch(r"#+ *(.*?)(?:,? +(?:[Vv]ersion +)?v?(\d[\w.+-]*))?", notice.read_text().splitlines()[0].strip()).groups()
        related(jdk, "CONTAINS", part(f"openjdk-{notice.parent.name}-{re.sub('[^a-z0-9]', '-', notice.stem.lower())}", name, text, "NOASSERTION",
                                      comment=f"the licence is in /usr/lib/mxfs/{notice.relative_to(run_time)}"))
    inside = json.dumps([parts, relations], sort_keys=True)
    return json.dumps({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"mxfs-{made.text}",
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, inside)}",
        "creationInfo": {"created": f"{datetime.datetime.fromtimestamp(made.seconds, datetime.UTC):%Y-%m-%dT%H:%M:%SZ}",
                         "creators": ["Tool: mxfs-lab-packages"]},
        "packages": parts, "relationships": relations}, indent=1) + "\n"


def _stage(place: Path, made: Version, daemon: Path, helper: Path, words: dict[str, str]) -> None:
    """Both packages' files below `place`, without what is computed from them."""
    mxfs, dkms = place / "mxfs", place / "mxfs-dkms"
    shutil.copytree(daemon, mxfs, symlinks=True)
    shutil.copy(helper, mxfs / "usr/sbin/mount.mxfs")
    for page in sorted(MAN_PAGES.iterdir()):
        _put(mxfs / f"usr/share/man/man{page.suffix[1:]}/{page.name}.gz", _zipped(page.read_bytes()))
    _put(mxfs / "usr/share/bash-completion/completions/mxfsctl", (FOLDER / "mxfsctl.completion").read_bytes())
    _put(mxfs / "usr/lib/tmpfiles.d/mxfs.conf", (FOLDER / "mxfs.tmpfiles").read_bytes())
    _put(mxfs / "etc/logrotate.d/mxfs", (FOLDER / "mxfs.logrotate").read_bytes())
    _put(mxfs / "usr/share/mxfs/fits", words["FITS"] + "\n")
    _put(dkms / "usr/share/mxfs-dkms/fits", words["FITS"] + "\n")
    _put(mxfs / SBOM, bill_of_materials(made, daemon / "usr/lib/mxfs", words))
    for name in DOCUMENTS:
        document = host.CHECKOUT / name
        _put(mxfs / f"usr/share/doc/mxfs/{document.name}.gz", _zipped(document.read_bytes()))

    source = dkms / f"usr/src/mxfs-{made.text}"
    for path in module_sources():
        _put(source / path.relative_to(build.MODULE_FOLDER), path.read_bytes())
    _put(source / "dkms.conf", (FOLDER / "dkms.conf").read_text().replace("#MODULE_VERSION#", made.text))

    changes = (f"mxfs ({made.text}) unstable; urgency=medium\n\n  * What is new is in /usr/share/doc/mxfs/CHANGELOG.md.gz.\n\n"
               f" -- {words['MAINTAINER']}  {email.utils.formatdate(made.seconds)}\n")
    for name in PACKAGES:
        _put(place / name / f"usr/share/doc/{name}/copyright", _filled(FOLDER / "copyright", words, keep_licence=False))
        _put(place / name / f"usr/share/doc/{name}/changelog.gz", _zipped(changes))
        if (overrides := FOLDER / f"{name}.lintian-overrides").exists():
            _put(place / name / f"usr/share/lintian/overrides/{name}", overrides.read_bytes())


def _control(place: Path, name: str, words: dict[str, str]) -> None:
    """DEBIAN/ of one package but for the checksums."""
    folder = place / name
    # As dpkg-gencontrol counts: KiB of each file, one for all else.
    size = sum((path.stat().st_size + 1023) // 1024 if path.is_file() and not path.is_symlink() else 1
               for path in folder.rglob("*") if "DEBIAN" not in path.parts)
    _put(folder / "DEBIAN/control", _filled(FOLDER / f"{name}.control", words | {"SIZE": str(size)}, keep_licence=False))
    for script in SCRIPTS:
        if (file := FOLDER / f"{name}.{script}").exists():
            _put(folder / "DEBIAN" / script, _filled(file, words), 0o755)
    if files := sorted(f"/{path.relative_to(folder)}\n" for path in folder.glob("etc/**/*") if path.is_file()):
        _put(folder / "DEBIAN/conffiles", "".join(files))


# Come unstripped from the compiler and from jlink.
STRIPPED = ("usr/sbin/mount.mxfs", "usr/lib/mxfs/bin/java", "usr/lib/mxfs/bin/keytool", "usr/lib/mxfs/lib/jexec", "usr/lib/mxfs/lib/jspawnhelper")

_LIBRARIES = """set -e
strip PROGRAMS
mkdir debian mxfs/DEBIAN
printf 'Source: mxfs\\n\\nPackage: mxfs\\nArchitecture: amd64\\n' >debian/control
dpkg-shlibdeps -O --ignore-missing-info -lmxfs/usr/lib/mxfs/lib -lmxfs/usr/lib/mxfs/lib/server mxfs/usr/sbin/mount.mxfs \
	mxfs/usr/lib/mxfs/bin/java $(find mxfs/usr/lib/mxfs/lib -name '*.so') 2>shlibs.log || { cat shlibs.log; exit 1; }
"""

_ARCHIVE = """set -e
find NAME -type d -exec chmod 755 {} +
find NAME -type f -perm /111 -exec chmod 755 {} +
find NAME -type f ! -perm /111 -exec chmod 644 {} +
cd NAME
find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums
chmod 644 DEBIAN/md5sums
cd ..
find NAME -exec touch -h -d @SECONDS {} +
SOURCE_DATE_EPOCH=SECONDS dpkg-deb --root-owner-group --threads-max=1 -Zxz -z2 --build NAME FILE
"""


def _in_work(made: Root, folder: str, script: str) -> str:
    done = build.in_builder(made, f"cd work/{folder}\n{script}")
    if done.returncode:
        raise BuildFailed(f"packages: status {done.returncode}:\n{done.stdout[-3000:]}", "mend vm-lab/packages or lablib/packages.py")
    return done.stdout


def make() -> list[Path]:
    """Builds both packages, or takes them from the cache; mxfs comes first."""
    from . import jdk
    made, release = root(), version()
    daemon, helper = build.daemon_tree(), build.mount_helper(image.ensure())
    words = {"VERSION": release.text, "MAINTAINER": maintainer(), "FITS": fits(), **_java(jdk.find())}
    inputs = [*module_sources(), *sorted(FOLDER.iterdir()), *sorted(MAN_PAGES.iterdir()),
              *(host.CHECKOUT / name for name in DOCUMENTS)]
    key = host.digest(Path(__file__), made.name, daemon.name, helper.parent.name, sorted(words.items()), release.seconds,
                      *[part for path in inputs for part in (str(path.relative_to(host.CHECKOUT)), path)])
    result = host.cache() / "packages" / key
    if not result.exists():
        folder = f"{build._checkout_id()}-packages"
        work = made.builder / "work" / folder
        with host.locked(host.cache() / f"{folder}.lock", "packages of this checkout"), progress.step("Debian packages"):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            _stage(work, release, daemon, helper, words)
            said = _in_work(made, folder, _LIBRARIES.replace("PROGRAMS", " ".join(f"mxfs/{name}" for name in STRIPPED)))
            words["SHLIBS"] = said.strip().splitlines()[-1].removeprefix("shlibs:Depends=")
            new = build._new(result)
            new.mkdir()
            for name, architecture in PACKAGES.items():
                _control(work, name, words)
                file = f"{name}_{release.text}_{architecture}.deb"
                _in_work(made, folder, _ARCHIVE.replace("NAME", name).replace("SECONDS", str(release.seconds)).replace("FILE", file))
                shutil.copy(work / file, new)
            shutil.rmtree(work)
            build._publish(new, result)
    build._keep_newest(host.cache() / "packages", result)
    return [file for name in PACKAGES for file in result.glob(f"{name}_*.deb")]


def place(folder: Path) -> list[Path]:
    """`lab packages DIR`."""
    files = make()
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copy(file, folder)) for file in files]


def check_same_bytes() -> None:
    """Made from nothing in a clone elsewhere, at another time, with other habits, the packages have the same bytes."""
    files = make()
    if ".changed" in version().text:
        raise LabError("the checkout has changes that are in no commit; a clone would not have them", "commit first")
    with tempfile.TemporaryDirectory(prefix="mxfs-twice-") as folder:
        clone, cache, out = Path(folder) / "elsewhere", Path(folder) / "cache/mxfs-lab", Path(folder) / "out"
        host.call(["git", "-c", f"safe.directory={host.CHECKOUT}", "clone", "-q", str(host.CHECKOUT), str(clone)], "git clone")
        cache.mkdir(parents=True)
        for name in ("images", "package-roots", f"jdk-{_wanted_jdk()}", "accel.json"):  # what they are made in and with
            if (host.cache() / name).exists():
                (cache / name).symlink_to(host.cache() / name)
        with progress.step("the same packages once more, from nothing"):
            host.call(["sh", "-c", 'umask 027; exec "$0" packages "$1"', str(clone / "vm-lab/lab"), str(out)], "the second build",
                      env={**os.environ, "XDG_CACHE_HOME": str(cache.parent), "TZ": "Pacific/Kiritimati", "LC_ALL": "C"})
        for file in files:
            one, other = file.read_bytes(), (out / file.name).read_bytes()
            if one != other:
                raise CheckFailed(f"{file.name}: {len(one)} and {len(other)} bytes, and they differ:\n" + _difference(file, out / file.name),
                                  "find what depends on time, place or order")


def _wanted_jdk() -> int:
    from . import jdk
    return jdk.WANTED


def _difference(one: Path, other: Path) -> str:
    with tempfile.TemporaryDirectory(dir=host.cache()) as folder:
        for name, package in (("one", one), ("other", other)):
            host.call(["dpkg-deb", "-R", str(package), f"{folder}/{name}"], f"unpacking {package.name}")
        done = subprocess.run(["diff", "-rq", "--no-dereference", f"{folder}/one", f"{folder}/other"], stdout=subprocess.PIPE, text=True)
        return done.stdout.replace(folder, "")[:3000] or "not in the files: in their order, times or modes"


# ---- checks

def check_lintian() -> None:
    """Debian's own judge of packages finds no error; what is overridden is overridden with a reason."""
    for path in FOLDER.glob("*.lintian-overrides"):
        lines = path.read_text().splitlines()
        for before, line in zip(["", *lines], lines):
            if line and not line.startswith("#") and not before.startswith("#") and line.split()[1] != before.split()[1]:
                raise CheckFailed(f"{path.name}: '{line}' has no reason in a comment before it")
    made, files = root(), make()
    folder = f"{build._checkout_id()}-lintian"
    work = made.builder / "work" / folder
    with host.locked(host.cache() / f"{folder}.lock", "lintian of this checkout"):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        for file in files:
            shutil.copy(file, work)
        done = build.in_builder(made, f"cd work/{folder} && lintian --allow-root --fail-on error,warning --tag-display-limit 0 *.deb")
        shutil.rmtree(work)
    if done.returncode or done.stdout.strip():
        raise CheckFailed(f"lintian, status {done.returncode}:\n{done.stdout.strip()}",
                          "mend the package, or override with a reason in vm-lab/packages/*.lintian-overrides")


def check_man_pages() -> None:
    """Man pages are without a warning of mandoc and of man-db, and name every option there is."""
    made = root()
    folder = f"{build._checkout_id()}-man"
    work = made.builder / "work" / folder
    with host.locked(host.cache() / f"{folder}.lock", "man pages of this checkout"):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(MAN_PAGES, work)
        done = build.in_builder(made, f"cd work/{folder} && for page in *; do mandoc -T lint -W warning $page; "
                                      "man --warnings -E UTF-8 -l -Tutf8 ./$page 2>&1 >/dev/null; done")
        shutil.rmtree(work)
    if said := done.stdout.strip():
        raise CheckFailed(said, "mend docs/man")
    absent = []
    for page, source, pattern in (("mxfs.5", "kmod/options.c", r'fsparam_\w+\("(\w+)"'),
                                  ("mxfsd.8", "daemon/src/main/java/org/mxfs/daemon/main/Arguments.java", r'case "--(\w+)"'),
                                  ("mxfsctl.8", "daemon/ctl/src/main/java/org/mxfs/ctl/*.java", r'names = \{?"--([\w-]+)"'),
                                  ("mxfsctl.8", "daemon/ctl/src/main/java/org/mxfs/ctl/*.java", r'\bname = "(\w+)"')):
        text = (MAN_PAGES / page).read_text()
        names = {name for file in host.CHECKOUT.glob(source) for name in re.findall(pattern, file.read_text())}
        if not names:
            raise CheckFailed(f"nothing in {source} looks like '{pattern}'", "mend lablib/packages.py")
        absent += [f"docs/man/{page} does not name '{name}' of {source}" for name in sorted(names)
                   if not re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text)]
    if absent:
        raise CheckFailed("\n".join(absent), "mend docs/man")


def _names(tree: Path) -> set[str]:
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir() or path.is_symlink()}


def check_contents(dist: Path | None = None) -> None:
    """The packages have what `lab dist` stages, at the same places and with the same bytes, and nothing else that runs."""
    dist = dist or build.install_tree()
    mxfs, dkms = make()
    with _unpacked(mxfs) as tree, _unpacked(dkms) as sources:
        staged = _names(dist)
        wrong = [f"'lab dist' has {name}, the package mxfs has not" for name in sorted(staged - _names(tree))
                 if not re.fullmatch(r"lib/modules/[^/]+/updates/mxfs\.ko|usr/lib/mxfs/mxfsd\.aot", name)]
        wrong += [f"the package mxfs has {name}, 'lab dist' has not" for name in sorted(_names(tree) - staged)
                  if not re.match(r"usr/share/|usr/lib/tmpfiles\.d/|etc/logrotate\.d/", name)]
        for name in sorted((staged & _names(tree)).difference(STRIPPED)):
            one, other = dist / name, tree / name
            if one.is_symlink() != other.is_symlink() or (
                    os.readlink(one) != os.readlink(other) if one.is_symlink() else
                    one.read_bytes() != other.read_bytes() or (one.stat().st_mode ^ other.stat().st_mode) & 0o111):
                wrong.append(f"{name} is another in 'lab dist'")
        (place,) = (sources / "usr/src").iterdir()
        there = _names(place) - {"dkms.conf"}
        wanted = {str(path.relative_to(build.MODULE_FOLDER)) for path in module_sources()}
        wrong += [f"the sources of the module in mxfs-dkms and in kmod/ differ in {name}" for name in sorted(there ^ wanted)]
        wrong += _documents_absent(tree) + _documents_absent(sources)
    if wrong:
        raise CheckFailed("\n".join(wrong[:40]), "mend lablib/packages.py, or lablib/build.py")


def _documents_absent(tree: Path) -> list[str]:
    """What an installed text sends its reader to and is not installed, nor of the sources alone."""
    documents = {Path(name).name: Path(name) for name in DOCUMENTS}
    there = {*documents, "copyright", "changelog", Path(SBOM).name}
    absent = []
    for path in (one for one in sorted(tree.glob("usr/**/*")) if one.is_file() and not one.is_symlink()):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode(errors="replace")
        if "\0" in text:
            continue
        named = {name.removesuffix(".gz") for name in re.findall(r"/usr/share/doc/mxfs/([\w.-]*\w)", text)}
        if document := documents.get(path.name.removesuffix(".gz")):
            links = {os.path.normpath(document.parent / link) for link in re.findall(r"\]\(([\w./-]+\.md)\b", text)}
            named |= links.difference(DOCUMENTS, SOURCE_DOCUMENTS)
        absent += [f"/{path.relative_to(tree)} names {name}, which is not installed" for name in sorted(named - there)]
    return absent


def check_version() -> None:
    """What is made between two releases counts as later than the one and earlier than the other, for dpkg, whichever tags a clone has."""
    with tempfile.TemporaryDirectory(dir=host.cache()) as folder:
        tree = Path(folder)
        day = 0

        def git(*words: str) -> None:
            nonlocal day
            day += 1
            when = f"2026-01-{day:02}T00:00:00Z"
            host.call(["git", "-C", folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false",
                       "-c", "init.defaultBranch=main", *words], "git",
                      env={**os.environ, "GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when})

        def commit(base: str, *sections: str) -> None:
            (tree / "pom.xml").write_text(f"<version>{base}</version>\n")
            (tree / "CHANGELOG.md").write_text("# Changes\n\n" + "".join(f"## {one}\n* a change\n\n" for one in sections))
            git("add", ".")
            git("commit", "-q", "--allow-empty", "-m", "a change")

        def made(what: str) -> None:
            said.append((what, version(tree).text))

        said: list[tuple[str, str]] = []
        older, old, new, next_one = "0.1.0 (2026-01-01)", "0.2.0: a name (2026-01-02)", "0.3.0 (2026-01-03)", "Next"
        git("init", "-q")
        commit("0.2.0", next_one, older)
        made("before 0.2.0, whose number is set")
        commit("0.2.0", old, older)
        made("what becomes 0.2.0, without its tag")
        git("tag", "v0.2.0")
        made("0.2.0")
        (tree / "file").write_text("")
        made("0.2.0, changed")
        commit("0.2.0", next_one, old, older)
        made("after 0.2.0")
        commit("0.2.0", next_one, old, older)
        made("a commit later")
        git("tag", "-d", "v0.2.0")
        made("the same where no tags are")
        (tree / "file").write_text("changed")
        made("the same, changed")
        said.append(("a correction of 0.2.0", "0.2.0.1"))
        commit("0.3.0", next_one, old, older)
        made("before 0.3.0")
        commit("0.3.0", new, old, older)
        git("tag", "v0.3.0")
        made("0.3.0")
        if [said[2], said[-1]] != [("0.2.0", "0.2.0"), ("0.3.0", "0.3.0")]:
            raise CheckFailed(f"releases: {said}")
        for (one, first), (other, second) in zip(said, said[1:]):
            how = "eq" if other == "the same where no tags are" else "lt"
            if subprocess.run(["dpkg", "--compare-versions", first, how, second]).returncode:
                raise CheckFailed(f"{one} is {first}, {other} is {second}: for dpkg that is not {how}")
        for base in ("0.3.0-SNAPSHOT", "0.1.9"):
            commit(base, next_one, new, old, older)
            try:
                text = version(tree).text
            except LabError:
                continue
            raise CheckFailed(f"pom.xml with {base} after 0.3.0 is taken: {text}")


def check_bill() -> None:
    """The bill of materials says what is in the package: each module and each notice, with its version, and is whole in itself."""
    mxfs, _dkms = make()
    with _unpacked(mxfs) as tree:
        bill = json.loads((tree / SBOM).read_text())
        run_time = tree / "usr/lib/mxfs"
        said = {(one["name"], one.get("versionInfo")) for one in bill["packages"]}
        coordinates = {ref["referenceLocator"] for one in bill["packages"] for ref in one.get("externalRefs", ())}
        wanted = {("mxfs", version().text), ("mxfs-dkms", version().text)}
        # By the image itself, not by what it was made of.
        inside = set(re.search(r'MODULES="([^"]*)"', (run_time / "release").read_text())[1].split())
        wrong = [f"'java --list-modules' and {run_time.name}/release differ in {name}" for name in sorted(inside ^ set(modules(run_time)))]
        for name, text in modules(run_time).items():
            if name in LIBRARIES:
                if f"pkg:maven/{LIBRARIES[name][0]}@{text}" not in coordinates:
                    wrong.append(f"the run time has {name} {text}, and no coordinates say so")
            else:
                wanted.add((name, text))
        notices = {one["comment"].split()[-1] for one in bill["packages"] if "/legal/" in one.get("comment", "")}
        wrong += [f"{name} is told in one of the package and the bill only"
                  for name in sorted(notices ^ {f"/{path.relative_to(tree)}" for path in (run_time / "legal").rglob("*.md")})]
        wrong += [f"{name} {text} is not in it" for name, text in sorted(wanted - said)]
        ids = [one["SPDXID"] for one in bill["packages"]] + [bill["SPDXID"]]
        wrong += [f"{one} is named twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
        wrong += [f"'{one}' is no SPDX identifier" for one in ids if not re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one)]
        reached = {one["relatedSpdxElement"] for one in bill["relationships"]}
        wrong += [f"{one} is related to nothing" for one in sorted(set(ids) - reached - {bill["SPDXID"]})]
        wrong += [f"{one} is related, and is not there" for one in sorted(reached - set(ids))]
        # What was found by its name must have a version where its notice says one.
        wrong += [f"{one['name']} has no version" for one in bill["packages"] if "versionInfo" not in one and re.search(r"\d\.\d", one["name"])]
    if wrong:
        raise CheckFailed("\n".join(wrong), "mend bill_of_materials in lablib/packages.py")


@contextlib.contextmanager
def _unpacked(package: Path):
    with tempfile.TemporaryDirectory(dir=host.cache()) as folder:
        host.call(["dpkg-deb", "-x", str(package), folder], f"unpacking {package.name}")
        yield Path(folder)


# ---- installed in a scratch root

class Scratch:
    """A copy of the root, with /proc and in a mount namespace of its own; nothing in it reaches this machine's kernel modules."""

    def __init__(self, folder: Path):
        self.folder = folder

    def sh(self, command: str, fails: bool = False) -> str:
        """Runs a line; it has to end well, or (`fails`) has to fail. What it said."""
        enter = ["unshare", "--mount", *(["--map-root-user"] if os.getuid() else []), "--", "/bin/sh", "-c",
                 'mount --rbind /proc "$0/proc" && for d in null zero random urandom; do touch "$0/dev/$d"; mount --bind /dev/$d "$0/dev/$d" || '
                 'exit; done; exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin HOME=/root '
                 'LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive /bin/bash -c "$1"', str(self.folder), command]
        done = subprocess.run(["setpriv", "--pdeathsig", "KILL", *enter], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace")
        if (done.returncode != 0) != fails:
            raise CheckFailed(f"in the scratch root: {command}\nended with status {done.returncode}:\n{done.stdout.strip()[-2500:]}")
        return done.stdout

    def names(self) -> set[str]:
        """All there is, but what belongs to the tools: dpkg's and apt's own notes, logs, indexes, what DKMS signs with."""
        tools = re.compile(r"(proc|dev|tmp|work|debs)(/|$)|var/(lib/dpkg|log|cache)(/|$)|var/lib/dkms/mok\.|var/lib/dkms/dkms_dbversion"
                           r"|usr/lib/modules/[^/]+/modules\.|root/")
        return {name for path in self.folder.rglob("*")
                if not tools.match(name := str(path.relative_to(self.folder)))}


@contextlib.contextmanager
def scratch():
    made = root()
    folder = host.cache() / "package-roots" / f".try-{os.getpid()}"
    for left in folder.parent.glob(".try-*"):
        if not Path(f"/proc/{left.name.removeprefix('.try-')}").exists():
            shutil.rmtree(left)
    try:
        with progress.step("scratch root"):
            host.call(["cp", "-a", "--reflink=auto", str(made.builder), str(folder)], "copying the root")
        shutil.rmtree(folder / "dev")
        (folder / "dev").mkdir()
        (folder / "dev/fd").symlink_to("/proc/self/fd")
        yield Scratch(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def hollow(folder: Path, name: str, text: str, fit: str | None = None) -> Path:
    """A package of another version with nothing in it but its control files: for what its scripts refuse."""
    words = {"VERSION": text, "MAINTAINER": maintainer(), "FITS": fit or fits(), "SHLIBS": "libc6"}
    file = folder / f"hollow-{name}-{text}.deb"
    with tempfile.TemporaryDirectory(dir=host.cache()) as work:
        (Path(work) / name).mkdir()
        _control(Path(work), name, words)
        host.call(["dpkg-deb", "--root-owner-group", "-Znone", "--build", f"{work}/{name}", str(file)], "a hollow package")
    return file


def renumbered(file: Path, folder: Path, text: str) -> Path:
    """The same package with another version: what an upgrade brings."""
    name, before, architecture = file.stem.split("_")
    new = folder / f"{name}_{text}_{architecture}.deb"
    with tempfile.TemporaryDirectory(dir=host.cache()) as work:
        tree = Path(work) / name
        host.call(["dpkg-deb", "-R", str(file), str(tree)], f"unpacking {file.name}")
        for path in (*tree.glob("DEBIAN/*"), *tree.glob("usr/src/*/dkms.conf")):
            path.write_text(path.read_text().replace(before, text))
        for path in tree.glob(f"usr/src/*-{before}"):
            path.rename(path.with_name(path.name.replace(before, text)))
        host.call(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(new)], f"packing {new.name}")
    return new


def check_install() -> None:
    """Installed, tried, upgraded, kept from a downgrade, purged, in a root where nothing is loaded."""
    files, release = make(), version()
    with scratch() as place:
        (place.folder / "debs").mkdir()
        for file in files:
            shutil.copy(file, place.folder / "debs")
        debs = " ".join(f"/debs/{file.name}" for file in files)
        before = place.names()
        said = place.sh(f"dpkg --install {debs}")
        built = place.sh(f"dkms status -m mxfs -v {release.text}")
        if ": installed" not in built:
            raise CheckFailed(f"DKMS built nothing: {built}{said[-1500:]}")
        place.sh("modinfo -F alias -k \"$(ls /lib/modules)\" mxfs | grep -qx fs-mxfs")
        # Everything is as it was packed, and runs; the cache was made here, and the run time takes it.
        place.sh("dpkg --verify mxfs mxfs-dkms | { ! grep .; }")
        base = re.split("[+~]", release.text)[0]
        for command in ("mxfsd --version", "mxfsctl --version"):
            if (said := place.sh(command).split()) != [command.split()[0], base]:
                raise CheckFailed(f"{command} says {' '.join(said)}; the packages are of {base}")
        place.sh("mount.mxfs --help && man -w 5 mxfs && man -w 8 mount.mxfs mxfsd mxfsctl")
        place.sh("cd /usr/lib/mxfs && bin/java @options -XX:AOTCache=mxfsd.aot -XX:AOTMode=on "
                 "-m org.mxfs.daemon/org.mxfs.daemon.main.Main --version")
        place.sh("logrotate --debug /etc/logrotate.d/mxfs && test $(stat -c %a:%U /var/log/mxfs) = 750:root")
        _completes(place)

        # What a node has besides after its first mounts.
        place.sh("install -d /etc/mxfs /run/mxfs && echo 0 >/etc/mxfs/node.uuid && touch /var/log/mxfs/{v.log,v.log.1,jvm.log} "
                 "/run/mxfs/v.incarnation && touch -d @1 /var/log/mxfs/here")
        cache = place.sh("stat -c %i /usr/lib/mxfs/mxfsd.aot")
        for name in PACKAGES:
            older = hollow(place.folder / "debs", name, "0.0.1")
            if "is installed and 0.0.1 is older" not in (said := place.sh(f"dpkg --install /debs/{older.name}", fails=True)):
                raise CheckFailed(f"a downgrade of {name} gives no reason:\n{said}")
        still = place.sh(f"dkms status -m mxfs -v {release.text}; dpkg-query -W -f '${{Package}} ${{Version}} ${{db:Status-Status}}\\n' "
                         "mxfs mxfs-dkms; stat -c %i /usr/lib/mxfs/mxfsd.aot")
        if still != built + "".join(f"{name} {release.text} installed\n" for name in sorted(PACKAGES)) + cache:
            raise CheckFailed(f"after a refused downgrade:\n{still}")

        place.sh(f"dpkg --install {debs}")
        if place.sh(f"dkms status -m mxfs -v {release.text}") != built or place.sh("stat -c %i /usr/lib/mxfs/mxfsd.aot") == cache:
            raise CheckFailed("after a second installation the module is gone, or the cache is the old one")
        place.sh("test -e /var/log/mxfs/here")

        place.sh("dpkg --purge mxfs mxfs-dkms")
        left = place.names() - before
        if left != {"etc/mxfs", "etc/mxfs/node.uuid"}:
            raise CheckFailed("purge leaves " + ", ".join(sorted(left)) + "; /etc/mxfs/node.uuid is all that may be left")
        if gone := before - place.names():
            raise CheckFailed("purge took " + ", ".join(sorted(gone)[:20]))


def check_scripts() -> None:
    """What the maintainer scripts do about a module that is loaded, what DKMS calls broken, and logs on a file system of their own.

    No module is loaded in a scratch root: what the kernel says of one, and what unloads it, is stood in for. With the kernel's own
    they are tried on nodes, by `lab protocol packages` and `lab test install`.
    """
    (mxfs, dkms), release = make(), version().text
    with scratch() as place:
        debs = place.folder / "debs"
        debs.mkdir()
        later = renumbered(dkms, debs, "99")
        others = [hollow(debs, name, "100", "netlink 99, peers 99, discovery 99") for name in PACKAGES]
        for file in (mxfs, dkms):
            shutil.copy(file, debs)
        kernel = place.sh("ls /lib/modules").strip()
        place.sh("mkdir -p /lib/modules/6.12.0-bare /sys/module/mxfs /control && mv /usr/bin/uname /usr/bin/uname.real && "
                 f"dpkg-deb -e /debs/{mxfs.name} /control/mxfs && dpkg-deb -e /debs/{others[0].name} /control/other")
        _put(place.folder / "usr/bin/uname", '#!/bin/sh\n[ "$*" = -r ] && exec cat /kernel\nexec uname.real "$@"\n', 0o755)
        # Not written through: in the root rmmod is a link to kmod.
        (place.folder / "usr/sbin/rmmod").unlink()
        _put(place.folder / "usr/sbin/rmmod", '#!/bin/sh\necho "$@" >>/unloaded\n', 0o755)

        def kernel_is(name: str, uses: int) -> None:
            (place.folder / "kernel").write_text(name + "\n")
            (place.folder / "sys/module/mxfs/refcnt").write_text(f"{uses}\n")
            (place.folder / "unloaded").write_text("")

        def unloaded(wanted: str, what: str) -> None:
            if (got := (place.folder / "unloaded").read_text().strip()) != wanted:
                raise CheckFailed(f"{what}: the scripts unload '{got}', not '{wanted}'")

        def says(text: str, said: str) -> None:
            if text not in said:
                raise CheckFailed(f"nobody says '{text}':\n{said[-2000:]}")

        def same(command: str, before: str, what: str) -> None:
            if (now := place.sh(command)) != before:
                raise CheckFailed(f"{what}: {command} says:\n{now}instead of:\n{before}")

        # Logs on a file system of their own are taken out of it.
        same("install -d /var/log/mxfs /run/mxfs && mount -t tmpfs none /var/log/mxfs && mkdir /var/log/mxfs/lost+found && "
             "touch /var/log/mxfs/v.log /run/mxfs/v && /control/mxfs/postrm purge 2>/dev/null && ls -A /var/log/mxfs && "
             "umount /var/log/mxfs && ls -d /run/mxfs 2>/dev/null || true", "lost+found\n", "a purge with a mount")
        same("touch /var/log/mxfs/v.log && /control/mxfs/postrm purge && ls -d /var/log/mxfs 2>/dev/null || true", "", "a purge")

        # Nobody uses the module that is loaded, and there is no other for the kernel that runs.
        kernel_is("6.12.0-bare", 0)
        said = place.sh(f"dpkg --install /debs/{dkms.name}")
        unloaded("", "without a module for the kernel that runs")
        says("the old one, which is loaded, stays", said)
        says("'apt install linux-headers-6.12.0-bare'", said)
        installed = place.sh("dkms status -m mxfs")  # for the newest kernel that is installed
        says(f"mxfs/{release}, {kernel}, x86_64: installed", installed)
        # A kernel has more modules than this one. Where none is left DKMS takes the lists of modules away, and they do not come back.
        place.sh(f"install -D /lib/modules/{kernel}/updates/dkms/mxfs.ko* /lib/modules/{kernel}/kernel/another.ko && depmod {kernel}")

        # In use, and nothing that is mounted shows.
        kernel_is(kernel, 1)
        says("mxfs-dkms: the module is in use", place.sh("dpkg --remove mxfs-dkms", fails=True))
        says("mxfs: the module is in use", place.sh("/control/mxfs/prerm remove", fails=True))
        says("would not fit the daemon", place.sh(f"dpkg --install /debs/{others[1].name}", fails=True))
        says("would not fit the module", place.sh(f"/control/other/preinst upgrade {release}", fails=True))
        same("dkms status -m mxfs", installed, "after what was refused")
        unloaded("", "after what was refused")

        # What DKMS calls broken: at an upgrade the sources are gone, at a removal the link to them, then both, by a version that nobody has.
        place.sh(f"rm -r /usr/src/mxfs-{release} && dkms status -m mxfs | grep -q broken")
        place.sh(f"dpkg --install /debs/{later.name}")
        same("dkms status -m mxfs", installed.replace(release, "99"), "an upgrade of what was broken")
        unloaded("", "with a module in use")
        kernel_is(kernel, 0)
        place.sh("cp -a /var/lib/dkms/mxfs/99 /stale && rm /var/lib/dkms/mxfs/99/source && dkms status -m mxfs | grep -q broken")
        place.sh("dpkg --remove mxfs-dkms")
        same("ls /var/lib/dkms/mxfs /lib/modules/*/updates/dkms/mxfs.ko* 2>/dev/null || true", "", "a removal of what was broken")
        place.sh("mkdir /var/lib/dkms/mxfs && mv /stale /var/lib/dkms/mxfs/98 && dkms status -m mxfs | grep -q broken")
        kernel_is(kernel, 0)
        place.sh(f"dpkg --install /debs/{dkms.name}")
        unloaded("mxfs", "with a module for the kernel that runs")
        same("dkms status -m mxfs", installed, "an installation beside what was broken")
        place.sh(f"rm -r /usr/src/mxfs-{release} /var/lib/dkms/mxfs/{release}/source")
        place.sh("dpkg --purge mxfs-dkms")
        same("ls /var/lib/dkms/mxfs /lib/modules/*/updates/dkms/mxfs.ko* 2>/dev/null || true", "", "a removal of what has no sources")


def _completes(place: Scratch) -> None:
    """Completion offers the commands and options that mxfsctl has."""
    def offered(words: str) -> set[str]:
        typed = words.split(" ")
        return set(place.sh(". /usr/share/bash-completion/completions/mxfsctl; COMP_WORDS=(mxfsctl " + " ".join(f"'{one}'" for one in typed)
                            + f"); COMP_CWORD={len(typed)}; _mxfsctl; printf '%s\\n' \"${{COMPREPLY[@]}}\"").split())

    def there(words: str) -> set[str]:
        said = place.sh(f"mxfsctl {words} --help")
        return set(re.findall(r"(--[a-z][a-z-]+)", said)) | set(re.findall(r"^  ([a-z]+) ", said, re.M))

    for typed, words in ((" ", ""), ("scsi ", "scsi"), ("scsi check -", "scsi check"), ("status -", "status"), ("nodes -", "nodes"),
                         ("fence ", "fence"), ("fence list -", "fence list"), ("fence clear -", "fence clear")):
        if (one := offered(typed.lstrip(" ") if typed != " " else "")) != (other := there(words)):
            raise CheckFailed(f"after 'mxfsctl {words}' completion offers {sorted(one)}, and there are {sorted(other)}",
                              "mend vm-lab/packages/mxfsctl.completion")


CHECKS = {
    "packages-build": ("Debian packages", make),
    "packages-lintian": ("packages, lintian", check_lintian),
    "packages-man": ("man pages, mandoc and man; every option in them", check_man_pages),
    "packages-version": ("packages, versions between releases", check_version),
    "packages-contents": ("packages, what 'lab dist' stages", check_contents),
    "packages-bill": ("packages, bill of materials (SPDX)", check_bill),
    "packages-install": ("packages, installed, upgraded, purged in a root", check_install),
    "packages-scripts": ("packages, scripts: module in use, broken, no headers", check_scripts),
}
