/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: the memory of a request (data/pin.c).
 */
#ifndef _MXFS_DATA_PIN_H
#define _MXFS_DATA_PIN_H

#include <linux/bvec.h>
#include <linux/uio.h>
#include "inode.h"

#define MXFS_PIN_FEW 8 /* pieces for which nothing is allocated */

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

int mxfs_pin_and_enter(struct kiocb *iocb, struct mxfs_pin *pin, struct iov_iter *iter, bool write, bool may_copy);
size_t mxfs_pin_copy_out(const struct mxfs_pin *pin, struct iov_iter *to, size_t bytes);
bool mxfs_pin_fits(const struct mxfs_sb *sbi, const struct iov_iter *iter);
bool mxfs_pin_is_dirty(const struct mxfs_pin *pin);
void mxfs_unpin(struct mxfs_pin *pin);

#endif /* _MXFS_DATA_PIN_H */
