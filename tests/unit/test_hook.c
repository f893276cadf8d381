// SPDX-License-Identifier: GPL-2.0-only
/* The program of --hook: what it is told, one at a time, in order. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "rsip/hook.h"

static char dir[] = "/tmp/rsip-hook-XXXXXX";
static char program[64], record[64];

/* A program that writes down what it sees; `lock` exists while one runs. */
static void make_program(const char *body)
{
	FILE *file;

	cr_assert(mkdtemp(dir) != NULL);
	snprintf(program, sizeof(program), "%s/hook", dir);
	snprintf(record, sizeof(record), "%s/record", dir);
	file = fopen(program, "w");
	cr_assert(file != NULL);
	fprintf(file, "#!/bin/sh\ncd %s\n%s", dir, body);
	fclose(file);
	cr_assert(chmod(program, 0700) == 0);
}

static void remove_all(void)
{
	unlink(program);
	unlink(record);
	rmdir(dir);
}

static void expect_record(const char *want)
{
	char got[1024] = "";
	FILE *file = fopen(record, "r");

	if (file != NULL) {
		got[fread(got, 1, sizeof(got) - 1, file)] = 0;
		fclose(file);
	}
	cr_expect_str_eq(got, want);
}

static void run(struct hook *hook, const char *name, const char *value)
{
	struct hook_event *event = hook_event_new(name);

	hook_event_set(event, "RSIP_ADDRESS", "%s", value);
	hook_run(hook, event);
}

Test(hook, events_in_order)
{
	uv_loop_t loop;
	struct hook *hook;

	make_program("mkdir lock || echo two at once >>record\n"
		     "echo \"$1 $RSIP_EVENT $RSIP_ADDRESS $KEPT $#\" >>record\nsleep 0.05\nrmdir lock\n");
	setenv("KEPT", "own environment", 1);
	uv_loop_init(&loop);
	hook = hook_new(&loop, program);
	run(hook, "grant", "203.0.113.10; touch shell");
	run(hook, "extend", "first");		/* waits, and is replaced */
	run(hook, "extend", "second");
	run(hook, "end", "203.0.113.10");
	run(hook, "grant", "again");
	hook_finish(hook);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect(uv_loop_close(&loop) == 0, "no handle is left");
	expect_record("grant grant 203.0.113.10; touch shell own environment 1\n"
		      "extend extend second own environment 1\n"
		      "end end 203.0.113.10 own environment 1\n"
		      "grant grant again own environment 1\n");
	remove_all();
}

/* A program that fails, or cannot be started, keeps none of the later ones from running. */
Test(hook, failures)
{
	uv_loop_t loop;
	struct hook *hook;

	make_program("echo $1 >>record\n[ $1 != grant ] || exit 3\n[ $1 != extend ] || kill -9 $$\n");
	uv_loop_init(&loop);
	hook = hook_new(&loop, program);
	run(hook, "grant", "");
	run(hook, "extend", "");
	run(hook, "end", "");
	hook_finish(hook);
	uv_run(&loop, UV_RUN_DEFAULT);
	hook = hook_new(&loop, "/nonexistent");
	run(hook, "grant", "");
	run(hook, "end", "");
	hook_finish(hook);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect(uv_loop_close(&loop) == 0, "no handle is left");
	expect_record("grant\nextend\nend\n");
	remove_all();
}
