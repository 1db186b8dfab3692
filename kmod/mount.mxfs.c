// SPDX-License-Identifier: GPL-2.0-only
/*
 * mount.mxfs: what mount(8) runs for `mount -t mxfs`, where it is installed as /sbin/mount.mxfs.
 *
 * Everything works without it but one thing: `-o validate` mounts nothing, so the kernel must fail the system call, and
 * mount(8) alone cannot tell "valid, nothing mounted" (ECANCELED) from a volume that is not. This does, by its exit
 * status: 0 valid, 32 not valid, not checked or not mounted. All else is handed back to mount(8), which skips helpers (-i).
 *
 * It also says why there is no module, where there is none: mount(8) only says "unknown filesystem type".
 *
 * It needs no rights of its own and must not be installed setuid. An ordinary user's `mount DIRECTORY` (the options user, users, owner
 * and group in fstab) comes here without mount(8)'s rights. mount(8), run again, is setuid itself and looks into fstab itself; it then
 * takes a directory and nothing else.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGS	20
#define MAX_FLAGS	8
#define EXIT_USAGE	1	/* as mount(8) */
#define EXIT_FAILED	32

static void print_usage(FILE *to)
{
	fprintf(to, "usage: mount.mxfs DEVICE DIRECTORY [-fnrsvw] [-o OPTIONS]\n"
		"Mounts an XFS volume that several machines share. Called by mount -t mxfs.\n"
		"  -o validate   check the volume and mount nothing: status 0 valid, 32 not, or not checked\n"
		"  other options: ro debug iface= port= multicast= broadcast= errors=shutdown\n"
		"                 lease_ms= quantum_ms= ready_ms=, those of XFS, and those of every file system\n");
}

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, name, len) && (p[len] == ',' || !p[len]))
			return true;
	return false;
}

/* The options of mount(8) and of the VFS, which mean nothing where nothing is mounted and which the file system does not know. */
static bool is_generic(const char *option)
{
	static const char * const exact[] = {
		"rw", "ro", "defaults", "auto", "noauto", "user", "nouser", "users", "nousers", "owner", "noowner", "group",
		"nogroup", "nofail", "fail", "_netdev", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async",
		"dirsync", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime", "strictatime",
		"nostrictatime", "lazytime", "nolazytime", "silent", "loud", "nosymfollow", "symfollow", NULL };
	static const char * const prefix[] = { "x-", "X-", "user=", "comment=", "helper=", "uhelper=", NULL };

	for (const char * const *e = exact; *e; e++)
		if (!strcmp(option, *e))
			return true;
	for (const char * const *p = prefix; *p; p++)
		if (!strncmp(option, *p, strlen(*p)))
			return true;
	return false;
}

static char *without_generic(const char *options)
{
	char *copy = strdup(options), *out = calloc(1, strlen(options) + 1), *save = NULL, *opt;

	if (!copy || !out)
		return NULL;
	for (opt = strtok_r(copy, ",", &save); opt; opt = strtok_r(NULL, ",", &save)) {
		if (is_generic(opt))
			continue;
		if (*out)
			strcat(out, ",");
		strcat(out, opt);
	}
	free(copy);
	return out;
}

static int validate(const char *device, const char *dir, const char *options)
{
	char *data = without_generic(options);

	if (!data)
		return EXIT_FAILED;
	if (!mount(device, dir, "mxfs", MS_RDONLY, data)) {
		umount(dir);
		fprintf(stderr, "mount.mxfs: the kernel mounted %s instead of checking it; it was unmounted\n", device);
		return EXIT_FAILED;
	}
	if (errno == ECANCELED) {
		printf("%s: a valid XFS volume; nothing mounted\n", device);
		return 0;
	}
	if (errno == EPERM && geteuid())
		fprintf(stderr, "mount.mxfs: %s: not checked: only root can do that\n", device);
	else if (errno == ENODEV)
		fprintf(stderr, "mount.mxfs: %s: not checked: the kernel does not know mxfs\n", device);
	else if (errno == EBUSY || errno == ENOENT || errno == ENOTDIR || errno == ENOTBLK)
		fprintf(stderr, "mount.mxfs: %s at %s: not checked: %s; the kernel log may say more (dmesg)\n", device, dir, strerror(errno));
	else
		fprintf(stderr, "mount.mxfs: %s: not valid: %s; the kernel log says why (dmesg)\n", device, strerror(errno));
	return EXIT_FAILED;
}

static bool kernel_knows_mxfs(void)
{
	FILE *list = fopen("/proc/filesystems", "re");
	char line[128];
	bool known = !list;	/* then mount(2) has to tell */

	while (!known && fgets(line, sizeof(line), list))
		known = !strcmp(line, "nodev\tmxfs\n") || !strcmp(line, "\tmxfs\n");
	if (list)
		fclose(list);
	return known;
}

/* The kernel would load the module by itself, and keep what modprobe says. */
static bool load_module(void)
{
	struct utsname kernel = { };
	int status;
	pid_t pid;

	if (kernel_knows_mxfs())
		return true;
	pid = fork();
	if (!pid) {
		execl("/sbin/modprobe", "modprobe", "-b", "mxfs", (char *)NULL);
		_exit(0);	/* nobody here can tell more than mount(2) */
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !status)
		return true;
	uname(&kernel);
	fprintf(stderr, "mount.mxfs: the kernel module cannot be loaded; modprobe says above why, the kernel log may say more (dmesg)\n"
		"mount.mxfs: not found: 'apt install linux-headers-%s' lets DKMS build it for this kernel ('dkms status' lists for which it has)\n"
		"mount.mxfs: a key is missing or rejected: this machine starts by Secure Boot, see there in mxfs(5)\n", kernel.release);
	return false;
}

int main(int argc, char **argv)
{
	char *args[MAX_ARGS] = { "mount", "-i", "-t", "mxfs" }, *options = "";
	int n = 4, opt, flags = 0;
	char flag[MAX_FLAGS][3];

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_usage(stdout);
		return 0;
	}
	if (argc < 3) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	/* mount(8) calls helpers as: DEVICE DIRECTORY [-fnrsvw] [-o OPTIONS] [-t TYPE] */
	optind = 3;
	while ((opt = getopt(argc, argv, "fnrsvwo:t:N:")) != -1) {
		switch (opt) {
		case 'o':
			options = optarg;
			break;
		case 't':
		case 'N':
			break;
		default:
			if (opt == '?' || flags == MAX_FLAGS) {
				print_usage(stderr);
				return EXIT_USAGE;
			}
			snprintf(flag[flags], sizeof(flag[flags]), "-%c", opt);
			args[n++] = flag[flags++];
			break;
		}
	}
	if (!getuid() && !load_module())
		return EXIT_FAILED;
	if (has_option(options, "validate"))
		return validate(argv[1], argv[2], options);
	if (getuid()) {
		execlp("mount", "mount", "-i", argv[2], (char *)NULL);
		fprintf(stderr, "mount.mxfs: mount(8) cannot be run: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	if (*options) {
		args[n++] = "-o";
		args[n++] = options;
	}
	args[n++] = argv[1];
	args[n++] = argv[2];
	args[n] = NULL;
	execvp("mount", args);
	fprintf(stderr, "mount.mxfs: mount(8) cannot be run: %s\n", strerror(errno));
	return EXIT_FAILED;
}
