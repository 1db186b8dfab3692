// SPDX-License-Identifier: GPL-2.0-only
/* See compat.h: this compiles where the kernel has the interface. */
#include <linux/fs.h>
#include <linux/fs_context.h>
int probe(struct fs_context *fc);
int probe(struct fs_context *fc)
{
	return vfs_parse_fs_string(fc, "source", "");
}
