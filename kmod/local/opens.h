/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: what is held on the other nodes (local/opens.c).
 */
#ifndef _MXFS_LOCAL_OPENS_H
#define _MXFS_LOCAL_OPENS_H

#include "inode.h"

void mxfs_opens_note(struct mxfs_sb *sbi, struct mxfs_inode *mi);
void mxfs_opens_forget(struct mxfs_sb *sbi, struct mxfs_inode *mi);
void mxfs_opens_tell(struct mxfs_sb *sbi);
void mxfs_opens_begin(struct mxfs_sb *sbi);
bool mxfs_is_held(struct inode *inode);
bool mxfs_open_listed(struct mxfs_sb *sbi, const struct mxfs_file_id *id);

/**
 * mxfs_open_elsewhere - does another node have this file open?
 * @sbi: the mount, attached: inside the operation gate, or attaching
 * @id: the file
 *
 * Return: whether it does, as far as is known: yes when the lists cannot be read.
 */
static inline bool mxfs_open_elsewhere(struct mxfs_sb *sbi, const struct mxfs_file_id *id)
{
	/* Pairs with smp_store_release() in mxfs_open_listed(). */
	if (smp_load_acquire(&sbi->others_seq) == READ_ONCE(sbi->attach_seq) && !READ_ONCE(sbi->others_count))
		return false;
	return mxfs_open_listed(sbi, id);
}

#endif /* _MXFS_LOCAL_OPENS_H */
