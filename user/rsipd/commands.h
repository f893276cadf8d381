/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The commands of the control socket: a line in, the answer out, in parts where
 * it is long, so that a list of a million binds neither holds up the loop nor
 * fills the memory. What they answer: rsipctl(8). Knows no socket.
 */
#pragma once

#include <jansson.h>

#include "rsipd/daemon.h"
#include "rsipd/reload.h"
#include "rsipd/request.h"

enum command_state {
	COMMAND_DONE,			/* that was all of the answer */
	COMMAND_MORE,			/* the next part: command_more() */
	COMMAND_WRITES,			/* that was all, but it tells of what must be on disk first: command_written() */
	COMMAND_RELOADS,		/* the rest when the reload is through: command_reloaded() */
	COMMAND_WATCHES,		/* nothing, and then a line for each event */
};

struct command {
	struct rsipd *rsipd;
	struct request request;
	enum command_state state;
	bool stop;			/* the daemon ends when the answer is out */
	/* commands.c: */
	FILE *out;			/* the part that is being made */
	char error[512];		/* or, when not empty, why it is refused */
	struct lease_walk walk;
	bool walking;
	size_t at;			/* of a list: the next item */
	const struct reload_result *result;	/* in command_reloaded() */
};

/* Runs the command of a line. Returns the first part of the answer, freed by the
 * caller; NULL if memory is short. Sets `state`. */
char *command_begin(struct command *command, struct rsipd *rsipd, const char *line, size_t line_len, size_t *len);
char *command_more(struct command *command, size_t *len);
char *command_reloaded(struct command *command, const struct reload_result *result, size_t *len);
/* The disk has it: NULL, the answer may go. Or it has refused it: what to answer instead. */
char *command_written(struct command *command, bool written, size_t *len);
/* After command_begin(), also when the answer is not wanted to its end. */
void command_end(struct command *command);

/* One line for those who watch; NULL if memory is short. */
char *command_event(const struct session_event *event, size_t *len);
