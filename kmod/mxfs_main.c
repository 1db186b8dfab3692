// SPDX-License-Identifier: GPL-2.0-only
/*
 * mxfs: standard XFS on a shared disk, mounted by many machines at once.
 *
 * This file only registers things; mxfs.h says how the rooms fit together.
 */
#include <linux/init.h>
#include <linux/module.h>
#include "mxfs.h"

static int __init mxfs_init(void)
{
	int err;

	err = mxfs_inode_cache_create();
	if (err)
		return err;
	err = mxfs_file_cache_create();
	if (err)
		goto err_inode;
	mxfs_debugfs_init();
	err = mxfs_netlink_init();
	if (err)
		goto err_file;
	err = register_filesystem(&mxfs_fs_type);
	if (err)
		goto err_netlink;
	return 0;

err_netlink:
	mxfs_netlink_exit();
err_file:
	mxfs_debugfs_exit();
	mxfs_file_cache_destroy();
err_inode:
	mxfs_inode_cache_destroy();
	return err;
}

static void __exit mxfs_exit(void)
{
	unregister_filesystem(&mxfs_fs_type);
	mxfs_netlink_exit();
	mxfs_debugfs_exit();
	mxfs_file_cache_destroy();
	mxfs_inode_cache_destroy();
}

module_init(mxfs_init);
module_exit(mxfs_exit);

MODULE_DESCRIPTION("Standard XFS on a shared disk, mounted by many machines at once");
MODULE_AUTHOR("The mxfs developers");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
MODULE_ALIAS_FS("mxfs");
MODULE_SOFTDEP("pre: xfs");
