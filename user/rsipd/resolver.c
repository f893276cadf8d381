// SPDX-License-Identifier: GPL-2.0-only
/* See resolver.h. c-ares says which sockets to watch; a timer lets it see its timeouts. */
#include "rsipd/resolver.h"

#include <ares.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/log.h"

#define RESOLV_CONF	"/etc/resolv.conf"
#define FIRST_WAIT_MS	400	/* for an answer; the second time twice as long */
#define TRIES		2
#define TIMER_MS	100
#define ADDRESSES_MAX	64	/* of one answer */

struct watched {			/* a socket of c-ares */
	uv_poll_t poll;
	struct resolver *resolver;
	ares_socket_t fd;
	struct watched *next;
};

struct resolver {
	uv_loop_t *loop;
	uv_timer_t timer;
	resolver_found *found;
	void *arg;
	ares_channel channel;
	struct timespec config_time;	/* of RESOLV_CONF, when the channel was made */
	struct watched *sockets;
	unsigned int pending;
	bool closed;
};

struct question {
	struct resolver *resolver;
	uint32_t id;
};

/* --- what c-ares waits for --------------------------------------------------------- */

static void on_socket(uv_poll_t *poll, int status, int events)
{
	const struct watched *watched = poll->data;
	bool readable = status || events & UV_READABLE, writable = status || events & UV_WRITABLE;

	ares_process_fd(watched->resolver->channel, readable ? watched->fd : ARES_SOCKET_BAD,
			writable ? watched->fd : ARES_SOCKET_BAD);
}

static void on_timer(uv_timer_t *timer)
{
	const struct resolver *resolver = timer->data;

	ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void unwatch(struct watched **at)
{
	struct watched *watched = *at;

	*at = watched->next;
	uv_close((uv_handle_t *)&watched->poll, on_closed);
}

static struct watched *watch(struct resolver *resolver, ares_socket_t fd)
{
	struct watched *watched = calloc(1, sizeof(*watched));

	if (!watched || uv_poll_init(resolver->loop, &watched->poll, fd)) {
		free(watched);
		return NULL;
	}
	watched->poll.data = watched;
	watched->resolver = resolver;
	watched->fd = fd;
	watched->next = resolver->sockets;
	resolver->sockets = watched;
	return watched;
}

/* Without memory a socket is not watched, and its question times out. */
static void on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *resolver = arg;
	struct watched **at = &resolver->sockets, *watched;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	if (!readable && !writable) {
		if (*at)
			unwatch(at);
		return;
	}
	watched = *at ? *at : watch(resolver, fd);
	if (watched)
		uv_poll_start(&watched->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), on_socket);
}

/* --- the channel -------------------------------------------------------------------- */

static struct timespec config_time(void)
{
	struct stat status;

	return stat(RESOLV_CONF, &status) ? (struct timespec){ 0 } : status.st_mtim;
}

static int open_channel(struct resolver *resolver)
{
	struct ares_options options = {
		.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES, .timeout = FIRST_WAIT_MS, .tries = TRIES,
		.sock_state_cb = on_state, .sock_state_cb_data = resolver,
	};

	resolver->config_time = config_time();
	return ares_init_options(&resolver->channel, &options,
				 ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
}

/* Between questions: those under way are not cut off. */
static void follow_config(struct resolver *resolver)
{
	struct timespec now = config_time();
	ares_channel old = resolver->channel;
	int err;

	if (resolver->pending ||
	    (now.tv_sec == resolver->config_time.tv_sec && now.tv_nsec == resolver->config_time.tv_nsec))
		return;
	err = open_channel(resolver);
	if (err) {
		resolver->channel = old;
		log_warn("names: " RESOLV_CONF " has changed, and cannot be used: %s", ares_strerror(err));
		return;
	}
	ares_destroy(old);
}

/* --- questions ------------------------------------------------------------------------- */

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct question *question = arg;
	struct resolver *resolver = question->resolver;
	__be32 addrs[ADDRESSES_MAX];
	size_t count = 0;

	for (const struct ares_addrinfo_node *node = info ? info->nodes : NULL; node; node = node->ai_next) {
		if (node->ai_family == AF_INET && count < ADDRESSES_MAX)
			addrs[count++] = ((const struct sockaddr_in *)node->ai_addr)->sin_addr.s_addr;
	}
	if (info)
		ares_freeaddrinfo(info);
	if (!--resolver->pending && !resolver->closed)
		uv_timer_stop(&resolver->timer);
	if (!resolver->closed)
		resolver->found(question->id, addrs, count, resolver->arg);
	free(question);
}

void resolver_lookup(struct resolver *resolver, uint32_t id, const char *name)
{
	static const struct ares_addrinfo_hints hints = { .ai_family = AF_INET, .ai_flags = ARES_AI_NOSORT };
	struct question *question = malloc(sizeof(*question));

	if (!question) {
		resolver->found(id, NULL, 0, resolver->arg);
		return;
	}
	*question = (struct question){ resolver, id };
	follow_config(resolver);
	if (!resolver->pending++)
		uv_timer_start(&resolver->timer, on_timer, TIMER_MS, TIMER_MS);
	ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_answer, question);
}

/* --- life --------------------------------------------------------------------------------- */

struct resolver *resolver_new(uv_loop_t *loop, resolver_found *found, void *arg)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));
	int err = resolver ? ares_library_init(ARES_LIB_INIT_ALL) : ARES_ENOMEM;

	if (!err)
		err = open_channel(resolver);
	if (err) {
		log_error("names cannot be looked up: %s", ares_strerror(err));
		free(resolver);
		return NULL;
	}
	resolver->loop = loop;
	resolver->found = found;
	resolver->arg = arg;
	uv_timer_init(loop, &resolver->timer);
	resolver->timer.data = resolver;
	return resolver;
}

void resolver_close(struct resolver *resolver)
{
	if (!resolver)
		return;
	resolver->closed = true;
	ares_destroy(resolver->channel);
	while (resolver->sockets)
		unwatch(&resolver->sockets);
	uv_close((uv_handle_t *)&resolver->timer, NULL);
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	ares_library_cleanup();
	free(resolver);
}
