/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mxfs: the only place that knows that kernels differ.
 *
 * What differs is found out by compiling (Kbuild runs probes/ through the kernel's own compiler flags) and
 * never by comparing versions: stable series move interfaces within one version.
 */
#ifndef _MXFS_COMPAT_H
#define _MXFS_COMPAT_H

#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/mount.h>
#include <linux/namei.h>

#endif /* _MXFS_COMPAT_H */
