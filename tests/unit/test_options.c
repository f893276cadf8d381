// SPDX-License-Identifier: GPL-2.0-only
/* The command line of `rsip`: what is taken, and what is refused. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rsip/listen.h"
#include "rsip/options.h"
#include <rsip/proto.h>

#define WORDS_MAX	32
#define LABEL63	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

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
	cr_expect(o.local == 0 && o.remote_count == 0 && o.tunnel == 0 && !o.rsa_ip);
	cr_expect(o.hook == NULL && o.strongswan == NULL && o.word_count == 0);
	options_free(&o);
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
	cr_expect(o.remote_count == 1 && o.remotes[0].addr == inet_addr("198.51.100.7") && o.remotes[0].port == 500);
	cr_expect(o.tunnel == RSIP_TUNNEL_GRE);
	cr_expect_str_eq(o.hook, "/bin/true");
	cr_expect_str_eq(o.strongswan, "/tmp");
	options_free(&o);
}

Test(options, smaller_cases)
{
	struct options o = taken("-g 10.0.0.1 up --spis 0");

	cr_expect(o.spis == 0 && o.ports == 1, "without SPIs there is a port");
	options_free(&o);
	o = taken("-g 10.0.0.1 up --ports 255 --remote 198.51.100.7 --tunnel ipip --tcp --udp --ike 500");
	cr_expect(o.ports == 255 && o.remotes[0].port == 0 && o.tunnel == RSIP_TUNNEL_IPIP && !o.tcp);
	options_free(&o);
	o = taken("-g 10.0.0.1 up --ports 253 --ike ephemeral");
	cr_expect(o.ports == 255);
	options_free(&o);
	o = taken("-g 10.0.0.1 up --ike 65534");
	cr_expect(o.ike_leased && o.first_port == 65534 && o.ports == 2);
	options_free(&o);
	o = taken("-g 10.0.0.1 up --ike 4000 --ike 500 --idle 1000000");
	cr_expect(!o.ike_leased && o.first_port == 0 && o.ports == 0 && o.idle == 1000000, "the last one counts");
	options_free(&o);
	o = taken("-g 10.0.0.1 up --spis 0 --remote " LABEL63 ".example");
	cr_expect(o.ports == 1 && o.remote_count == 1);
	options_free(&o);
	for (const char *const *line = (const char *const[]){ "-g 10.0.0.1 up --rsa-ip --spis 0", "-g 10.0.0.1 up --rsa-ip",
							      NULL }; *line; line++) {
		o = taken(*line);
		cr_expect(o.rsa_ip && o.spis == 0 && o.ports == 0, "%s", *line);
		options_free(&o);
	}
	o = taken("query -j 10.0.0.5 10.0.0.0/8");
	cr_expect(o.command == COMMAND_QUERY && o.json && o.word_count == 2 && o.gateway.sin_port == 0);
	cr_expect_str_eq(o.words[0], "10.0.0.5");
	cr_expect_str_eq(o.words[1], "10.0.0.0/8");
	options_free(&o);
	for (const char *const *name = (const char *const[]){ "down", "status", "release", "query", NULL }; *name; name++) {
		o = taken(*name);
		options_free(&o);
	}
}

/* covers: FLOW-12 */
Test(options, several_remotes)
{
	struct options o = taken("-g 10.0.0.1 up --remote 198.51.100.7 --remote www.example.net:443 --remote y1");

	cr_assert(o.remote_count == 3);
	cr_expect(o.remotes[0].addr == inet_addr("198.51.100.7") && o.remotes[0].name[0] == 0 && o.remotes[0].port == 0);
	cr_expect_str_eq(o.remotes[1].name, "www.example.net");
	cr_expect(o.remotes[1].addr == 0 && o.remotes[1].port == 443);
	cr_expect_str_eq(o.remotes[2].name, "y1");
	options_free(&o);
}

/* covers: DISC-07 A-48 */
Test(options, service_url)
{
	struct options o = taken("-g service:rsip://10.0.0.1:4455 up");

	cr_expect_str_eq(o.gateway_text, "10.0.0.1:4455");
	options_free(&o);
	o = taken("-g service:rsip://10.0.0.1 status");
	cr_expect_str_eq(o.gateway_text, "10.0.0.1:4555");
	options_free(&o);
}

/* What the words of the control socket say is what the options said. covers: LSN-08 */
Test(options, listen)
{
	static const struct {
		const char *line;
		struct want want;
	} rows[] = {
		{ "listen 80", { .kind = WANT_LISTEN, .ports = 1, .first_port = 80, .exact = true } },
		{ "listen 80-82 --tunnel gre",
		  { .kind = WANT_LISTEN, .ports = 3, .first_port = 80, .exact = true, .tunnel = RSIP_TUNNEL_GRE } },
		{ "listen", { .kind = WANT_LISTEN, .ports = 1 } },
		{ "listen --ports 5 --remote 198.51.100.7:25",
		  { .kind = WANT_LISTEN, .ports = 5, .remote = 0x076433c6, .remote_port = 25 } },
		{ "listen 1-255 --remote y.example", { .kind = WANT_LISTEN, .ports = 255, .first_port = 1, .exact = true,
						       .remote_name = "y.example" } },
		{ "listen --local 203.0.113.10", { .kind = WANT_LISTEN, .ports = 1, .local = 0x0a7100cb, .exact = true } },
	};
	static const char *const faulty[][LISTEN_WORDS] = {
		{ "80", "0", "0.0.0.0", "0", "0.0.0.0", "0" }, { "65536", "1", "0.0.0.0", "0", "0.0.0.0", "0" },
		{ "80", "256", "0.0.0.0", "0", "0.0.0.0", "0" }, { "80", "1", "0.0.0.0", "x", "0.0.0.0", "0" },
		{ "80", "1", "0.0.0.0", "0", "here", "0" }, { "", "1", "0.0.0.0", "0", "0.0.0.0", "0" },
	};
	char text[LISTEN_WORDS][LISTEN_WORD_LEN];
	const char *words[LISTEN_WORDS];
	struct want want;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct options o = taken(rows[i].line);

		listen_write(&o, text);
		for (size_t w = 0; w < LISTEN_WORDS; w++)
			words[w] = text[w];
		memset(&want, 0xee, sizeof(want));
		cr_assert(listen_read(words, LISTEN_WORDS, &want), "%s", rows[i].line);
		cr_expect(memcmp(&want, &rows[i].want, sizeof(want)) == 0, "%s", rows[i].line);
		options_free(&o);
	}
	for (size_t i = 0; i < sizeof(faulty) / sizeof(*faulty); i++)
		cr_expect(!listen_read(faulty[i], LISTEN_WORDS, &want), "row %zu", i);
	cr_expect(!listen_read(words, LISTEN_WORDS - 1, &want));
}

Test(options, refused, .init = cr_redirect_stderr)
{
	static const char *const lines[] = {
		"", "-g 10.0.0.1", "up", "-g 10.0.0.1 upp", "-g 10.0.0.1 up now", "status all",
		"-g", "-g 10.0.0 up", "-g 10.0.0.1: up", "-g 10.0.0.1:0 up", "-g 10.0.0.1:65536 up", "-g 10.0.0.1:4555x up",
		"-g gateway up", "-g 0.0.0.0 up", "-g 10.0.0.1:+5 up", "-g 1111111111111111111111111111:5 up",
		"-g 10.0.0.1 up --spis", "-g 10.0.0.1 up --spis 65536", "-g 10.0.0.1 up --spis -1",
		"-g 10.0.0.1 up --spis 8x", "-g 10.0.0.1 up --spis 99999999999999999999", "-g 10.0.0.1 up --ports 256",
		"-g 10.0.0.1 up --ports 254 --ike ephemeral", "-g 10.0.0.1 up --spis 0 --ports 0 --remote 198.51.100.7",
		"-g 10.0.0.1 up --spis 0 --ike ephemeral", "-g 10.0.0.1 up --spis 0 --strongswan /tmp",
		"-g 10.0.0.1 up --local 0.0.0.0", "-g 10.0.0.1 up --local 203.0.113.0/24",
		"-g 10.0.0.1 up --remote 198.51.100.7:0", "-g 10.0.0.1 up --remote y..z", "-g 10.0.0.1 up --remote -y", "-g 10.0.0.1 up --remote 198.51.100", "-g 10.0.0.1 up --remote y:0", "-g 10.0.0.1 up --tunnel l2tp",
		"-g 10.0.0.1 up --ike 0", "-g 10.0.0.1 up --ike 65535", "-g 10.0.0.1 up --spis 0 --ike 4000", "-g 10.0.0.1 up --ike 70000", "-g 10.0.0.1 up --ike random",
		"-g 10.0.0.1 up --hook /nonexistent", "-g 10.0.0.1 up --strongswan /nonexistent",
		"-g 10.0.0.1 up --strongswan /bin/true", "-g 10.0.0.1 up --no-such-option", "status --spis 3", "down -d",
		"-g 10.0.0.1 up --rsa-ip --ports 1", "-g 10.0.0.1 up --rsa-ip --spis 8", "-g 10.0.0.1 up --rsa-ip --ike ephemeral",
		"-g 10.0.0.1 up --rsa-ip --strongswan /tmp", "listen 0", "listen 65536", "listen 80 81", "listen 1-256", "listen http",
		"listen 80 --ports 2", "listen --ports 0", "listen 80 --spis 2", "listen 80 --remote 192.0.2.1 --remote 192.0.2.2",
		"release 1 2", "status --ports 2", "-g 10.0.0.1 up --idle 1000001", "-g 10.0.0.1 up --remote y:65536",
		"-g 10.0.0.1 up --remote y-", "-g 10.0.0.1 up --remote y-.z", "-g 10.0.0.1 up --remote a" LABEL63,
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
	options_free(&out);
	done = false;
	cr_expect(parse("--version", &out, &done) == 0 && done);
	options_free(&out);
}
