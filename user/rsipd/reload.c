/* SPDX-License-Identifier: GPL-2.0-only */
/* See reload.h. */
#include "rsipd/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/show.h"
#include "rsipd/config_change.h"
#include "rsipd/config_system.h"

#define ENDED_MAX	1000		/* shown one by one; then they are counted */

struct reload {
	struct rsipd *rsipd;
	reload_done *done;
	void *arg;
	uv_work_t reading;
	uv_idle_t refitting;
	bool running, closing;
	struct config *other;		/* the fresh one; once it is in force, what it replaced */
	struct config_error error;
	struct reload_result result;
};

/* --- the end ------------------------------------------------------------------------ */

static void finish(struct reload *reload)
{
	struct reload_result *result = &reload->result;

	config_free(reload->other);
	reload->other = NULL;
	reload->running = false;
	if (result->error)
		log_error("reload: nothing was changed: %s", result->error);
	else
		log_info("reload: %s is in force; %u registrations and %u other binds did not fit and were ended",
			 reload->rsipd->config_path, result->registrations, result->binds);
	reload->done(result, reload->arg);
	json_decref(result->ended);
	*result = (struct reload_result){ 0 };
}

static void refuse(struct reload *reload, const char *what, int err)
{
	snprintf(reload->error.text, sizeof(reload->error.text), "%s: %s", what, strerror(-err));
	reload->result.error = reload->error.text;
	finish(reload);
}

/* --- what does not fit ----------------------------------------------------------------- */

static void on_ended(const struct session_unfit *what, void *arg)
{
	struct reload *reload = arg;
	struct reload_result *result = &reload->result;

	if (what->bind_id)
		result->binds++;
	else
		result->registrations++;
	if (json_array_size(result->ended) >= ENDED_MAX)
		return;
	json_array_append_new(result->ended, json_pack("{so sI so ss}", "client", show_addr(what->host),
						       "client_id", (json_int_t)what->client_id,
						       "bind_id", what->bind_id ? json_integer(what->bind_id) : json_null(),
						       "why", what->why));
}

static void on_idle(uv_idle_t *idle)
{
	struct reload *reload = idle->data;

	if (sessions_refit(reload->rsipd->sessions, daemon_now()))
		return;
	uv_idle_stop(idle);
	datapath_pools_remove(reload->rsipd->dp, reload->other, reload->rsipd->config);
	finish(reload);
}

/* --- from file to force ---------------------------------------------------------------- */

static void read_file(uv_work_t *work)
{
	struct reload *reload = work->data;
	const char *path = reload->rsipd->config_path;

	reload->other = config_load(path, &reload->error);
	if (reload->other && config_check_system(reload->other, path, &reload->error)) {
		config_free(reload->other);
		reload->other = NULL;
	}
}

/* The data plane knows new addresses before anybody can lease them. */
static void on_read(uv_work_t *work, int status)
{
	struct reload *reload = work->data;
	struct rsipd *rsipd = reload->rsipd;
	int err;

	if (reload->closing) {
		config_free(reload->other);
		reload->other = NULL;
		return;
	}
	if (!reload->other || config_check_change(rsipd->config, reload->other, rsipd->config_path, &reload->error)) {
		reload->result.error = reload->error.text;
		finish(reload);
		return;
	}
	err = datapath_pools_add(rsipd->dp, reload->other);
	if (!err)
		err = sessions_change(rsipd->sessions, rsipd->config, reload->other, on_ended, reload);
	if (err) {
		datapath_pools_add(rsipd->dp, rsipd->config);
		datapath_pools_remove(rsipd->dp, reload->other, rsipd->config);
		refuse(reload, "the pools cannot be changed", err);
		return;
	}
	daemon_wake(rsipd);
	uv_idle_start(&reload->refitting, on_idle);
}

bool reload_begin(struct reload *reload)
{
	if (reload->running)
		return false;
	reload->running = true;
	reload->result.ended = json_array();
	reload->reading.data = reload;
	return !uv_queue_work(reload->rsipd->loop, &reload->reading, read_file, on_read);
}

/* --- life --------------------------------------------------------------------------------- */

struct reload *reload_new(struct rsipd *rsipd, reload_done *done, void *arg)
{
	struct reload *reload = calloc(1, sizeof(*reload));

	if (!reload)
		return NULL;
	reload->rsipd = rsipd;
	reload->done = done;
	reload->arg = arg;
	uv_idle_init(rsipd->loop, &reload->refitting);
	reload->refitting.data = reload;
	return reload;
}

void reload_close(struct reload *reload)
{
	if (!reload)
		return;
	reload->closing = true;
	uv_close((uv_handle_t *)&reload->refitting, NULL);
}

void reload_free(struct reload *reload)
{
	if (!reload)
		return;
	config_free(reload->other);
	json_decref(reload->result.ended);
	free(reload);
}
