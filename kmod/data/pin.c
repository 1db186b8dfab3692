// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: the memory of a request, held while it is on its way.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include "compat.h"
#include "data/data.h"
#include "data/pin.h"
#include "enter.h"

#define MXFS_PIN_PAGES 1024 /* user memory to pin at a time */
#define MXFS_PIN_COPIED 256 /* pages of our own to use instead at a time */
#define MXFS_PIN_JIFFIES HZ /* in which all of it has to be there; far less than a detach waits for pins (pages/cache.c) */
#define MXFS_PIN_TRIES 4 /* before it is copied instead */

/* Of all requests that pin more than MXFS_PIN_PAGES. */
static atomic_long_t mxfs_pinned = ATOMIC_LONG_INIT(0);

void mxfs_unpin(struct mxfs_pin *pin)
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
size_t mxfs_pin_copy_out(const struct mxfs_pin *pin, struct iov_iter *to, size_t bytes)
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
bool mxfs_pin_fits(const struct mxfs_sb *sbi, const struct iov_iter *iter)
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

bool mxfs_pin_is_dirty(const struct mxfs_pin *pin)
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
int mxfs_pin_and_enter(struct kiocb *iocb, struct mxfs_pin *pin, struct iov_iter *iter, bool write, bool may_copy)
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
