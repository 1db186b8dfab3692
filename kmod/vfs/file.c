// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: open files.
 */
#include <linux/fs.h>
#include <linux/splice.h>
#include "backend.h"
#include "data/data.h"
#include "local/local.h"
#include "pages/cache.h"
#include "vfs/vfs.h"

int mxfs_open(struct inode *inode, struct file *file)
{
	struct mxfs_op op;
	int err;

	/*
	 * The name may have gone on another node since it was looked up: the VFS looks again then (ESTALE). What was
	 * removed here since then is opened as on XFS: who is here holds it, and local/orphan.c keeps what is held.
	 */
	err = mxfs_begin(&op, MXFS_ISB(inode));
	if (err)
		return err;
	err = mxfs_call(&op, open, inode);
	/* generic_file_open(), by the size as it is now: a program whose numbers are too small for it */
	if (!err && unlikely(!(file->f_flags & O_LARGEFILE)) && S_ISREG(inode->i_mode)) {
		err = op.ops->refresh(inode);
		if (!err && i_size_read(inode) > MAX_NON_LFS)
			err = -EOVERFLOW;
	}
	mxfs_end(&op);
	if (err)
		return err;
	/* Many files are opened for nothing but their creation or their attributes. */
	file->private_data = NULL;
	if (S_ISREG(inode->i_mode))
		file->f_mode |= FMODE_CAN_ODIRECT | FMODE_NOWAIT;
	return 0;
}

const struct file_operations mxfs_file_fops = {
	.owner = THIS_MODULE,
	.open = mxfs_open,
	.release = mxfs_release,
	.llseek = mxfs_llseek,
	.read_iter = mxfs_read_iter,
	.write_iter = mxfs_write_iter,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.mmap = mxfs_mmap,
	.fsync = mxfs_fsync,
	.fallocate = mxfs_fallocate,
	.copy_file_range = mxfs_copy_file_range,
	.remap_file_range = mxfs_remap_file_range,
	.unlocked_ioctl = mxfs_ioctl,
	.compat_ioctl = mxfs_compat_ioctl,
	.fadvise = mxfs_fadvise,
};
