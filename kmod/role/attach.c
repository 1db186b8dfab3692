// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: XFS comes and goes under a mount.
 *
 * Attaching is a mount of stock XFS by its own type, on behalf of the kernel (SB_KERNMOUNT makes
 * the last mntput() unmount synchronously). Detaching is an unmount under open files: everything
 * that holds something lower lets go first, gate by gate, and the proof that XFS is gone is that
 * the device can be opened exclusively again. That exclusive claim is kept while detached, so that
 * nobody mounts or formats the device on this node while another one owns it.
 *
 * Only the daemon decides when; commands run one at a time on a thread of the mount's own.
 */
#include <linux/file.h>
#include <linux/pagemap.h>
#include "compat.h"
#include "enter.h"
#include "local/bind.h"
#include "local/home.h"
#include "local/mount.h"
#include "local/opens.h"
#include "local/orphan.h"
#include "pages/cache.h"
#include "role/attach.h"
#include "tell.h"

#define MXFS_IDLE_JIFFIES 2 /* no operation for so long: the owner is idle */
#define MXFS_THAW_JIFFIES (HZ / 50) /* between two looks at an XFS that is frozen */

static void mxfs_set_state(struct mxfs_sb *sbi, enum mxfs_state state)
{
	WRITE_ONCE(sbi->state, state);
	wake_up_all(&sbi->wait);
}

static void mxfs_record_change(struct mxfs_sb *sbi)
{
	u32 n;

	if (!sbi->daemon.last_want)
		return;
	n = sbi->nr_changes++ % MXFS_CHANGES;
	sbi->changes[n] = div_u64(ktime_get_ns() - sbi->daemon.want_nanos, NSEC_PER_USEC);
}

/* What was asked for is answered by the umount that has begun (mxfs_detach_final()). Under state_lock. */
static void mxfs_leave_to_umount(struct mxfs_sb *sbi, enum mxfs_cmd_kind kind, u64 epoch)
{
	sbi->change.doing = MXFS_DO_NOTHING;
	if (sbi->change.cmd == MXFS_DO_NOTHING) {
		sbi->change.cmd = kind;
		sbi->change.epoch = epoch;
	}
	sbi->change.left = sbi->change.cmd == MXFS_DO_ATTACH;
}

/* An attach that umount has broken off: the device is not ours. */
static void mxfs_attach_left(struct mxfs_sb *sbi, u64 epoch)
{
	mutex_lock(&sbi->state_lock);
	mxfs_leave_to_umount(sbi, MXFS_DO_ATTACH, epoch);
	mutex_unlock(&sbi->state_lock);
}

/* Return: 0; what the daemon is told, by umount where that has begun: -ETIME where the lease is over, and -EALREADY. */
static int mxfs_attach(struct mxfs_sb *sbi, u64 epoch)
{
	ktime_t start = ktime_get();
	struct vfsmount *mnt;
	bool frozen, late;
	int err = 0;
	u64 nanos;

	mutex_lock(&sbi->state_lock);
	if (sbi->state != MXFS_STATE_DETACHED && sbi->state != MXFS_STATE_STARTING) {
		err = sbi->state == MXFS_STATE_ATTACHED ? -EALREADY : -EIO;
		mutex_unlock(&sbi->state_lock);
		mxfs_send_result(sbi, MXFS_EV_ATTACHED, epoch, err, 0, "not detached");
		return err;
	}
	/*
	 * Others may have shut this node out by then, and XFS replays its log as it is mounted: here is a look before that, however
	 * long the command was on its way; the last one is in mxfs_mount_xfs(). What XFS itself reads before it replays may take longer
	 * still: then the array has to refuse its writes. Programs wait as before, and say within a second that they want the volume.
	 */
	if (time_after_eq(jiffies, READ_ONCE(sbi->lease_end))) {
		mxfs_set_state(sbi, MXFS_STATE_DETACHED);
		mutex_unlock(&sbi->state_lock);
		mxfs_send_result(sbi, MXFS_EV_ATTACHED, epoch, -ETIME, 0, "the lease is over");
		return -ETIME;
	}
	mxfs_set_state(sbi, MXFS_STATE_ATTACHING);
	mutex_unlock(&sbi->state_lock);

	mnt = mxfs_lower_mount(sbi, false);
	if (!IS_ERR(mnt)) {
		/* Only this thread looks at it while the gates are closed. */
		sbi->lower = mnt;
		sbi->change.wb_err = errseq_sample(&mnt->mnt_sb->s_wb_err);
		err = mxfs_orphans_begin(sbi) ?: mxfs_cache_attach(sbi);
		if (err) {
			sbi->lower = NULL;
			mxfs_kernel_unmount(mnt);
			mxfs_claim(sbi);
			mnt = ERR_PTR(err);
		}
	}
	mutex_lock(&sbi->state_lock);
	if (IS_ERR(mnt)) {
		err = PTR_ERR(mnt);
		/* Frozen by somebody (dmsetup suspend, a snapshot): programs wait for the end of it, as they do for the daemon's next attempt. */
		frozen = err == -EBUSY && sbi->device.claim;
		late = err == -ETIME;
		if (sbi->state == MXFS_STATE_ATTACHING)
			mxfs_set_state(sbi, MXFS_STATE_DETACHED);
		/* Who waits for the end of a freeze, or for a new lease, asks again when a second is over. */
		if (!frozen && !late) {
			WRITE_ONCE(sbi->change.fails, sbi->change.fails + 1);
			WRITE_ONCE(sbi->daemon.last_want, 0);
		}
		mutex_unlock(&sbi->state_lock);
		wake_up_all(&sbi->wait);
		if (mxfs_reclaim(sbi, "XFS cannot be mounted, and the device cannot be had on this node: another program has taken it, or its path is gone")) {
			mxfs_attach_left(sbi, epoch);
			return err;
		}
		if (!frozen && !late)
			mxfs_err(sbi, "owner of epoch %llu, but XFS cannot be mounted (%pe); its lines before this one say why", epoch, mnt);
		else if (frozen && !sbi->change.freeze_told)
			mxfs_warn(sbi, "the device is frozen on this node: XFS is mounted when that is over");
		sbi->change.freeze_told = frozen;
		mxfs_send_result(sbi, MXFS_EV_ATTACHED, epoch, err, 0, late ? "the lease is over" : "XFS cannot be mounted");
		return err;
	}
	if (sbi->state != MXFS_STATE_ATTACHING) { /* shut down meanwhile */
		sbi->lower = NULL;
		mutex_unlock(&sbi->state_lock);
		mxfs_cache_detach(sbi);
		if (mnt->mnt_sb->s_op->shutdown)
			mnt->mnt_sb->s_op->shutdown(mnt->mnt_sb);
		mxfs_kernel_unmount(mnt);
		if (mxfs_reclaim(sbi, "the device is still busy after the shutdown"))
			mxfs_attach_left(sbi, epoch);
		else
			mxfs_send_result(sbi, MXFS_EV_ATTACHED, epoch, -EIO, 0, "the mount was shut down");
		return -EIO;
	}
	sbi->epoch = epoch;
	sbi->change.freeze_told = false;
	sbi->change.attached_at = jiffies;
	sbi->last_op = jiffies;
	/* Before any gate opens: a fault must not take sizes of the time before for those of this attach. */
	WRITE_ONCE(sbi->attach_seq, sbi->attach_seq + 1);
	sbi->change.begun |= !sb_rdonly(mnt->mnt_sb);
	mxfs_gate_open(&sbi->wb_gate);
	mxfs_gate_open(&sbi->fault_gate);
	mxfs_record_change(sbi);
	WRITE_ONCE(sbi->daemon.last_want, 0);
	nanos = ktime_to_ns(ktime_sub(ktime_get(), start));
	spin_lock(&sbi->stats_lock);
	sbi->stats.attaches++;
	sbi->stats.last_attach_nanos = nanos;
	spin_unlock(&sbi->stats_lock);
	mxfs_gate_open(&sbi->op_gate);
	/* Everything above is seen by whoever sees ATTACHED. */
	smp_wmb();
	mxfs_set_state(sbi, MXFS_STATE_ATTACHED);
	mutex_unlock(&sbi->state_lock);

	mxfs_debug(sbi, "attached, epoch %llu, %llu us", epoch, nanos / 1000);
	mxfs_send_result(sbi, MXFS_EV_ATTACHED, epoch, 0, nanos, NULL);
	if (mxfs_orphans_due(sbi))
		queue_work(system_unbound_wq, &sbi->orphans.work);
	return 0;
}

/*
 * All that was accepted goes to disk now, while there is still somebody to hear that it could not. Return: 0; an error that
 * may concern any file. What single files could not write is in their mappings.
 */
static int mxfs_sync_last(struct mxfs_sb *sbi, struct vfsmount *mnt)
{
	int err = mxfs_sync_lower(mnt->mnt_sb), lost;

	lost = mxfs_carry_errors(sbi, mnt->mnt_sb);
	if (err)
		errseq_set(&sbi->sb->s_wb_err, err);
	if ((err || lost) && READ_ONCE(sbi->state) != MXFS_STATE_DEAD)
		mxfs_err(sbi, "what was written here could not all be brought to the disk (%pe); fsync and syncfs report it",
			 ERR_PTR(err ?: lost));
	return err;
}

static void mxfs_drop_lower_files(struct mxfs_sb *sbi)
{
	struct mxfs_open *open;
	struct file *lower;

	spin_lock(&sbi->bind.lock);
	while (!list_empty(&sbi->bind.files)) {
		open = list_first_entry(&sbi->bind.files, struct mxfs_open, lower_entry);
		list_del_init(&open->lower_entry);
		lower = open->lower;
		/* Last: whoever sees NULL may free it (mxfs_close_lower()). */
		smp_store_release(&open->lower, NULL);
		spin_unlock(&sbi->bind.lock);
		/* fput() would close it later, from task work, and keep XFS busy until then. */
		__fput_sync(lower);
		spin_lock(&sbi->bind.lock);
	}
	spin_unlock(&sbi->bind.lock);
}

/*
 * What is held and has no link left gets one. Under bind.lock, which is let go of meanwhile; the inode, too, may go
 * meanwhile (mxfs_let_lower_go()).
 *
 * Return: whether it is still there.
 */
static bool mxfs_keep_nameless(struct mxfs_sb *sbi, struct mxfs_inode *mi, struct dentry *lower)
	__releases(&sbi->bind.lock) __acquires(&sbi->bind.lock)
{
	struct mxfs_orphan *orphan;
	bool there;

	sbi->orphans.keeping = mi;
	spin_unlock(&sbi->bind.lock);
	orphan = mxfs_orphan_keep(sbi, lower);
	if (IS_ERR(orphan))
		mxfs_warn(sbi, "a file that is held here and has no name (inode %lu) cannot be kept (%pe): it is lost to who holds it",
			  d_inode(lower)->i_ino, orphan);
	spin_lock(&sbi->bind.lock);
	there = sbi->orphans.keeping;
	sbi->orphans.keeping = NULL;
	if (IS_ERR(orphan))
		return there;
	if (there) {
		mi->orphan = orphan;
		WRITE_ONCE(mi->kept, true);
		sbi->change.unsynced = true;
	} else {
		mxfs_orphan_done(sbi, orphan);
	}
	return there;
}

static bool mxfs_is_nameless(struct mxfs_sb *sbi, struct dentry *lower)
{
	return unlikely(!d_inode(lower)->i_nlink) && !d_is_dir(lower) && !sbi->rdonly &&
	       READ_ONCE(sbi->state) != MXFS_STATE_DEAD;
}

static struct mxfs_inode *mxfs_first_lower(struct mxfs_sb *sbi)
{
	return list_first_entry_or_null(&sbi->bind.inodes, struct mxfs_inode, lower_entry) ?:
	       list_first_entry_or_null(&sbi->bind.distrusting, struct mxfs_inode, lower_entry);
}

/*
 * An error of write-back must not go with the lower inode: the next fsync above tells it, also of a file that is opened then, where nobody has heard of it
 * yet. @all: one that concerns every file.
 */
static void mxfs_drop_lower_inodes(struct mxfs_sb *sbi, int all)
{
	struct mxfs_inode *mi;
	struct dentry *lower;

	spin_lock(&sbi->bind.lock);
	while ((mi = mxfs_first_lower(sbi))) {
		lower = mxfs_take_lower(mi);
		mxfs_carry_error_locked(&mi->vfs_inode, d_inode(lower));
		filemap_set_wb_err(mi->vfs_inode.i_mapping, all);
		mxfs_remember(&mi->vfs_inode, lower);
		if (!mxfs_is_nameless(sbi, lower) || mxfs_keep_nameless(sbi, mi, lower))
			mxfs_opens_note(sbi, mi);
		spin_unlock(&sbi->bind.lock);
		dput(lower);
		cond_resched();
		spin_lock(&sbi->bind.lock);
	}
	spin_unlock(&sbi->bind.lock);
}

/*
 * What XFS had accepted and not made durable is lost, as in a crash; but the programs are still there. They must not go on as if nothing
 * had happened, so the mount ends, as XFS's does. The other nodes go on with what is on the disk.
 */
static void mxfs_end_with_lower(struct mxfs_sb *sbi)
{
	mutex_lock(&sbi->state_lock);
	/* At umount there is nobody left. */
	if (sbi->state == MXFS_STATE_DETACHING && !sbi->change.leaving) {
		mxfs_err(sbi, "XFS was shut down on this node (its own lines say why): operations get EIO; unmount it and mount it again");
		mxfs_set_state(sbi, MXFS_STATE_DEAD);
	}
	mutex_unlock(&sbi->state_lock);
}

/*
 * The gates, in order, each followed by what it was in the way of. On return nothing above holds
 * anything below, XFS is unmounted, and the device is ours exclusively.
 *
 * Return: 0; -EBUSY when umount has begun and the device is not ours yet.
 */
static int mxfs_detach_gates(struct mxfs_sb *sbi)
{
	struct vfsmount *mnt = sbi->lower;
	int err, all;

	mxfs_gate_close(&sbi->op_gate);
	err = mxfs_cache_quiesce(sbi);
	if (err)
		mxfs_warn(
			sbi,
			"mapped pages could not be written back (%pe); fsync and msync report it",
			ERR_PTR(err));
	mxfs_gate_close(&sbi->wb_gate);
	/* Only now: readahead(2) and madvise(2) fill pages without the fault gate. */
	err = mxfs_cache_drop_all(sbi);
	if (err)
		mxfs_warn(sbi, "mapped pages could not be dropped (%pe)", ERR_PTR(err));

	/*
	 * Asynchronous I/O began inside the operation gate and ends outside it; it uses lower
	 * files.
	 */
	wait_event(sbi->bind.drained, !atomic_read(&sbi->bind.draining));
	all = mxfs_sync_last(sbi, mnt);
	mxfs_drop_lower_files(sbi);
	mxfs_orphan_return(sbi);
	mxfs_drop_lower_inodes(sbi, all);
	/* Evictions and releases that took something off the lists before us. */
	wait_event(sbi->bind.drained, !atomic_read(&sbi->bind.draining));
	mxfs_opens_tell(sbi);

	/* What this has changed below is durable before XFS is asked how it is: its unmount tells nobody what it could not write. */
	if (sbi->change.unsynced)
		mxfs_sync_last(sbi, mnt);
	sbi->change.unsynced = false;

	mxfs_cache_detach(sbi);
	/* Before the device is waited for: an fsync that waits would be told that all is well. */
	if (mxfs_lower_is_down(mnt))
		mxfs_end_with_lower(sbi);
	sbi->lower = NULL;
	mxfs_kernel_unmount(mnt);
	return mxfs_reclaim(sbi, "XFS was unmounted, but the device is still busy (frozen or taken by another program) on this node");
}

/* A mount that is over lets go of XFS. Return: 0 when the device is ours: nothing here writes to it. */
static int mxfs_let_go(struct mxfs_sb *sbi)
{
	if (sbi->lower)
		return mxfs_detach_gates(sbi);
	return mxfs_reclaim(sbi, "the device is still busy on this node");
}

/* The other nodes need not wait for a mount that is over: its XFS is let go of, and it is not attached again. */
static void mxfs_detach_dead(struct mxfs_sb *sbi, u64 epoch)
{
	if (!mxfs_let_go(sbi)) {
		mxfs_send_result(sbi, MXFS_EV_DETACHED, epoch, 0, 0, NULL);
		return;
	}
	mutex_lock(&sbi->state_lock);
	mxfs_leave_to_umount(sbi, MXFS_DO_DETACH, epoch);
	mutex_unlock(&sbi->state_lock);
}

static bool mxfs_idle(struct mxfs_sb *sbi)
{
	return !atomic_read(&sbi->waiters) &&
	       time_after(jiffies, READ_ONCE(sbi->last_op) + MXFS_IDLE_JIFFIES) &&
	       time_after(jiffies, sbi->change.attached_at + MXFS_IDLE_JIFFIES);
}

static void mxfs_detach(struct mxfs_sb *sbi, u64 epoch)
{
	ktime_t start = ktime_get();
	bool again, detached;
	u64 nanos;
	int err;

	if (READ_ONCE(sbi->state) == MXFS_STATE_ATTACHED) {
		/* What can be written with the gates open need not be written with them closed. */
		mxfs_cache_flush_all(sbi);
		mxfs_sync_lower(sbi->lower->mnt_sb);
	}
	mutex_lock(&sbi->state_lock);
	if (sbi->state == MXFS_STATE_DEAD) {
		mutex_unlock(&sbi->state_lock);
		mxfs_detach_dead(sbi, epoch);
		return;
	}
	/* Broken off by an umount that has begun (mxfs_leave_to_umount()). */
	again = sbi->state == MXFS_STATE_DETACHING;
	if (sbi->state != MXFS_STATE_ATTACHED && !again) {
		detached = sbi->state == MXFS_STATE_DETACHED;
		mutex_unlock(&sbi->state_lock);
		/*
		 * Detached is what has the device: an attach that failed may have lost it, and an umount not have waited for it. To open a device
		 * may take time, and netlink waits for state_lock.
		 */
		err = detached ? mxfs_claim(sbi) : -EIO;
		mxfs_send_result(sbi, MXFS_EV_DETACHED, epoch, err, 0, "not attached");
		return;
	}
	if (epoch < sbi->epoch) { /* it was attached anew after the command came */
		mutex_unlock(&sbi->state_lock);
		mxfs_send_result(sbi, MXFS_EV_DETACHED, epoch, -ESTALE, 0, "attached at a later epoch");
		return;
	}
	mxfs_set_state(sbi, MXFS_STATE_DETACHING);
	mutex_unlock(&sbi->state_lock);

	err = again ? mxfs_let_go(sbi) : mxfs_detach_gates(sbi);
	nanos = ktime_to_ns(ktime_sub(ktime_get(), start));

	mutex_lock(&sbi->state_lock);
	if (err) {
		/* Never say "detached" while XFS may still be mounted: the volume stays with this node. */
		mxfs_leave_to_umount(sbi, MXFS_DO_DETACH, epoch);
		mutex_unlock(&sbi->state_lock);
		return;
	}
	spin_lock(&sbi->stats_lock);
	sbi->stats.detaches++;
	sbi->stats.last_detach_nanos = nanos;
	spin_unlock(&sbi->stats_lock);
	if (sbi->state == MXFS_STATE_DETACHING)
		mxfs_set_state(sbi, MXFS_STATE_DETACHED);
	mutex_unlock(&sbi->state_lock);

	mxfs_debug(sbi, "detached, epoch %llu, %llu us", epoch, nanos / 1000);
	/* Also where the mount was shut down meanwhile: XFS is gone, and the device is ours. */
	mxfs_send_result(sbi, MXFS_EV_DETACHED, epoch, 0, nanos, NULL);
}

/**
 * mxfs_command - have the volume attached or detached
 * @sbi: the mount
 * @kind: what to do
 * @epoch: of the ownership that begins or ends
 * @quantum_ms: for a detach, how long after the attach a busy owner may keep the volume
 * @alone: for an attach, no other node is registered
 *
 * One command at a time; the daemon waits for the event that answers it before it sends the next.
 *
 * Return: 0 when it is on its way; -EBUSY when another one is; -ESTALE for an older epoch; -ESHUTDOWN when umount wants none any
 * more.
 */
int mxfs_command(struct mxfs_sb *sbi, enum mxfs_cmd_kind kind, u64 epoch, u32 quantum_ms, bool alone)
{
	struct mxfs_alone word = {
		.said = alone,
		.portid = READ_ONCE(sbi->daemon.portid),
		.at = ktime_get_boottime_ns(),
	};
	int err = 0;

	mutex_lock(&sbi->state_lock);
	if (epoch < sbi->epoch) { /* an ownership that is over */
		err = -ESTALE;
	} else if (sbi->change.cmd != MXFS_DO_NOTHING) {
		/* A restarted daemon repeats what its predecessor asked for. */
		err = sbi->change.cmd == kind && sbi->change.epoch == epoch ? 0 : -EBUSY;
		/* What that one had seen of the array is not what this one has. */
		if (!err)
			sbi->change.alone = word;
	} else if (sbi->change.unused || (sbi->change.leaving && kind == MXFS_DO_ATTACH)) {
		err = -ESHUTDOWN;
	} else {
		sbi->change.cmd = kind;
		sbi->change.left = false;
		sbi->change.epoch = epoch;
		sbi->change.quantum_ms = quantum_ms;
		sbi->change.alone = word;
		/* Else mxfs_unhold() sees to it, or mxfs_detach_final(). */
		if (!sbi->change.held)
			kthread_queue_delayed_work(sbi->change.worker, &sbi->change.work, 0);
	}
	mutex_unlock(&sbi->state_lock);
	return err;
}

/**
 * mxfs_told_state - the state as a new daemon must hear it
 * @sbi: the mount
 *
 * A command of its predecessor that is still to come counts as begun: a daemon that believed
 * "detached" could let another node have the volume while an attach is under way here. A mount that the kernel has ended is
 * its daemon's to unregister yet: that hears where XFS is, and any attach is refused.
 *
 * Return: the state.
 */
enum mxfs_state mxfs_told_state(struct mxfs_sb *sbi)
{
	enum mxfs_cmd_kind kind;
	enum mxfs_state state;

	mutex_lock(&sbi->state_lock);
	state = sbi->state;
	kind = sbi->change.cmd == MXFS_DO_NOTHING ? sbi->change.doing : sbi->change.cmd;
	if (state == MXFS_STATE_DEAD && !sbi->change.disowned)
		state = kind == MXFS_DO_ATTACH || sbi->change.reattaching ? MXFS_STATE_ATTACHING :
			READ_ONCE(sbi->device.claim)			  ? MXFS_STATE_DETACHED :
									    MXFS_STATE_DETACHING;
	else if (sbi->change.reattaching && state != MXFS_STATE_DEAD)
		state = MXFS_STATE_ATTACHING; /* an EV_ATTACHED comes */
	else if (kind == MXFS_DO_ATTACH &&
		 (state == MXFS_STATE_DETACHED || state == MXFS_STATE_STARTING))
		state = MXFS_STATE_ATTACHING;
	else if (kind == MXFS_DO_DETACH && state == MXFS_STATE_ATTACHED)
		state = MXFS_STATE_DETACHING;
	else if (state == MXFS_STATE_DETACHED && !READ_ONCE(sbi->device.claim))
		state = MXFS_STATE_DETACHING; /* umount has not waited for the device */
	mutex_unlock(&sbi->state_lock);
	return state;
}

void mxfs_cmd_workfn(struct kthread_work *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, change.work.work);
	enum mxfs_cmd_kind kind;
	bool ours;
	u64 epoch;

	mutex_lock(&sbi->state_lock);
	if (sbi->change.held) {
		mutex_unlock(&sbi->state_lock);
		return;
	}
	kind = sbi->change.cmd;
	epoch = sbi->change.epoch;
	/*
	 * Fairness: a busy owner keeps the volume for its quantum, counted from the attach, so that
	 * a change of owner pays for more than one operation; an idle one gives it up at once.
	 */
	if (kind == MXFS_DO_DETACH && sbi->state == MXFS_STATE_ATTACHED && !sbi->frozen &&
	    time_before(jiffies, sbi->change.attached_at + msecs_to_jiffies(sbi->change.quantum_ms)) &&
	    !mxfs_idle(sbi)) {
		kthread_queue_delayed_work(sbi->change.worker, &sbi->change.work, 1);
		mutex_unlock(&sbi->state_lock);
		return;
	}
	/* An XFS that is frozen stays mounted until it is not. Meanwhile this node reads. */
	ours = READ_ONCE(sbi->device.homing);
	if (kind == MXFS_DO_DETACH && sbi->state == MXFS_STATE_ATTACHED && mxfs_lower_is_frozen(sbi)) {
		ours |= READ_ONCE(sbi->device.homing);
		if (!ours && !sbi->change.freeze_told)
			mxfs_warn(sbi, "the device is frozen on this node: other nodes wait for the volume until that is over");
		sbi->change.freeze_told |= !ours;
		kthread_queue_delayed_work(sbi->change.worker, &sbi->change.work, MXFS_THAW_JIFFIES);
		mutex_unlock(&sbi->state_lock);
		return;
	}
	/* Of an ATTACH it is known behind the try. */
	if (kind == MXFS_DO_DETACH)
		sbi->change.freeze_told = false;
	sbi->change.cmd = MXFS_DO_NOTHING;
	sbi->change.doing = kind;
	sbi->lockstate.alone = sbi->change.alone;
	mutex_unlock(&sbi->state_lock);

	switch (kind) {
	case MXFS_DO_ATTACH:
		mxfs_attach(sbi, epoch);
		break;
	case MXFS_DO_DETACH:
		mxfs_detach(sbi, epoch);
		break;
	case MXFS_DO_NOTHING:
		break;
	}
}

/* Return: 0 when XFS is mounted for writing. */
static int mxfs_reattach(struct mxfs_sb *sbi, u64 request)
{
	bool late = false;
	int err;

	err = mxfs_detach_gates(sbi);
	if (err) {
		/* A daemon that came meanwhile waits for an EV_ATTACHED. */
		mxfs_attach_left(sbi, sbi->epoch);
		return err;
	}

	mutex_lock(&sbi->state_lock);
	if (sbi->state == MXFS_STATE_DETACHING) {
		mxfs_set_state(sbi, MXFS_STATE_DETACHED);
		/* The device may have been long in coming. Past the lease, this node may not own the volume any more. */
		late = mxfs_is_stuck(sbi);
	}
	/* Not before: what was mounted until now could not be written to. And not for a remount that does not wait any longer. */
	if (!late && sbi->change.reattach_asked == request)
		WRITE_ONCE(sbi->rdonly, false);
	mutex_unlock(&sbi->state_lock);
	if (late) {
		mxfs_send_result(sbi, MXFS_EV_ATTACHED, sbi->epoch, -ETIME, 0, "the lease ended while XFS was unmounted for a remount");
		return -EBUSY;
	}

	sbi->lockstate.alone.said = false; /* that was then */
	err = mxfs_attach(sbi, sbi->epoch);
	mutex_lock(&sbi->state_lock);
	if (sbi->state == MXFS_STATE_ATTACHED)
		err = sb_rdonly(sbi->lower->mnt_sb) ? -EBUSY : 0;
	else /* The lease is over, or the device is frozen: nothing is wrong with the volume. */
		err = err == -ETIME || err == -EBUSY ? -EBUSY : -EIO;
	if (err)
		WRITE_ONCE(sbi->rdonly, true);
	mutex_unlock(&sbi->state_lock);
	return err;
}

/*
 * XFS unmounted and mounted again, with what a remount has changed, while this node stays the owner.
 * The daemon, which takes part in no other way, hears once more that XFS is attached at its epoch, or that it could not be.
 */
void mxfs_reattach_workfn(struct kthread_work *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, change.reattach_work);
	u64 request;
	int err;

	mutex_lock(&sbi->state_lock);
	request = sbi->change.reattach_asked;
	if (!request) { /* the remount did not wait any longer */
		mutex_unlock(&sbi->state_lock);
		return;
	}
	if (sbi->state == MXFS_STATE_DEAD) {
		err = -EIO;
	} else if (sbi->state != MXFS_STATE_ATTACHED || !sb_rdonly(sbi->lower->mnt_sb)) {
		/* The next attach is as it should be, or this one is, by a request that was not waited for. */
		WRITE_ONCE(sbi->rdonly, false);
		err = 0;
	} else if (!mxfs_may_run(sbi) || mxfs_lower_is_frozen(sbi)) {
		/* past the lease, this node may not own the volume any more */
		err = -EBUSY;
	} else {
		sbi->change.reattaching = true;
		mxfs_set_state(sbi, MXFS_STATE_DETACHING);
		mutex_unlock(&sbi->state_lock);
		err = mxfs_reattach(sbi, request);
		mutex_lock(&sbi->state_lock);
		/* Else umount has yet to answer. */
		if (sbi->state != MXFS_STATE_DETACHING)
			sbi->change.reattaching = false;
	}
	if (sbi->change.reattach_asked == request) {
		sbi->change.reattach_err = err;
		WRITE_ONCE(sbi->change.reattach_asked, 0);
	}
	mutex_unlock(&sbi->state_lock);
	wake_up_all(&sbi->wait);
}

/**
 * mxfs_make_writable - a mount that began read-only becomes one that writes
 * @sbi: the mount, under s_umount
 *
 * Not waited for, because umount could not come then: another program that has the device (mxfs_reclaim()).
 *
 * Return: 0, also where the volume is not attached: the next attach is one for writing; -EBUSY while
 * the daemon is not there, the lease is over, or the device is frozen or another program's; -EIO; -EINTR.
 */
int mxfs_make_writable(struct mxfs_sb *sbi)
{
	u64 request;
	int err;

	mutex_lock(&sbi->state_lock);
	/* What an earlier one has begun may still be under way: its end is not the answer to this one. */
	request = ++sbi->change.reattach_count;
	WRITE_ONCE(sbi->change.reattach_asked, request);
	mutex_unlock(&sbi->state_lock);
	kthread_queue_work(sbi->change.worker, &sbi->change.reattach_work);
	err = wait_event_state(sbi->wait, READ_ONCE(sbi->change.reattach_asked) != request || READ_ONCE(sbi->change.reclaiming),
			       MXFS_WAIT_KILLABLE);
	mutex_lock(&sbi->state_lock);
	if (sbi->change.reattach_asked == request) {
		WRITE_ONCE(sbi->change.reattach_asked, 0);
		err = err ? -EINTR : -EBUSY;
	} else {
		err = sbi->state == MXFS_STATE_DEAD ? -EIO : sbi->change.reattach_err;
	}
	mutex_unlock(&sbi->state_lock);
	return err;
}

/* A dead mount lets go of XFS, which was shut down before, so that umount and rmmod work. */
void mxfs_dead_workfn(struct kthread_work *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, change.dead_work);

	if (!sbi->lower)
		return;
	if (mxfs_detach_gates(sbi))
		mxfs_err(sbi, "the device is still busy after the shutdown");
}

/**
 * mxfs_hold - no command runs until mxfs_unhold(), nor anything else of this module that takes a reference to an inode
 * @sbi: the mount, whose umount has begun: no file is open
 *
 * The VFS wants every inode unreferenced when it ends a superblock ("Busy inodes after unmount" is a crash), while
 * attaching, detaching and reaping look at inodes that are known. What runs already is waited for: a detach ends when
 * XFS has written what it has. What is asked for meanwhile waits.
 */
void mxfs_hold(struct mxfs_sb *sbi)
{
	mutex_lock(&sbi->state_lock);
	WRITE_ONCE(sbi->change.held, true);
	mutex_unlock(&sbi->state_lock);
	/* For mxfs_enter_attached(). */
	wake_up_all(&sbi->wait);
	if (!sbi->change.worker)
		return;
	flush_work(&sbi->change.shutdown_work);
	kthread_cancel_delayed_work_sync(&sbi->change.work);
	kthread_flush_worker(sbi->change.worker);
	cancel_work_sync(&sbi->orphans.work);
	/* It looks at @held; what it had begun ends. */
	flush_work(&sbi->lease.work.work);
}

/**
 * mxfs_unhold - go on, with what was asked for meanwhile first
 * @sbi: the mount, which has no inode any more
 */
void mxfs_unhold(struct mxfs_sb *sbi)
{
	mutex_lock(&sbi->state_lock);
	WRITE_ONCE(sbi->change.held, false);
	/* Not an attach that was broken off: XFS would be mounted in the midst of umount, by a word of before. */
	if (sbi->change.cmd != MXFS_DO_NOTHING && !sbi->change.left)
		kthread_queue_delayed_work(sbi->change.worker, &sbi->change.work, 0);
	if (sbi->state == MXFS_STATE_DEAD)
		kthread_queue_work(sbi->change.worker, &sbi->change.dead_work);
	mutex_unlock(&sbi->state_lock);
}

/**
 * mxfs_distrust_all - what the VFS knows is no answer any more
 * @sbi: the mount
 *
 * Nothing may start at the moment, or never again, although XFS is still mounted. Each inode is moved through a list of its
 * own, so that the lock can be let go in between.
 */
void mxfs_distrust_all(struct mxfs_sb *sbi)
{
	struct mxfs_inode *mi;

	spin_lock(&sbi->bind.lock);
	list_splice_tail_init(&sbi->bind.inodes, &sbi->bind.distrusting);
	while (!list_empty(&sbi->bind.distrusting)) {
		mi = list_first_entry(&sbi->bind.distrusting, struct mxfs_inode, lower_entry);
		list_move_tail(&mi->lower_entry, &sbi->bind.inodes);
		mxfs_distrust(&mi->vfs_inode);
		cond_resched_lock(&sbi->bind.lock);
	}
	spin_unlock(&sbi->bind.lock);
}

/* Return: whether it was not dead before. */
static bool mxfs_declare_dead(struct mxfs_sb *sbi, const char *why)
{
	bool first;

	mutex_lock(&sbi->state_lock);
	first = sbi->state != MXFS_STATE_DEAD;
	if (first) {
		mxfs_err(sbi, "shutting down: %s; unmount it and mount it again", why);
		mxfs_set_state(sbi, MXFS_STATE_DEAD);
	}
	mutex_unlock(&sbi->state_lock);
	return first;
}

static void mxfs_shut_lower(struct mxfs_sb *sbi)
{
	struct vfsmount *mnt;

	mxfs_distrust_all(sbi);

	/* The innermost gate keeps ->lower from going away under us; it is closed last. */
	if (mxfs_gate_enter(&sbi->wb_gate)) {
		mnt = sbi->lower;
		if (mnt->mnt_sb->s_op->shutdown)
			mnt->mnt_sb->s_op->shutdown(mnt->mnt_sb);
		mxfs_gate_leave(&sbi->wb_gate);
	}

	mutex_lock(&sbi->state_lock);
	/* Else mxfs_unhold() sees to it, or mxfs_detach_final(). */
	if (!sbi->change.held)
		kthread_queue_work(sbi->change.worker, &sbi->change.dead_work);
	mutex_unlock(&sbi->state_lock);
}

/**
 * mxfs_shutdown - stop this mount for good
 * @sbi: the mount
 * @why: one line for the kernel log
 *
 * For a node that was fenced, or whose daemon cannot be had back. At once: XFS below is shut down
 * before this returns, because an idle owner would go on serving stale reads and accepting creates
 * until its log worker wrote (31 s were measured). Only umount is left after it. Waits for the disk: XFS forces its log.
 */
void mxfs_shutdown(struct mxfs_sb *sbi, const char *why)
{
	if (mxfs_declare_dead(sbi, why))
		mxfs_shut_lower(sbi);
}

/**
 * mxfs_shutdown_soon - as mxfs_shutdown(), for who must not wait for a disk
 * @sbi: the mount, with a reference
 * @why: one line for the kernel log
 *
 * Nothing starts any more when this returns, and names and permissions that the VFS knows are no answer. The rest has a work of its
 * own, not the mount's thread: that may be in a detach which waits for the same disk.
 */
void mxfs_shutdown_soon(struct mxfs_sb *sbi, const char *why)
{
	if (!mxfs_declare_dead(sbi, why))
		return;
	mxfs_distrust_all(sbi);
	queue_work(mxfs_wq, &sbi->change.shutdown_work);
}

/* Maps take references to inodes: umount waits for this work, and then there is nobody who could read (mxfs_hold()). */
void mxfs_shutdown_workfn(struct work_struct *work)
{
	struct mxfs_sb *sbi = container_of(work, struct mxfs_sb, change.shutdown_work);

	/* First, because XFS may wait for the disk; the rest of it after that, because it may wait for pages to be read. */
	if (!READ_ONCE(sbi->change.held))
		mxfs_cache_unmap(sbi);
	mxfs_shut_lower(sbi);
	if (!READ_ONCE(sbi->change.held))
		mxfs_cache_unmap_all(sbi, NULL);
}

/**
 * mxfs_detach_final - let go of XFS at umount, or at the end of a mount that failed
 * @sbi: the mount, held, without an inode
 *
 * Also the answer to a detach that the daemon has asked for meanwhile.
 */
void mxfs_detach_final(struct mxfs_sb *sbi)
{
	ktime_t start = ktime_get();
	enum mxfs_cmd_kind kind;
	u64 epoch;
	int err = 0;

	mutex_lock(&sbi->state_lock);
	sbi->change.leaving = true;
	sbi->daemon.leave_by = jiffies + MXFS_LEAVE_JIFFIES;
	if (sbi->state == MXFS_STATE_ATTACHED)
		mxfs_set_state(sbi, MXFS_STATE_DETACHING);
	mutex_unlock(&sbi->state_lock);

	if (sbi->lower)
		err = mxfs_detach_gates(sbi);
	/* Where no daemon was started a mount that fails need not wait. One that was, and has died, may be followed by another now. */
	if (sbi->device.stays)
		err = mxfs_claim_within(sbi, sbi->daemon.pid ? MXFS_LEAVE_JIFFIES : 0);
	if (err && (sbi->daemon.pid || sbi->key))
		mxfs_err(sbi, "the device is still busy after the unmount of XFS (%pe): this node does not leave the cluster, and has to be fenced",
			 ERR_PTR(err));

	mutex_lock(&sbi->state_lock);
	if (sbi->state == MXFS_STATE_DETACHING)
		mxfs_set_state(sbi, MXFS_STATE_DETACHED);
	sbi->change.unused = !err;
	kind = sbi->change.cmd;
	epoch = sbi->change.epoch;
	sbi->change.cmd = MXFS_DO_NOTHING;
	mutex_unlock(&sbi->state_lock);
	if (kind == MXFS_DO_DETACH)
		mxfs_send_result(sbi, MXFS_EV_DETACHED, epoch, err, ktime_to_ns(ktime_sub(ktime_get(), start)),
				 err ? "the device is still busy after the unmount" : NULL);
	else if (kind == MXFS_DO_ATTACH)
		mxfs_send_result(sbi, MXFS_EV_ATTACHED, epoch, -ESHUTDOWN, 0, "the volume is being unmounted");
}
