// SPDX-License-Identifier: GPL-2.0-only
/* One child at a time, by libuv. */
#include "rsip/hook.h"

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"

#define VARIABLES	32
#define STATUS_SIGNAL	128

struct hook_event {
	struct hook_event *next;
	const char *name;		/* within environment[0] */
	char *environment[VARIABLES];
	size_t count;
};

struct hook {
	uv_loop_t *loop;
	char *program;
	struct hook_event *first;	/* the first is running if `running` */
	uv_process_t process;
	uv_timer_t timer;
	bool running, finishing;
	unsigned int closing;		/* handles of the last run that are not closed yet */
};

static void run_next(struct hook *hook);

struct hook *hook_new(uv_loop_t *loop, const char *program)
{
	struct hook *hook = calloc(1, sizeof(*hook));

	if (hook == NULL)
		return NULL;
	hook->loop = loop;
	hook->program = strdup(program);
	if (hook->program == NULL) {
		free(hook);
		return NULL;
	}
	return hook;
}

struct hook_event *hook_event_new(const char *name)
{
	struct hook_event *event = calloc(1, sizeof(*event));

	hook_event_set(event, "RSIP_EVENT", "%s", name);
	if (event != NULL && event->count == 0) {
		free(event);
		return NULL;
	}
	if (event != NULL)
		event->name = strchr(event->environment[0], '=') + 1;
	return event;
}

void hook_event_set(struct hook_event *event, const char *name, const char *format, ...)
{
	char *value = NULL, *variable = NULL;
	va_list args;
	int len;

	if (event == NULL || event->count == VARIABLES)
		return;
	va_start(args, format);
	len = vasprintf(&value, format, args);
	va_end(args);
	if (len < 0)
		return;
	if (asprintf(&variable, "%s=%s", name, value) >= 0)
		event->environment[event->count++] = variable;
	free(value);
}

static void event_free(struct hook_event *event)
{
	for (size_t i = 0; i < event->count; i++)
		free(event->environment[i]);
	free(event);
}

static void hook_free_when_done(struct hook *hook)
{
	if (!hook->finishing || hook->first != NULL || hook->running || hook->closing > 0)
		return;
	free(hook->program);
	free(hook);
}

static void run_over(struct hook *hook)
{
	struct hook_event *event = hook->first;

	hook->running = false;
	hook->first = event->next;
	event_free(event);
	run_next(hook);
}

static void handle_closed(uv_handle_t *handle)
{
	struct hook *hook = handle->data;

	if (--hook->closing == 0)
		run_over(hook);
}

static void process_ended(uv_process_t *process, int64_t status, int signal)
{
	struct hook *hook = process->data;

	if (signal != 0)
		log_warn("hook %s %s: ended by signal %d", hook->program, hook->first->name, signal);
	else if (status != 0)
		log_warn("hook %s %s: exit status %d", hook->program, hook->first->name, (int)status);
	hook->closing = 2;
	uv_close((uv_handle_t *)&hook->process, handle_closed);
	uv_close((uv_handle_t *)&hook->timer, handle_closed);
}

static void process_late(uv_timer_t *timer)
{
	struct hook *hook = timer->data;

	log_warn("hook %s %s: not done after %d s, killed", hook->program, hook->first->name, HOOK_TIMEOUT_MS / 1000);
	uv_process_kill(&hook->process, SIGKILL);
}

/* environ and the event's variables, for uv_spawn(); the strings stay where they are. */
static char **environment_of(const struct hook_event *event)
{
	size_t own = 0;
	char **list;

	while (environ[own] != NULL)
		own++;
	list = calloc(own + event->count + 1, sizeof(*list));
	if (list == NULL)
		return NULL;
	memcpy(list, environ, own * sizeof(*list));
	memcpy(list + own, event->environment, event->count * sizeof(*list));
	return list;
}

static void run_next(struct hook *hook)
{
	uv_stdio_container_t stdio[] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },	/* stdout is for our own answer */
		{ .flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO },
	};
	char *args[3] = { hook->program };
	uv_process_options_t options = {
		.file = hook->program,
		.args = args,
		.exit_cb = process_ended,
		.stdio = stdio,
		.stdio_count = 3,
	};
	int err;

	if (hook->first == NULL) {
		hook_free_when_done(hook);
		return;
	}
	args[1] = (char *)hook->first->name;
	options.env = environment_of(hook->first);
	hook->running = true;
	hook->process.data = hook->timer.data = hook;
	uv_timer_init(hook->loop, &hook->timer);
	err = uv_spawn(hook->loop, &hook->process, &options);
	free(options.env);
	if (!err) {
		uv_timer_start(&hook->timer, process_late, HOOK_TIMEOUT_MS, 0);
		return;
	}
	log_warn("hook %s %s: %s", hook->program, hook->first->name, uv_strerror(err));
	hook->closing = 2;
	uv_close((uv_handle_t *)&hook->process, handle_closed);
	uv_close((uv_handle_t *)&hook->timer, handle_closed);
}

void hook_run(struct hook *hook, struct hook_event *event)
{
	struct hook_event **at = &hook->first;

	if (event == NULL || hook->finishing) {
		if (event != NULL)
			event_free(event);
		return;
	}
	while (*at != NULL && (*at)->next != NULL)
		at = &(*at)->next;
	/* *at is the last one, or the empty list */
	if (*at != NULL && *at != hook->first && strcmp((*at)->name, event->name) == 0) {
		event_free(*at);
		*at = event;
	} else if (*at != NULL) {
		(*at)->next = event;
	} else {
		*at = event;
	}
	if (!hook->running)
		run_next(hook);
}

void hook_finish(struct hook *hook)
{
	if (hook == NULL)
		return;
	hook->finishing = true;
	hook_free_when_done(hook);
}
