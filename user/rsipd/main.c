/* SPDX-License-Identifier: GPL-2.0-only */
/* rsipd: options, and the order in which things start and stop. */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "lib/ask.h"
#include "lib/log.h"
#include "rsipd/commit.h"
#include "rsipd/config_system.h"
#include "rsipd/control.h"
#include "rsipd/daemon.h"
#include "rsipd/journal.h"
#include "rsipd/metrics.h"
#include "rsipd/resolver.h"
#include "rsipd/reload.h"
#include "rsipd/rights.h"
#include "rsipd/server.h"

#define DEFAULT_CONFIG	"/etc/rsip/rsipd.yaml"
#define DESCRIPTORS	8192	/* connections of hosts, and what else is open */
#define LOW_PORTS	1024	/* below, a port is taken only by who has the right to */
#define END_WAIT_MS	10000	/* for a daemon that was told to end */

enum status { STATUS_CLEAN, STATUS_FAILED, STATUS_USAGE };

/* --- options ---------------------------------------------------------------------- */

struct options {
	const char *config;
	bool test, detach;
};

#define OPTION_DETACH	256

static const struct argp_option argp_options[] = {
	{ "config", 'c', "FILE", 0, "Configuration (" DEFAULT_CONFIG ")", 0 },
	{ "test", 't', NULL, 0, "Check the configuration and exit", 0 },
	{ "verbose", 'v', NULL, 0, "Log every message; more of them than an operator wants", 0 },
	{ "detach", OPTION_DETACH, NULL, 0,
	  "De-register all hosts, take the XDP programs off the interfaces and end the rsipd that runs; "
	  "without one, remove what it left behind", 0 },
	{ 0 }
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case 'c':
		options->config = arg;
		return 0;
	case 't':
		options->test = true;
		return 0;
	case 'v':
		log_set_level(LOG_LEVEL_DEBUG);
		return 0;
	case OPTION_DETACH:
		options->detach = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "\"%s\" is not an option", arg);
		return EINVAL;
	case ARGP_KEY_END:
		if (options->test && options->detach)
			argp_error(state, "-t and --detach do not go together");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- the daemon -------------------------------------------------------------------- */

struct daemon {
	struct rsipd rsipd;		/* first: daemon_of() */
	struct store *store;
	struct commit_hooks hooks;
	struct journal *journal;
	struct control *control;
	struct resolver *resolver;
	struct metrics *metrics;
	uv_loop_t loop;
	uv_timer_t second, due, recheck;
	uv_prepare_t turn;
	uint64_t turn_began;		/* CPU time of this thread, us */
	uv_signal_t signals[3];
	uv_poll_t polls[DATAPATH_FDS];
	bool detached, stopping, failed;
	__be32 followed;		/* the last address for which the configuration was read again */
};

static struct daemon *daemon_of(struct rsipd *rsipd)
{
	return (struct daemon *)rsipd;
}

static void on_due(uv_timer_t *timer)
{
	struct daemon *d = timer->data;
	uint64_t now = daemon_now(), next = session_tick(d->rsipd.sessions, now), wait = 1000;
	uint64_t forget = journal_tick(d->journal, now);

	if (!next || (forget && forget < next))
		next = forget;
	/* A lease granted meanwhile does not end sooner than in a second. */
	if (next && next < now + wait)
		wait = next > now ? next - now : 1;
	uv_timer_start(timer, on_due, wait, 0);
}

static void on_reloaded(const struct reload_result *result, void *arg)
{
	struct daemon *d = arg;

	control_reloaded(d->control, result);
}

/* Drained: the last host has gone (ADM-06). */
static void end_when_drained(struct daemon *d)
{
	if (!sessions_draining(d->rsipd.sessions) || lease_client_count(session_leases(d->rsipd.sessions)))
		return;
	log_info("drained: stopping");
	daemon_detach(&d->rsipd);
	daemon_stop(&d->rsipd);
}

/* --- what the disk says ---------------------------------------------------------------- */

static void send_answer(const struct origin *to, const uint8_t *data, size_t len, bool close, void *arg)
{
	struct daemon *d = arg;

	server_send(to, data, len, close, d->rsipd.server);
}

static void refuse_answer(const struct origin *to, const uint8_t *data, size_t len, bool close, void *arg)
{
	struct daemon *d = arg;

	session_refuse(d->rsipd.sessions, to, data, len, close, daemon_now());
}

static void on_room(void *arg)
{
	struct daemon *d = arg;

	server_resume(d->rsipd.server);
}

/* --- the loop --------------------------------------------------------------------------- */

/* APF-03: the address of an interface that is lent has changed. Once for each new address. */
static void follow_addresses(struct daemon *d)
{
	__be32 address;
	const struct config_follow *moved = config_moved(d->rsipd.config, &address);
	char text[ADDR_TEXT_LEN];

	if (!moved || address == d->followed)
		return;
	if (!reload_begin(d->rsipd.reload))
		return;		/* one is under way: the next second tries again */
	d->followed = address;
	log_info("%s has another address, %s: reading the configuration again", moved->name, addr_text(address, text));
}

/* FAIL-13. What is on disk and in the kernel stays, for a start that may go better. */
static void end_by_fault(struct daemon *d)
{
	log_error("the data plane cannot go on: stopping. Hosts get error 104 and keep their leases; mend what the message "
		  "before this one tells, then start rsipd again");
	sessions_fault(d->rsipd.sessions);
	d->failed = true;
	daemon_stop(&d->rsipd);
}

static void on_second(uv_timer_t *timer)
{
	struct daemon *d = timer->data;
	uint64_t now = daemon_now();

	if (datapath_tick(d->rsipd.dp, now)) {
		end_by_fault(d);
		return;
	}
	server_tick(d->rsipd.server, now);
	control_tick(d->control, now);
	metrics_tick(d->metrics);
	follow_addresses(d);
	end_when_drained(d);
}

/*
 * In CPU time, since how long the machine lets others run instead is not what
 * the daemon can do anything about. It waits for nothing but the loop's events.
 */
static void on_turn(uv_prepare_t *prepare)
{
	struct daemon *d = prepare->data;
	struct timespec t;
	uint64_t now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	now = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
	if (d->turn_began && now - d->turn_began > d->rsipd.longest_turn_us)
		d->rsipd.longest_turn_us = now - d->turn_began;
	d->turn_began = now;
}

/* Half of the CPU at most: a pause follows that is as long as the part took. */
static void on_recheck(uv_timer_t *timer)
{
	struct daemon *d = timer->data;
	uint64_t began = daemon_now();

	if (!datapath_recheck(d->rsipd.dp, began))
		return;
	uv_update_time(timer->loop);
	uv_timer_start(timer, on_recheck, daemon_now() - began, 0);
}

static void on_datapath(uv_poll_t *poll, int status, int events)
{
	struct daemon *d = poll->data;

	datapath_ready(d->rsipd.dp, (unsigned int)(poll - d->polls), daemon_now());
	if (!uv_is_active((uv_handle_t *)&d->recheck))
		uv_timer_start(&d->recheck, on_recheck, 0, 0);
	/* libuv stops to watch what reports an error: netlink does when it lost events, and goes on. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_datapath);
}

static void on_name(uint32_t id, const char *name, void *arg)
{
	struct daemon *d = arg;

	resolver_lookup(d->resolver, id, name);
}

/* What waited behind the request goes on. */
static void on_found(uint32_t id, const __be32 *addrs, size_t count, void *arg)
{
	struct daemon *d = arg;

	session_resolved(d->rsipd.sessions, id, addrs, count, daemon_now());
	server_resume(d->rsipd.server);
}

static void on_violation(const struct rsip_event_violation *violation, uint64_t now, void *arg)
{
	const struct rsipd *rsipd = arg;

	session_violation(rsipd->sessions, violation, now);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct daemon *d = signal->data;

	if (number == SIGHUP) {
		if (!reload_begin(d->rsipd.reload))
			log_warn("SIGHUP ignored: a reload is under way");
		return;
	}
	log_info("%s: stopping", number == SIGTERM ? "SIGTERM" : "SIGINT");
	daemon_stop(&d->rsipd);
}

void daemon_wake(struct rsipd *rsipd)
{
	on_due(&daemon_of(rsipd)->due);
}

void daemon_detach(struct rsipd *rsipd)
{
	struct daemon *d = daemon_of(rsipd);

	if (d->detached)
		return;
	d->detached = true;
	sessions_stop(rsipd->sessions, daemon_now());
	datapath_detach(rsipd->dp);
}

void daemon_stop(struct rsipd *rsipd)
{
	struct daemon *d = daemon_of(rsipd);

	if (!d->stopping)
		uv_stop(rsipd->loop);
	d->stopping = true;
}

/* --- start and stop ------------------------------------------------------------------ */

static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DESCRIPTORS)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void watch(struct daemon *d)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	for (unsigned int i = 0; i < DATAPATH_FDS; i++) {
		uv_poll_init(&d->loop, &d->polls[i], datapath_fd(d->rsipd.dp, i));
		d->polls[i].data = d;
		uv_poll_start(&d->polls[i], UV_READABLE, on_datapath);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], on_signal, numbers[i]);
	}
	uv_prepare_init(&d->loop, &d->turn);
	d->turn.data = d;
	uv_prepare_start(&d->turn, on_turn);
	uv_timer_init(&d->loop, &d->second);
	uv_timer_init(&d->loop, &d->due);
	uv_timer_init(&d->loop, &d->recheck);
	d->second.data = d->due.data = d->recheck.data = d;
	uv_timer_start(&d->second, on_second, 1000, 1000);
	uv_timer_start(&d->recheck, on_recheck, 0, 0);
	on_due(&d->due);
}

struct opening {
	struct daemon *daemon;
	int err;
};

static void open_store(void *arg)
{
	struct opening *opening = arg;

	rights_to_write();
	opening->err = store_open(opening->daemon->rsipd.config->state, &opening->daemon->store);
}

static int open_journal(struct daemon *d)
{
	struct opening opening = { .daemon = d };
	uv_thread_t thread;
	/* The threads that the store starts have the rights of the one that opens it. */
	int err = uv_thread_create(&thread, open_store, &opening);

	if (!err)
		err = uv_thread_join(&thread);
	if (!err)
		err = opening.err;
	if (err)
		return err;
	d->hooks = (struct commit_hooks){ send_answer, refuse_answer, on_room, d };
	d->rsipd.commit = commit_new(&d->loop, d->store, &d->hooks);
	if (d->rsipd.commit)
		d->journal = journal_new(d->store, d->rsipd.commit);
	return d->journal ? 0 : -ENOMEM;
}

static int restore(struct daemon *d)
{
	struct restore_counts counts;
	int err = sessions_restore(d->rsipd.sessions, daemon_now(), &counts);

	if (!err)
		err = datapath_settle(d->rsipd.dp);
	if (!err)
		log_info("state: %u hosts with %u leases go on, %u have ended meanwhile, %u are not allowed any more, "
			 "%u rest", counts.clients, counts.binds, counts.expired, counts.unfit, counts.resting);
	return err;
}

/* Everything that can refuse is opened before the first packet is touched. */
static int start(struct daemon *d)
{
	int err = open_journal(d);

	if (!err)
		err = datapath_open(d->rsipd.config, &d->rsipd.dp);
	if (err)
		return err;
	d->rsipd.server = server_new(&d->rsipd);
	if (!d->rsipd.server)
		return -ENOMEM;
	d->rsipd.sessions = sessions_new(d->rsipd.config, d->rsipd.dp, d->journal, commit_send, d->rsipd.commit);
	if (!d->rsipd.sessions)
		return -ENOMEM;
	d->resolver = resolver_new(&d->loop, on_found, d);
	if (!d->resolver)
		return -ENOMEM;
	sessions_resolver(d->rsipd.sessions, on_name, d);
	datapath_watch(d->rsipd.dp, on_violation, &d->rsipd);
	d->rsipd.reload = reload_new(&d->rsipd, on_reloaded, d);
	err = d->rsipd.reload ? restore(d) : -ENOMEM;
	if (!err)
		err = server_listen(d->rsipd.server);
	if (!err)
		err = control_open(&d->rsipd, &d->control);
	if (!err)
		err = metrics_open(&d->rsipd, &d->metrics);
	if (!err)
		err = datapath_attach(d->rsipd.dp);
	if (!err)
		err = rights_to_run(datapath_is_shared(d->rsipd.dp), d->rsipd.config->server.port < LOW_PORTS);
	if (!err)
		watch(d);
	return err;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* In the reverse order, also after half a start. Leases, programs and maps stay as they are. */
static void stop(struct daemon *d)
{
	d->stopping = true;
	reload_close(d->rsipd.reload);
	commit_close(d->rsipd.commit);
	metrics_close(d->metrics);
	control_close(d->control);
	server_close(d->rsipd.server);
	resolver_close(d->resolver);
	uv_walk(&d->loop, close_handle, NULL);
	uv_run(&d->loop, UV_RUN_DEFAULT);
	uv_loop_close(&d->loop);
	metrics_free(d->metrics);
	control_free(d->control);
	sessions_free(d->rsipd.sessions);
	resolver_free(d->resolver);
	reload_free(d->rsipd.reload);	/* after the hosts: their rules may be those that it replaces */
	journal_free(d->journal);
	commit_free(d->rsipd.commit);
	store_close(d->store);
	server_free(d->rsipd.server);
	if (d->rsipd.dp)
		datapath_close(d->rsipd.dp);
}

static enum status run(struct config *config, const char *path)
{
	struct daemon d = {
		.rsipd = { .loop = &d.loop, .config_path = path, .config = config, .started = daemon_now() },
	};
	int lock = control_lock(config->control), err;

	if (lock == CONTROL_BUSY)
		log_error("another rsipd runs on %s: end it, or give this one another \"control\"", config->control);
	if (lock < 0)
		return STATUS_FAILED;
	raise_descriptors();
	signal(SIGPIPE, SIG_IGN);
	err = uv_loop_init(&d.loop);
	if (err) {
		log_error("event loop: %s", uv_strerror(err));
		return STATUS_FAILED;
	}
	log_info("rsipd %s, configuration %s", RSIP_VERSION_TEXT, path);
	err = start(&d);
	if (err) {
		log_error("rsipd could not start: %s", strerror(-err));
	} else {
		log_info("ready");
		sd_notify(0, "READY=1");
		uv_run(&d.loop, UV_RUN_DEFAULT);
		sd_notify(0, "STOPPING=1");
	}
	stop(&d);
	close(lock);
	return err || d.failed ? STATUS_FAILED : STATUS_CLEAN;
}

/* --- --detach -------------------------------------------------------------------------- */

/* Until the daemon that was told to end has done so. */
static bool wait_for_end(const struct config *config)
{
	for (int waited = 0; waited < END_WAIT_MS; waited += 50) {
		int lock = control_lock(config->control);

		if (lock >= 0) {
			close(lock);
			return true;
		}
		if (lock != CONTROL_BUSY)
			return false;
		usleep(50000);
	}
	return false;
}

static enum status tell_to_detach(const struct config *config)
{
	static const char *const words[] = { "detach" };
	json_t *answer = NULL;
	enum status status = STATUS_FAILED;
	int err = ask(config->control, words, 1, &answer);

	if (err)
		log_error("the rsipd on %s does not answer: %s", config->control, strerror(-err));
	else if (!json_is_true(json_object_get(answer, "ok")))
		log_error("rsipd: %s", json_string_value(json_object_get(answer, "error")));
	else if (!wait_for_end(config))
		log_error("the rsipd on %s detached, but did not end", config->control);
	else
		status = STATUS_CLEAN;
	json_decref(answer);
	return status;
}

static enum status detach(const struct config *config)
{
	int lock = control_lock(config->control), err;

	if (lock == CONTROL_BUSY)
		return tell_to_detach(config);
	if (lock < 0)
		return STATUS_FAILED;
	/* Nobody can start while we hold the lock. */
	err = datapath_remove_pins(config);
	close(lock);
	return err ? STATUS_FAILED : STATUS_CLEAN;
}

/* Does standard error go to the journal? The variable alone may be inherited. */
static bool logs_to_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && !fstat(STDERR_FILENO, &status) &&
	       status.st_dev == device && status.st_ino == inode;
}

/* One line, as it stands; the journal gets a level with it. */
static enum status refuse(const struct config_error *error)
{
	if (logs_to_journal())
		log_error("%s", error->text);
	else
		fprintf(stderr, "%s\n", error->text);
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	static const struct argp argp = { argp_options, parse_option, NULL, "The gateway daemon of RSIP: see rsipd(8)" };
	struct options options = { .config = DEFAULT_CONFIG };
	struct config_error error;
	struct config *config;
	enum status status = STATUS_CLEAN;

	argp_program_version = "rsipd " RSIP_VERSION_TEXT;
	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &options);
	if (rights_to_set_up())
		return STATUS_FAILED;
	config = config_load(options.config, &error);
	if (!config)
		return refuse(&error);
	if (options.detach)
		status = detach(config);
	else if (config_check_system(config, options.config, &error))
		status = refuse(&error);
	else if (!options.test)
		status = run(config, options.config);
	config_free(config);
	return (int)status;
}
