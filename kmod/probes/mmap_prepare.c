// SPDX-License-Identifier: GPL-2.0-only
/* file_operations.mmap_prepare, which is given a description of the map to come (6.17). */
#include <linux/fs.h>
#include <linux/mm.h>

int probe(struct file *file);
int probe(struct file *file)
{
	struct vm_area_desc desc = { .file = file };

	return file->f_op->mmap_prepare(&desc) + !desc.vm_ops;
}
