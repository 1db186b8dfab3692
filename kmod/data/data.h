/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: the data of files, through the lower file.
 *
 * Data goes to and from XFS's page cache; a file
 * that is also mapped has pages above (pages/cache.c), which are written back before a read and
 * dropped before a write.
 *
 * User memory is never waited for inside the gate, nor with a lower lock. It may be a map of a file on this very
 * volume, whose faults take the lower inode's lock and wait for ownership; of a file of another volume, whose owner
 * waits for this one; of a dead server; or be served by a program that never answers (userfaultfd, FUSE), which
 * any user can write: a detach waits for who is inside the gate, and the other nodes for the detach. So below the copy
 * runs with page faults disabled, as in fs/gfs2/file.c, and what was not in memory is faulted in between, outside; then
 * all is as for a new request: another node may have had the volume, the lower file may be another. For O_DIRECT, XFS
 * would pin the memory with the inode locked; it is pinned before, and XFS gets the pages.
 *
 * So a request is one piece for everybody, as on XFS, where the inode is locked from its beginning to its end, only as long as
 * all of its memory is there when the gate is entered. What is appended has its memory pinned first, because what another
 * node appends in between cannot be undone; pinned memory cannot be reclaimed, so that is bounded (mxfs_pin_room()). For any
 * other write the memory is brought in first, which it may leave again before it is used; then the rest is a second piece. A read that
 * found its memory missing begins anew when that is there.
 */
#ifndef _MXFS_DATA_DATA_H
#define _MXFS_DATA_DATA_H

#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include "inode.h"

#define MXFS_FAULT_IN_MAX SZ_1M /* user memory to fault in at a time, once a request is in pieces */
#define MXFS_WHOLE_MAX SZ_64M /* of a request that is to be one piece */

struct mxfs_aio;

/* read.c */
ssize_t mxfs_read_iter(struct kiocb *iocb, struct iov_iter *to);
ssize_t mxfs_rw_cloned(struct kiocb *iocb, struct iov_iter *iter, struct file *lower, bool write);
void mxfs_touch_atime(struct file *file, struct mxfs_open *open, const struct file *lower);

/* write.c */
ssize_t mxfs_write_iter(struct kiocb *iocb, struct iov_iter *from);
struct mxfs_range mxfs_write_range(const struct kiocb *iocb, const struct iov_iter *iter, const struct file *lower);
ssize_t mxfs_write_once(struct kiocb *iocb, struct iov_iter *iter, struct file *lower, struct mxfs_aio *aio);
ssize_t mxfs_heard(struct kiocb *iocb, ssize_t ret, bool told);
bool mxfs_at_limit(const struct kiocb *iocb);

/* direct.c */
ssize_t mxfs_direct(struct kiocb *iocb, struct iov_iter *iter, bool write);
ssize_t mxfs_rw_pinned(struct kiocb *iocb, struct iov_iter *iter, bool write);
ssize_t mxfs_aio_write(struct mxfs_aio *aio, struct iov_iter *iter, struct file *lower, errseq_t since);
int mxfs_direct_create(void);
void mxfs_direct_destroy(void);

/* file.c */
int mxfs_release(struct inode *inode, struct file *file) __mxfs_hot;
loff_t mxfs_llseek(struct file *file, loff_t offset, int whence);
int mxfs_fsync(struct file *file, loff_t start, loff_t end, int datasync);
int mxfs_fadvise(struct file *file, loff_t offset, loff_t len, int advice);

/* ioctl.c */
long mxfs_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
#ifdef CONFIG_COMPAT
long mxfs_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
#else
#define mxfs_compat_ioctl NULL
#endif

/* range.c */
long mxfs_fallocate(struct file *file, int mode, loff_t offset, loff_t len);
ssize_t mxfs_copy_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out, size_t len,
			     unsigned int flags);
loff_t mxfs_remap_file_range(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out, loff_t len,
			     unsigned int flags);

/*
 * The file was read. XFS would ask at each read whether atime is due (file_accessed()); by relatime it is when the
 * file changed since the last access, which changes ctime, or when that is a day ago. So lower files are opened
 * with O_NOATIME, and once atime is later than ctime nothing is asked until ctime is another, or for a minute.
 */
static __always_inline void mxfs_accessed(struct file *file, struct mxfs_open *open,
					  const struct file *lower)
{
	const struct inode *inode = file_inode(lower);

	if (unlikely(inode_get_ctime_nsec(inode) != open->fresh_nsec ||
		     inode_get_ctime_sec(inode) != open->fresh_sec ||
		     time_after_eq(jiffies, open->fresh_until)))
		mxfs_touch_atime(file, open, lower);
}

/*
 * Straight to XFS: rw_verify_area() and fsnotify have been and will be called for the upper file. The
 * caller of a write that is queued (-EIOCBQUEUED) ends it with kiocb_end_write().
 */
static __always_inline ssize_t mxfs_call_lower(struct kiocb *iocb, struct iov_iter *iter,
					       bool write)
{
	const struct file_operations *fops = iocb->ki_filp->f_op;
	ssize_t ret;

	if (!write)
		return fops->read_iter(iocb, iter);
	kiocb_start_write(iocb);
	ret = fops->write_iter(iocb, iter);
	if (ret != -EIOCBQUEUED)
		kiocb_end_write(iocb);
	return ret;
}

/* The request as the lower file sees it: same position and per-call flags. */
static inline void mxfs_clone_iocb(struct kiocb *lower, struct kiocb *upper, struct file *lower_file)
{
	kiocb_clone(lower, upper, lower_file);
	lower->ki_complete = NULL;
	lower->private = NULL;
	lower->ki_flags &= ~(IOCB_DIO_CALLER_COMP | IOCB_HIPRI | IOCB_ALLOC_CACHE | IOCB_WAITQ);
}

/*
 * One attempt that takes no page fault. Return: bytes, or -EFAULT when the first byte was not in
 * memory.
 */
static __always_inline ssize_t mxfs_rw_nofault(struct kiocb *iocb, struct iov_iter *iter,
					       struct file *lower, bool write)
{
	struct file *upper = iocb->ki_filp;
	ssize_t ret;

	iter->nofault = true;
	pagefault_disable();
	if (likely(is_sync_kiocb(iocb))) {
		/* Nobody but us sees the request before it is done: it is lent, not copied. */
		iocb->ki_filp = lower;
		ret = mxfs_call_lower(iocb, iter, write);
		iocb->ki_filp = upper;
	} else {
		ret = mxfs_rw_cloned(iocb, iter, lower, write);
	}
	pagefault_enable();
	iter->nofault = false;
	return ret;
}

/* Did XFS tell an error of write-back (xfs_file_fsync())? */
static inline bool mxfs_has_told(const struct file *lower, errseq_t since)
{
	return READ_ONCE(lower->f_wb_err) != since;
}

#endif /* _MXFS_DATA_DATA_H */
