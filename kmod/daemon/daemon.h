/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: the life of the daemon, the talk with it, and what people are shown.
 */
#ifndef _MXFS_DAEMON_DAEMON_H
#define _MXFS_DAEMON_DAEMON_H

#include <linux/fs_context.h>
#include "tell.h"

/* daemon.c */
int mxfs_daemon_start(struct mxfs_sb *sbi, struct fs_context *fc);
void mxfs_daemon_stop(struct mxfs_sb *sbi);
void mxfs_daemon_gone(struct mxfs_sb *sbi);
void mxfs_restart_workfn(struct work_struct *work);
void mxfs_daemon_exit(void);

/* netlink.c */
int mxfs_netlink_init(void);
void mxfs_netlink_exit(void);
int mxfs_netlink_add(struct mxfs_sb *sbi, struct fs_context *fc);
void mxfs_netlink_del(struct mxfs_sb *sbi);
void mxfs_netlink_settle(void);
int mxfs_send_leave(struct mxfs_sb *sbi);
void mxfs_result_workfn(struct work_struct *work);

/* debugfs.c */
void mxfs_debugfs_init(void);
void mxfs_debugfs_exit(void);
void mxfs_debugfs_add(struct mxfs_sb *sbi);
void mxfs_debugfs_del(struct mxfs_sb *sbi);

#endif /* _MXFS_DAEMON_DAEMON_H */
