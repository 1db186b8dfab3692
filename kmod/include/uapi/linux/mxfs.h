/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * mxfs: the contract between the kernel module and the daemon.
 *
 * Generic netlink family "mxfs". Everything is unicast; every request needs
 * CAP_NET_ADMIN in the initial user namespace. All integers are host-endian, as in all of netlink.
 *
 * The version is raised, once a release, when something changes that the other side would miss or misread; what only
 * comes in addition has a bit in MXFS_A_FLAGS. A daemon speaks to a module of its own version only: after an upgrade
 * the module that is loaded is the old one as long as a volume is mounted, and the packages refuse an upgrade then
 * that changes the version.
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
 *
 * What came later is marked by a bit of MXFS_A_FLAGS in the answer to HELLO. A daemon asks for it, or sends attributes of
 * it, only where the bit is set, and a module does without where a daemon does not ask.
 */
#ifndef _UAPI_LINUX_MXFS_H
#define _UAPI_LINUX_MXFS_H

#include <linux/types.h>

#define MXFS_GENL_NAME		"mxfs"
#define MXFS_GENL_VERSION	2

#define MXFS_UUID_SIZE		16
#define MXFS_MESSAGE_MAX	512	/* bytes of MXFS_A_MESSAGE, terminating NUL included */
#define MXFS_STRING_MAX		256	/* bytes of the other strings, terminating NUL included */

#define MXFS_DEFAULT_PORT	7600
#define MXFS_DEFAULT_LEASE_MS	20000
#define MXFS_DEFAULT_QUANTUM_MS	100
#define MXFS_DEFAULT_READY_MS	30000

/* .mxfs/lockstate: see struct mxfs_heartbeat */
#define MXFS_LOCKSTATE_MAGIC		0x534c584d	/* the bytes "MXLS" */
#define MXFS_LOCKSTATE_VERSION		1
#define MXFS_LOCKSTATE_HEARTBEATS	64	/* heartbeat slots, the beginning of the file */
#define MXFS_LOCKSTATE_RECORD		512	/* bytes of a record; a slot takes a logical block where that is larger */
#define MXFS_LOCKSTATE_HOST_MAX		64
#define MXFS_LOCKSTATE_EXTENTS		16	/* more pieces than these are not used */

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
	MXFS_EV_ATTACHED,	/* EPOCH, ERRNO, NANOS, MESSAGE when ERRNO is not 0. ETIME: the lease was over, nothing was mounted */
	MXFS_EV_DETACHED,	/* EPOCH, ERRNO, NANOS, MESSAGE when ERRNO is not 0 */
	MXFS_EV_LEAVE,		/* XFS is gone for good; also of a mount that fails; repeated every second until LEFT */

	/*
	 * daemon -> kernel, with MXFS_FLAG_LOCKSTATE. Asked after HELLO and after each EV_ATTACHED. An attach that finds another lock state
	 * than the last answer told of, or none, fails with ESTALE before anything may run; so do all until the daemon has asked
	 * again. Who asks writes by the new answer only, and sends no ATTACH before its last write by the old one has ended.
	 */
	MXFS_CMD_LOCKSTATE,	/* MOUNT; the reply: MOUNT, GENERATION, and SLOT_BYTES, SLOTS, EXTENTS, or ERRNO, MESSAGE */

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
	MXFS_A_ALONE,		/* u32: in ATTACH, optional: 1: the array shows this node's key and no other, so the lock state may be made */
	MXFS_A_GENERATION,	/* u64: another one whenever LOCKSTATE has another answer than before */
	MXFS_A_SLOT_BYTES,	/* u32: from one slot of the lock state to the next */
	MXFS_A_SLOTS,		/* u32 */
	MXFS_A_EXTENTS,		/* array of struct mxfs_extent: where it is on the device, from its beginning, without gaps */

	__MXFS_A_MAX,
	MXFS_A_MAX = __MXFS_A_MAX - 1
};

enum mxfs_flags {
	MXFS_FLAG_RDONLY	= 1 << 0,	/* ro: XFS is attached read-only; see docs/kernel.md */
	MXFS_FLAG_DEBUG		= 1 << 1,
	MXFS_FLAG_RESTART	= 1 << 2,	/* HELLO reply: an earlier daemon of this mount died */
	MXFS_FLAG_WANT		= 1 << 3,	/* HELLO reply: operations already wait for ownership */
	MXFS_FLAG_LEAVING	= 1 << 4,	/* HELLO reply: XFS is gone for good, leave the cluster */
	MXFS_FLAG_LOCKSTATE	= 1 << 5,	/* HELLO reply: this module knows CMD_LOCKSTATE and A_ALONE */
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

/* A piece of a file, in bytes. */
struct mxfs_extent {
	__u64 file;
	__u64 device;
	__u64 length;
};

enum mxfs_lockstate_kind {
	MXFS_LOCKSTATE_HEARTBEAT	= 1,
	MXFS_LOCKSTATE_LOCK		= 2,	/* not used yet */
};

enum mxfs_heartbeat_state {
	MXFS_HEARTBEAT_FREE,
	MXFS_HEARTBEAT_GIVEN,	/* to the key, by the owner */
	MXFS_HEARTBEAT_ALIVE,	/* written by the node */
	MXFS_HEARTBEAT_PAUSED,	/* the same, and it will be silent for a while */
	MXFS_HEARTBEAT_FENCED,	/* by who has shut the key out; not accounted for yet */
	MXFS_HEARTBEAT_LEFT,	/* by the node, which has left and stays registered to keep the reservation */
};

/* A heartbeat slot on disk; docs/daemon.md says what each field is. Integers are little-endian here, and here alone. */
struct mxfs_heartbeat {
	__le32 magic;
	__le16 version;
	__le16 kind;
	__le32 index;
	__le32 slot_bytes;
	__u8 volume[MXFS_UUID_SIZE];
	__le64 key;
	__le64 epoch;
	__le64 sequence;
	__le32 state;
	__le32 reserved;
	__le32 lease_ms;
	__le32 host_length;
	__u8 host[MXFS_LOCKSTATE_HOST_MAX];
	__u8 rest[372];
	__le32 crc;	/* CRC-32C of all before it */
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
