// SPDX-License-Identifier: Apache-2.0
/*
 * Keeps the netlink sockets of a process open beyond its end: port_held PID. Prints "held N", lets go on a line of standard input, or at
 * its end. A process with a thread in the kernel that does not come back keeps them so.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char path[64], line[16];
	struct dirent *entry;
	int pidfd, n = 0;
	DIR *dir;

	if (argc != 2 || access("/dev/mxfs-lab", F_OK)) {
		fprintf(stderr, "port_held: a process, in a lab node only\n");
		return 2;
	}
	snprintf(path, sizeof(path), "/proc/%s/fd", argv[1]);
	pidfd = pidfd_open(atoi(argv[1]), 0);
	dir = opendir(path);
	if (pidfd < 0 || !dir) {
		fprintf(stderr, "port_held: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	while ((entry = readdir(dir))) {
		struct sockaddr_nl address;
		socklen_t length = sizeof(address);
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		fd = pidfd_getfd(pidfd, atoi(entry->d_name), 0);
		if (fd < 0)
			continue; /* closed since */
		if (getsockname(fd, (struct sockaddr *)&address, &length) || address.nl_family != AF_NETLINK)
			close(fd);
		else
			n++;
	}
	closedir(dir);
	printf("held %d\n", n);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	return 0;
}
