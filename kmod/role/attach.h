/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: XFS comes and goes (role/attach.c).
 */
#ifndef _MXFS_ROLE_ATTACH_H
#define _MXFS_ROLE_ATTACH_H

#include "sb.h"

enum mxfs_state mxfs_told_state(struct mxfs_sb *sbi);
int mxfs_command(struct mxfs_sb *sbi, enum mxfs_cmd_kind kind, u64 epoch, u32 quantum_ms, bool alone);
void mxfs_cmd_workfn(struct kthread_work *work);
void mxfs_dead_workfn(struct kthread_work *work);
void mxfs_reattach_workfn(struct kthread_work *work);
int mxfs_make_writable(struct mxfs_sb *sbi);
void mxfs_hold(struct mxfs_sb *sbi);
void mxfs_unhold(struct mxfs_sb *sbi);
void mxfs_detach_final(struct mxfs_sb *sbi);
void mxfs_distrust_all(struct mxfs_sb *sbi);
void mxfs_shutdown(struct mxfs_sb *sbi, const char *why);
void mxfs_shutdown_soon(struct mxfs_sb *sbi, const char *why);
void mxfs_shutdown_workfn(struct work_struct *work);

#endif /* _MXFS_ROLE_ATTACH_H */
