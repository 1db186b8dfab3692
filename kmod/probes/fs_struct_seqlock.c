// SPDX-License-Identifier: GPL-2.0-only
/* See compat.h: this compiles where the kernel has the interface. */
#include <linux/fs_struct.h>
void probe(struct fs_struct *fs);
void probe(struct fs_struct *fs)
{
	write_seqlock(&fs->seq);
}
