// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: open files.
 *
 * An open file keeps its lower file lazily: opened below when the first operation needs it, closed
 * by detaching, opened again after the next attach. Data goes to and from XFS's page cache; a file
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
#include <linux/aio.h>
#include <linux/backing-dev.h>
#include <linux/compat.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fadvise.h>
#include <linux/fsnotify.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/splice.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include "compat.h"
#include "enter.h"
#include "local/bind.h"
#include "local/local.h"
#include "pages/cache.h"
#include "vfs/vfs.h"

#define MXFS_FAULT_IN_MAX SZ_1M /* user memory to fault in at a time, once a request is in pieces */
#define MXFS_WHOLE_MAX SZ_64M /* of a request that is to be one piece */
#define MXFS_WHOLE_READS 2 /* how often a read begins anew for that */

#define MXFS_ATIME_DAY (24 * 60 * 60) /* seconds after which relatime updates in any case */
#define MXFS_ATIME_FRESH 60 /* seconds for which mxfs_accessed() does not ask */

#define MXFS_LABEL_BYTES 13 /* XFSLABEL_MAX + 1 (fs/xfs/libxfs/xfs_fs.h) */
#define MXFS_COPY_PIECE SZ_32M /* what is done in one stay inside the gate */
#define MXFS_TRIM_LEAST SZ_1M /* of the disk at a time, at first */
#define MXFS_TRIM_MOST SZ_128M
#define MXFS_TRIM_JIFFIES (HZ / 20) /* that a piece may take */

#define MXFS_PIN_PAGES 1024 /* user memory to pin at a time */
#define MXFS_DIRECT_PIECE SZ_256K /* what fits, of whole sectors wherever they are, is pinned at once */
#define MXFS_PIN_FEW 8 /* pieces for which nothing is allocated */
#define MXFS_PIN_COPIED 256 /* pages of our own to use instead at a time */
#define MXFS_PIN_JIFFIES HZ /* in which all of it has to be there; far less than a detach waits for pins (pages/cache.c) */
#define MXFS_PIN_TRIES 4 /* before it is copied instead */

static struct kmem_cache *mxfs_aio_cachep;

/* Of all requests that pin more than MXFS_PIN_PAGES. */
static atomic_long_t mxfs_pinned = ATOMIC_LONG_INIT(0);

/*
 * The memory of a request: the user's, pinned, or a copy in pages of our own; pages that lie behind each other are one
 * piece.
 */
struct mxfs_pin {
	struct iov_iter iter; /* of @bytes */
	size_t bytes;
	unsigned int pieces;
	unsigned int charged; /* in mxfs_pinned */
	bool dirty; /* the disk writes to it */
	bool copied;
	struct bio_vec *vec;
	struct bio_vec few[MXFS_PIN_FEW];
};

/* An asynchronous O_DIRECT request on its way; counted in sbi->bind.draining. */
struct mxfs_aio {
	struct kiocb lower;
	struct kiocb *upper;
	struct work_struct work;
	long res;
	struct mxfs_range range; /* of a write */
	errseq_t since; /* what the lower file had told when a write began */
	struct mxfs_pin pin;
};

/* Ends of asynchronous writes, which may wait for the disk; and of reads, which may wait for whoever has locked a page of user memory. */
static struct workqueue_struct *mxfs_written_wq, *mxfs_read_wq;

int mxfs_file_cache_create(void)
{
	/* Not shared with a later cache of the same size, which would keep it, and its name, after us. */
	mxfs_aio_cachep = KMEM_CACHE(mxfs_aio, SLAB_NO_MERGE);
	mxfs_written_wq = alloc_workqueue("mxfs-written", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	mxfs_read_wq = alloc_workqueue("mxfs-read", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (mxfs_aio_cachep && mxfs_written_wq && mxfs_read_wq)
		return 0;
	mxfs_file_cache_destroy();
	return -ENOMEM;
}

void mxfs_file_cache_destroy(void)
{
	if (mxfs_read_wq)
		destroy_workqueue(mxfs_read_wq);
	if (mxfs_written_wq)
		destroy_workqueue(mxfs_written_wq);
	kmem_cache_destroy(mxfs_aio_cachep);
}

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

int mxfs_release(struct inode *inode, struct file *file)
{
	struct mxfs_inode *mi = MXFS_I(inode);
	struct mxfs_open *open = file->private_data;

	/*
	 * Without a name here and open elsewhere: the inode goes with its last user, but the file does not, and what was
	 * stored through a map of it is part of it. (A detach that is under way has seen to it.)
	 */
	if (unlikely(!inode->i_nlink && (READ_ONCE(mi->shared) || READ_ONCE(mi->lent)) && inode->i_mapping->nrpages))
		mxfs_cache_flush(inode, 0, LLONG_MAX);
	if (open) {
		mxfs_close_lower(open);
		mxfs_open_free(open);
	}
	return 0;
}

/* relatime_need_update() in fs/inode.c says when atime is due; what it said is remembered. */
static noinline void mxfs_touch_atime(struct file *file, struct mxfs_open *open,
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
static void mxfs_clone_iocb(struct kiocb *lower, struct kiocb *upper, struct file *lower_file)
{
	kiocb_clone(lower, upper, lower_file);
	lower->ki_complete = NULL;
	lower->private = NULL;
	lower->ki_flags &= ~(IOCB_DIO_CALLER_COMP | IOCB_HIPRI | IOCB_ALLOC_CACHE | IOCB_WAITQ);
}

static void mxfs_unpin(struct mxfs_pin *pin)
{
	const struct bio_vec *bv;

	for (bv = pin->vec; bv < pin->vec + pin->pieces; bv++) {
		if (pin->copied)
			__free_page(bv->bv_page);
		else
			unpin_user_page_range_dirty_lock(bv->bv_page, PFN_UP(bv->bv_offset + bv->bv_len), pin->dirty);
	}
	if (pin->vec != pin->few)
		kvfree(pin->vec);
	if (unlikely(pin->charged))
		atomic_long_sub(pin->charged, &mxfs_pinned);
}

static void mxfs_pin_page(struct mxfs_pin *pin, struct page *page, size_t offset, size_t len)
{
	struct bio_vec *last = pin->vec + pin->pieces - 1;

	pin->bytes += len;
	if (pin->pieces && !offset && PAGE_ALIGNED(last->bv_offset + last->bv_len) &&
	    page_to_pfn(page) ==
		    page_to_pfn(last->bv_page) + PFN_DOWN(last->bv_offset + last->bv_len))
		last->bv_len += len;
	else
		bvec_set_page(&pin->vec[pin->pieces++], page, len, offset);
}

/*
 * How many pages a request may hold at a time. What is appended is to be one piece (@whole), so it may have more than others: 64 MiB, or
 * a 64th of the memory of a small machine, and all such requests together an eighth of it. It is the caller's own memory, but
 * nothing can reclaim it meanwhile, and it may be the cache of a file larger than all memory. What gets no more goes on in
 * pieces: to wait here for others would be to wait for memory that never comes.
 */
static unsigned int mxfs_pin_room(struct mxfs_pin *pin, const struct iov_iter *iter, bool whole)
{
	int room = iov_iter_npages(iter, MXFS_PIN_PAGES), most;

	if (likely(!whole || room < MXFS_PIN_PAGES))
		return room;
	most = min_t(unsigned long, MXFS_WHOLE_MAX >> PAGE_SHIFT, totalram_pages() / 64);
	if (most <= room)
		return room;
	most = iov_iter_npages(iter, most + 1); /* memory that begins in the midst of a page */
	if (atomic_long_add_return(most, &mxfs_pinned) > totalram_pages() / 8) {
		atomic_long_sub(most, &mxfs_pinned);
		return room;
	}
	pin->charged = most;
	return most;
}

static int mxfs_pin_begin(struct mxfs_pin *pin, unsigned int room)
{
	pin->vec = pin->few;
	if (room > MXFS_PIN_FEW)
		pin->vec = kvmalloc_array(room, sizeof(*pin->vec), GFP_KERNEL);
	if (pin->vec)
		return 0;
	if (pin->charged)
		atomic_long_sub(pin->charged, &mxfs_pinned);
	return -ENOMEM;
}

/*
 * The memory is all that could be had. What follows it goes to the disk by itself, so O_DIRECT ends with a whole sector then. @err: when
 * there is none
 */
static int mxfs_pin_end(const struct kiocb *iocb, struct mxfs_pin *pin, struct iov_iter *from, bool write, int err)
{
	size_t odd;

	if (iov_iter_count(from) && (iocb->ki_flags & IOCB_DIRECT)) {
		odd = pin->bytes % mxfs_file_sb(iocb->ki_filp)->geo.sectsize;
		iov_iter_revert(from, odd);
		pin->bytes -= odd;
	}
	if (!pin->bytes) {
		mxfs_unpin(pin);
		return err;
	}
	iov_iter_bvec(&pin->iter, write ? ITER_SOURCE : ITER_DEST, pin->vec, pin->pieces,
		      pin->bytes);
	return 0;
}

/*
 * Pins what the iterator has, or its beginning, and advances it by that; it is not all where there is more than may be
 * held, or memory ends in between. A detach waits for pins of maps, of this volume or of another one, though not for long, and takes
 * what is pinned then for lost: so no more is pinned once it has closed the gate here, nor is slow memory waited for with many pins.
 *
 * Return: 0, or -EFAULT, -ENOMEM, -EINTR, -EAGAIN for that, and the iterator is where it was.
 */
static int mxfs_pin(const struct kiocb *iocb, struct mxfs_pin *pin, struct iov_iter *from, bool write)
{
	const struct mxfs_gate *gate = &mxfs_file_sb(iocb->ki_filp)->op_gate;
	unsigned long end = jiffies + MXFS_PIN_JIFFIES;
	struct page *batch[16], **pages = batch;
	unsigned int room, i;
	size_t offset, len;
	ssize_t got = 0, left;
	int err;

	*pin = (struct mxfs_pin){ .dirty = !write };
	room = mxfs_pin_room(pin, from, write && (iocb->ki_flags & IOCB_APPEND));
	err = mxfs_pin_begin(pin, room);
	if (err)
		return err;
	while (room && iov_iter_count(from)) {
		if (unlikely(!READ_ONCE(gate->open) || time_after(jiffies, end))) {
			iov_iter_revert(from, pin->bytes);
			pin->dirty = false;
			mxfs_unpin(pin);
			return -EAGAIN;
		}
		got = iov_iter_extract_pages(from, &pages, iov_iter_count(from),
					     min_t(unsigned int, room, ARRAY_SIZE(batch)), 0,
					     &offset);
		if (got <= 0)
			break;
		for (i = 0, left = got; left; i++, left -= len, offset = 0) {
			len = min_t(size_t, left, PAGE_SIZE - offset);
			mxfs_pin_page(pin, batch[i], offset, len);
		}
		room -= i;
	}
	return mxfs_pin_end(iocb, pin, from, write, got < 0 ? got : -EFAULT);
}

/* As mxfs_pin(), with pages of our own: what a write writes is copied to them now, and what a read reads by mxfs_pin_copy_out(). */
static int mxfs_pin_copy(const struct kiocb *iocb, struct mxfs_pin *pin, struct iov_iter *from, bool write)
{
	unsigned int room;
	struct page *page;
	size_t len, got;
	int err;

	*pin = (struct mxfs_pin){ .copied = true };
	room = MXFS_PIN_COPIED;
	if (write && (iocb->ki_flags & IOCB_APPEND))
		room = mxfs_pin_room(pin, from, true);
	room = min_t(size_t, room, DIV_ROUND_UP(iov_iter_count(from), PAGE_SIZE));
	err = mxfs_pin_begin(pin, room);
	if (err)
		return err;
	err = -EFAULT;
	while (pin->pieces < room && iov_iter_count(from)) {
		page = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!page) {
			err = -ENOMEM;
			break;
		}
		len = min_t(size_t, iov_iter_count(from), PAGE_SIZE);
		got = len;
		if (write)
			got = copy_page_from_iter(page, 0, len, from);
		else
			iov_iter_advance(from, len);
		bvec_set_page(&pin->vec[pin->pieces++], page, got, 0);
		pin->bytes += got;
		if (got < len)
			break;
	}
	return mxfs_pin_end(iocb, pin, from, write, err);
}

/* @bytes were read. Outside the gate. Return: how many of them the caller has; the iterator is behind them. */
static size_t mxfs_pin_copy_out(const struct mxfs_pin *pin, struct iov_iter *to, size_t bytes)
{
	const struct bio_vec *bv;
	size_t done = 0, len;

	for (bv = pin->vec; done < bytes; bv++) {
		len = min_t(size_t, bytes - done, bv->bv_len);
		if (copy_page_to_iter(bv->bv_page, 0, len, to) != len)
			break;
		done += len;
	}
	return done;
}

/*
 * The disk takes memory that begins anywhere by its alignment, and XFS looks at that for each piece, which has to be whole sectors
 * (fs/iomap/direct-io.c). Where a piece is the user's, its parts in pages need not be.
 */
static bool mxfs_pin_fits(const struct mxfs_sb *sbi, const struct iov_iter *iter)
{
	return mxfs_iter_fits(file_bdev(sbi->device.pin), iter);
}

/*
 * As for a request of block/bio.c that reads (bio_set_pages_dirty(), bio_check_pages_dirty()): to make a page dirty
 * may sleep, so it is done before. The end, which is an interrupt, looks at them, and only where one was cleaned
 * meanwhile a worker has to do it again.
 */
static void mxfs_pin_dirty(const struct mxfs_pin *pin)
{
	const struct bio_vec *bv;
	struct folio *folio;
	size_t at;

	for (bv = pin->vec; bv < pin->vec + pin->pieces; bv++) {
		for (at = 0; at < bv->bv_offset + bv->bv_len; at += PAGE_SIZE) {
			folio = page_folio(bv->bv_page + (at >> PAGE_SHIFT));
			if (folio_test_dirty(folio))
				continue;
			folio_lock(folio);
			folio_mark_dirty(folio);
			folio_unlock(folio);
		}
	}
}

static bool mxfs_pin_is_dirty(const struct mxfs_pin *pin)
{
	const struct bio_vec *bv;
	size_t at;

	for (bv = pin->vec; bv < pin->vec + pin->pieces; bv++) {
		for (at = 0; at < bv->bv_offset + bv->bv_len; at += PAGE_SIZE) {
			if (!folio_test_dirty(page_folio(bv->bv_page + (at >> PAGE_SHIFT))))
				return false;
		}
	}
	return true;
}

/*
 * The memory of a request, from the iterator. @copy: it was pinned in vain, again and again. Return: 0; -errno; 1 when it takes a copy and none is
 * wanted (@may_copy), and the iterator is where it was.
 */
static int mxfs_pin_some(struct kiocb *iocb, struct mxfs_pin *pin, struct iov_iter *iter, bool write, bool may_copy, bool copy)
{
	const struct mxfs_sb *sbi = mxfs_file_sb(iocb->ki_filp);
	bool direct = iocb->ki_flags & IOCB_DIRECT;
	int err;

	/* Little is copied sooner than it is pinned, above all from many places. */
	if (!direct && (copy || iov_iter_count(iter) <= PAGE_SIZE))
		return mxfs_pin_copy(iocb, pin, iter, write);
	/* What XFS would refuse it has to refuse. */
	if (unlikely(copy) && mxfs_pin_fits(sbi, iter))
		goto copied;
	err = mxfs_pin(iocb, pin, iter, write);
	if (!direct) /* some memory can be copied and not be pinned, such as a device's */
		return unlikely(err == -EFAULT) ? mxfs_pin_copy(iocb, pin, iter, write) : err;
	if (err || likely(mxfs_pin_fits(sbi, &pin->iter)))
		return err;
	iov_iter_revert(iter, pin->bytes);
	if (!mxfs_pin_fits(sbi, iter)) {
		iov_iter_advance(iter, pin->bytes);
		return 0;
	}
	pin->dirty = false;
	mxfs_unpin(pin);
copied:
	return may_copy ? mxfs_pin_copy(iocb, pin, iter, write) : 1;
}

/*
 * Begins an operation with user memory pinned, which is taken from the iterator. Never waits for ownership with pins: they
 * may be of a map of this volume, and a detach waits for those. Such a map has to be read again after each change of owner, which may take
 * longer than a turn, so in the end the memory is copied: a copy may be kept for as long as that takes.
 *
 * Return: 0, and mxfs_leave() and mxfs_unpin() have to follow; 1 as mxfs_pin_some(); or -errno, -EAGAIN where IOCB_NOWAIT allows no
 * more.
 */
static int mxfs_pin_and_enter(struct kiocb *iocb, struct mxfs_pin *pin, struct iov_iter *iter, bool write, bool may_copy)
{
	struct mxfs_sb *sbi = mxfs_file_sb(iocb->ki_filp);
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	int tries, err;

	for (tries = 0;; tries++) {
		iter->nofault = nowait;
		err = mxfs_pin_some(iocb, pin, iter, write, may_copy && !nowait, tries >= MXFS_PIN_TRIES);
		iter->nofault = false;
		if (!err) {
			/* Outside as well: a page may be locked by who never answers. */
			if (pin->dirty)
				mxfs_pin_dirty(pin);
			if (likely(mxfs_try_enter(sbi)))
				return 0;
			err = pin->copied ? mxfs_enter(sbi) : -EAGAIN;
			if (!err)
				return 0;
			iov_iter_revert(iter, pin->bytes);
			pin->dirty = false;
			mxfs_unpin(pin);
		}
		if (nowait || err != -EAGAIN)
			return nowait ? -EAGAIN : err;
		err = mxfs_enter(sbi);
		if (err)
			return err;
		mxfs_leave(sbi);
	}
}

static int mxfs_enter_or(struct mxfs_sb *sbi, bool nowait)
{
	return likely(mxfs_try_enter(sbi)) ? 0 : nowait ? -EAGAIN : mxfs_enter_slow(sbi);
}

static void mxfs_aio_free(struct mxfs_aio *aio)
{
	if (aio->pin.vec)
		mxfs_unpin(&aio->pin);
	kmem_cache_free(mxfs_aio_cachep, aio);
}

/*
 * Below it is over; of reads also from an interrupt. Before the pages are let go of: one that was cleaned meanwhile may be locked by who
 * never answers.
 */
static void mxfs_aio_leave(struct mxfs_aio *aio)
{
	struct kiocb *upper = aio->upper;
	struct inode *inode = file_inode(upper->ki_filp);
	struct mxfs_sb *sbi = MXFS_ISB(inode);

	if (aio->lower.ki_flags & IOCB_WRITE)
		inode_dio_end(inode);
	upper->ki_pos = aio->lower.ki_pos;
	WRITE_ONCE(sbi->last_op, jiffies);
	mxfs_drain_put(sbi);
}

static void mxfs_aio_end(struct mxfs_aio *aio)
{
	struct kiocb *upper = aio->upper;
	long res = aio->res;

	mxfs_aio_free(aio);
	upper->ki_complete(upper, res);
}

static void mxfs_aio_read_workfn(struct work_struct *work)
{
	mxfs_aio_end(container_of(work, struct mxfs_aio, work));
}

/*
 * A write that was to be on the disk when it returns tells an error of write-back that its descriptor has not told yet, as fsync would. The lower
 * file may be younger than the error (mxfs_carry_error()). One that failed for another reason did not get so far, and tells nothing of it:
 * that remains for who asks next. @told: the lower file has told one meanwhile. Return: what the write returns.
 */
static ssize_t mxfs_heard(struct kiocb *iocb, ssize_t ret, bool told)
{
	struct file *file = iocb->ki_filp;

	if (ret <= 0 && !(told && filemap_check_wb_err(file->f_mapping, READ_ONCE(file->f_wb_err)) == ret))
		return ret;
	return file_check_and_advance_wb_err(file) ?: ret;
}

/* Did XFS tell an error of write-back (xfs_file_fsync())? */
static bool mxfs_has_told(const struct file *lower, errseq_t since)
{
	return READ_ONCE(lower->f_wb_err) != since;
}

/* As mxfs_has_told(), of the last attempt of the write that has i_rwsem. */
static bool mxfs_take_told(struct file *file)
{
	struct mxfs_open *open = file->private_data;
	bool told = open && open->told;

	if (told)
		open->told = false;
	return told;
}

/* @cached: there were pages above when it ended; who comes later reads what it wrote. */
static void mxfs_aio_written(struct mxfs_aio *aio, bool cached)
{
	struct inode *inode = file_inode(aio->upper->ki_filp);
	struct file *lower = aio->lower.ki_filp;

	kiocb_end_write(&aio->lower);
	/* A map made meanwhile may have read what was there before. What failed may have written all the same. */
	if (unlikely(cached) && aio->res > 0)
		mxfs_cache_changed(inode, lower, aio->lower.ki_pos - aio->res, aio->lower.ki_pos - 1);
	else if (unlikely(cached) && aio->lower.ki_pos > aio->range.first) /* its sync (fs/iomap/direct-io.c: iomap_dio_complete()) */
		mxfs_cache_changed(inode, lower, aio->range.first, aio->lower.ki_pos - 1);
	else if (unlikely(cached))
		mxfs_cache_failed(inode, aio->range.first, aio->range.last);
	mxfs_copy_written(inode, file_inode(lower));
	if (iocb_is_dsync(aio->upper)) {
		mxfs_carry_error(inode, file_inode(lower));
		aio->res = mxfs_heard(aio->upper, aio->res, mxfs_has_told(lower, aio->since));
	}
	mxfs_aio_leave(aio);
	mxfs_aio_end(aio);
}

static void mxfs_aio_written_workfn(struct work_struct *work)
{
	mxfs_aio_written(container_of(work, struct mxfs_aio, work), true);
}

/* May be called from an interrupt; attributes and the end of a write want a task. */
static void mxfs_aio_complete(struct kiocb *iocb, long res)
{
	struct mxfs_aio *aio = container_of(iocb, struct mxfs_aio, lower);

	aio->res = res;
	if (iocb->ki_flags & IOCB_WRITE) {
		/* XFS ends writes in a worker of its own (s_dio_done_wq), which this may use as long as it has nothing to wait for. */
		if (in_task() && !file_inode(aio->upper->ki_filp)->i_mapping->nrpages) {
			mxfs_aio_written(aio, false);
			return;
		}
		INIT_WORK(&aio->work, mxfs_aio_written_workfn);
		queue_work(mxfs_written_wq, &aio->work);
		return;
	}
	mxfs_aio_leave(aio);
	if (!aio->pin.vec || mxfs_pin_is_dirty(&aio->pin)) {
		aio->pin.dirty = false;
		mxfs_aio_end(aio);
		return;
	}
	INIT_WORK(&aio->work, mxfs_aio_read_workfn);
	queue_work(mxfs_read_wq, &aio->work);
}

/*
 * The lower file must stay open until it is done: detaching waits for sbi->bind.draining. Who sets the size waits for writes, of
 * which none begins while he has i_rwsem (mxfs_setattr_inside()). Return: as write_iter(), and with -EIOCBQUEUED the request is
 * not ours any more.
 */
static ssize_t mxfs_aio_submit(struct mxfs_aio *aio, struct iov_iter *iter, bool write)
{
	struct inode *inode = file_inode(aio->upper->ki_filp);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	ssize_t ret;

	mxfs_drain_get(sbi);
	if (write)
		inode_dio_begin(inode);
	ret = mxfs_call_lower(&aio->lower, iter, write);
	if (ret != -EIOCBQUEUED) {
		aio->upper->ki_pos = aio->lower.ki_pos;
		if (write)
			inode_dio_end(inode);
		mxfs_drain_put(sbi);
	}
	return ret;
}

/* A request that its caller meant to be asynchronous, done at once. */
static noinline ssize_t mxfs_rw_cloned(struct kiocb *iocb, struct iov_iter *iter, struct file *lower,
				       bool write)
{
	struct kiocb kiocb;
	ssize_t ret;

	mxfs_clone_iocb(&kiocb, iocb, lower);
	ret = mxfs_call_lower(&kiocb, iter, write);
	iocb->ki_pos = kiocb.ki_pos;
	return ret;
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

/* XFS refuses something, and has changed nothing. */
static bool mxfs_is_refused(ssize_t err)
{
	switch (err) {
	case -EAGAIN:
	case -EFAULT:
	case -EFBIG:
	case -EINVAL:
	case -EOPNOTSUPP:
	case -EPERM:
	case -ETXTBSY:
		return true;
	}
	return false;
}

/* What is to be written; of what is appended, where it begins: it may be further behind when a queued write ends meanwhile. */
static struct mxfs_range mxfs_write_range(const struct kiocb *iocb, const struct iov_iter *iter, const struct file *lower)
{
	if (iocb->ki_flags & IOCB_APPEND)
		return (struct mxfs_range){ i_size_read(file_inode(lower)), LLONG_MAX };
	return (struct mxfs_range){ iocb->ki_pos, iocb->ki_pos + iov_iter_count(iter) - 1 };
}

/* Pages of maps are out of the way of a write, and behind the end of a file that it makes longer are zeros. */
static noinline int mxfs_write_begin(struct kiocb *iocb, const struct iov_iter *iter, struct file *lower, struct mxfs_range *range)
{
	struct inode *inode = file_inode(iocb->ki_filp), *linode = file_inode(lower);
	int err;

	*range = mxfs_write_range(iocb, iter, lower);
	if (range->last >= i_size_read(linode))
		mxfs_cache_grow(inode, linode);
	err = mxfs_cache_drop_locked(inode, range->first, range->last);
	if (!err)
		mxfs_cache_hold(inode, range);
	return err;
}

/*
 * What mxfs_write_begin() had to leave is as below. A write that fails may have written all the same, when its sync fails: then the
 * position has moved. Any other has changed nothing, for where a page had to be left it goes through XFS's cache (mxfs_write_held()); what a
 * device has brought into that page meanwhile is not below.
 */
static noinline void mxfs_write_end(struct kiocb *iocb, struct file *lower, ssize_t ret)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	const struct mxfs_range *range = MXFS_I(inode)->changing;

	if (ret > 0)
		mxfs_cache_changed(inode, lower, iocb->ki_pos - ret, iocb->ki_pos - 1);
	else if (range && iocb->ki_pos > range->first)
		mxfs_cache_changed(inode, lower, range->first, iocb->ki_pos - 1);
	mxfs_cache_let_go(inode);
}

/*
 * A write while a page of its range stays above, which may be written back meanwhile: that reads the page below, from the disk if it has to, and
 * with what is on its way to the disk not in it. So O_DIRECT goes through XFS's cache, as it does on XFS where a page cannot be
 * dropped, unless XFS is to refuse it.
 */
static noinline ssize_t mxfs_write_held(struct kiocb *iocb, struct iov_iter *iter, struct file *lower)
{
	const struct mxfs_sb *sbi = mxfs_file_sb(iocb->ki_filp);
	unsigned int mask = bdev_logical_block_size(file_bdev(sbi->device.pin)) - 1;
	int direct = iocb->ki_flags & IOCB_DIRECT;
	ssize_t ret;

	if (((iocb->ki_pos | iov_iter_count(iter)) & mask) || !mxfs_pin_fits(sbi, iter))
		direct = 0;
	iocb->ki_flags &= ~direct;
	ret = mxfs_rw_nofault(iocb, iter, lower, true);
	iocb->ki_flags |= direct;
	return ret;
}

/*
 * One attempt, with the pages of maps out of the way: none may be made, or made writable, between
 * dropping the old ones and the end of the write. It would hold, and later write back, what was
 * there before. @aio: the request that does it, or NULL when it is to be done at once, as it is also
 * where a page had to be left: that is held until the write is over.
 */
static ssize_t mxfs_write_once(struct kiocb *iocb, struct iov_iter *iter, struct file *lower,
			       struct mxfs_aio *aio)
{
	struct inode *inode = file_inode(iocb->ki_filp);
	struct address_space *mapping = inode->i_mapping;
	errseq_t since = READ_ONCE(lower->f_wb_err);
	bool held = false;
	struct mxfs_range range;
	ssize_t ret = 0;

	filemap_invalidate_lock(mapping);
	if (unlikely(mapping->nrpages)) {
		ret = mxfs_write_begin(iocb, iter, lower, &range);
		held = MXFS_I(inode)->changing;
	}
	if (likely(!ret)) {
		if (unlikely(aio) && likely(!held)) {
			aio->range = mxfs_write_range(iocb, iter, lower);
			aio->since = since;
			ret = mxfs_aio_submit(aio, iter, true);
		} else if (unlikely(held)) {
			ret = mxfs_write_held(iocb, iter, lower);
		} else {
			ret = mxfs_rw_nofault(iocb, iter, lower, true);
		}
	}
	if (unlikely(held || mapping->nrpages) && ret != -EIOCBQUEUED)
		mxfs_write_end(iocb, lower, ret);
	mxfs_copy_written(inode, file_inode(lower));
	/* What was heard of below while this was brought to the disk (generic_write_sync()) is not only this descriptor's to hear. */
	if (ret != -EIOCBQUEUED && unlikely(iocb_is_dsync(iocb))) {
		mxfs_carry_error(inode, file_inode(lower));
		((struct mxfs_open *)iocb->ki_filp->private_data)->told = mxfs_has_told(lower, since);
	}
	filemap_invalidate_unlock(mapping);
	return ret;
}

/* Inside the gate. @aio: as for mxfs_write_once() */
static ssize_t mxfs_direct_once(struct kiocb *iocb, struct iov_iter *iter, bool write, struct mxfs_aio *aio)
{
	struct file *file = iocb->ki_filp, *lower;
	struct mxfs_open *open = READ_ONCE(file->private_data);
	ssize_t ret;

	/* To find the file below, and to write pages of maps, takes reading and writing. */
	if ((iocb->ki_flags & IOCB_NOWAIT) && (!open || !READ_ONCE(open->lower) || file->f_mapping->nrpages))
		return -EAGAIN;
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower))
		return PTR_ERR(lower);
	if (aio) {
		mxfs_clone_iocb(&aio->lower, iocb, lower);
		aio->lower.ki_complete = mxfs_aio_complete;
		/* For mxfs_aio_complete(); not every caller in the kernel says so (drivers/block/loop.c). */
		if (write)
			aio->lower.ki_flags |= IOCB_WRITE;
	}
	if (write)
		return mxfs_write_once(iocb, iter, lower, aio);
	/* Before, because a request that is queued may be over, and its file closed, at any time. */
	mxfs_accessed(file, file->private_data, lower);
	ret = mxfs_cache_flush(file_inode(file), iocb->ki_pos, iocb->ki_pos + iov_iter_count(iter) - 1);
	if (ret)
		return ret;
	return aio ? mxfs_aio_submit(aio, iter, false) : mxfs_rw_nofault(iocb, iter, lower, false);
}

/*
 * O_DIRECT that returns before it is done. More than can be pinned at a time is not begun, but has to be done
 * @at_once. Return: as read_iter().
 */
static ssize_t mxfs_direct_async(struct kiocb *iocb, struct iov_iter *iter, bool write, bool *at_once)
{
	struct mxfs_sb *sbi = MXFS_ISB(file_inode(iocb->ki_filp));
	struct mxfs_aio *aio = kmem_cache_alloc(mxfs_aio_cachep, GFP_KERNEL);
	bool nowait = iocb->ki_flags & IOCB_NOWAIT;
	struct iov_iter *pinned = iter;
	ssize_t ret;

	if (!aio)
		return -ENOMEM;
	aio->upper = iocb;
	aio->pin.vec = NULL;
	if (user_backed_iter(iter)) {
		ret = mxfs_pin_and_enter(iocb, &aio->pin, iter, write, false);
		if (ret) {
			kmem_cache_free(mxfs_aio_cachep, aio);
			*at_once = ret > 0;
			return ret;
		}
		if (iov_iter_count(iter)) {
			iov_iter_revert(iter, aio->pin.bytes);
			aio->pin.dirty = false;
			*at_once = true;
			ret = 0;
			goto out;
		}
		pinned = &aio->pin.iter;
	} else {
		ret = mxfs_enter_or(sbi, nowait);
		if (ret) {
			kmem_cache_free(mxfs_aio_cachep, aio);
			return ret;
		}
	}
	ret = mxfs_direct_once(iocb, pinned, write, aio);
out:
	mxfs_leave(sbi);
	if (ret != -EIOCBQUEUED)
		mxfs_aio_free(aio);
	return ret;
}

/* A part of a request whose memory is pinned first. Return: bytes; @more: all of the memory was used, and there may be more. */
static ssize_t mxfs_rw_pinned_once(struct kiocb *iocb, struct iov_iter *iter, bool write, bool *more)
{
	struct mxfs_sb *sbi = mxfs_file_sb(iocb->ki_filp);
	struct mxfs_pin pin;
	ssize_t ret, got;

	ret = mxfs_pin_and_enter(iocb, &pin, iter, write, true);
	if (ret)
		return ret;
	ret = mxfs_direct_once(iocb, &pin.iter, write, NULL);
	mxfs_leave(sbi);
	*more = ret == pin.bytes;
	if (unlikely(pin.copied && !write)) {
		iov_iter_revert(iter, pin.bytes);
		got = ret > 0 ? mxfs_pin_copy_out(&pin, iter, ret) : ret;
		if (got < ret) {
			iocb->ki_pos -= ret - got;
			ret = got ? got : -EFAULT;
			*more = false;
		}
	} else if (!*more) {
		iov_iter_revert(iter, pin.bytes - max_t(ssize_t, ret, 0));
	}
	mxfs_unpin(&pin);
	return ret;
}

/* There may be no more written: the next piece would not be short, as the rest of one request is on XFS, but end in a signal. */
static bool mxfs_at_limit(const struct kiocb *iocb)
{
	unsigned long limit = rlimit(RLIMIT_FSIZE);

	return limit != RLIM_INFINITY && iocb->ki_pos >= 0 && (u64)iocb->ki_pos >= limit;
}

/* A request whose memory is pinned first: O_DIRECT, and what is appended. */
static ssize_t mxfs_rw_pinned(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	ssize_t total = 0, ret;
	bool more = false;

	do {
		ret = mxfs_rw_pinned_once(iocb, iter, write, &more);
		if (ret <= 0)
			break;
		total += ret;
		if (write && unlikely(mxfs_at_limit(iocb)))
			break;
	} while (more && iov_iter_count(iter) && !fatal_signal_pending(current));
	return total ?: ret;
}

/*
 * XFS looks at all of a request before it does some: at its length, once without and once with what may not be written
 * (generic_write_checks()), and at the memory. Where it begins is looked at with the first piece.
 */
static bool mxfs_direct_fits(const struct kiocb *iocb, const struct iov_iter *iter, bool write)
{
	const struct file *file = iocb->ki_filp;
	struct block_device *bdev = file_bdev(mxfs_file_sb(file)->device.pin);
	u64 most = file->f_flags & O_LARGEFILE ? file_inode(file)->i_sb->s_maxbytes : MAX_NON_LFS;
	u64 mask = bdev_logical_block_size(bdev) - 1;
	struct iov_iter all = *iter;

	/* Nothing is read there, whatever it is. */
	if (!write && iocb->ki_pos >= i_size_read(file_inode(file)))
		return true;
	if (iov_iter_count(&all) & mask)
		return false;
	if (write && rlimit(RLIMIT_FSIZE) != RLIM_INFINITY)
		most = min_t(u64, most, rlimit(RLIMIT_FSIZE));
	if (write && !(iocb->ki_flags & IOCB_APPEND) && iocb->ki_pos < most)
		iov_iter_truncate(&all, most - iocb->ki_pos);
	return !(iov_iter_count(&all) & mask) && mxfs_iter_fits(bdev, &all);
}

/* O_DIRECT. What the kernel itself asks for has its pages already. */
static noinline ssize_t mxfs_direct(struct kiocb *iocb, struct iov_iter *iter, bool write)
{
	struct mxfs_sb *sbi = MXFS_ISB(file_inode(iocb->ki_filp));
	bool at_once = false, nowait = iocb->ki_flags & IOCB_NOWAIT;
	ssize_t ret;

	/* It may take more than one piece. */
	if (unlikely(iov_iter_count(iter) > MXFS_DIRECT_PIECE) && user_backed_iter(iter) && !mxfs_direct_fits(iocb, iter, write))
		return -EINVAL;
	if (!is_sync_kiocb(iocb)) {
		ret = mxfs_direct_async(iocb, iter, write, &at_once);
		if (!at_once)
			return ret;
		if (nowait)
			return -EAGAIN;
	}
	if (user_backed_iter(iter))
		return mxfs_rw_pinned(iocb, iter, write);
	ret = mxfs_enter_or(sbi, nowait);
	if (ret)
		return ret;
	ret = mxfs_direct_once(iocb, iter, write, NULL);
	mxfs_leave(sbi);
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
static ssize_t mxfs_read_iter(struct kiocb *iocb, struct iov_iter *to)
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

/*
 * A page of user memory through the kernel's own: for a source that is a map of the very range that
 * is written, which is dropped again each time that it is faulted in. The copy takes page faults, so it is done outside
 * the gate.
 */
static ssize_t mxfs_copy_chunk(struct iov_iter *from, struct page **page)
{
	size_t bytes = min_t(size_t, iov_iter_count(from), PAGE_SIZE), copied;

	if (!*page)
		*page = alloc_page(GFP_KERNEL);
	if (!*page)
		return -ENOMEM;
	copied = copy_page_from_iter(*page, 0, bytes, from);
	return copied ? copied : -EFAULT;
}

/* One attempt inside the gate. */
static __always_inline ssize_t mxfs_write_entered(struct mxfs_sb *sbi, struct kiocb *iocb, struct iov_iter *from)
{
	struct file *lower;
	ssize_t ret;

	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower = mxfs_lower_file(iocb->ki_filp);
	if (IS_ERR(lower))
		ret = PTR_ERR(lower);
	else
		ret = mxfs_write_once(iocb, from, lower, NULL);
	mxfs_leave(sbi);
	return ret;
}

static ssize_t mxfs_write_chunk(struct mxfs_sb *sbi, struct kiocb *iocb, struct iov_iter *from, struct page **page)
{
	ssize_t copied = mxfs_copy_chunk(from, page), ret;
	struct iov_iter iter;
	struct bio_vec bvec;

	if (copied < 0)
		return copied;
	bvec_set_page(&bvec, *page, copied, 0);
	iov_iter_bvec(&iter, ITER_SOURCE, &bvec, 1, copied);
	ret = mxfs_write_entered(sbi, iocb, &iter);
	/* What was copied and not written is still the caller's. */
	iov_iter_revert(from, copied - max_t(ssize_t, ret, 0));
	return ret;
}

/*
 * A write whose source was not all in memory, after the attempt that found that out. @total: what has
 * been written already.
 */
static noinline ssize_t mxfs_write_on(struct mxfs_sb *sbi, struct kiocb *iocb, struct iov_iter *from, ssize_t total)
{
	struct page *page = NULL;
	size_t chunk;
	ssize_t ret;

	do {
		chunk = min_t(size_t, iov_iter_count(from), MXFS_FAULT_IN_MAX);
		if (fault_in_iov_iter_readable(from, chunk) == chunk) {
			ret = -EFAULT;
			break;
		}
		ret = mxfs_write_entered(sbi, iocb, from);
		if (ret == -EFAULT)
			ret = mxfs_write_chunk(sbi, iocb, from, &page);
		if (ret <= 0)
			break;
		total += ret;
		if (fatal_signal_pending(current) || mxfs_at_limit(iocb))
			break;
	} while (iov_iter_count(from));
	if (page)
		put_page(page);
	return total ?: ret;
}

static ssize_t mxfs_write_iter(struct kiocb *iocb, struct iov_iter *from)
{
	struct file *file = iocb->ki_filp;
	struct inode *inode = file_inode(file);
	struct mxfs_sb *sbi = mxfs_file_sb(file);
	bool is_pinned;
	ssize_t ret;

	if (!iov_iter_count(from))
		return 0;
	/* Locks, and the pages of maps, would have to be waited for. */
	if (iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	is_pinned = (iocb->ki_flags & (IOCB_APPEND | IOCB_DIRECT)) && user_backed_iter(from);
	/* Written in one piece, if nothing takes it away again. */
	if (!is_pinned)
		fault_in_iov_iter_readable(from, min_t(size_t, iov_iter_count(from), MXFS_WHOLE_MAX));
	/* Whoever has it may wait for ownership. */
	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	if (iocb->ki_flags & IOCB_DIRECT) {
		ret = mxfs_direct(iocb, from, true);
	} else if (is_pinned) {
		ret = mxfs_rw_pinned(iocb, from, true);
	} else {
		/* Most often all of the source is in memory. */
		ret = mxfs_write_entered(sbi, iocb, from);
		if (unlikely((ret == -EFAULT || ret > 0) && iov_iter_count(from) && user_backed_iter(from) &&
			     !fatal_signal_pending(current)))
			ret = mxfs_write_on(sbi, iocb, from, max_t(ssize_t, ret, 0));
	}
	if (ret > 0)
		this_cpu_add(sbi->cpu->bytes_written, ret);
	if (ret != -EIOCBQUEUED && unlikely(iocb_is_dsync(iocb)))
		ret = mxfs_heard(iocb, ret, mxfs_take_told(file));
	inode_unlock(inode);
	return ret;
}

loff_t mxfs_llseek(struct file *file, loff_t offset, int whence)
{
	struct inode *inode = file_inode(file);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct file *lower;
	loff_t ret;

	if (whence == SEEK_SET || whence == SEEK_CUR)
		return generic_file_llseek(file, offset, whence);
	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower)) {
		ret = PTR_ERR(lower);
		goto out;
	}
	ret = mxfs_cache_flush(inode, 0, LLONG_MAX);
	if (ret)
		goto out;
	lower->f_pos = file->f_pos;
	ret = vfs_llseek(lower, offset, whence);
	if (ret >= 0)
		ret = vfs_setpos(file, ret, inode->i_sb->s_maxbytes);
out:
	mxfs_leave(sbi);
	return ret;
}

int mxfs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	struct inode *inode = file_inode(file);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	struct file *lower;
	int err, lost;

	/*
	 * On a node that does not own the volume there is nothing to do: detaching unmounted XFS,
	 * and all that was written here is on disk. What went wrong then was noted in the upper
	 * mapping.
	 */
	err = mxfs_enter_attached(sbi);
	if (err == -ENOTCONN)
		return file_check_and_advance_wb_err(file);
	if (err)
		return err;
	if (S_ISREG(inode->i_mode)) {
		err = file_write_and_wait_range(file, start, end);
		lost = mxfs_cache_left_out(inode, start, end);
		err = err ?: lost;
	}
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower))
		err = err ?: PTR_ERR(lower);
	else
		err = vfs_fsync_range(lower, start, end, datasync) ?: err;
	if (!IS_ERR(lower))
		mxfs_carry_error(inode, file_inode(lower));
	mxfs_leave(sbi);
	/* The lower file may be younger than an error that this descriptor has not told yet. */
	lost = file_check_and_advance_wb_err(file);
	return err ?: lost;
}

/* Under i_rwsem. @end: of the whole, which the size will be behind. */
static long mxfs_fallocate_piece(struct file *file, int mode, loff_t offset, loff_t len, loff_t end)
{
	struct inode *inode = file_inode(file);
	struct mxfs_sb *sbi = MXFS_ISB(inode);
	bool keeps = !(mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_UNSHARE_RANGE));
	bool moves = mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE); /* everything behind the offset */
	struct mxfs_range range = { offset, moves ? LLONG_MAX : offset + len - 1 };
	struct file *lower;
	long err;

	err = mxfs_enter(sbi);
	if (err)
		return err;
	err = end ? mxfs_refresh_attr(inode) ?: inode_newsize_ok(inode, end) : 0;
	if (err)
		goto out;
	lower = mxfs_lower_file(file);
	if (IS_ERR(lower)) {
		err = PTR_ERR(lower);
		goto out;
	}
	filemap_invalidate_lock(inode->i_mapping);
	if (offset + len > i_size_read(file_inode(lower)) && !(mode & FALLOC_FL_KEEP_SIZE))
		mxfs_cache_grow(inode, file_inode(lower));
	if (!keeps)
		err = mxfs_cache_drop_locked(inode, range.first, range.last);
	if (err)
		goto out_cache;
	if (!keeps)
		mxfs_cache_hold(inode, &range);
	err = vfs_fallocate(lower, mode, offset, len);
	if (!keeps && !mxfs_is_refused(err)) {
		mxfs_cache_cut(inode, i_size_read(file_inode(lower)));
		/* What moved before it failed is nowhere else: no page may be written over it. */
		if (!err || moves)
			mxfs_cache_changed(inode, lower, range.first, range.last);
		else
			mxfs_cache_failed(inode, range.first, range.last);
	}
	mxfs_cache_let_go(inode);
	mxfs_copy_attr(inode, file_inode(lower));
out_cache:
	filemap_invalidate_unlock(inode->i_mapping);
out:
	mxfs_leave(sbi);
	return err;
}

/*
 * How much of it at a time. XFS reserves the blocks of one extent at a time, and keeps what it has got when there are too few for
 * the next: as much, so that a volume that is too small is found out as soon (xfs_alloc_file_space()). What frees has many extents
 * to look at.
 */
static loff_t mxfs_fallocate_most(const struct inode *inode, int mode)
{
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return SZ_1G;
	/* It copies data. */
	if (mode & FALLOC_FL_UNSHARE_RANGE)
		return MXFS_COPY_PIECE;
	return (loff_t)inode->i_sb->s_blocksize << 21; /* XFS_MAX_BMBT_EXTLEN */
}

/*
 * A change of owner waits for who is inside the gate, so what may be long is done in pieces. What moves the rest of the file
 * (collapse, insert) cannot be; it is changes of the tree of extents, and no data. The size changes with the last piece: what
 * fails before has changed no more of the file than it has on XFS.
 */
static long mxfs_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	loff_t end = mode & FALLOC_FL_KEEP_SIZE ? 0 : offset + len, most, piece;
	long err = 0;

	if (down_write_killable(&inode->i_rwsem))
		return -EINTR;
	most = mxfs_fallocate_most(inode, mode);
	if (!(mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_UNSHARE_RANGE)))
		while (!err && len > most) {
			piece = most - offset % most;
			err = mxfs_fallocate_piece(file, mode | FALLOC_FL_KEEP_SIZE, offset, piece, end);
			offset += piece;
			len -= piece;
			if (fatal_signal_pending(current))
				err = err ?: -EINTR;
		}
	if (!err)
		err = mxfs_fallocate_piece(file, mode, offset, len, 0);
	inode_unlock(inode);
	return err;
}

enum mxfs_transfer { MXFS_COPY, MXFS_CLONE, MXFS_DEDUPE };

/* As lock_two_nondirectories(), which cannot be killed. */
static int mxfs_lock_two(struct inode *a, struct inode *b)
{
	if (a > b)
		swap(a, b);
	if (down_write_killable(&a->i_rwsem))
		return -EINTR;
	if (a == b || !down_write_killable_nested(&b->i_rwsem, I_MUTEX_NONDIR2))
		return 0;
	inode_unlock(a);
	return -EINTR;
}

/* Both files are locked. */
static loff_t mxfs_transfer_piece(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			    loff_t len, unsigned int flags, enum mxfs_transfer how)
{
	struct inode *inode_in = file_inode(in), *inode_out = file_inode(out);
	struct mxfs_sb *sbi = MXFS_ISB(inode_out);
	/* All behind it, for a clone of all that there is. */
	struct mxfs_range range = { pos_out, len ? pos_out + len - 1 : LLONG_MAX };
	struct file *lower_in, *lower_out;
	loff_t ret;

	ret = mxfs_enter(sbi);
	if (ret)
		return ret;
	lower_in = mxfs_lower_file(in);
	lower_out = mxfs_lower_file(out);
	if (IS_ERR(lower_in) || IS_ERR(lower_out)) {
		ret = PTR_ERR(IS_ERR(lower_in) ? lower_in : lower_out);
		goto out;
	}
	filemap_invalidate_lock_two(inode_in->i_mapping, inode_out->i_mapping);
	mxfs_cache_grow(inode_out, file_inode(lower_out));
	ret = mxfs_cache_drop_locked(inode_in, 0, LLONG_MAX);
	if (!ret)
		ret = mxfs_cache_drop_locked(inode_out, 0, LLONG_MAX);
	if (ret)
		goto out_caches;
	mxfs_cache_hold(inode_out, &range);
	switch (how) {
	case MXFS_COPY:
		ret = vfs_copy_file_range(lower_in, pos_in, lower_out, pos_out, len, flags);
		mxfs_accessed(in, in->private_data, lower_in);
		break;
	case MXFS_CLONE:
		ret = vfs_clone_file_range(lower_in, pos_in, lower_out, pos_out, len, flags);
		break;
	case MXFS_DEDUPE:
		ret = vfs_dedupe_file_range_one(lower_in, pos_in, lower_out, pos_out, len, flags);
		break;
	}
	/* A dedupe changes no byte. What fails may have copied, or cloned, some of it. */
	if (ret > 0 && how != MXFS_DEDUPE)
		mxfs_cache_changed(inode_out, lower_out, pos_out, pos_out + ret - 1);
	else if (ret < 0 && how != MXFS_DEDUPE && !mxfs_is_refused(ret))
		mxfs_cache_failed(inode_out, range.first, range.last);
	mxfs_cache_let_go(inode_out);
	mxfs_copy_attr(inode_out, file_inode(lower_out));
out_caches:
	filemap_invalidate_unlock_two(inode_in->i_mapping, inode_out->i_mapping);
out:
	mxfs_leave(sbi);
	return ret;
}

/*
 * copy_file_range, clone and dedupe within one volume: XFS does it, between the two lower files. Copies are long, and are made
 * in pieces; a clone moves no data.
 */
static loff_t mxfs_transfer(struct file *in, loff_t pos_in, struct file *out, loff_t pos_out,
			    loff_t len, unsigned int flags, enum mxfs_transfer how)
{
	struct inode *inode_in = file_inode(in), *inode_out = file_inode(out);
	loff_t done = 0, piece, ret;

	ret = mxfs_lock_two(inode_in, inode_out);
	if (ret)
		return ret;
	do {
		piece = how == MXFS_COPY ? min_t(loff_t, len - done, MXFS_COPY_PIECE) : len;
		ret = mxfs_transfer_piece(in, pos_in + done, out, pos_out + done, piece, flags, how);
		if (ret > 0)
			done += ret;
	} while (how == MXFS_COPY && ret == piece && done < len && !fatal_signal_pending(current));
	unlock_two_nondirectories(inode_in, inode_out);
	return done ?: ret;
}

static ssize_t mxfs_copy_file_range(struct file *in, loff_t pos_in, struct file *out,
				    loff_t pos_out, size_t len, unsigned int flags)
{
	if (file_inode(in)->i_sb != file_inode(out)->i_sb)
		return splice_copy_file_range(in, pos_in, out, pos_out, len);
	return mxfs_transfer(in, pos_in, out, pos_out, len, flags, MXFS_COPY);
}

static loff_t mxfs_remap_file_range(struct file *in, loff_t pos_in, struct file *out,
				    loff_t pos_out, loff_t len, unsigned int flags)
{
	if (flags & ~(REMAP_FILE_DEDUP | REMAP_FILE_ADVISORY))
		return -EINVAL;
	return mxfs_transfer(in, pos_in, out, pos_out, len, flags & ~REMAP_FILE_DEDUP,
			     flags & REMAP_FILE_DEDUP ? MXFS_DEDUPE : MXFS_CLONE);
}

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
	case FS_IOC_SETFSLABEL:
		ret = mxfs_ioctl_small(file, cmd, arg);
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

/*
 * What is to be read ahead, or not to be kept, is the lower file's cache; that of maps is small beside it. Patterns that a
 * program announces are kept above, because the lower file does not last, and told to each.
 */
static int mxfs_fadvise(struct file *file, loff_t offset, loff_t len, int advice)
{
	struct mxfs_sb *sbi = MXFS_ISB(file_inode(file));
	struct file *lower;
	int err;

	if (len < 0)
		return -EINVAL;
	if (advice != POSIX_FADV_WILLNEED) {
		err = generic_fadvise(file, offset, len, advice);
		if (err)
			return err;
	}
	/* Nothing is cached on a node that does not own the volume, and the volume is not taken for advice. */
	if (!mxfs_try_enter(sbi))
		return 0;
	lower = mxfs_lower_file(file);
	err = IS_ERR(lower) ? PTR_ERR(lower) : vfs_fadvise(lower, offset, len, advice);
	mxfs_leave(sbi);
	return err;
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
