// SPDX-License-Identifier: Apache-2.0
/*
 * Asks the NFS server of this machine for a file handle, or what became of one, as a client does that outlives the server.
 *
 *	nfs_handle get NAME...		walks from the root of what is exported; prints the handle
 *	nfs_handle ask HANDLE		prints "nfs 0", or the error (70: stale)
 *
 * NFS version 4.0 (RFC 7530), without what this does not need: no client, no state, no user.
 */
#include "tap.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { GETATTR = 9, GETFH = 10, LOOKUP = 15, PUTFH = 22, PUTROOTFH = 24, COMPOUND = 1, NFS = 100003 };

static unsigned char call[4096], reply[4096];
static size_t used, at;

static void put(uint32_t value)
{
	value = htonl(value);
	memcpy(call + used, &value, 4);
	used += 4;
}

static void put_bytes(const void *bytes, size_t length)
{
	put(length);
	memcpy(call + used, bytes, length);
	used += (length + 3) & ~3ul;
}

static uint32_t get(void)
{
	uint32_t value;

	CHECK(at + 4 <= sizeof(reply));
	memcpy(&value, reply + at, 4);
	at += 4;
	return ntohl(value);
}

static void receive(int s, void *to, size_t length)
{
	size_t done = 0;
	ssize_t n;

	while (done < length) {
		n = OK(read(s, (char *)to + done, length - done));
		CHECK(n > 0);
		done += n;
	}
}

/* Sends the operations from byte 44 on; the status of all of them. */
static uint32_t ask(void)
{
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(2049), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int s = OK(socket(AF_INET, SOCK_STREAM, 0));
	uint32_t length = htonl(0x80000000 | used);

	OK(connect(s, (struct sockaddr *)&server, sizeof(server)));
	CHECK_EQ(write(s, &length, 4), 4);
	CHECK_EQ(write(s, call, used), used);
	receive(s, &length, 4);
	length = ntohl(length) & 0x7fffffff;
	CHECK(length <= sizeof(reply));
	receive(s, reply, length);
	close(s);
	at = 8;
	CHECK_EQ(get(), 0); /* accepted */
	get();
	at += get();
	CHECK_EQ(get(), 0); /* understood */
	return get();
}

static void begin(int operations)
{
	used = 0;
	for (uint32_t word = 0; word < 6; word++)
		put((const uint32_t[]){ 1, 0, 2, NFS, 4, COMPOUND }[word]);
	for (int nobody = 0; nobody < 4; nobody++)
		put(0);
	put(0); /* tag */
	put(0); /* minor version */
	put(operations);
}

int main(int argc, char **argv)
{
	unsigned char handle[128];
	uint32_t status;
	size_t length;

	tap_pipe = 2;
	if (argc > 2 && !strcmp(argv[1], "get")) {
		begin(argc);
		put(PUTROOTFH);
		for (int i = 2; i < argc; i++) {
			put(LOOKUP);
			put_bytes(argv[i], strlen(argv[i]));
		}
		put(GETFH);
		status = ask();
		if (status) {
			printf("nfs %u\n", status);
			return 1;
		}
		at += get(); /* tag */
		CHECK_EQ(get(), argc);
		for (int i = 0; i < argc; i++) {
			get();
			CHECK_EQ(get(), 0);
		}
		length = get();
		for (size_t i = 0; i < length; i++)
			printf("%02x", reply[at + i]);
		printf("\n");
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "ask")) {
		length = strlen(argv[2]) / 2;
		CHECK(length <= sizeof(handle));
		for (size_t i = 0; i < length; i++)
			CHECK(sscanf(argv[2] + 2 * i, "%2hhx", handle + i) == 1);
		begin(2);
		put(PUTFH);
		put_bytes(handle, length);
		put(GETATTR);
		put(1);
		put(2); /* type */
		printf("nfs %u\n", ask());
		return 0;
	}
	fprintf(stderr, "usage: %s get NAME... | ask HANDLE\n", argv[0]);
	return 2;
}
