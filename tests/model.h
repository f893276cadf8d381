/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of the gateway that is as naive as can be, arrays that say who holds
 * what until when, and random requests of many hosts that are held against it. A
 * grant of what is held or resting, a refusal without a reason, a lease that ends
 * early or late, or an answer that says something else than what was asked for,
 * fails. A driver hands the requests to what is tested: tests/replay/test_model.c
 * to the sessions in simulated time, tests/netns/model.c to rsipd over sockets.
 *
 * When something happened is a span, as the driver saw it: what is over at its
 * beginning is over, what ends after its end is not, and between them both
 * answers are right. In simulated time a span is a moment.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#define MODEL_GROUPS		4	/* rules of clients: local and remote policy, see model_group() */
#define MODEL_GROUP_HOSTS	8	/* a power of two */
#define MODEL_HOSTS		(MODEL_GROUPS * MODEL_GROUP_HOSTS)
#define MODEL_FIRST_HOST	0x0a000040u	/* 10.0.0.64 */
#define MODEL_ADDRESSES		3
#define MODEL_FIRST_ADDR	0xc0000201u	/* 192.0.2.1: RSAP-IP, LISTEN and RSIPSEC */
#define MODEL_PORTS		64	/* of an address */
#define MODEL_FIRST_PORT	1000
#define MODEL_SPIS		96
#define MODEL_FIRST_SPI		0x100
#define MODEL_WHOLE		4
#define MODEL_FIRST_WHOLE	0xc0000211u	/* 192.0.2.17: RSA-IP */
#define MODEL_PEERS		3
#define MODEL_FIRST_PEER	0xc6336401u	/* 198.51.100.1 */
#define MODEL_MAX_BINDS		6	/* limits of a host */
#define MODEL_PLACES		(2 * MODEL_MAX_BINDS)	/* for its binds, with those that may be over */
#define MODEL_MAX_PORTS		24
#define MODEL_MAX_SPIS		32
#define MODEL_MAX_ADDRESSES	2

struct span {			/* ms */
	uint64_t first, last;
};

struct holding {		/* of a port, an SPI or a whole address */
	unsigned int host;	/* counted from 1; 0: nobody */
	uint32_t bind_id;
	struct span rests;	/* not lent before then */
};

struct model_lease {
	uint32_t id;		/* 0: none */
	struct span ends;
	bool whole;
	unsigned int address, ports, spis;
	__be32 remote;		/* that the flow policy ties it to; 0: none */
	uint16_t remote_port;
};

struct model_host {
	bool registered;
	uint32_t client_id, counter;
	struct span ends;
	struct model_lease binds[MODEL_PLACES];
	uint8_t request[512], late[512];	/* the last one, and the one before it */
	size_t request_len, late_len;
};

/* What is tested. Functions fail the test themselves if it does what no gateway should. */
struct model_driver {
	uint32_t registration, maximum, hold_down;	/* s */
	uint32_t lateness;	/* so late it may notice that something is over, ms */
	uint32_t wait;		/* between two requests, at most, ms; now and then a hundred times as long */
	/* The present, as the other side may see it. */
	struct span (*now)(void *arg);
	/* Has a request carried out, whatever happens to it on its way. Returns when that was. */
	struct span (*ask)(unsigned int host, const uint8_t *request, size_t len, uint8_t *answer, size_t *answer_len,
			   void *arg);
	/* A request of before comes once more, behind another one: not to be answered. */
	void (*late)(unsigned int host, const uint8_t *request, size_t len, void *arg);
	void (*wait_ms)(uint64_t ms, void *arg);
	/* As rsipctl does; false: there is no such thing. */
	bool (*deregister)(uint32_t client, void *arg);
	bool (*free_bind)(uint32_t client, uint32_t bind, void *arg);
	void *arg;
};

struct model {
	const struct model_driver *driver;
	struct holding ports[MODEL_ADDRESSES][MODEL_PORTS], spis[MODEL_ADDRESSES][MODEL_SPIS], whole[MODEL_WHOLE];
	struct model_host hosts[MODEL_HOSTS];
	uint64_t granted, refused;
};

/* Of a host: whether local and remote policy are micro, and the remote one macro or micro. */
struct model_group {
	bool local_micro, remote_macro, remote_micro;
};
struct model_group model_group(unsigned int host);

/* One request of some host, or some time that passes. */
void model_operate(struct model *m);
/* A host is de-registered, whatever it is. */
void model_leave(struct model *m, unsigned int host);
/* What is over by now is forgotten. */
void model_run_out(struct model *m);

/* A message that answers nothing came to a host: of its own accord the gateway ends what is over, and no more. */
void model_told(const struct model *m, unsigned int host, const uint8_t *data, size_t len);

/* The lease of a host by its Bind ID; NULL: it has none of that. */
struct model_lease *model_lease(struct model *m, unsigned int host, uint32_t bind_id);

/* Fails the test: of the driver's program. */
_Noreturn void model_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define model_check(what, ...)				\
	do {						\
		if (!(what))				\
			model_failed(__VA_ARGS__);	\
	} while (0)
