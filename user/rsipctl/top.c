/* SPDX-License-Identifier: GPL-2.0-only */
/* See top.h. A sample is the difference of two answers, divided by the time between. */
#include "rsipctl/top.h"

#include <errno.h>
#include <ncurses.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/out.h"

#define INTERVAL_MS	1000

struct sample {
	json_t *status, *counters;
	double at;			/* s */
};

static void sample_free(struct sample *sample)
{
	json_decref(sample->status);
	json_decref(sample->counters);
	*sample = (struct sample){ 0 };
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int sample_take(struct sample *sample, top_ask *ask, void *arg)
{
	int err = ask("status", &sample->status, arg);

	if (!err)
		err = ask("counters", &sample->counters, arg);
	sample->at = seconds();
	if (err)
		sample_free(sample);
	return err;
}

/* --- rates ------------------------------------------------------------------------------- */

static double rate(const json_t *before, const json_t *after, const char *key, double time)
{
	json_int_t a = json_integer_value(json_object_get(before, key));
	json_int_t b = json_integer_value(json_object_get(after, key));

	return b > a ? (double)(b - a) / time : 0;
}

/* [{outcome, verdict, packets, bits}...], those with traffic; numbers a second. */
static json_t *outcome_rates(const struct sample *before, const struct sample *after, double time)
{
	const json_t *old = json_object_get(before->counters, "outcomes");
	json_t *list = json_array(), *row;
	size_t i;

	json_array_foreach(json_object_get(after->counters, "outcomes"), i, row) {
		const json_t *was = json_array_get(old, i);
		double packets = rate(was, row, "packets", time);

		if (packets > 0)
			json_array_append_new(list, json_pack("{sO sO sf sf}", "outcome", json_object_get(row, "outcome"),
							      "verdict", json_object_get(row, "verdict"), "packets", packets,
							      "bits", 8 * rate(was, row, "bytes", time)));
	}
	return list;
}

static double message_rate(const struct sample *before, const struct sample *after, const char *key, double time)
{
	const json_t *old = json_object_get(before->counters, "messages");
	double sum = 0;
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(after->counters, "messages"), i, row)
		sum += rate(json_array_get(old, i), row, key, time);
	return sum;
}

static json_t *difference(const struct sample *before, const struct sample *after)
{
	double time = after->at - before->at;

	return json_pack("{sf sO sO sO so sf sf}", "interval", time,
			 "registrations", json_object_get(after->status, "registrations"),
			 "binds", json_object_get(after->status, "binds"),
			 "pools", json_object_get(after->status, "pools"),
			 "outcomes", outcome_rates(before, after, time),
			 "messages_in", message_rate(before, after, "in", time),
			 "messages_out", message_rate(before, after, "out", time));
}

/* --- text ---------------------------------------------------------------------------------- */

static void print_text(FILE *to, const json_t *d)
{
	static const struct out_column outcomes[] = {
		{ "outcome", "OUTCOME" }, { "verdict", "VERDICT" }, { "packets", "PACKETS/s" }, { "bits", "BITS/s" }, { 0 }
	};
	static const struct out_column pools[] = {
		{ "pool", "POOL" }, { "addresses", "ADDRESSES" }, { "binds", "BINDS" }, { "ports", "PORTS" },
		{ "ports_leased", "LEASED" }, { "ports_resting", "RESTING" }, { "spis_leased", "SPIS" },
		{ "spis_resting", "RESTING" }, { 0 }
	};

	fprintf(to, "hosts %" JSON_INTEGER_FORMAT ", binds %" JSON_INTEGER_FORMAT ", messages/s %.0f in, %.0f out\n\n",
		json_integer_value(json_object_get(d, "registrations")), json_integer_value(json_object_get(d, "binds")),
		json_real_value(json_object_get(d, "messages_in")), json_real_value(json_object_get(d, "messages_out")));
	out_table(to, json_object_get(d, "outcomes"), outcomes, "no packets");
	fputc('\n', to);
	out_table(to, json_object_get(d, "pools"), pools, "no pools");
}

static void draw(const json_t *d)
{
	char *text = NULL, *line, *rest;
	size_t len;
	FILE *memory = open_memstream(&text, &len);

	if (!memory)
		return;
	print_text(memory, d);
	fclose(memory);
	erase();
	mvaddstr(0, 0, "rsipctl top: q ends");
	rest = text;
	for (int row = 2; (line = strsep(&rest, "\n")) && row < LINES; row++)
		mvaddnstr(row, 0, line, COLS);
	refresh();
	free(text);
}

/* --- loops ----------------------------------------------------------------------------------- */

static int run_once(bool json, top_ask *ask, void *arg)
{
	struct sample before = { 0 }, after = { 0 };
	int err = sample_take(&before, ask, arg);
	json_t *d;

	if (err)
		return err;
	usleep(INTERVAL_MS * 1000);
	err = sample_take(&after, ask, arg);
	if (!err) {
		d = difference(&before, &after);
		if (json)
			out_json(stdout, d);
		else
			print_text(stdout, d);
		json_decref(d);
	}
	sample_free(&before);
	sample_free(&after);
	return err;
}

static int run_screen(top_ask *ask, void *arg)
{
	struct sample before = { 0 }, after = { 0 };
	int err = sample_take(&before, ask, arg), key = 0;

	if (err)
		return err;
	initscr();
	cbreak();
	noecho();
	curs_set(0);
	timeout(INTERVAL_MS);
	while (!err && key != 'q') {
		key = getch();
		err = sample_take(&after, ask, arg);
		/* A key or a new size of the window cuts the wait short. */
		if (err || after.at - before.at < 0.1) {
			sample_free(&after);
			continue;
		}
		json_t *d = difference(&before, &after);

		draw(d);
		json_decref(d);
		sample_free(&before);
		before = after;
		after = (struct sample){ 0 };
	}
	endwin();
	sample_free(&before);
	return err;
}

int top_run(bool json, top_ask *ask, void *arg)
{
	return json || !isatty(STDOUT_FILENO) ? run_once(json, ask, arg) : run_screen(ask, arg);
}
