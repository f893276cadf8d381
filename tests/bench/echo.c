// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the network alone allows: sends every datagram to the RSIP port back,
 * many for one system call, and does nothing else. For load.c that is an answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <error.h>
#include <string.h>
#include <sys/socket.h>

#include <rsip/proto.h>

#define BATCH	64
#define MESSAGE	128

int main(void)
{
	static struct sockaddr_in from[BATCH];
	static char data[BATCH][MESSAGE];
	static struct iovec iov[BATCH];
	static struct mmsghdr batch[BATCH];
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(RSIP_PORT) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 1 << 20, n;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)))
		error(1, errno, "socket");
	for (;;) {
		for (int i = 0; i < BATCH; i++) {
			iov[i] = (struct iovec){ data[i], MESSAGE };
			batch[i].msg_hdr = (struct msghdr){
				.msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &iov[i], .msg_iovlen = 1,
			};
		}
		n = recvmmsg(fd, batch, BATCH, MSG_WAITFORONE, NULL);
		if (n < 0 && errno != EINTR)
			error(1, errno, "receiving");
		for (int i = 0; i < n; i++)
			iov[i].iov_len = batch[i].msg_len;
		if (n > 0)
			sendmmsg(fd, batch, n, 0);
	}
}
