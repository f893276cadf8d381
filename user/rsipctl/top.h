/* SPDX-License-Identifier: GPL-2.0-only */
/* A live screen: packets a second by outcome, and what is leased. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* Asks rsipd; 0 and *out, its result, or -errno. */
typedef int top_ask(const char *command, json_t **out, void *arg);

/*
 * On a terminal until "q" is pressed; else, or as JSON, one sample over a
 * second. 0, or -errno when rsipd does not answer.
 */
int top_run(bool json, top_ask *ask, void *arg);
