# SPDX-License-Identifier: Apache-2.0
# Takes a version out of DKMS. One whose sources are gone DKMS calls broken, and does nothing about it (is_module_broken() in
# /usr/sbin/dkms); all that its removal wants of them is dkms.conf, which says what was installed, and where
# (to bash, which reads it, a variable is the first of its array).
out_of_dkms() {
	tree=/var/lib/dkms/mxfs/$1
	conf=
	failed=0
	if [ ! -d "$tree" ]; then
		return 0
	fi
	if [ ! -f "$tree/source/dkms.conf" ]; then
		# Nobody else may make files there: root reads that dkms.conf as a program, also when this is broken off and the folder goes.
		conf=$(mktemp -d -p /run)
		cat >"$conf/dkms.conf" <<EOF
PACKAGE_NAME="mxfs"
PACKAGE_VERSION="$1"
BUILT_MODULE_NAME="mxfs"
DEST_MODULE_LOCATION="/updates/dkms"
AUTOINSTALL="yes"
EOF
		ln -sfn "$conf" "$tree/source"
	fi
	dkms remove -m mxfs -v "$1" --all || failed=$?
	if [ -n "$conf" ]; then
		if [ -L "$tree/source" ]; then
			ln -sfn "/usr/src/mxfs-$1" "$tree/source"
		fi
		rm -rf "$conf"
	fi
	return $failed
}
