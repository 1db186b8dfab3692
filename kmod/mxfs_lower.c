// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: the device, and XFS mounted on it.
 */
#include <linux/blkdev.h>
#include <linux/file.h>
#include "mxfs.h"

#define MXFS_PROBE_TRIES 5

int mxfs_claim(struct mxfs_sb *sbi)
{
	struct file *claim;

	claim = bdev_file_open_by_dev(sbi->dev, BLK_OPEN_READ, sbi, NULL);
	if (IS_ERR(claim))
		return PTR_ERR(claim);
	sbi->claim = claim;
	return 0;
}

void mxfs_unclaim(struct mxfs_sb *sbi)
{
	if (sbi->claim)
		bdev_fput(sbi->claim);
	sbi->claim = NULL;
}

/**
 * mxfs_lower_mount - mount the XFS of this volume
 * @sbi: the mount; its claim on the device is given up for it
 * @probe: read-only and without log recovery, so that not one block is written
 *
 * Return: the mount; or an ERR_PTR, with the claim taken again where that is possible.
 */
struct vfsmount *mxfs_lower_mount(struct mxfs_sb *sbi, bool probe)
{
	struct file_system_type *type;
	struct fs_context *fc;
	struct vfsmount *mnt;
	unsigned int flags = SB_KERNMOUNT;
	int err;

	type = get_fs_type("xfs");
	if (!type)
		return ERR_PTR(-ENODEV);
	if (probe || sbi->rdonly)
		flags |= SB_RDONLY;
	fc = fs_context_for_mount(type, flags);
	module_put(type->owner); /* what put_filesystem(), which is not exported, does */
	if (IS_ERR(fc))
		return ERR_CAST(fc);
	err = mxfs_parse_string(fc, "source", sbi->source);
	if (!err && probe)
		err = mxfs_parse_string(fc, "norecovery", NULL);
	if (err) {
		put_fs_context(fc);
		return ERR_PTR(err);
	}

	mxfs_unclaim(sbi);
	mnt = mxfs_kernel_mount(fc);
	put_fs_context(fc);
	if (IS_ERR(mnt)) {
		if (mxfs_claim(sbi))
			mxfs_warn(sbi, "the device was taken by somebody else on this node");
		return mnt;
	}
	/*
	 * A user's own `mount -t xfs` that slipped in before shares this superblock: it would keep
	 * XFS mounted after a hand-over. One that comes later is refused by the retired superblock
	 * (fs/super.c: super_s_dev_test()).
	 */
	if (atomic_read(&mnt->mnt_sb->s_active) != 1) {
		mxfs_err(
			sbi,
			"the device is also mounted as plain xfs on this node; unmount that first");
		mxfs_kernel_unmount(mnt);
		return ERR_PTR(-EBUSY);
	}
	mnt->mnt_sb->s_iflags |= SB_I_RETIRED;
	if (mnt->mnt_sb->s_uuid_len != MXFS_UUID_SIZE ||
	    memcmp(&mnt->mnt_sb->s_uuid, sbi->geo.uuid, MXFS_UUID_SIZE)) {
		mxfs_err(sbi, "the device carries another volume now (UUID %pU, expected %pU)",
			 &mnt->mnt_sb->s_uuid, sbi->geo.uuid);
		mxfs_kernel_unmount(mnt);
		mxfs_claim(sbi);
		return ERR_PTR(-ESTALE);
	}
	/* Upper mounts decide about atime; without this every read would write. */
	mnt->mnt_flags |= MNT_RELATIME;
	return mnt;
}

/**
 * mxfs_probe - let XFS's own verifiers look at the volume, and take from it what the upper
 * superblock needs
 * @sbi: the mount, validated, holding its claim
 * @fc: where mount(8) reads messages
 *
 * Another node may own the volume and write to it meanwhile, so a probe can catch metadata in
 * motion: it is repeated, a bounded number of times.
 */
int mxfs_probe(struct mxfs_sb *sbi, struct fs_context *fc)
{
	struct super_block *sb = sbi->sb;
	struct vfsmount *mnt;
	struct inode *root;
	int try, err;

	for (try = 1;; try++) {
		mnt = mxfs_lower_mount(sbi, true);
		if (!IS_ERR(mnt))
			break;
		if (try == MXFS_PROBE_TRIES || PTR_ERR(mnt) == -ENODEV || PTR_ERR(mnt) == -EBUSY ||
		    fatal_signal_pending(current)) {
			errorf(fc,
			       "mxfs: XFS refuses %s (%pe after %d tries); see the lines of XFS in the kernel log",
			       sbi->source, mnt, try);
			mxfs_err(sbi, "XFS refuses the volume (%pe after %d tries)", mnt,
				 try);
			return PTR_ERR(mnt);
		}
	}
	root = d_inode(mnt->mnt_root);
	sb->s_maxbytes = mnt->mnt_sb->s_maxbytes;
	sb->s_time_gran = mnt->mnt_sb->s_time_gran;
	sb->s_time_min = mnt->mnt_sb->s_time_min;
	sb->s_time_max = mnt->mnt_sb->s_time_max;
	sb->s_blocksize = mnt->mnt_sb->s_blocksize;
	sb->s_blocksize_bits = mnt->mnt_sb->s_blocksize_bits;
	sb->s_stack_depth = mnt->mnt_sb->s_stack_depth + 1;
	err = -ENOMEM;
	{
		struct inode *inode = mxfs_iget(sb, mnt->mnt_root, false);

		if (IS_ERR(inode)) {
			err = PTR_ERR(inode);
		} else {
			mxfs_copy_attr(inode, root);
			sb->s_root = d_make_root(inode);
			if (sb->s_root)
				err = 0;
		}
	}
	/* The root's lower dentry belongs to the probe. */
	if (sb->s_root) {
		struct mxfs_inode *mi = MXFS_I(d_inode(sb->s_root));
		struct dentry *lower;

		spin_lock(&sbi->lower_lock);
		lower = mxfs_take_lower(mi);
		spin_unlock(&sbi->lower_lock);
		dput(lower);
		mi->attr_seq = 0;
	}
	mxfs_kernel_unmount(mnt);
	if (err)
		return err;
	err = mxfs_claim(sbi);
	if (err)
		errorf(fc, "mxfs: %s was taken by somebody else on this node", sbi->source);
	return err;
}
