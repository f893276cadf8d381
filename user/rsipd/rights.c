// SPDX-License-Identifier: GPL-2.0-only
/* See rights.h. By system call: the C library has none for one thread. */
#include "rsipd/rights.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "lib/log.h"

#define RIGHT(capability)	(UINT64_C(1) << (capability))

static const struct {
	uint64_t right;
	const char *name;
} names[] = {
	{ RIGHT(CAP_BPF), "CAP_BPF" },
	{ RIGHT(CAP_NET_ADMIN), "CAP_NET_ADMIN" },
	{ RIGHT(CAP_NET_RAW), "CAP_NET_RAW" },
	{ RIGHT(CAP_NET_BIND_SERVICE), "CAP_NET_BIND_SERVICE" },
	{ RIGHT(CAP_PERFMON), "CAP_PERFMON" },
	{ RIGHT(CAP_SYS_ADMIN), "CAP_SYS_ADMIN" },
};

/* Maps, and the clock that they are read by; XDP and neighbours by netlink; an interface that
 * came back gets its sockets again, which bind to it. */
#define TO_RUN		(RIGHT(CAP_BPF) | RIGHT(CAP_NET_ADMIN) | RIGHT(CAP_NET_RAW))
/* An interface that came back gets a new dispatcher: programs are loaded into it, and programs and
 * types are looked up by id. The kernel wants CAP_SYS_ADMIN for that. */
#define TO_DISPATCH	(RIGHT(CAP_PERFMON) | RIGHT(CAP_SYS_ADMIN))
/* Programs are loaded, those of an earlier daemon looked up by id, the BPF file system is mounted. */
#define TO_SET_UP	(TO_RUN | TO_DISPATCH | RIGHT(CAP_NET_BIND_SERVICE))

/* Leaves the thread those of `rights` that it has, in *left. */
static int keep(uint64_t rights, uint64_t *left)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct halves[_LINUX_CAPABILITY_U32S_3];

	*left = 0;
	if (syscall(SYS_capget, &header, halves))
		return -errno;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		halves[i].permitted &= (__u32)(rights >> (32 * i));
		halves[i].effective = halves[i].permitted;
		halves[i].inheritable = 0;
		*left |= (uint64_t)halves[i].permitted << (32 * i);
	}
	return syscall(SYS_capset, &header, halves) ? -errno : 0;
}

static int keep_logged(uint64_t rights, uint64_t *left)
{
	int err = keep(rights, left);

	if (err)
		log_error("rights that are not needed cannot be given up: %s", strerror(-err));
	return err;
}

/* Who may not (CAP_SETPCAP is not there) keeps the bounding set that the service manager chose. */
static void empty_bounding_set(void)
{
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability))
			return;
	}
}

int rights_to_set_up(void)
{
	uint64_t left;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		int err = -errno;

		log_error("new privileges cannot be ruled out: %s", strerror(-err));
		return err;
	}
	empty_bounding_set();
	return keep_logged(TO_SET_UP, &left);
}

int rights_to_run(bool dispatcher, bool low_port)
{
	uint64_t left, rights = TO_RUN | (dispatcher ? TO_DISPATCH : 0) | (low_port ? RIGHT(CAP_NET_BIND_SERVICE) : 0);
	char text[128] = "";
	int err = keep_logged(rights, &left);

	if (err)
		return err;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(text);

		if (left & names[i].right)
			snprintf(text + len, sizeof(text) - len, " %s", names[i].name);
	}
	log_info("rights that are left:%s%s", *text ? text : " none",
		 dispatcher ? " (the last two because of libxdp's dispatcher)" : "");
	return 0;
}

void rights_to_write(void)
{
	uint64_t left;

	keep_logged(0, &left);
}
