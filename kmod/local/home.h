/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: what XFS's log has, written to its place (local/home.c).
 */
#ifndef _MXFS_LOCAL_HOME_H
#define _MXFS_LOCAL_HOME_H

#include "sb.h"

struct vfsmount;

bool mxfs_lower_is_down(struct vfsmount *mnt);
int mxfs_sync_lower(struct super_block *lower);
int mxfs_write_home(struct mxfs_sb *sbi);

#endif /* _MXFS_LOCAL_HOME_H */
