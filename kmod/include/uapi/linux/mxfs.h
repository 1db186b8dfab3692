/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * mxfs: the contract between the kernel module and the daemon.
 *
 * Generic netlink family "mxfs", version 1. Everything is unicast; every request needs
 * CAP_NET_ADMIN in the initial user namespace. All integers are host-endian, as in all of netlink.
 *
 * One daemon per mount. The kernel spawns it, the daemon says HELLO from its own netlink port, and from
 * then on only that port may speak for the mount: any other port is refused with EPERM and counted
 * (mxfs_stats.refused). When the port goes away the daemon is dead: the mount freezes and a new
 * daemon is spawned with --restart, which says HELLO and receives what its predecessor had told the kernel.
 *
 * Requests (daemon -> kernel) are answered at once by an acknowledgement (NLM_F_ACK); what takes time is
 * reported later by an event (kernel -> daemon, netlink sequence number 0). Events carry MXFS_A_MOUNT.
 *
 *	daemon			kernel
 *	HELLO{UUID}	   ->
 *			   <-	HELLO reply{MOUNT, DEVICE, ..., ROLE, KEY, EPOCH}
 *	KEY{KEY}	   ->			remembered for a restarted daemon
 *	LEASE{LEASE_END}   ->			operations may start until then
 *	ATTACH{EPOCH}	   ->			the array says that this node owns the volume
 *			   <-	EV_ATTACHED{EPOCH, ERRNO, NANOS}
 *	READY{ROLE}	   ->			mount(2) returns
 *			   <-	EV_WANT		an operation waits for ownership
 *	ATTACH{EPOCH}	   ->
 *	DETACH{EPOCH, QUANTUM_MS} ->		another node waits
 *			   <-	EV_DETACHED{EPOCH, ERRNO, NANOS}
 *	FAIL{ERRNO, MESSAGE} ->			mount(2) fails; later: the mount shuts down
 *	FENCED{MESSAGE}	   ->			this incarnation was shut out: nothing starts any more when it is
 *						answered; XFS is shut down behind that
 *			   <-	EV_LEAVE	umount, or a mount that failed: XFS is detached, leave the cluster
 *	LEFT{ERRNO}	   ->			left; the daemon exits
 */
#ifndef _UAPI_LINUX_MXFS_H
#define _UAPI_LINUX_MXFS_H

#include <linux/types.h>

#define MXFS_GENL_NAME		"mxfs"
#define MXFS_GENL_VERSION	1

#define MXFS_UUID_SIZE		16
#define MXFS_MESSAGE_MAX	512	/* bytes of MXFS_A_MESSAGE, terminating NUL included */
#define MXFS_STRING_MAX		256	/* bytes of the other strings, terminating NUL included */

#define MXFS_DEFAULT_PORT	7600
#define MXFS_DEFAULT_LEASE_MS	20000
#define MXFS_DEFAULT_QUANTUM_MS	100
#define MXFS_DEFAULT_READY_MS	30000

enum mxfs_cmd {
	MXFS_CMD_UNSPEC,

	/* daemon -> kernel */
	MXFS_CMD_HELLO,		/* UUID; the reply has the same command */
	MXFS_CMD_KEY,		/* MOUNT, KEY: the registration key of this incarnation */
	MXFS_CMD_LEASE,		/* MOUNT, LEASE_END */
	MXFS_CMD_ATTACH,	/* MOUNT, EPOCH: become the owner; answered by EV_ATTACHED. ESTALE: an older epoch */
	MXFS_CMD_DETACH,	/* MOUNT, EPOCH, QUANTUM_MS: stop being it; answered by EV_DETACHED. ESTALE: an older epoch */
	MXFS_CMD_READY,		/* MOUNT, ROLE */
	MXFS_CMD_FAIL,		/* MOUNT, ERRNO, MESSAGE */
	MXFS_CMD_FENCED,	/* MOUNT, MESSAGE */
	MXFS_CMD_LEFT,		/* MOUNT, ERRNO */
	MXFS_CMD_STATUS,	/* MOUNT, or a dump of all mounts; from any port */

	/*
	 * kernel -> daemon. ATTACHED and DETACHED answer the command with the same epoch. The kernel keeps the last one and
	 * sends it again until the daemon's socket has taken it; a daemon that saw ENOBUFS asks for the STATUS.
	 */
	MXFS_EV_WANT,		/* repeated every second while an operation waits */
	MXFS_EV_ATTACHED,	/* EPOCH, ERRNO, NANOS, MESSAGE when ERRNO is not 0 */
	MXFS_EV_DETACHED,	/* EPOCH, ERRNO, NANOS, MESSAGE when ERRNO is not 0 */
	MXFS_EV_LEAVE,		/* XFS is gone for good; also of a mount that fails; repeated every second until LEFT */

	__MXFS_CMD_MAX,
	MXFS_CMD_MAX = __MXFS_CMD_MAX - 1
};

enum mxfs_attr {
	MXFS_A_UNSPEC,
	MXFS_A_PAD,
	MXFS_A_MOUNT,		/* u32: number of the mount on this node, never reused */
	MXFS_A_UUID,		/* 16 bytes: sb_uuid as on disk */
	MXFS_A_DEVICE,		/* string: the device as given to mount(8) */
	MXFS_A_DEV_MAJOR,	/* u32 */
	MXFS_A_DEV_MINOR,	/* u32 */
	MXFS_A_FLAGS,		/* u32: enum mxfs_flags */
	MXFS_A_IFACE,		/* string: iface=, absent when not given */
	MXFS_A_PORT,		/* u16: port= */
	MXFS_A_MULTICAST,	/* string: multicast=, absent when not given */
	MXFS_A_BROADCAST,	/* string: broadcast=, absent when not given */
	MXFS_A_LEASE_MS,	/* u32 */
	MXFS_A_QUANTUM_MS,	/* u32: how long a busy owner may keep the volume before it detaches */
	MXFS_A_ROLE,		/* u32: enum mxfs_role */
	MXFS_A_STATE,		/* u32: enum mxfs_state */
	MXFS_A_KEY,		/* u64: registration key; 0: none told yet */
	MXFS_A_EPOCH,		/* u64: 0: never owned */
	MXFS_A_ERRNO,		/* u32: positive errno; 0: success */
	MXFS_A_MESSAGE,		/* string: for the kernel log, one line */
	MXFS_A_NANOS,		/* u64: how long the kernel took */
	MXFS_A_STATS,		/* struct mxfs_stats */
	MXFS_A_CLUSTERED,	/* u32: in READY: 1: the device has reservations, 0: this node alone */
	MXFS_A_LEASE_END,	/* u64: nanoseconds of CLOCK_BOOTTIME; at most a minute away */
	MXFS_A_XFS_OPTIONS,	/* string of at most MXFS_MESSAGE_MAX: XFS's own options, as given; absent when none was */

	__MXFS_A_MAX,
	MXFS_A_MAX = __MXFS_A_MAX - 1
};

enum mxfs_flags {
	MXFS_FLAG_RDONLY	= 1 << 0,	/* ro: XFS is attached read-only; see docs/kernel.md */
	MXFS_FLAG_DEBUG		= 1 << 1,
	MXFS_FLAG_RESTART	= 1 << 2,	/* HELLO reply: an earlier daemon of this mount died */
	MXFS_FLAG_WANT		= 1 << 3,	/* HELLO reply: operations already wait for ownership */
	MXFS_FLAG_LEAVING	= 1 << 4,	/* HELLO reply: XFS is gone for good, leave the cluster */
};

enum mxfs_role {
	MXFS_ROLE_NONE,
	MXFS_ROLE_MEMBER,
	MXFS_ROLE_OWNER,
};

enum mxfs_state {
	MXFS_STATE_STARTING,	/* mount(2) has not returned yet */
	MXFS_STATE_DETACHED,	/* XFS is not mounted here */
	MXFS_STATE_ATTACHING,
	MXFS_STATE_ATTACHED,	/* this node owns the volume */
	MXFS_STATE_DETACHING,
	MXFS_STATE_DEAD,	/* fenced or failed, as the daemon said: only umount is left. A mount that the kernel ended says where XFS is */
};

/* Counters since the mount; times in nanoseconds. */
struct mxfs_stats {
	__u64 attaches;
	__u64 detaches;
	__u64 waits;		/* operations that had to wait for ownership */
	__u64 wait_nanos;	/* their waiting time, summed */
	__u64 refused;		/* netlink messages from a wrong port, malformed or out of place */
	__u64 daemon_starts;
	__u64 last_attach_nanos;
	__u64 last_detach_nanos;
	__u64 through_bytes_read;
	__u64 through_bytes_written;
	__u64 mapped_bytes_read;
	__u64 mapped_bytes_written;
};

#endif /* _UAPI_LINUX_MXFS_H */
