// SPDX-License-Identifier: GPL-2.0-only
/* The command line of `rsip`: what is taken, and what is refused. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rsip/options.h"
#include <rsip/proto.h>

#define WORDS_MAX	32

static int parse(const char *line, struct options *out, bool *done)
{
	static char copy[512];	/* the options point into it */
	char *argv[WORDS_MAX + 2] = { "rsip" }, *rest = copy;
	int argc = 1;

	cr_assert(strlen(line) < sizeof(copy));
	strcpy(copy, line);
	while (argc <= WORDS_MAX && (argv[argc] = strsep(&rest, " ")) != NULL)
		argc++;
	return options_parse(argc, argv, out, done);
}

static struct options taken(const char *line)
{
	struct options out;
	bool done;

	cr_assert(parse(line, &out, &done) == 0, "%s", line);
	cr_assert(!done, "%s", line);
	return out;
}

/* covers: DISC-01 T-35 T-03 */
Test(options, defaults)
{
	struct options o = taken("-g 10.0.0.1 up");

	cr_expect(o.command == COMMAND_UP);
	cr_expect(o.gateway.sin_addr.s_addr == inet_addr("10.0.0.1") && ntohs(o.gateway.sin_port) == 4555);
	cr_expect_str_eq(o.gateway_text, "10.0.0.1:4555");
	cr_expect(!o.json && !o.background && !o.tcp);
	cr_expect(o.spis == 8 && o.ports == 0 && !o.ike_leased && o.first_port == 0);
	cr_expect(o.local == 0 && o.remote == 0 && o.remote_port == 0 && o.tunnel == 0);
	cr_expect(o.hook == NULL && o.strongswan == NULL && o.word_count == 0);
	free(o.words);
}

/* covers: DISC-01 T-35 T-03 TUN-03 */
Test(options, all_of_up)
{
	struct options o = taken("-j up -g 192.0.2.1:65535 -d --spis 100 --ports 3 --local 203.0.113.9 "
				 "--remote 198.51.100.7:500 --tunnel gre --tcp --ike ephemeral --hook /bin/true "
				 "--strongswan /tmp");

	cr_expect(o.json && o.background && o.tcp);
	cr_expect_str_eq(o.gateway_text, "192.0.2.1:65535");
	cr_expect(o.spis == 100);
	cr_expect(o.ports == 5, "two more for IKE: %u", o.ports);
	cr_expect(o.ike_leased && o.first_port == 0);
	cr_expect(o.local == inet_addr("203.0.113.9"));
	cr_expect(o.remote == inet_addr("198.51.100.7") && o.remote_port == 500);
	cr_expect(o.tunnel == RSIP_TUNNEL_GRE);
	cr_expect_str_eq(o.hook, "/bin/true");
	cr_expect_str_eq(o.strongswan, "/tmp");
	free(o.words);
}

Test(options, smaller_cases)
{
	struct options o = taken("-g 10.0.0.1 up --spis 0");

	cr_expect(o.spis == 0 && o.ports == 1, "without SPIs there is a port");
	free(o.words);
	o = taken("-g 10.0.0.1 up --ports 255 --remote 198.51.100.7 --tunnel ipip --tcp --udp --ike 500");
	cr_expect(o.ports == 255 && o.remote_port == 0 && o.tunnel == RSIP_TUNNEL_IPIP && !o.tcp);
	free(o.words);
	o = taken("-g 10.0.0.1 up --ports 253 --ike ephemeral");
	cr_expect(o.ports == 255);
	free(o.words);
	o = taken("-g 10.0.0.1 up --ike 65534");
	cr_expect(o.ike_leased && o.first_port == 65534 && o.ports == 2);
	free(o.words);
	o = taken("query -j 10.0.0.5 10.0.0.0/8");
	cr_expect(o.command == COMMAND_QUERY && o.json && o.word_count == 2 && o.gateway.sin_port == 0);
	cr_expect_str_eq(o.words[0], "10.0.0.5");
	cr_expect_str_eq(o.words[1], "10.0.0.0/8");
	free(o.words);
	for (const char *const *name = (const char *const[]){ "down", "status", "release", "query", NULL }; *name; name++) {
		o = taken(*name);
		free(o.words);
	}
}

Test(options, refused, .init = cr_redirect_stderr)
{
	static const char *const lines[] = {
		"", "-g 10.0.0.1", "up", "-g 10.0.0.1 upp", "-g 10.0.0.1 listen", "-g 10.0.0.1 up now", "status all",
		"-g", "-g 10.0.0 up", "-g 10.0.0.1: up", "-g 10.0.0.1:0 up", "-g 10.0.0.1:65536 up", "-g 10.0.0.1:4555x up",
		"-g gateway up", "-g 0.0.0.0 up", "-g 10.0.0.1:+5 up", "-g 1111111111111111111111111111:5 up",
		"-g 10.0.0.1 up --spis", "-g 10.0.0.1 up --spis 65536", "-g 10.0.0.1 up --spis -1",
		"-g 10.0.0.1 up --spis 8x", "-g 10.0.0.1 up --spis 99999999999999999999", "-g 10.0.0.1 up --ports 256",
		"-g 10.0.0.1 up --ports 254 --ike ephemeral", "-g 10.0.0.1 up --spis 0 --ports 0",
		"-g 10.0.0.1 up --spis 0 --ike ephemeral", "-g 10.0.0.1 up --spis 0 --strongswan /tmp",
		"-g 10.0.0.1 up --local 0.0.0.0", "-g 10.0.0.1 up --local 203.0.113.0/24",
		"-g 10.0.0.1 up --remote 198.51.100.7:0", "-g 10.0.0.1 up --remote y", "-g 10.0.0.1 up --tunnel l2tp",
		"-g 10.0.0.1 up --ike 0", "-g 10.0.0.1 up --ike 65535", "-g 10.0.0.1 up --spis 0 --ike 4000", "-g 10.0.0.1 up --ike 70000", "-g 10.0.0.1 up --ike random",
		"-g 10.0.0.1 up --hook /nonexistent", "-g 10.0.0.1 up --strongswan /nonexistent",
		"-g 10.0.0.1 up --strongswan /bin/true", "-g 10.0.0.1 up --no-such-option", "status --spis 3", "down -d",
	};
	struct options out;
	bool done;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		cr_expect(parse(lines[i], &out, &done) == -EINVAL, "taken: rsip %s", lines[i]);
}

Test(options, help, .init = cr_redirect_stdout)
{
	struct options out;
	bool done = false;

	cr_expect(parse("--help", &out, &done) == 0 && done);
	free(out.words);
	done = false;
	cr_expect(parse("--version", &out, &done) == 0 && done);
	free(out.words);
}
