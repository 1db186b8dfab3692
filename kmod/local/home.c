// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: what XFS's log has is written to its place, for those that read the disk and replay no log.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/workqueue.h>
#include <linux/writeback.h>
#include "compat.h"
#include "local/home.h"

#define MXFS_HOME_TOLD 30 /* seconds */

static unsigned int home_seconds = 300;
module_param(home_seconds, uint, 0644);
MODULE_PARM_DESC(home_seconds, "how long XFS may take to write its log home before it is shut down, in seconds (300); 0: for ever");

/* Looks at a write home once a second. */
struct mxfs_home {
	struct delayed_work work;
	struct mxfs_sb *sbi;
	unsigned int looks; /* that found it writing what its log has, one after another */
};

/* XFS tries a metadata block that the disk does not take for ever (fs/xfs/xfs_buf.c: xfs_buf_ioend_handle_error()). */
static void mxfs_home_workfn(struct work_struct *work)
{
	struct mxfs_home *home = container_of(to_delayed_work(work), struct mxfs_home, work);
	struct super_block *lower = home->sbi->lower->mnt_sb;
	unsigned int seconds = READ_ONCE(home_seconds);
	bool ours = READ_ONCE(home->sbi->device.homing);

	/* What comes before waits for writers, and for data: that it takes long is no fault. Another's freeze that is waited for counts: the disk is the same. */
	home->looks = ours && READ_ONCE(lower->s_writers.frozen) == SB_FREEZE_FS ? home->looks + 1 : 0;
	/* A mount that failed, or was given up, is used by nobody, and its process waits for this. */
	if (READ_ONCE(home->sbi->state) != MXFS_STATE_DEAD && !READ_ONCE(home->sbi->daemon.failed)) {
		if (!seconds || home->looks <= seconds) {
			if (home->looks == MXFS_HOME_TOLD && seconds)
				mxfs_warn(home->sbi,
					  "XFS has been writing its log home for %u s, and is shut down after %u (/sys/module/mxfs/parameters/home_seconds, 0: never)",
					  home->looks, seconds);
			else if (home->looks == MXFS_HOME_TOLD)
				mxfs_warn(home->sbi,
					  "XFS has been writing its log home for %u s, and nobody has the volume until it is done (/sys/module/mxfs/parameters/home_seconds is 0)",
					  home->looks);
			queue_delayed_work(mxfs_wq, &home->work, HZ);
			return;
		}
		mxfs_err(home->sbi,
			 "XFS could not write its log home within %u s, and is shut down: its lines before this one say what the disk does not take",
			 seconds);
	}
	/* It waits for the log, and not for what that has. Where the node was fenced mxfs_shut_lower() may find no gate open. */
	lower->s_op->shutdown(lower);
}

/**
 * mxfs_lower_is_down - whether XFS has been shut down
 * @mnt: XFS, mounted
 *
 * XFS shuts itself down when it cannot go on (a log that cannot be written, metadata that makes no sense). It says so here.
 */
bool mxfs_lower_is_down(struct vfsmount *mnt)
{
	struct path path = { .mnt = mnt, .dentry = mnt->mnt_root };
	struct kstat stat = {};

	return d_inode(path.dentry)->i_op->getattr(&nop_mnt_idmap, &path, &stat, STATX_TYPE, AT_STATX_DONT_SYNC) == -EIO;
}

int mxfs_sync_lower(struct super_block *lower)
{
	int err;

	down_read(&lower->s_umount);
	err = sync_filesystem(lower);
	up_read(&lower->s_umount);
	return err;
}

/* Return: 0; -EBUSY, -EINTR; or another error, after which XFS does not go on. */
static int mxfs_home_freeze(struct mxfs_sb *sbi, struct super_block *lower)
{
	int err = mxfs_freeze_lower(lower);

	/* Another's freeze is under way: refused, or who waited for its end was killed. */
	if (err == -EBUSY || err == -EINTR || err == -ERESTARTSYS)
		return err == -EBUSY ? err : -EINTR;
	if (!err)
		err = mxfs_thaw_lower(lower);
	if (!err || mxfs_lower_is_down(sbi->lower))
		return err;
	mxfs_err(sbi, "XFS was frozen to write its log home, and does not go on (%pe)", ERR_PTR(err));
	if (lower->s_op->shutdown)
		lower->s_op->shutdown(lower);
	return err;
}

/**
 * mxfs_write_home - XFS writes to its place what only its log has
 * @sbi: the mount, attaching or in the operation gate; XFS is mounted writable
 *
 * For what is read without log recovery: by a probe, and before XFS is mounted. XFS does that when it is frozen
 * (fs/xfs/xfs_log.c: xfs_log_quiesce()).
 *
 * A disk that fails shows in a sync before: a freeze that fails in its own does not thaw (fs/super.c: freeze_super()), and XFS has
 * stopped freeing inodes by then (fs/xfs/xfs_super.c: xfs_fs_sync_fs()).
 *
 * It takes as long as the longest write that is under way below, and what XFS has not written yet; new ones wait for that. What its log has
 * is written within home_seconds, or XFS is shut down. That begins within a second where the mount is dead, which XFS may not notice (its log
 * is written), or has failed.
 *
 * Return: 0; -EBUSY or -EINTR: all is as before, and it may be tried again; -ESHUTDOWN: XFS does not go on, and was shut down;
 * another error of its disk.
 */
int mxfs_write_home(struct mxfs_sb *sbi)
{
	struct super_block *lower = sbi->lower->mnt_sb;
	struct mxfs_home home = { .sbi = sbi };
	int err;

	INIT_DELAYED_WORK_ONSTACK(&home.work, mxfs_home_workfn);
	if (lower->s_op->shutdown)
		queue_delayed_work(mxfs_wq, &home.work, HZ);
	err = mxfs_sync_lower(lower);
	/* A disk that fails does not come as one that refuses. */
	if (err == -EBUSY || err == -EINTR)
		err = -EIO;
	WRITE_ONCE(sbi->device.homing, true);
	if (!err)
		err = mxfs_home_freeze(sbi, lower);
	WRITE_ONCE(sbi->device.homing, false);
	/* Behind the thaw: it may wait for the log. */
	cancel_delayed_work_sync(&home.work);
	destroy_delayed_work_on_stack(&home.work);
	/* A freeze succeeds where XFS is shut down meanwhile, and what its log had is not written. */
	if (mxfs_lower_is_down(sbi->lower))
		return -ESHUTDOWN;
	return err == -ESHUTDOWN ? -EIO : err;
}
