// SPDX-License-Identifier: Apache-2.0
/*
 * Mounts, and says exactly what the kernel said: "errno NAME" (or "errno 0"), then one line for each message that the
 * file system left for the mounter (fsopen(2): reading from the context). mount(8) turns errnos into text.
 *
 *	try_mount TYPE DEVICE DIRECTORY [OPTION[=VALUE]...]
 */
#include "tap.h"
#include <sys/mount.h>

static int context;

static void finish(const char *step)
{
	int error = errno;
	char text[1024];
	ssize_t n;

	printf("errno %s\n", error ? strerrorname_np(error) : "0");
	if (error)
		printf("step %s\n", step);
	while ((n = read(context, text, sizeof(text) - 1)) > 0) {
		text[n] = '\0';
		printf("message %s\n", text);
	}
	exit(error ? 1 : 0);
}

int main(int argc, char **argv)
{
	char *value;
	int mounted;

	if (argc < 4) {
		fprintf(stderr, "usage: %s TYPE DEVICE DIRECTORY [OPTION[=VALUE]...]\n", argv[0]);
		return 2;
	}
	context = fsopen(argv[1], FSOPEN_CLOEXEC);
	if (context < 0) {
		printf("errno %s\nstep fsopen\n", strerrorname_np(errno));
		return 1;
	}
	if (fsconfig(context, FSCONFIG_SET_STRING, "source", argv[2], 0))
		finish("source");
	for (int i = 4; i < argc; i++) {
		value = strchr(argv[i], '=');
		if (value)
			*value++ = '\0';
		if (value ? fsconfig(context, FSCONFIG_SET_STRING, argv[i], value, 0) :
			    fsconfig(context, FSCONFIG_SET_FLAG, argv[i], NULL, 0))
			finish(argv[i]);
	}
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		finish("create");
	mounted = fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (mounted < 0)
		finish("fsmount");
	if (move_mount(mounted, "", AT_FDCWD, argv[3], MOVE_MOUNT_F_EMPTY_PATH))
		finish("move_mount");
	errno = 0;
	finish("done");
}
