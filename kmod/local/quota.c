// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: quotactl(2) goes to XFS, on the node that owns the volume.
 */
#include <linux/fs.h>
#include <linux/quota.h>
#include "local/home.h"
#include "local/local.h"
#include "local/validate.h"

#define MXFS_QUOTA_JIFFIES (30 * HZ) /* to wait for ownership */

/*
 * Enters the gate, taking ownership first where this node does not have it. Not without bound:
 * quotactl(2) comes with s_umount, which umount waits for unkillably, and sync(2) of the machine behind it. Nor is the end of a freeze waited
 * for: quotactl_block() of fs/quota/quota.c, which lets go of s_umount for that, looks at the upper superblock, and whoever suspends the device
 * keeps readers waiting, too.
 *
 * Return: XFS's superblock, and mxfs_leave_quota() has to follow; or an ERR_PTR, -ETIMEDOUT and -EBUSY among them.
 */
static struct super_block *mxfs_enter_quota(struct super_block *sb, bool change)
{
	struct mxfs_sb *sbi = MXFS_SB(sb);
	struct super_block *lower;
	int err;

	/* XFS below may be writable: a mount that became read-only by a remount. */
	if (change && sb_rdonly(sb))
		return ERR_PTR(-EROFS);
	if (!mxfs_try_enter(sbi)) {
		err = mxfs_enter_within(sbi, MXFS_QUOTA_JIFFIES);
		if (err)
			return ERR_PTR(err);
	}
	lower = sbi->lower->mnt_sb;
	err = -EOPNOTSUPP;
	if (lower->s_qcop) {
		if (sb_start_write_trylock(lower))
			return lower;
		err = -EBUSY;
	}
	mxfs_leave(sbi);
	return ERR_PTR(err);
}

static void mxfs_leave_quota(struct super_block *sb, struct super_block *lower)
{
	sb_end_write(lower);
	mxfs_leave(MXFS_SB(sb));
}

static int mxfs_get_state(struct super_block *sb, struct qc_state *state)
{
	struct super_block *lower = mxfs_enter_quota(sb, false);
	int err = -EOPNOTSUPP;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (lower->s_qcop->get_state)
		err = lower->s_qcop->get_state(lower, state);
	mxfs_leave_quota(sb, lower);
	return err;
}

static int mxfs_set_info(struct super_block *sb, int type, struct qc_info *info)
{
	struct super_block *lower = mxfs_enter_quota(sb, true);
	int err = -EOPNOTSUPP;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (lower->s_qcop->set_info)
		err = lower->s_qcop->set_info(lower, type, info);
	mxfs_leave_quota(sb, lower);
	return err;
}

/* In the gate. Which quotas are on is read before XFS's log is replayed (local/mount.c). Return: 0, or the error of a disk that fails. */
static int mxfs_quota_told(struct mxfs_sb *sbi)
{
	struct super_block *lower = sbi->lower->mnt_sb;
	int err = mxfs_write_home(sbi);
	u16 quotas;

	/* What met the freeze gave its turn up (local/orphan.c). */
	queue_work(system_unbound_wq, &sbi->orphans.work);
	WRITE_ONCE(sbi->device.home_due, !!err);
	if (err) {
		mxfs_warn(sbi, "which quotas are on is in XFS's log only, and a crash may undo it (%pe)", ERR_PTR(err));
		return err == -EBUSY || err == -EINTR ? 0 : -EIO;
	}
	/* Else the next attach asks the disk. */
	if (!sb_start_write_trylock(lower))
		return 0;
	if (!mxfs_read_quotas(sbi, &quotas))
		WRITE_ONCE(sbi->device.quotas, quotas);
	sb_end_write(lower);
	return 0;
}

/*
 * XFS notes it by a transaction that waits for no freeze (fs/xfs/libxfs/xfs_sb.c: xfs_sync_sb()). What a command has changed that could not
 * write it home is tried by the same command again.
 */
static int mxfs_quota_switch(struct super_block *sb, unsigned int flags, bool on)
{
	struct super_block *lower = mxfs_enter_quota(sb, true);
	struct mxfs_sb *sbi = MXFS_SB(sb);
	const struct quotactl_ops *ops;
	int err = -EOPNOTSUPP, home = 0;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	ops = lower->s_qcop;
	if (on ? ops->quota_enable : ops->quota_disable)
		err = on ? ops->quota_enable(lower, flags) : ops->quota_disable(lower, flags);
	/* Not within a freeze of our own. */
	sb_end_write(lower);
	if (!err || (err == -EEXIST && READ_ONCE(sbi->device.home_due)))
		home = mxfs_quota_told(sbi);
	mxfs_leave(sbi);
	return home ?: err;
}

static int mxfs_quota_enable(struct super_block *sb, unsigned int flags)
{
	return mxfs_quota_switch(sb, flags, true);
}

static int mxfs_quota_disable(struct super_block *sb, unsigned int flags)
{
	return mxfs_quota_switch(sb, flags, false);
}

static int mxfs_rm_xquota(struct super_block *sb, unsigned int flags)
{
	struct super_block *lower = mxfs_enter_quota(sb, true);
	int err = -EOPNOTSUPP;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (lower->s_qcop->rm_xquota)
		err = lower->s_qcop->rm_xquota(lower, flags);
	mxfs_leave_quota(sb, lower);
	return err;
}

static int mxfs_get_dqblk(struct super_block *sb, struct kqid id, struct qc_dqblk *dqblk)
{
	struct super_block *lower = mxfs_enter_quota(sb, false);
	int err = -EOPNOTSUPP;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (lower->s_qcop->get_dqblk)
		err = lower->s_qcop->get_dqblk(lower, id, dqblk);
	mxfs_leave_quota(sb, lower);
	return err;
}

static int mxfs_get_nextdqblk(struct super_block *sb, struct kqid *id, struct qc_dqblk *dqblk)
{
	struct super_block *lower = mxfs_enter_quota(sb, false);
	int err = -EOPNOTSUPP;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (lower->s_qcop->get_nextdqblk)
		err = lower->s_qcop->get_nextdqblk(lower, id, dqblk);
	mxfs_leave_quota(sb, lower);
	return err;
}

static int mxfs_set_dqblk(struct super_block *sb, struct kqid id, struct qc_dqblk *dqblk)
{
	struct super_block *lower = mxfs_enter_quota(sb, true);
	int err = -EOPNOTSUPP;

	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (lower->s_qcop->set_dqblk)
		err = lower->s_qcop->set_dqblk(lower, id, dqblk);
	mxfs_leave_quota(sb, lower);
	return err;
}

const struct quotactl_ops mxfs_quota_ops = {
	.get_state = mxfs_get_state,
	.set_info = mxfs_set_info,
	.quota_enable = mxfs_quota_enable,
	.quota_disable = mxfs_quota_disable,
	.rm_xquota = mxfs_rm_xquota,
	.get_dqblk = mxfs_get_dqblk,
	.get_nextdqblk = mxfs_get_nextdqblk,
	.set_dqblk = mxfs_set_dqblk,
};
