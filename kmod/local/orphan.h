/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: files that are held and have no name (local/orphan.c).
 */
#ifndef _MXFS_LOCAL_ORPHAN_H
#define _MXFS_LOCAL_ORPHAN_H

#include <linux/seq_file.h>
#include "inode.h"

int mxfs_orphans_begin(struct mxfs_sb *sbi);
bool mxfs_orphans_due(struct mxfs_sb *sbi);
int mxfs_orphans_show(struct seq_file *m, struct mxfs_sb *sbi);
int mxfs_orphan_prepare(struct inode *inode, struct dentry *lower) __mxfs_hot;
struct mxfs_orphan *mxfs_orphan_keep(struct mxfs_sb *sbi, struct dentry *lower);
void mxfs_orphan_done(struct mxfs_sb *sbi, struct mxfs_orphan *orphan);
void mxfs_orphan_evicted(struct inode *inode);
void mxfs_orphan_named(struct inode *inode);
void mxfs_orphan_return(struct mxfs_sb *sbi);
void mxfs_reap_all(struct mxfs_sb *sbi);
void mxfs_reap_end(struct mxfs_sb *sbi);
void mxfs_reap_workfn(struct work_struct *work);

#endif /* _MXFS_LOCAL_ORPHAN_H */
