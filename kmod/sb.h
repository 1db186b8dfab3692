/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: a mounted volume on this node, and what holds in all rooms.
 *
 * The failure model in one paragraph. At most one node of a cluster has the volume's XFS mounted.
 * This module mounts ("attaches") it when the daemon says that the storage array made this node the
 * owner, and unmounts ("detaches") it when the daemon asks for it. Between the two, everything above
 * (inodes, dentries, open files, maps) stays, and everything below (lower inodes, dentries, files)
 * is gone; an operation that arrives then asks the daemon for ownership and waits, killable.
 *
 * Three gates keep operations and detaching apart, closed in this order and opened in the other:
 *
 *	op_gate		every file and directory operation
 *	fault_gate	page faults of mapped files
 *	wb_gate		write-back of mapped pages
 *
 * Who finds a gate open is counted, and closing waits until the count is 0; who finds it closed
 * never touches the lower file system. A gate itself blocks nobody, may be passed asleep and more
 * than once (an operation faults on a map, a map is written back). See struct mxfs_gate for the cost.
 *
 * Locks, outermost first. What the VFS holds when it calls (i_rwsem, f_pos_lock,
 * s_vfs_rename_mutex, s_umount, mmap_lock) comes before every gate, so nothing inside a gate takes
 * an upper lock of those kinds.
 *
 *	upper i_rwsem > op_gate > invalidate_lock (upper) > lower i_rwsem ...
 *	mmap_lock > fault_gate > invalidate_lock (upper) > folio lock > wb_gate > lower i_rwsem ...
 *
 * File data is never copied to or from user memory with a page fault under a lower lock: the memory may
 * be a map of this very volume (data/data.h).
 */
#ifndef _MXFS_SB_H
#define _MXFS_SB_H

#include <linux/atomic.h>
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/errseq.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/statfs.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/mxfs.h>
#include "gate.h"

#define MXFS_SUPER_MAGIC 0x6d786673 /* "mxfs" */
#define MXFS_DAEMON_PATH "/usr/sbin/mxfsd"
#define MXFS_FH_WORDS 8 /* XFS needs 3 (exportfs: struct xfs_fid64 without a parent) */
#define MXFS_REMOVED_MAX 1024 /* inodes of removed files that wait to be freed */
#define MXFS_LEAVE_JIFFIES (10 * HZ) /* for a daemon to leave the cluster */
#define MXFS_CHANGES 512 /* ownership changes remembered for debugfs */

/* Functions that every look-up, creation, removal or stat passes: side by side, they share few pages. */
#define __mxfs_hot __section(".text.hot")

/*
 * Waits for the daemon and for other nodes. A machine that goes to sleep does not wait for them: who waits is frozen where he is. Mostly
 * that is with a lock of the VFS held (hence _UNSAFE), as on NFS; who waits for that lock refuses the sleep.
 */
#define MXFS_WAIT_KILLABLE (TASK_KILLABLE | TASK_FREEZABLE_UNSAFE)
#define MXFS_WAIT_BOUNDED (TASK_UNINTERRUPTIBLE | TASK_FREEZABLE_UNSAFE)

/* As wait_event_killable_timeout(), in a state of the caller's choice. */
#define mxfs_wait_timeout(wq, condition, state, timeout)                                        \
	({                                                                                      \
		long __ret = (timeout), __limit = __ret; /* ___wait_event() has a __ret, too */ \
		might_sleep();                                                                  \
		if (!___wait_cond_timeout(condition))                                           \
			__ret = ___wait_event(wq, ___wait_cond_timeout(condition), state, 0,    \
					      __limit, __ret = schedule_timeout(__ret));        \
		__ret;                                                                          \
	})

/* Log lines name the device; the mount's own errors also reach mount(8) through the fs_context. */
#define mxfs_info(sbi, fmt, ...) pr_info("mxfs (%s): " fmt "\n", (sbi)->source, ##__VA_ARGS__)
#define mxfs_warn(sbi, fmt, ...) pr_warn("mxfs (%s): " fmt "\n", (sbi)->source, ##__VA_ARGS__)
#define mxfs_err(sbi, fmt, ...) pr_err("mxfs (%s): " fmt "\n", (sbi)->source, ##__VA_ARGS__)
#define mxfs_debug(sbi, fmt, ...)                                                      \
	do {                                                                           \
		if ((sbi)->opts.debug)                                                 \
			pr_info("mxfs (%s): " fmt "\n", (sbi)->source, ##__VA_ARGS__); \
	} while (0)

/* Of XFS's superblock on disk: quotas that are counted or enforced (MXFS_*QUOTA_* in options.c) */
#define MXFS_ALL_QUOTAS 0x02cb

/* Mount options; strings are NULL when not given. */
struct mxfs_opts {
	u32 given; /* which of our own were, by bit */
	struct list_head xfs; /* struct mxfs_xfs_option */
	bool quotas_given;
	u16 quotas; /* as in sb_qflags */
	bool validate;
	bool debug;
	char *iface;
	char *multicast;
	char *broadcast;
	u16 port;
	u32 lease_ms;
	u32 quantum_ms;
	u32 ready_ms;
};

/* What the superblock on disk says, after validation. */
struct mxfs_geometry {
	u8 uuid[MXFS_UUID_SIZE];
	u64 blocks;
	u32 blocksize;
	u32 sectsize;
};

/* What every operation writes: of each processor its own, and together. */
struct mxfs_cpu {
	unsigned int inside[3]; /* the gates */
	/* by read(2) and write(2), through XFS's page cache */
	u64 bytes_read, bytes_written;
};

enum mxfs_cmd_kind {
	MXFS_DO_NOTHING,
	MXFS_DO_ATTACH,
	MXFS_DO_DETACH,
};

/* What became of a command, until the daemon's socket has taken it. */
struct mxfs_result {
	u32 portid; /* whose; 0: there is none */
	u8 event;
	u64 epoch;
	int err;
	u64 nanos;
	const char *message;
};

/* A file, as long as it exists: XFS counts the generation up when it uses an inode again. */
struct mxfs_file_id {
	u64 ino;
	u32 gen;
};

struct mxfs_ops;

/* local/mount.c: the device, and XFS on it */
struct mxfs_device {
	struct file *pin; /* open as long as the mount lives: its number stays its own */
	struct file *claim; /* exclusive hold while detached */
	u16 quotas; /* those of the volume when it was last attached here, as in sb_qflags */
	bool quotas_said; /* what was given to mount(8) has been said to XFS */
	bool home_due; /* which quotas are on was changed: not in XFS's log only */
	bool homing; /* XFS is being frozen by the module itself (local/home.c), with the gates open where quotas are switched */
	bool stays; /* XFS was mounted, and the device not claimed since: it may still be there, frozen by somebody */
	struct vfsmount *node; /* where XFS finds the device by a name */
};

/* local/bind.c: what is known below */
struct mxfs_bind {
	spinlock_t lock; /* the three lists, and ->lower of their members */
	struct list_head inodes;
	struct list_head distrusting; /* those of inodes that mxfs_distrust_all() has still to visit */
	struct list_head files;
	atomic_t draining; /* evictions, releases and async I/O that still hold something lower */
	wait_queue_head_t drained;
};

/* pages/cache.c: pages of maps */
struct mxfs_pages {
	struct list_head inodes; /* that have been mapped; under bind.lock */
	struct vfsmount *quiet; /* XFS mounted read-only (mxfs_cache_attach()); valid as sbi->lower is */
	struct workqueue_struct *wq; /* writes them back */
	unsigned long pins_late; /* jiffies when a detach last waited for a device in vain; 0: never */
};

/* vfs/inode.c: inodes of removed files, without their lower ones, until they are freed (mxfs_drop_inode()) */
struct mxfs_removed {
	struct llist_head list;
	atomic_t count;
	bool at_once; /* umount has begun */
	struct delayed_work work;
};

/* local/orphan.c: files that are held and have no name */
struct mxfs_orphans {
	struct mutex lock;
	struct list_head reap; /* links not needed any more, to be removed at the next chance */
	struct llist_head reap_new; /* the same, on their way there */
	struct list_head lent; /* struct mxfs_lent; under bind.lock */
	struct mxfs_inode *keeping; /* which gets its link in a detach, as long as it is there; under bind.lock */
	u64 key; /* the first one of this mount: the daemon takes new ones, and links are found by their names */
	u32 seq, first;
	bool stale_reaped;
	bool sweep; /* .mxfs/orphans has files that nobody may have open any more */
	struct work_struct work;
};

/* local/own.c: .mxfs itself */
struct mxfs_own {
	bool foreign; /* something else stands in its place: it is not attached */
	char refused[MXFS_MESSAGE_MAX]; /* what that is, for who mounts */
	bool reserve_used; /* its reserve is to be filled again */
	bool lifted; /* limits of quotas were lifted to make it, once */
	unsigned int limits; /* and these are to be had back: FS_QUOTA_..._ENFD */
	u64 seq; /* attach in which @inos was read; under opens.lock */
	u64 *inos; /* inode numbers that no handle leads to */
	unsigned int count;
};

/* What there is of it, or why there is nothing to use. */
struct mxfs_lockstate_map {
	int err; /* 0: it can be used */
	bool sure; /* where @err is set: no error of looking says so */
	bool remake; /* there is none, for certain: it may be made */
	bool slow; /* the disk took too long to say what is in it */
	u64 size, allocated; /* where it is too short, or has holes */
	char reason[96];
	struct mxfs_file_id id;
	u32 damaged; /* of its slots */
	u32 count;
	struct mxfs_extent extents[MXFS_LOCKSTATE_EXTENTS];
};

/* A daemon's word that the array shows no other node. */
struct mxfs_alone {
	bool said;
	u32 portid; /* whose word */
	u64 at; /* nanoseconds of CLOCK_BOOTTIME when it came */
};

/* local/lockstate.c: where the daemons write to the disk */
struct mxfs_lockstate {
	spinlock_t lock; /* @map, @generation, @told, @answer: of who changes them, and of who tells them */
	struct mxfs_lockstate_map map;
	struct mxfs_lockstate_map seen; /* by the last look, before its slots were looked at */
	u64 generation; /* of @map */
	bool told; /* a daemon of this mount was told of one */
	struct mxfs_lockstate_map answer; /* what it was told last: it may be writing there */
	struct mxfs_alone alone; /* by the present ATTACH */
	bool keep_told; /* that an error has left @map as it was */
	bool tried; /* to make it */
	bool published; /* a probe finds it */
	bool freeze_told; /* that it cannot be published */
};

/* local/opens.c: files open on the nodes */
struct mxfs_opens {
	struct list_head told; /* those in this node's list on disk; under bind.lock */
	bool told_changed; /* since it was written; under bind.lock */
	u32 told_count; /* in the list on disk */
	struct mutex lock;
	struct mxfs_file_id *others; /* the other nodes' lists, sorted, sbi->others_count of them, as of sbi->others_seq */
};

/* daemon/: its life */
struct mxfs_daemon {
	struct pid *pid;
	u32 portid;
	bool ready; /* READY seen from the current daemon */
	bool hello;
	bool left;
	bool failed; /* mount(2) fails: no daemon is started again */
	unsigned long leave_by; /* jiffies; while change.leaving: for how long a new daemon is waited for */
	int fail_err;
	char fail_msg[MXFS_MESSAGE_MAX];
	unsigned long last_want; /* jiffies of the last EV_WANT; 0: none */
	u64 want_nanos; /* when the first waiter of this change came (ktime) */
	struct work_struct restart_work;
	unsigned int restarts;
	unsigned long restarts_since;
};

/* daemon/netlink.c: what the daemon has not been told yet */
struct mxfs_tell {
	struct mutex lock; /* results are told one after the other, each at most as long as it is the last one */
	spinlock_t result_lock;
	struct mxfs_result result;
	struct delayed_work work;
};

/*
 * role/attach.c: attach and detach, one at a time, in order. By a thread of our own: a change of owner may be what memory
 * waits for, and a workqueue that promises as much (WQ_MEM_RECLAIM) must not flush those of XFS, which do not.
 */
struct mxfs_change {
	struct kthread_worker *worker;
	struct kthread_delayed_work work;
	bool held; /* umount: none begins (mxfs_hold()); under state_lock */
	enum mxfs_cmd_kind cmd; /* queued */
	enum mxfs_cmd_kind doing; /* taken from the queue, not answered yet */
	struct kthread_work reattach_work;
	bool left; /* @cmd is an ATTACH that umount has broken off, for mxfs_detach_final() to answer; under state_lock */
	bool reattaching; /* under state_lock */
	u64 reattach_asked; /* number of the request of a remount that waits; 0: none does; under state_lock */
	u64 reattach_count;
	int reattach_err;
	u64 epoch; /* of @cmd */
	struct mxfs_alone alone; /* of @cmd */
	u32 quantum_ms;
	unsigned long attached_at; /* jiffies */
	struct kthread_work dead_work;
	struct work_struct shutdown_work;
	bool disowned; /* FENCED or FAIL: the daemon itself has given the mount up */
	bool reclaiming; /* @worker waits for the device (mxfs_reclaim()) */
	bool freeze_told; /* that a DETACH, or an ATTACH, waits for whoever froze the device */
	bool unsynced; /* a detach has changed something below after its last sync */
	u64 fails; /* attaches that XFS refused */
	bool begun; /* it has been attached for writing */
	errseq_t wb_err; /* of XFS's s_wb_err, what was carried up; under bind.lock */
	bool leaving; /* umount, and no command is taken any more; under state_lock */
	bool unused; /* umount, and XFS is gone for good: the daemon may leave */
};

/* role/lease.c */
struct mxfs_lease {
	spinlock_t lock;
	u64 boottime; /* nanoseconds of CLOCK_BOOTTIME */
	struct list_head entry; /* mxfs_leases */
	struct delayed_work work;
};

/**
 * struct mxfs_sb - one mounted volume on this node
 *
 * @state, @frozen and @lease_end say whether something new may start. @state changes only under @state_lock, @lease_end
 * under lease.lock; @frozen by the daemon's coming (READY) and going. What has started is inside a gate.
 *
 * What a room alone has to do with is in its own struct.
 */
struct mxfs_sb {
	/* what every operation looks at, and seldom changes: one cache line (x86-64) */
	struct mxfs_gate op_gate;
	enum mxfs_state state;
	bool frozen; /* the daemon is gone; nothing starts until a new one is ready */
	unsigned long lease_end; /* jiffies, not later than lease.boottime; nothing starts past it */
	u64 attach_seq; /* counts attaches; stamps dentries and attributes */
	struct vfsmount *lower; /* valid while attached (inside a gate) */
	unsigned long last_op; /* jiffies when an operation last ended */
	const struct mxfs_ops *ops; /* who serves: changes with all gates closed only */

	struct mxfs_cpu __percpu *cpu;
	u64 others_seq; /* local/opens.c */
	u32 others_count;
	struct super_block *sb;
	struct list_head list; /* mxfs_mounts, under mxfs_mounts_lock */
	u32 id;
	refcount_t ref; /* the superblock's, the netlink table's users' */
	char *source; /* as given to mount(2): for people */
	char name[BDEVNAME_SIZE]; /* the kernel's own for the device */
	dev_t dev;
	bool rdonly; /* changed by @change.worker only, under state_lock */
	struct mxfs_opts opts;
	struct mxfs_geometry geo;
	const struct cred *cred; /* for what the module does on its own account */

	struct mxfs_gate fault_gate;
	struct mxfs_gate wb_gate;
	struct mutex state_lock;
	wait_queue_head_t wait; /* state, frozen, lease */
	atomic_t waiters;

	/* what the daemon has said that this node is */
	bool clustered;
	enum mxfs_role role;
	u64 key;
	u64 epoch;

	struct mxfs_device device;
	struct mxfs_bind bind;
	struct mxfs_pages pages;
	struct mxfs_removed removed;
	struct mxfs_orphans orphans;
	struct mxfs_own own;
	struct mxfs_lockstate lockstate;
	struct mxfs_opens opens;
	struct mxfs_change change;
	struct mxfs_lease lease;
	struct mxfs_daemon daemon;
	struct mxfs_tell tell;

	/* statistics */
	struct mxfs_stats stats;
	spinlock_t stats_lock;
	u32 changes[MXFS_CHANGES]; /* microseconds an operation waited for ownership, ring */
	u32 nr_changes;
	struct kstatfs statfs; /* as last seen; under stats_lock */
	struct dentry *debugfs;
};

static inline struct mxfs_sb *MXFS_SB(const struct super_block *sb)
{
	return sb->s_fs_info;
}

/*
 * By whoever suspends the device (device-mapper does, for a snapshot), or by the module itself (local/home.c). It then stays mounted until that
 * is over, and who would change something waits as long. Inside a gate, or where the gates are closed.
 */
static inline bool mxfs_lower_is_frozen(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->lower->mnt_sb->s_writers.frozen) != SB_UNFROZEN;
}

void mxfs_sb_put(struct mxfs_sb *sbi); /* vfs/super.c: where all rooms end */
extern struct workqueue_struct *mxfs_wq; /* main.c: for what memory may wait for */

#endif /* _MXFS_SB_H */
