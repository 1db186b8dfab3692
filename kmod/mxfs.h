/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: what the module's rooms share.
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
 * be a map of this very volume (vfs/file.c).
 */
#ifndef _MXFS_H
#define _MXFS_H

#include <linux/atomic.h>
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/errseq.h>
#include <linux/exportfs.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/fs_parser.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/statfs.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/mxfs.h>
#include "compat.h"

#define MXFS_SUPER_MAGIC 0x6d786673 /* "mxfs" */
#define MXFS_DAEMON_PATH "/usr/sbin/mxfsd"
#define MXFS_FH_WORDS 8 /* XFS needs 3 (exportfs: struct xfs_fid64 without a parent) */
#define MXFS_REMOVED_MAX 1024 /* inodes of removed files that wait to be freed */
#define MXFS_LEAVE_JIFFIES (10 * HZ) /* for a daemon to leave the cluster */
#define MXFS_CHANGES 512 /* ownership changes remembered for debugfs */

/* Functions that every look-up, creation, removal or stat passes: side by side, they share few pages. */
#define __mxfs_hot __section(".text.hot")

/* Log lines name the device; the mount's own errors also reach mount(8) through the fs_context. */
#define mxfs_info(sbi, fmt, ...) pr_info("mxfs (%s): " fmt "\n", (sbi)->source, ##__VA_ARGS__)
#define mxfs_warn(sbi, fmt, ...) pr_warn("mxfs (%s): " fmt "\n", (sbi)->source, ##__VA_ARGS__)
#define mxfs_err(sbi, fmt, ...) pr_err("mxfs (%s): " fmt "\n", (sbi)->source, ##__VA_ARGS__)
#define mxfs_debug(sbi, fmt, ...)                                                      \
	do {                                                                           \
		if ((sbi)->opts.debug)                                                 \
			pr_info("mxfs (%s): " fmt "\n", (sbi)->source, ##__VA_ARGS__); \
	} while (0)

/* Of XFS's superblock on disk: quotas that are counted or enforced (MXFS_*QUOTA_* in vfs/options.c) */
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
	u64 rootino;
	u64 blocks;
	u32 blocksize;
	u32 sectsize;
};

/**
 * struct mxfs_gate - what may be passed while it is open, and is closed by waiting for all inside
 * @open: set with release and read with acquire: who is inside sees what opening came after
 * @inside: who entered less who left, on this processor; only the sum means something
 *
 * Passing costs two additions to a counter of this processor and no memory barrier, because a gate is
 * passed in every operation and closed once in a change of owner. Closing pays for it with an
 * expedited RCU grace period, after which nobody can still be between looking at @open and counting.
 * (percpu_rw_semaphore has the same fast path, but blocks who comes in uninterruptibly, waits for
 * slow grace periods and deadlocks when passed twice; SRCU has a full barrier on each way.)
 */
struct mxfs_gate {
	bool open;
	unsigned int __percpu *inside;
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

/**
 * struct mxfs_sb - one mounted volume on this node
 *
 * @state, @frozen and @lease_end say whether something new may start. @state changes only under @state_lock, @lease_end
 * under @lease_lock; @frozen by the daemon's coming (READY) and going. What has started is inside a gate.
 */
struct mxfs_sb {
	/* what every operation looks at, and seldom changes: one cache line (x86-64) */
	struct mxfs_gate op_gate;
	enum mxfs_state state;
	bool frozen; /* the daemon is gone; nothing starts until a new one is ready */
	unsigned long lease_end; /* jiffies, not later than lease_boottime; nothing starts past it */
	u64 attach_seq; /* counts attaches; stamps dentries and attributes */
	struct vfsmount *lower; /* valid while attached (inside a gate) */
	unsigned long last_op; /* jiffies when an operation last ended */
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
	bool rdonly;
	struct mxfs_opts opts;
	struct mxfs_geometry geo;
	const struct cred *cred; /* for what the module does on its own account */

	/* gates */
	struct mxfs_gate fault_gate;
	struct mxfs_gate wb_gate;
	struct mutex state_lock;
	wait_queue_head_t wait; /* state, frozen, lease */
	atomic_t waiters;

	/* lower file system */
	struct file *pin; /* the device, open as long as the mount lives: its number stays its own */
	struct file *claim; /* exclusive hold on the device while detached */
	u16 quotas; /* those of the volume when it was last attached here, as in sb_qflags */
	bool quotas_said; /* what was given to mount(8) has been said to XFS */
	struct vfsmount *node; /* where XFS finds the device by a name (local/mount.c) */
	spinlock_t lower_lock; /* the three lists, and ->lower of their members */
	struct list_head lower_inodes;
	struct list_head distrusting; /* those of lower_inodes that mxfs_distrust_all() has still to visit */
	struct list_head lower_files;
	errseq_t lower_wb_err; /* of XFS's s_wb_err, what was carried up; under lower_lock */
	atomic_t draining; /* evictions, releases and async I/O that still hold something lower */
	wait_queue_head_t drained;
	struct list_head cached_inodes; /* inodes that have been mapped; under lower_lock */
	struct vfsmount *lower_quiet; /* read-only, for pages (mxfs_cache_attach()); valid as ->lower is */
	struct workqueue_struct *wb_wq; /* writes pages of maps back */
	u64 attach_fails;
	bool begun; /* it has been attached for writing */

	/* inodes of removed files, without their lower ones, that free_work frees (mxfs_drop_inode()) */
	struct llist_head removed;
	atomic_t nr_removed;
	bool frees_at_once; /* umount has begun */
	struct delayed_work free_work;

	/* files that are held and have no name (local/orphan.c) */
	struct mutex orphan_lock;
	struct list_head reap; /* links not needed any more, to be removed at the next chance */
	struct llist_head reap_new; /* the same, on their way there */
	struct list_head lent; /* struct mxfs_lent; under lower_lock */
	struct mxfs_inode *keeping; /* which gets its link in a detach, as long as it is there; under lower_lock */
	u64 orphan_key; /* the first key of this mount: the daemon takes new ones, and links are found by their names */
	u32 orphan_seq, orphan_first;
	bool stale_reaped;
	bool sweep; /* .mxfs/orphans has files that nobody may have open any more */
	struct work_struct reap_work;

	/* .mxfs itself (local/own.c) */
	bool reserve_used; /* its reserve is to be filled again */
	u64 own_seq; /* attach in which @own was read; under others_lock */
	u64 *own; /* inode numbers that no handle leads to */
	unsigned int own_count;

	/* files open on the nodes (local/opens.c) */
	struct list_head told; /* those in this node's list on disk; under lower_lock */
	bool told_changed; /* since it was written; under lower_lock */
	u32 told_count; /* in the list on disk */
	struct mutex others_lock;
	struct mxfs_file_id *others; /* the other nodes' lists, sorted, others_count of them, as of others_seq */

	/* daemon (daemon/daemon.c, daemon/netlink.c) */
	struct pid *daemon_pid;
	u32 portid;
	bool ready; /* READY seen from the current daemon */
	bool hello;
	bool left;
	bool leaving; /* umount, and no command is taken any more; under state_lock */
	bool unused; /* umount, and XFS is gone for good: the daemon may leave */
	bool failed; /* mount(2) fails: no daemon is started again */
	unsigned long leave_by; /* jiffies; while leaving: for how long a new daemon is waited for */
	bool clustered;
	int fail_err;
	char fail_msg[MXFS_MESSAGE_MAX];
	u64 key;
	u64 epoch;
	enum mxfs_role role;
	unsigned long last_want; /* jiffies of the last EV_WANT; 0: none */
	u64 want_nanos; /* when the first waiter of this change came (ktime) */
	struct work_struct restart_work;
	unsigned int restarts;
	unsigned long restarts_since;

	/*
	 * Attach and detach, one at a time, in order. By a thread of our own: a change of owner may be what memory waits for,
	 * and a workqueue that promises as much (WQ_MEM_RECLAIM) must not flush those of XFS, which do not.
	 */
	struct kthread_worker *worker;
	struct kthread_delayed_work cmd_work;
	bool held; /* umount: none begins (mxfs_hold()); under state_lock */
	enum mxfs_cmd_kind cmd; /* queued */
	enum mxfs_cmd_kind doing; /* taken from the queue, not answered yet */
	struct kthread_work reattach_work;
	bool reattaching; /* under state_lock */
	int reattach_err;
	u64 cmd_epoch;
	u32 cmd_quantum_ms;
	unsigned long attached_at; /* jiffies */
	struct kthread_work dead_work;

	/* what the daemon has not been told yet */
	struct mutex tell_lock; /* results are told one after the other, each at most as long as it is the last one */
	spinlock_t result_lock;
	struct mxfs_result result;
	struct delayed_work result_work;

	/* the lease */
	spinlock_t lease_lock;
	u64 lease_boottime; /* nanoseconds of CLOCK_BOOTTIME */
	struct list_head lease_entry; /* mxfs_leases */
	struct delayed_work lease_work;

	/* statistics */
	struct mxfs_stats stats;
	spinlock_t stats_lock;
	u32 changes[MXFS_CHANGES]; /* microseconds an operation waited for ownership, ring */
	u32 nr_changes;
	struct kstatfs statfs; /* as last seen; under stats_lock */
	struct dentry *debugfs;
};

/* A file, as long as it exists: XFS counts the generation up when it uses an inode again. */
struct mxfs_file_id {
	u64 ino;
	u32 gen;
};

/* A file without a name that is held on this node has one link in .mxfs/orphans; see local/orphan.c. */
struct mxfs_orphan {
	struct list_head entry; /* sbi->reap, once the inode is gone */
	struct llist_node done; /* sbi->reap_new, before */
	u32 seq;
};

/* A lower inode that stays until the detach, because another node holds the file. */
struct mxfs_lent {
	struct list_head entry; /* sbi->lent */
	struct dentry *lower;
};

/* A lower file that is open on behalf of an upper one, and reopened after each attach. */
struct mxfs_open {
	struct mxfs_sb *sbi;
	struct list_head lower_entry; /* sbi->lower_files while ->lower is set */
	struct file *lower;
	struct inode *inode;
	void *names; /* of a directory: where its names are read to (vfs/dir.c) */
	/* mxfs_accessed(): while this is the ctime, and until this jiffy, reading leaves atime as it is. */
	time64_t fresh_sec;
	long fresh_nsec;
	unsigned long fresh_until;
};

/**
 * struct mxfs_inode - an inode that outlives its lower inode
 * @lower:	lower dentry, or NULL; set and cleared under sbi->lower_lock, and never cleared
 * while a gate is held that keeps detaching away
 * @attr_seq:	attach_seq of the last copy of the attributes
 * @kept:	it has an extra link in .mxfs/orphans that is this node's: @orphan, while it is needed
 * @shared:	it has an extra link in .mxfs/orphans that is for every node that holds it; of the root: there is .mxfs, which
 * nobody sees
 * @lent:	it is to get such a link when the volume is given up (mxfs_orphan_lend())
 * @fh:		how to find it again after the next attach (exportfs)
 * @let_go:	it was removed, has no lower inode any more and waits in sbi->removed; set once, under i_lock
 * @orphan:	its extra link in .mxfs/orphans, or NULL; set while detaching, under lower_lock
 * @told_entry:	sbi->told while it is in this node's list of what it holds
 * @wb:		the lower file that the page cache of maps reads and writes through
 *
 * What stat(2) looks at comes first, so that it is in one cache line with the end of @vfs_inode (Linux 6.12,
 * x86-64): with many files each line more is a miss.
 */
struct mxfs_inode {
	struct inode vfs_inode;
	struct dentry *lower;
	u64 attr_seq;
	bool kept;
	bool shared;
	bool lent;
	bool let_go;
	struct list_head lower_entry; /* sbi->lower_inodes while ->lower is set */
	u64 ino;
	struct mxfs_orphan *orphan;
	struct list_head cached_entry;
	struct list_head told_entry;
	struct llist_node removed_entry;
	u32 fh[MXFS_FH_WORDS];
	u8 fh_type;
	u8 fh_words;
	struct mxfs_open wb;
};

static inline struct mxfs_sb *MXFS_SB(const struct super_block *sb)
{
	return sb->s_fs_info;
}

static inline struct mxfs_inode *MXFS_I(const struct inode *inode)
{
	return container_of(inode, struct mxfs_inode, vfs_inode);
}

/*
 * The root; NULL for an attach that umount asks for, when the VFS has no inode any more (mxfs_reap_all()). While an attach is
 * under way it stays what it is (mxfs_hold()).
 */
static inline struct mxfs_inode *mxfs_root(const struct mxfs_sb *sbi)
{
	const struct dentry *root = sbi->sb->s_root;

	return root ? MXFS_I(d_inode(root)) : NULL;
}

static inline struct mxfs_sb *MXFS_ISB(const struct inode *inode)
{
	return MXFS_SB(inode->i_sb);
}

static inline struct mxfs_sb *mxfs_file_sb(const struct file *file)
{
	const struct mxfs_open *open = READ_ONCE(file->private_data);

	/* On the way to the lower file anyway; the inode and its superblock are not. */
	return likely(open) ? open->sbi : MXFS_ISB(file_inode(file));
}

/* Links in .mxfs/orphans, which keep a file and are no names of it. */
static inline unsigned int mxfs_extra_links(const struct mxfs_inode *mi)
{
	return READ_ONCE(mi->kept) + READ_ONCE(mi->shared);
}

/* The links that a program may see. */
static inline unsigned int mxfs_seen_links(const struct mxfs_inode *mi, unsigned int nlink)
{
	return nlink - min(nlink, mxfs_extra_links(mi));
}

/* role/enter.c: who may touch the lower file system, and waiting to be allowed */

void mxfs_gate_open(struct mxfs_gate *gate);
void mxfs_gate_close(struct mxfs_gate *gate);
void mxfs_gate_left_closed(struct mxfs_gate *gate);

/* Return: whether the caller is inside, and has to leave. */
static inline bool mxfs_gate_enter(struct mxfs_gate *gate)
{
	bool open;

	/* Closing waits for this section to end (synchronize_rcu_expedited()). */
	preempt_disable();
	/* Pairs with smp_store_release() in mxfs_gate_open(). */
	open = smp_load_acquire(&gate->open);
	if (likely(open))
		this_cpu_inc(*gate->inside);
	preempt_enable();
	return open;
}

static inline void mxfs_gate_leave(struct mxfs_gate *gate)
{
	bool open;

	preempt_disable();
	open = READ_ONCE(gate->open);
	if (likely(open))
		this_cpu_dec(*gate->inside);
	preempt_enable();
	if (unlikely(!open))
		mxfs_gate_left_closed(gate);
}

static inline bool mxfs_may_run(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->state) == MXFS_STATE_ATTACHED && !READ_ONCE(sbi->frozen) &&
	       time_before(jiffies, READ_ONCE(sbi->lease_end));
}

/* As mxfs_may_run(), for faults: these go on while operations are already closed and drain. */
static inline bool mxfs_may_fault(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->state) != MXFS_STATE_DEAD && !READ_ONCE(sbi->frozen) &&
	       time_before(jiffies, READ_ONCE(sbi->lease_end));
}

/* Nobody is there who could let anything start: it takes a daemon that works. */
static inline bool mxfs_is_stuck(struct mxfs_sb *sbi)
{
	return READ_ONCE(sbi->frozen) || time_after_eq(jiffies, READ_ONCE(sbi->lease_end));
}

int mxfs_enter_slow(struct mxfs_sb *sbi);
int mxfs_enter_within(struct mxfs_sb *sbi, long limit);
int mxfs_enter_attached(struct mxfs_sb *sbi);
int mxfs_enter_sync(struct mxfs_sb *sbi);
int mxfs_gates_init(struct mxfs_sb *sbi);
void mxfs_gates_destroy(struct mxfs_sb *sbi);
int mxfs_wait_fault(struct mxfs_sb *sbi);

/* An owner with no operation for some time gives the volume up at once. */
static inline void mxfs_note_op(struct mxfs_sb *sbi)
{
	unsigned long now = jiffies;

	if (READ_ONCE(sbi->last_op) != now)
		WRITE_ONCE(sbi->last_op, now);
}

/* Begin an operation if that needs no waiting. Return: whether the caller has to leave. */
static inline bool mxfs_try_enter(struct mxfs_sb *sbi)
{
	if (unlikely(!mxfs_gate_enter(&sbi->op_gate)))
		return false;
	if (likely(mxfs_may_run(sbi)))
		return true;
	mxfs_gate_leave(&sbi->op_gate);
	return false;
}

/**
 * mxfs_enter - begin an operation on the lower file system
 * @sbi: the mount
 *
 * Takes ownership of the volume first where this node does not have it.
 *
 * Return: 0, and mxfs_leave() has to follow; -EINTR when killed while waiting, -EIO when the mount is
 * dead.
 */
static inline int mxfs_enter(struct mxfs_sb *sbi)
{
	return likely(mxfs_try_enter(sbi)) ? 0 : mxfs_enter_slow(sbi);
}

static inline void mxfs_leave(struct mxfs_sb *sbi)
{
	mxfs_note_op(sbi);
	mxfs_gate_leave(&sbi->op_gate);
}

/* local/mount.c: the device, and XFS mounted on it */
int mxfs_device_open(struct mxfs_sb *sbi, const char *name, struct fs_context *fc);
int mxfs_device_writable(struct mxfs_sb *sbi, struct fs_context *fc);
void mxfs_device_close(struct mxfs_sb *sbi);
int mxfs_claim(struct mxfs_sb *sbi);
bool mxfs_reclaim(struct mxfs_sb *sbi);
void mxfs_unclaim(struct mxfs_sb *sbi);
struct vfsmount *mxfs_lower_mount(struct mxfs_sb *sbi, bool probe);
int mxfs_probe(struct mxfs_sb *sbi, struct fs_context *fc);

/* role/attach.c: the lower file system comes and goes */
enum mxfs_state mxfs_told_state(struct mxfs_sb *sbi);
int mxfs_command(struct mxfs_sb *sbi, enum mxfs_cmd_kind kind, u64 epoch, u32 quantum_ms);
void mxfs_cmd_workfn(struct kthread_work *work);
void mxfs_dead_workfn(struct kthread_work *work);
void mxfs_reattach_workfn(struct kthread_work *work);
int mxfs_make_writable(struct mxfs_sb *sbi);
void mxfs_hold(struct mxfs_sb *sbi);
void mxfs_unhold(struct mxfs_sb *sbi);
void mxfs_detach_final(struct mxfs_sb *sbi);
void mxfs_distrust_all(struct mxfs_sb *sbi);
void mxfs_shutdown(struct mxfs_sb *sbi, const char *why);
int mxfs_carry_errors(struct mxfs_sb *sbi, struct super_block *lower);

/*
 * Anything lower that is let go outside a gate (evictions, releases, async I/O) is counted;
 * detaching waits.
 */
static inline void mxfs_drain_get(struct mxfs_sb *sbi)
{
	atomic_inc(&sbi->draining);
}

static inline void mxfs_drain_put(struct mxfs_sb *sbi)
{
	/* The atomic operation is the barrier that waitqueue_active() needs. */
	if (atomic_dec_and_test(&sbi->draining) && waitqueue_active(&sbi->drained))
		wake_up_all(&sbi->drained);
}

/* vfs/inode.c */
extern const struct inode_operations mxfs_file_iops, mxfs_dir_iops, mxfs_symlink_iops,
	mxfs_special_iops;
struct inode *mxfs_iget(struct super_block *sb, struct dentry *lower, bool created) __mxfs_hot;
struct dentry *mxfs_find_lower(struct inode *inode);
void mxfs_set_lower(struct inode *inode, struct dentry *lower) __mxfs_hot;
struct dentry *mxfs_take_lower(struct mxfs_inode *mi) __mxfs_hot;
void mxfs_distrust(struct inode *inode);
int mxfs_remember(struct inode *inode, struct dentry *lower);
void mxfs_evict_inode(struct inode *inode) __mxfs_hot;
int mxfs_drop_inode(struct inode *inode) __mxfs_hot;
void mxfs_free_workfn(struct work_struct *work);
void mxfs_free_all(struct mxfs_sb *sbi);
int mxfs_permission(struct mnt_idmap *idmap, struct inode *inode, int mask) __mxfs_hot;
int mxfs_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat, u32 mask,
		 unsigned int flags) __mxfs_hot;
int mxfs_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr);
ssize_t mxfs_listxattr(struct dentry *dentry, char *list, size_t size);
struct posix_acl *mxfs_get_inode_acl(struct inode *inode, int type, bool rcu);
int mxfs_set_acl(struct mnt_idmap *idmap, struct dentry *dentry, struct posix_acl *acl, int type);
int mxfs_fileattr_get(struct dentry *dentry, struct mxfs_fileattr *fa);
int mxfs_fileattr_set(struct mnt_idmap *idmap, struct dentry *dentry, struct mxfs_fileattr *fa);
int mxfs_inode_cache_create(void);
void mxfs_inode_cache_destroy(void);
struct inode *mxfs_alloc_inode(struct super_block *sb) __mxfs_hot;
void mxfs_free_inode(struct inode *inode) __mxfs_hot;
extern const struct xattr_handler *const mxfs_xattr_handlers[];

/**
 * mxfs_lower - the lower dentry of an inode
 * @inode: upper
 *
 * To be called inside a gate, and good until it is left.
 *
 * Return: a borrowed dentry, or an ERR_PTR: -ESTALE when the file was removed by another node.
 */
static inline struct dentry *mxfs_lower(struct inode *inode)
{
	struct dentry *lower;

	/* Pairs with smp_store_release() in mxfs_set_lower(). */
	lower = smp_load_acquire(&MXFS_I(inode)->lower);
	return likely(lower) ? lower : mxfs_find_lower(inode);
}

#include "apply.h"

/* vfs/dir.c */
extern const struct dentry_operations mxfs_dops;
extern const struct file_operations mxfs_dir_fops;
struct dentry *mxfs_connected_lower(struct inode *dir);
void mxfs_distrust_names(struct inode *dir);

/* vfs/file.c */
extern const struct file_operations mxfs_file_fops;
int mxfs_open(struct inode *inode, struct file *file) __mxfs_hot;
int mxfs_release(struct inode *inode, struct file *file) __mxfs_hot;
struct file *mxfs_open_lower(struct mxfs_open *open, struct vfsmount *mnt, int flags);
void mxfs_touch_mapped(const struct file *file);
struct file *mxfs_find_lower_file(struct file *file);
void mxfs_put_lower(struct mxfs_open *open);
loff_t mxfs_llseek(struct file *file, loff_t offset, int whence);
int mxfs_fsync(struct file *file, loff_t start, loff_t end, int datasync);
long mxfs_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
int mxfs_file_cache_create(void);
void mxfs_file_cache_destroy(void);

/* The end of what mxfs_open_lower() began; anywhere. */
static inline void mxfs_close_lower(struct mxfs_open *open)
{
	/* Pairs with smp_store_release() in mxfs_drop_lower_files(). */
	if (smp_load_acquire(&open->lower))
		mxfs_put_lower(open);
}

/* As mxfs_open_lower(), for an open file. */
static inline struct file *mxfs_lower_file(struct file *file)
{
	struct mxfs_open *open = READ_ONCE(file->private_data);
	struct file *lower;

	if (unlikely(!open))
		return mxfs_find_lower_file(file);
	/* Pairs with smp_store_release() in mxfs_open_lower(). */
	lower = smp_load_acquire(&open->lower);
	return likely(lower) ? lower : mxfs_find_lower_file(file);
}

/* pages/cache.c: the page cache of mapped files */
extern const struct address_space_operations mxfs_aops;
int mxfs_mmap(struct file *file, struct vm_area_struct *vma);
/* Write back what was stored through maps. Inside a gate; @end inclusive. */
static inline int mxfs_cache_flush(struct inode *inode, loff_t start, loff_t end)
{
	if (likely(!inode->i_mapping->nrpages))
		return 0;
	return filemap_write_and_wait_range(inode->i_mapping, start, end);
}

int mxfs_cache_attach(struct mxfs_sb *sbi);
void mxfs_cache_detach(struct mxfs_sb *sbi);
int mxfs_cache_drop_locked(struct inode *inode, loff_t start, loff_t end);
void mxfs_cache_changed(struct inode *inode, struct file *lower, loff_t start, loff_t end);
void mxfs_cache_cut(struct inode *inode, loff_t size);
void mxfs_cache_grow(struct inode *inode, loff_t size);
int mxfs_cache_quiesce(struct mxfs_sb *sbi);
void mxfs_cache_unmap_all(struct mxfs_sb *sbi);
int mxfs_cache_flush_all(struct mxfs_sb *sbi);
int mxfs_cache_drop_all(struct mxfs_sb *sbi);
bool mxfs_any_mapped(struct mxfs_sb *sbi);

struct inode *mxfs_known(struct super_block *sb, struct mxfs_file_id *id);

/* local/opens.c */
void mxfs_opens_note(struct mxfs_sb *sbi, struct mxfs_inode *mi);
void mxfs_opens_forget(struct mxfs_sb *sbi, struct mxfs_inode *mi);
void mxfs_opens_tell(struct mxfs_sb *sbi);
void mxfs_opens_begin(struct mxfs_sb *sbi);
bool mxfs_is_held(struct inode *inode);
bool mxfs_open_listed(struct mxfs_sb *sbi, const struct mxfs_file_id *id);

/**
 * mxfs_open_elsewhere - does another node have this file open?
 * @sbi: the mount, attached: inside the operation gate, or attaching
 * @id: the file
 *
 * Return: whether it does, as far as is known: yes when the lists cannot be read.
 */
static inline bool mxfs_open_elsewhere(struct mxfs_sb *sbi, const struct mxfs_file_id *id)
{
	/* Pairs with smp_store_release() in mxfs_open_listed(). */
	if (smp_load_acquire(&sbi->others_seq) == READ_ONCE(sbi->attach_seq) && !READ_ONCE(sbi->others_count))
		return false;
	return mxfs_open_listed(sbi, id);
}

/* local/own.c */
#define MXFS_OWN ".mxfs"

/* Is this the one name of the volume that is ours? */
static inline bool mxfs_is_own_name(const struct inode *dir, const struct qstr *name)
{
	return unlikely(name->len == sizeof(MXFS_OWN) - 1 && !memcmp(name->name, MXFS_OWN, sizeof(MXFS_OWN) - 1) &&
			dir == d_inode(dir->i_sb->s_root));
}

int mxfs_own_check(struct mxfs_sb *sbi, struct dentry *root, struct fs_context *fc);
int mxfs_own_begin(struct mxfs_sb *sbi);
struct dentry *mxfs_own_dir(struct mxfs_sb *sbi, const char *name, bool create);
struct file *mxfs_own_file(struct mxfs_sb *sbi, struct dentry *dir, const char *in, const char *name, int flags);
int mxfs_own_unlink(struct dentry *dir, const char *name);
int mxfs_own_inode(struct mxfs_sb *sbi, u64 ino);
void mxfs_reserve_fill(struct mxfs_sb *sbi);
bool mxfs_reserve_free(struct mxfs_sb *sbi);

/* local/orphan.c */
int mxfs_orphans_begin(struct mxfs_sb *sbi);
bool mxfs_orphans_due(struct mxfs_sb *sbi);
int mxfs_orphans_show(struct seq_file *m, struct mxfs_sb *sbi);
int mxfs_orphan_prepare(struct inode *inode, struct dentry *lower) __mxfs_hot;
struct mxfs_orphan *mxfs_orphan_keep(struct mxfs_sb *sbi, struct dentry *lower);
void mxfs_orphan_done(struct mxfs_sb *sbi, struct mxfs_orphan *orphan);
void mxfs_orphan_evicted(struct inode *inode);
void mxfs_orphan_named(struct inode *inode);
void mxfs_orphan_return(struct mxfs_sb *sbi);
void mxfs_reap_all(struct mxfs_sb *sbi);
void mxfs_reap_end(struct mxfs_sb *sbi);
void mxfs_reap_workfn(struct work_struct *work);

/* vfs/export.c */
extern const struct export_operations mxfs_export_ops;

/* local/validate.c */
int mxfs_validate(struct mxfs_sb *sbi, struct fs_context *fc);
int mxfs_read_quotas(struct mxfs_sb *sbi, u16 *quotas);

/* vfs/options.c */
extern const struct fs_parameter_spec mxfs_params[];
void mxfs_options_init(struct mxfs_opts *opts);
void mxfs_options_free(struct mxfs_opts *opts);
int mxfs_parse_param(struct fs_context *fc, struct fs_parameter *param);
const char *mxfs_options_differ(struct mxfs_sb *sbi, const struct mxfs_opts *given);
int mxfs_give_xfs_options(const struct mxfs_opts *opts, struct fs_context *fc, u16 quotas);
const char *mxfs_xfs_options_text(const struct mxfs_opts *opts, char *buf, size_t size);
int mxfs_show_options(struct seq_file *m, struct dentry *root);

/* vfs/quota.c */
extern const struct quotactl_ops mxfs_quota_ops;

/* daemon/daemon.c */
int mxfs_daemon_start(struct mxfs_sb *sbi, struct fs_context *fc);
void mxfs_daemon_stop(struct mxfs_sb *sbi);
void mxfs_daemon_gone(struct mxfs_sb *sbi);
void mxfs_restart_workfn(struct work_struct *work);
void mxfs_daemon_exit(void);

/* daemon/netlink.c */
int mxfs_netlink_init(void);
void mxfs_netlink_exit(void);
int mxfs_netlink_add(struct mxfs_sb *sbi, struct fs_context *fc);
void mxfs_netlink_del(struct mxfs_sb *sbi);
void mxfs_send_want(struct mxfs_sb *sbi);
int mxfs_send_leave(struct mxfs_sb *sbi);
void mxfs_send_result(struct mxfs_sb *sbi, u8 event, u64 epoch, int err, u64 nanos,
		      const char *message);
void mxfs_result_workfn(struct work_struct *work);

/* role/lease.c: until when operations may start */
int mxfs_lease_init(void);
void mxfs_lease_exit(void);
void mxfs_lease_add(struct mxfs_sb *sbi);
void mxfs_lease_del(struct mxfs_sb *sbi);
int mxfs_lease_set(struct mxfs_sb *sbi, u64 boottime);
void mxfs_lease_over(struct mxfs_sb *sbi);
void mxfs_lease_workfn(struct work_struct *work);

/* main.c */
extern struct workqueue_struct *mxfs_wq; /* for what memory may wait for */

/* vfs/super.c */
extern struct file_system_type mxfs_fs_type;
void mxfs_sb_put(struct mxfs_sb *sbi);

/* daemon/debugfs.c */
void mxfs_debugfs_init(void);
void mxfs_debugfs_exit(void);
void mxfs_debugfs_add(struct mxfs_sb *sbi);
void mxfs_debugfs_del(struct mxfs_sb *sbi);
const char *mxfs_state_name(enum mxfs_state state);

#endif /* _MXFS_H */
