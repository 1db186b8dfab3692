// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: what XFS's log has is written to its place, for those that read the disk and replay no log.
 */
#include <linux/fs.h>
#include <linux/writeback.h>
#include "compat.h"
#include "local/home.h"

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
 * It takes as long as the longest write that is under way below, and what XFS has not written yet; new ones wait for that.
 *
 * Return: 0; -EBUSY or -EINTR: all is as before, and it may be tried again; -ESHUTDOWN: XFS does not go on, and was shut down;
 * another error of its disk.
 */
int mxfs_write_home(struct mxfs_sb *sbi)
{
	struct super_block *lower = sbi->lower->mnt_sb;
	int err;

	down_read(&lower->s_umount);
	err = sync_filesystem(lower);
	up_read(&lower->s_umount);
	if (err)
		return err == -ESHUTDOWN ? -EIO : err;
	err = mxfs_freeze_lower(lower);
	/* Another's freeze is under way: refused, or who waited for its end was killed. */
	if (err == -EBUSY || err == -EINTR || err == -ERESTARTSYS)
		return err == -EBUSY ? err : -EINTR;
	if (!err)
		err = mxfs_thaw_lower(lower);
	if (!err)
		return 0;
	mxfs_err(sbi, "XFS was frozen to write its log home, and does not go on (%pe)", ERR_PTR(err));
	if (lower->s_op->shutdown)
		lower->s_op->shutdown(lower);
	return -ESHUTDOWN;
}
