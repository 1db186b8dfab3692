# SPDX-License-Identifier: Apache-2.0
# Says what uses the module that is loaded, or nothing. The kernel counts each superblock (sget_fc() and deactivate_locked_super() in
# fs/super.c), each file that is open and each mount that begins, of all mount namespaces: /proc/self/mounts shows one of them, and
# nothing of what 'umount -l' has left. A daemon is not counted: its socket is generic netlink's.
in_use() {
	while read -r _ directory type _; do
		if [ "$type" = mxfs ]; then
			echo "$directory is mounted"
			return
		fi
	done </proc/self/mounts
	# A kernel that cannot unload modules counts nothing, and a module that is not loaded has nothing to count.
	if [ ! -e /sys/module/mxfs/refcnt ] || [ "$(cat /sys/module/mxfs/refcnt 2>/dev/null)" = 0 ]; then
		return
	fi
	for mounts in /proc/[0-9]*/mounts; do
		# A process may have ended by now, or be a thread of the kernel.
		directory=$(awk '$3 == "mxfs" { print $2; exit }' "$mounts" 2>/dev/null || true)
		if [ -n "$directory" ]; then
			mounts=${mounts#/proc/}
			echo "$directory is mounted in the mount namespace of process ${mounts%/mounts}"
			return
		fi
	done
	echo "the module is in use (a mount begins or ends, or a file is open after 'umount -l')"
}
