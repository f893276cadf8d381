// SPDX-License-Identifier: GPL-2.0-only
/* The commands of the control socket: what `rsip status`, `listen` and the others ask the running `rsip up`. */
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#include "rsip/instance.h"
#include "rsip/listen.h"

/* --- who waits ------------------------------------------------------------------------- */

/* NULL, and a refusal: no memory. */
static struct waiting *wait_for(struct up *up, unsigned int id, bool listen, struct serve_reply *reply)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));

	if (waiting == NULL) {
		serve_refuse(reply, "no memory");
		return NULL;
	}
	waiting->id = id;
	waiting->listen = listen;
	waiting->reply = reply;
	LL_APPEND(up->waiting, waiting);
	return waiting;
}

static struct waiting *waiting_for(const struct up *up, unsigned int id, bool listen)
{
	struct waiting *waiting;

	LL_FOREACH(up->waiting, waiting)
		if (waiting->id == id && waiting->listen == listen && waiting->reply != NULL)
			return waiting;
	return NULL;
}

static void forget(struct up *up, struct waiting *waiting)
{
	LL_DELETE(up->waiting, waiting);
	free(waiting);
}

void commands_granted(struct up *up, const struct client_lease *lease)
{
	struct waiting *waiting = waiting_for(up, lease->id, true);

	if (waiting == NULL)
		return;
	serve_answer(waiting->reply, status_lease(up, lease));
	forget(up, waiting);
}

/* A server's port is had at once or not at all. */
void commands_failed(struct up *up, const struct client_failure *failure)
{
	struct waiting *waiting = waiting_for(up, failure->id, true);

	if (waiting == NULL || failure->type != RSIP_LISTEN_REQUEST)
		return;
	if (failure->error != 0)
		serve_refuse(waiting->reply, "%u %s", failure->error, client_error_name(failure->error));
	else
		serve_refuse(waiting->reply, "no answer, or one that cannot be used");
	waiting->reply = NULL;	/* commands_settle() drops it */
}

void commands_gone(struct up *up, unsigned int id)
{
	struct waiting *waiting;

	while ((waiting = waiting_for(up, id, true)) != NULL || (waiting = waiting_for(up, id, false)) != NULL) {
		if (waiting->listen)
			serve_refuse(waiting->reply, "given back before it was granted");
		else
			serve_answer(waiting->reply, NULL);
		forget(up, waiting);
	}
}

void commands_settle(struct up *up)
{
	struct waiting *waiting;

	while ((waiting = up->waiting) != NULL) {
		unsigned int id;

		LL_SEARCH_SCALAR(up->waiting, waiting, reply, NULL);
		if (waiting == NULL)
			return;
		id = waiting->id;
		forget(up, waiting);
		client_drop(up->client, id, up_now());
	}
}

void commands_end(struct up *up)
{
	struct waiting *waiting, *next;

	LL_FOREACH_SAFE(up->waiting, waiting, next) {
		if (waiting->reply != NULL)
			serve_refuse(waiting->reply, "everything was given back");
		forget(up, waiting);
	}
}

/* --- listen ----------------------------------------------------------------------------- */

static void listen_command(struct up *up, const char *const *words, size_t count, struct serve_reply *reply)
{
	struct want want;
	struct client_status status;
	unsigned int id;

	client_status(up->client, &status);
	if (!listen_read(words, count, &want)) {
		serve_refuse(reply, "listen: not understood; are both rsip of the same version?");
	} else if (!status.registered || up->stopping != STAY) {
		serve_refuse(reply, "not registered at the gateway");
	} else if (!want_permitted(&want, status.local_policy, status.remote_policy)) {
		serve_refuse(reply, "the flow policy (local %s, remote %s) wants %s",
			     msg_policy_name(status.local_policy), msg_policy_name(status.remote_policy),
			     want.ports > 1 && status.local_policy == RSIP_POLICY_MICRO ?
				     "one port at a time" :
				     status.remote_policy == RSIP_POLICY_MICRO ? "--remote ADDRESS:PORT" : "--remote ADDRESS");
	} else {
		id = client_add(up->client, &want, up_now());
		if (id == 0)
			serve_refuse(reply, "a whole address is leased: every port of it is open");
		else
			wait_for(up, id, true, reply);
	}
}

/* --- release ------------------------------------------------------------------------------ */

static void start_stop(struct up *up, enum stopping how, struct serve_reply *reply)
{
	if (up->stopper_count == STOP_WAITERS) {
		serve_refuse(reply, "it is being stopped already");
		return;
	}
	up->stoppers[up->stopper_count++] = reply;
	if (how > up->stopping)
		up->stopping = how;
}

/* Programs get no more of its ports; when no connection of one is in TIME_WAIT any more it is freed. */
static void start_release(struct up *up, const struct client_lease *lease, struct serve_reply *reply)
{
	struct waiting *waiting = wait_for(up, lease->id, false, reply);

	if (waiting == NULL)
		return;
	waiting->closing = true;
	demand_leases(up, NULL);
	commands_look(up);
	demand_look(up);
}

/* One lease, by its number at the gateway */
static void release_bind(struct up *up, const char *word, struct serve_reply *reply)
{
	struct client_item item = { 0 };
	char *end;
	unsigned long bind = strtoul(word, &end, 10);

	while (end != word && *end == 0 && client_next(up->client, item.id, &item)) {
		if (item.lease == NULL || item.lease->bind_id != bind)
			continue;
		start_release(up, item.lease, reply);
		return;
	}
	serve_refuse(reply, "%.16s: no lease has that bind number, see `rsip status'", word);
}

bool commands_closing(const struct up *up, unsigned int id)
{
	const struct waiting *waiting;

	LL_FOREACH(up->waiting, waiting)
		if (waiting->id == id && waiting->closing)
			return true;
	return false;
}

/* One that can be freed now, or NULL; *more: another has to wait. */
static struct waiting *next_to_free(struct up *up, bool *more)
{
	struct waiting *waiting;

	*more = false;
	LL_FOREACH(up->waiting, waiting) {
		struct client_item item;

		if (!waiting->closing)
			continue;
		if (!client_next(up->client, waiting->id - 1, &item) || item.id != waiting->id || item.lease == NULL ||
		    !demand_rests(item.lease))
			return waiting;
		*more = true;
	}
	return NULL;
}

bool commands_look(struct up *up)
{
	struct waiting *waiting;
	bool more;

	while ((waiting = next_to_free(up, &more)) != NULL) {
		waiting->closing = false;
		client_drop(up->client, waiting->id, up_now());
	}
	return more;
}

/* --- all ------------------------------------------------------------------------------------ */

void commands_run(struct up *up, const char *const *words, size_t count, struct serve_reply *reply)
{
	if (strcmp(words[0], "status") == 0)
		serve_answer(reply, status_all(up));
	else if (strcmp(words[0], "query") == 0)
		queries_command(up, words + 1, count - 1, reply);
	else if (strcmp(words[0], "listen") == 0)
		listen_command(up, words + 1, count - 1, reply);
	else if (strcmp(words[0], "down") == 0)
		start_stop(up, STOP, reply);
	else if (strcmp(words[0], "release") == 0 && count > 1)
		release_bind(up, words[1], reply);
	else if (strcmp(words[0], "release") == 0)
		start_stop(up, GIVE_BACK, reply);
	else
		serve_refuse(reply, "%.64s: want status, query, listen, release or down", words[0]);
}
