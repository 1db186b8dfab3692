// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: standard XFS on a shared disk, mounted by many machines at once.
 *
 * This file only registers things; sb.h says what holds in all rooms.
 */
#include <linux/init.h>
#include <linux/module.h>
#include "daemon/daemon.h"
#include "data/data.h"
#include "role/lease.h"
#include "vfs/vfs.h"

struct workqueue_struct *mxfs_wq;

static int __init mxfs_init(void)
{
	int err;

	mxfs_wq = alloc_workqueue("mxfs", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!mxfs_wq)
		return -ENOMEM;
	err = mxfs_inode_cache_create();
	if (err)
		goto err_wq;
	err = mxfs_direct_create();
	if (err)
		goto err_inode;
	mxfs_debugfs_init();
	err = mxfs_lease_init();
	if (err)
		goto err_file;
	err = mxfs_netlink_init();
	if (err)
		goto err_lease;
	err = register_filesystem(&mxfs_fs_type);
	if (err)
		goto err_netlink;
	return 0;

err_netlink:
	mxfs_netlink_exit();
err_lease:
	mxfs_lease_exit();
err_file:
	mxfs_debugfs_exit();
	mxfs_direct_destroy();
err_inode:
	mxfs_inode_cache_destroy();
err_wq:
	destroy_workqueue(mxfs_wq);
	return err;
}

static void __exit mxfs_exit(void)
{
	unregister_filesystem(&mxfs_fs_type);
	mxfs_netlink_exit();
	mxfs_lease_exit();
	mxfs_debugfs_exit();
	mxfs_daemon_exit();
	mxfs_direct_destroy();
	mxfs_inode_cache_destroy();
	destroy_workqueue(mxfs_wq);
}

module_init(mxfs_init);
module_exit(mxfs_exit);

MODULE_DESCRIPTION("Standard XFS on a shared disk, mounted by many machines at once");
MODULE_AUTHOR("The mxfs developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.2.0");
MODULE_ALIAS_FS("mxfs");
MODULE_SOFTDEP("pre: xfs");
