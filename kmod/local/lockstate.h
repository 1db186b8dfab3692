/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: .mxfs/lockstate, where the daemons write to the disk (local/lockstate.c).
 */
#ifndef _MXFS_LOCAL_LOCKSTATE_H
#define _MXFS_LOCAL_LOCKSTATE_H

#include "sb.h"

#define MXFS_LOCKSTATE "lockstate"

void mxfs_lockstate_init(struct mxfs_sb *sbi);
void mxfs_lockstate_probe(struct mxfs_sb *sbi, struct vfsmount *mnt);
int mxfs_lockstate_attach(struct mxfs_sb *sbi);
int mxfs_lockstate_begin(struct mxfs_sb *sbi);

#endif /* _MXFS_LOCAL_LOCKSTATE_H */
