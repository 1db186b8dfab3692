// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: the ioctls that mean the same here as below.
 */
#include <linux/blkdev.h>
#include <linux/compat.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/uaccess.h>
#include "data/data.h"
#include "enter.h"
#include "local/bind.h"

#define MXFS_LABEL_BYTES 13 /* XFSLABEL_MAX + 1 (fs/xfs/libxfs/xfs_fs.h) */
#define MXFS_TRIM_LEAST SZ_1M /* of the disk at a time, at first */
#define MXFS_TRIM_MOST SZ_128M
#define MXFS_TRIM_JIFFIES (HZ / 20) /* that a piece may take */

/* What XFS copies from or to user memory for an ioctl that passes, FITRIM excepted. */
static size_t mxfs_ioctl_bytes(unsigned int cmd)
{
	return cmd == FS_IOC_GETVERSION ? sizeof(int) : MXFS_LABEL_BYTES;
}

/* One attempt that takes no page fault: the memory may be long in coming. */
static long mxfs_ioctl_nofault(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mxfs_sb *sbi = MXFS_ISB(file_inode(file));
	struct file *lower;
	long ret;

	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower)) {
		ret = PTR_ERR(lower);
	} else {
		pagefault_disable();
		ret = lower->f_op->unlocked_ioctl(lower, cmd, arg);
		pagefault_enable();
	}
	mxfs_leave(sbi);
	return ret;
}

static long mxfs_ioctl_small(struct file *file, unsigned int cmd, unsigned long arg)
{
	size_t bytes = mxfs_ioctl_bytes(cmd);
	long ret;

	for (;;) {
		ret = mxfs_ioctl_nofault(file, cmd, arg);
		if (ret != -EFAULT)
			return ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (_IOC_DIR(cmd) & _IOC_WRITE ? fault_in_readable((char __user *)arg, bytes) :
						 fault_in_writeable((char __user *)arg, bytes))
			return -EFAULT;
	}
}

/* One range, which XFS reads and writes in the caller's memory. */
static long mxfs_trim_piece(struct file *file, struct fstrim_range __user *urange, const struct fstrim_range *range)
{
	long err;

	do {
		if (copy_to_user(urange, range, sizeof(*range)))
			return -EFAULT;
		if (fatal_signal_pending(current))
			return -EINTR;
		err = mxfs_ioctl_nofault(file, FITRIM, (unsigned long)urange);
	} while (err == -EFAULT);
	return err;
}

/*
 * FITRIM takes as long as the disk needs to forget all that is free; a change of owner need not wait for that. How much of a disk that
 * is in some time, only trying tells: a piece may have one free extent, or hundreds of thousands. The first
 * piece finds out what is wrong with the request.
 */
static long mxfs_trim(struct file *file, struct fstrim_range __user *urange)
{
	struct mxfs_sb *sbi = MXFS_ISB(file_inode(file));
	u64 size = sbi->geo.blocks * sbi->geo.blocksize, least, piece, end, done = 0;
	unsigned long began, took;
	struct fstrim_range all, range;
	long err = 0;

	if (copy_from_user(&all, urange, sizeof(all)))
		return -EFAULT;
	/*
	 * A piece shorter than a block would be refused, and one that is little longer than @minlen would find little. XFS takes
	 * what the disk can forget at a time for @minlen where that is more.
	 */
	all.minlen = max_t(u64, all.minlen, bdev_discard_granularity(file_bdev(sbi->device.pin)));
	least = max_t(u64, MXFS_TRIM_LEAST, all.minlen < size ? all.minlen * 16 : size);
	piece = least;
	end = all.len > size || all.start > size - all.len ? size : all.start + all.len;
	range = all;
	do {
		range.len = end > range.start && end - range.start >= 2 * piece ? piece :
			    range.start == all.start ? all.len : end - range.start;
		began = jiffies;
		err = mxfs_trim_piece(file, urange, &range);
		took = jiffies - began;
		if (err || copy_from_user(&all.len, &urange->len, sizeof(all.len)))
			return err ?: -EFAULT;
		done += all.len;
		range.start += range.len;
		if (took > MXFS_TRIM_JIFFIES)
			piece = max(piece / 2, least);
		else if (took < MXFS_TRIM_JIFFIES / 4)
			piece = max(min_t(u64, piece * 2, MXFS_TRIM_MOST), least);
	} while (range.start < end && range.start > all.start);
	all.len = done;
	return copy_to_user(urange, &all, sizeof(all)) ? -EFAULT : 0;
}

/*
 * Few ioctls pass: those that mean the same here as below. XFS's own would reach around this module
 * (swap extents, open by handle, shut down).
 */
long mxfs_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	long ret;

	switch (cmd) {
	case FITRIM:
		ret = mxfs_trim(file, (struct fstrim_range __user *)arg);
		break;
	case FS_IOC_GETVERSION:
	case FS_IOC_GETFSLABEL:
		ret = mxfs_ioctl_small(file, cmd, arg);
		break;
	case FS_IOC_SETFSLABEL:
		if (!capable(CAP_SYS_ADMIN))
			return -EPERM;
		/* XFS asks the mount below, which stays rw when this one becomes ro. */
		ret = mnt_want_write_file(file);
		if (ret)
			break;
		ret = mxfs_ioctl_small(file, cmd, arg);
		mnt_drop_write_file(file);
		break;
	default:
		return -ENOTTY;
	}
	return ret == -ENOIOCTLCMD ? -ENOTTY : ret;
}

#ifdef CONFIG_COMPAT
long mxfs_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	/* The number says the size of what is copied, which is the same. */
	if (cmd == FS_IOC32_GETVERSION)
		cmd = FS_IOC_GETVERSION;
	return mxfs_ioctl(file, cmd, (unsigned long)compat_ptr(arg));
}
#endif
