// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: reading files.
 */
#include <linux/aio.h>
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/pagemap.h>
#include "data/data.h"
#include "enter.h"
#include "local/bind.h"
#include "pages/cache.h"

#define MXFS_WHOLE_READS 2 /* how often a read begins anew for that */

#define MXFS_ATIME_DAY (24 * 60 * 60) /* seconds after which relatime updates in any case */
#define MXFS_ATIME_FRESH 60 /* seconds for which mxfs_accessed() does not ask */

/* relatime_need_update() in fs/inode.c says when atime is due; what it said is remembered. */
noinline void mxfs_touch_atime(struct file *file, struct mxfs_open *open,
				      const struct file *lower)
{
	const struct inode *inode = file_inode(lower);
	struct timespec64 atime, mtime, ctime;

	if (mxfs_is_noatime(file))
		return;
	touch_atime(&lower->f_path);
	atime = inode_get_atime(inode);
	mtime = inode_get_mtime(inode);
	ctime = inode_get_ctime(inode);
	if (timespec64_compare(&atime, &mtime) <= 0 || timespec64_compare(&atime, &ctime) <= 0 ||
	    ktime_get_real_seconds() - atime.tv_sec >= MXFS_ATIME_DAY - MXFS_ATIME_FRESH)
		return;
	open->fresh_sec = ctime.tv_sec;
	open->fresh_nsec = ctime.tv_nsec;
	open->fresh_until = jiffies + MXFS_ATIME_FRESH * HZ;
}

/* A request that its caller meant to be asynchronous, done at once. */
noinline ssize_t mxfs_rw_cloned(struct kiocb *iocb, struct iov_iter *iter, struct file *lower,
				       bool write)
{
	struct kiocb kiocb;
	ssize_t ret;

	mxfs_clone_iocb(&kiocb, iocb, lower);
	ret = mxfs_call_lower(&kiocb, iter, write);
	iocb->ki_pos = kiocb.ki_pos;
	return ret;
}

/* One attempt inside the gate. @again: not the first one; @end: the file ends here */
static ssize_t mxfs_read_once(struct kiocb *iocb, struct iov_iter *to, bool again, bool *end)
{
	struct file *file = iocb->ki_filp, *lower;
	struct mxfs_sb *sbi = mxfs_file_sb(file);
	ssize_t ret;

	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower)) {
		ret = PTR_ERR(lower);
		goto out;
	}
	/*
	 * What was stored through a map is seen by a read that begins after it. Once: a page that is read into itself would be
	 * write-protected each time, after it was faulted in for writing.
	 */
	if (!again)
		ret = mxfs_cache_flush(file_inode(file), iocb->ki_pos, iocb->ki_pos + iov_iter_count(to) - 1);
	if (!ret)
		ret = mxfs_rw_nofault(iocb, to, lower, false);
	*end = iocb->ki_pos >= i_size_read(file_inode(lower));
	mxfs_accessed(file, file->private_data, lower);
out:
	mxfs_leave(sbi);
	return ret;
}

/*
 * A read of a file without pages above, into memory that is there, is one call below; this is for every
 * other one. @total: what has been read already.
 */
static noinline ssize_t mxfs_read_on(struct kiocb *iocb, struct iov_iter *to, ssize_t total)
{
	bool again = false, end = false;
	int whole = MXFS_WHOLE_READS;
	size_t chunk;
	ssize_t ret;

	for (; iov_iter_count(to); again = true) {
		ret = mxfs_read_once(iocb, to, again, &end);
		if (ret > 0)
			total += ret;
		else if (ret != -EFAULT)
			break;
		if (!iov_iter_count(to) || !user_backed_iter(to) || (ret > 0 && end))
			break;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		chunk = min_t(size_t, iov_iter_count(to), whole ? MXFS_WHOLE_MAX : MXFS_FAULT_IN_MAX);
		if (fault_in_iov_iter_writeable(to, chunk) == chunk) {
			ret = -EFAULT;
			break;
		}
		/* Somebody may have written meanwhile, here or on another node: all of it, or nothing. */
		if (whole) {
			whole--;
			iov_iter_revert(to, total);
			iocb->ki_pos -= total;
			total = 0;
		}
	}
	return total ?: ret;
}

/* One attempt for who does not want to wait: io_uring begins each request so, and has a thread do it otherwise. */
static ssize_t mxfs_read_nowait(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp, *lower;
	struct mxfs_open *open = READ_ONCE(file->private_data);
	ssize_t ret = -EAGAIN;

	if (!open || file->f_mapping->nrpages || !mxfs_try_enter(open->sbi))
		return -EAGAIN;
	/* Pairs with smp_store_release() in mxfs_open_lower(). */
	lower = smp_load_acquire(&open->lower);
	if (lower) {
		ret = mxfs_rw_nofault(iocb, to, lower, false);
		mxfs_accessed(file, open, lower);
	}
	mxfs_leave(open->sbi);
	return ret == -EFAULT ? -EAGAIN : ret;
}

/* Every read that mxfs_read_iter() does not do by itself. */
static noinline ssize_t mxfs_read_slow(struct kiocb *iocb, struct iov_iter *to, ssize_t total)
{
	struct mxfs_sb *sbi = mxfs_file_sb(iocb->ki_filp);
	ssize_t ret;

	if (!iov_iter_count(to))
		return total;
	if (iocb->ki_flags & IOCB_DIRECT)
		ret = mxfs_direct(iocb, to, false);
	else if (iocb->ki_flags & IOCB_NOWAIT)
		ret = total ?: mxfs_read_nowait(iocb, to);
	else
		ret = mxfs_read_on(iocb, to, total);
	if (ret > 0)
		this_cpu_add(sbi->cpu->bytes_read, ret);
	return ret;
}

/*
 * What a read most often is: through the cache, the lower file open already, no page of a map above. There is
 * little to do beside XFS, so a load or a store more is seen in the speed of reading.
 */
ssize_t mxfs_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct file *file = iocb->ki_filp, *lower;
	struct mxfs_open *open = READ_ONCE(file->private_data);
	bool more = false;
	ssize_t ret;

	if (unlikely(!open || !is_sync_kiocb(iocb) || (iocb->ki_flags & IOCB_DIRECT) ||
		     file->f_mapping->nrpages || !mxfs_try_enter(open->sbi)))
		return mxfs_read_slow(iocb, to, 0);
	/* Pairs with smp_store_release() in mxfs_open_lower(). */
	lower = smp_load_acquire(&open->lower);
	if (unlikely(!lower)) {
		mxfs_leave(open->sbi);
		return mxfs_read_slow(iocb, to, 0);
	}
	/* As mxfs_rw_nofault(), with the request lent to XFS; nothing is pinned. */
	iocb->ki_filp = lower;
	pagefault_disable();
	ret = lower->f_op->read_iter(iocb, to);
	pagefault_enable();
	lower = iocb->ki_filp;
	iocb->ki_filp = file;
	if (unlikely(iov_iter_count(to)))
		more = ret == -EFAULT || (ret > 0 && iocb->ki_pos < i_size_read(file_inode(lower)));
	mxfs_accessed(file, open, lower);
	mxfs_leave(open->sbi);
	if (unlikely(more))
		return mxfs_read_slow(iocb, to, max_t(ssize_t, ret, 0));
	if (likely(ret > 0))
		this_cpu_add(open->sbi->cpu->bytes_read, ret);
	return ret;
}
