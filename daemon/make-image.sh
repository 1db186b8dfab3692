#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Makes the install tree of the daemon and of mxfsctl from the jars of the Maven build (mvn package), without downloading anything.
#
#   daemon/make-image.sh JAVA_HOME OUTDIR
#
#   OUTDIR/usr/lib/mxfs/        a Java run time with just the modules the daemon needs, and the daemon
#   OUTDIR/usr/lib/mxfs/train   makes the AOT cache, on the machine that is to use it (caches are bound to the CPU)
#   OUTDIR/usr/sbin/mxfsd       what the kernel starts
#   OUTDIR/usr/sbin/mxfsctl     the command line tool, by the same run time
set -eu

die() { echo "make-image.sh: $*" >&2; exit 1; }

[ $# -eq 2 ] || die "usage: make-image.sh JAVA_HOME OUTDIR"
java_home=$1
out=$2
top=$(cd "$(dirname "$0")/.." && pwd)

[ -x "$java_home/bin/jlink" ] || die "$java_home has no bin/jlink: a JDK 25 or newer is needed"

jar_of() {
	found=
	for jar in "$top/$1/target/mxfs-${1##*/}"-[0-9]*.jar; do
		case $jar in
		*-sources.jar | *-javadoc.jar | *-tests.jar) ;;
		*) [ -f "$jar" ] && found=$jar ;;
		esac
	done
	[ -n "$found" ] || die "$top/$1/target has no jar: run 'mvn -DskipTests package' first"
	echo "$found"
}

modules=
for module in bindings netlink scsi blockio daemon daemon/ctl; do
	jar=$(jar_of "$module")
	modules=$modules${modules:+:}$jar
done
# The Maven build leaves the libraries here.
for library in daemon/target/lib/slf4j-api daemon/target/lib/jctools-core daemon/ctl/target/lib/picocli; do
	set -- "$top/$library"-*.jar
	[ -f "$1" ] || die "there is no $1: run 'mvn -DskipTests package' first"
	modules=$modules:$1
done

lib=$out/usr/lib/mxfs
rm -rf "$lib.new"
mkdir -p "$out/usr/lib" "$out/usr/sbin"
path=$modules
[ -d "$java_home/jmods" ] && path=$path:$java_home/jmods
"$java_home/bin/jlink" --module-path "$path" --add-modules org.mxfs.daemon,org.mxfs.ctl --output "$lib.new" \
	--strip-debug --no-header-files --no-man-pages --vm server >"$lib.log" 2>&1 || {
	cat "$lib.log" >&2
	die "jlink failed"
}
rm -f "$lib.log"
# Class data for the start without an AOT cache; only the one kind that the daemon's options use. What the JDK would also
# share, java.logging, is not in this run time, and it says so at length. The archive has what the locale and the size of the heap make of
# a few objects: both are said, or the bytes depend on who builds, and on how much memory there is.
LC_ALL=C.UTF-8 "$lib.new/bin/java" -Xshare:dump -Xlog:disable -XX:+UseSerialGC -Xms128m -Xmx128m >/dev/null 2>&1 || true
# A quarter of libjvm.so is symbols that only a debugger of the JVM itself reads.
if command -v strip >/dev/null 2>&1; then
	find "$lib.new/lib" -name '*.so' -exec strip --strip-unneeded {} + 2>/dev/null || true
fi
rm -rf "$lib"
mv "$lib.new" "$lib"

install -m 0755 "$top/daemon/src/main/launcher/mxfsd" "$out/usr/sbin/mxfsd"
install -m 0755 "$top/daemon/src/main/launcher/train" "$lib/train"
install -m 0644 "$top/daemon/src/main/launcher/options" "$lib/options"
install -m 0755 "$top/daemon/ctl/src/main/launcher/mxfsctl" "$out/usr/sbin/mxfsctl"
install -m 0644 "$top/daemon/ctl/src/main/launcher/options" "$lib/ctl-options"
