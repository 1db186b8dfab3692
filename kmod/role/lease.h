/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: until when operations may start (role/lease.c).
 */
#ifndef _MXFS_ROLE_LEASE_H
#define _MXFS_ROLE_LEASE_H

#include "sb.h"

int mxfs_lease_init(void);
void mxfs_lease_exit(void);
void mxfs_lease_add(struct mxfs_sb *sbi);
void mxfs_lease_del(struct mxfs_sb *sbi);
int mxfs_lease_set(struct mxfs_sb *sbi, u64 boottime);
void mxfs_lease_over(struct mxfs_sb *sbi);
void mxfs_lease_workfn(struct work_struct *work);

#endif /* _MXFS_ROLE_LEASE_H */
