/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rsipd.yaml: every key with its default and another value, every error with
 * its exact text and line, and files that mean harm.
 */
#include <criterion/criterion.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rsip/proto.h>
#include "lib/log.h"
#include "rsipd/config_change.h"
#include "rsipd/config_system.h"

static struct config_error error;

/* In a folder of its own, so that errors begin with "rsipd.yaml:". */
static void enter_folder(void)
{
	static char folder[] = "/tmp/rsip-config.XXXXXX";

	cr_assert_not_null(mkdtemp(folder));
	cr_assert_eq(chdir(folder), 0);
	log_set_level(LOG_LEVEL_ERROR);
}

static void leave_folder(void)
{
	char folder[128];

	cr_assert_not_null(getcwd(folder, sizeof(folder)));
	unlink("rsipd.yaml");
	cr_assert_eq(rmdir(folder), 0);
}

static struct config *load(const char *text, size_t len)
{
	FILE *file = fopen("rsipd.yaml", "w");

	cr_assert_not_null(file);
	cr_assert_eq(fwrite(text, 1, len, file), len);
	fclose(file);
	strcpy(error.text, "none");
	return config_load("rsipd.yaml", &error);
}

TestSuite(config, .init = enter_folder, .fini = leave_folder);

#define INTERFACES	"interfaces:\n  private: [{name: lan0, address: 10.0.0.1}]\n  public: [{name: wan0}]\n"
#define POOLS		"pools: [{name: shared, addresses: [203.0.113.10]}]\n"
#define BASE		INTERFACES POOLS	/* four lines */

static __be32 ip(const char *text)
{
	return inet_addr(text);
}

/* --- values ------------------------------------------------------------------------ */

#define SAME(got, wanted)	cr_expect_eq(got, wanted)
#define SAME_TEXT(got, wanted)	cr_expect_str_eq(got, wanted)

/* Every key but interfaces and pools has the default that the manual shows. covers: LSE-09 */
Test(config, defaults)
{
	struct config *c = load(BASE, strlen(BASE));

	cr_assert_not_null(c, "%s", error.text);
	SAME(c->private_count, 1);
	SAME_TEXT(c->private_interfaces[0].name, "lan0");
	SAME(c->private_interfaces[0].address, ip("10.0.0.1"));
	SAME(c->public_count, 1);
	SAME_TEXT(c->public_interfaces[0].name, "wan0");
	SAME(c->pool_count, 1);
	SAME_TEXT(c->pools[0].name, "shared");
	SAME(c->pools[0].address_count, 1);
	SAME(c->pools[0].addresses[0].first, 0xcb00710a);
	SAME(c->pools[0].addresses[0].last, 0xcb00710a);
	cr_expect(!c->pools[0].rsa && c->pools[0].rsap && c->pools[0].rsipsec);
	SAME(c->pools[0].ports.first, 1024);
	SAME(c->pools[0].ports.last, 65535);
	SAME(c->pools[0].spis.first, 0x100);
	SAME(c->pools[0].spis.last, 0xffffffff);
	cr_expect(!c->pools[0].gateway_address);
	SAME(c->client_count, 1);
	SAME(c->clients[0].match.network, ip("10.0.0.0"));
	SAME(c->clients[0].match.length, 8);
	SAME(c->clients[0].local_policy, RSIP_POLICY_MACRO);
	SAME(c->clients[0].remote_policy, RSIP_POLICY_NONE);
	cr_expect(c->clients[0].ipsec);
	SAME(c->clients[0].max_binds, 64);
	SAME(c->clients[0].max_ports, 1024);
	SAME(c->clients[0].max_spis, 256);
	SAME(c->clients[0].max_requests, 10000);
	SAME(c->leases.registration, 600);
	SAME(c->leases.normal, 600);
	SAME(c->query_all, false);
	SAME(c->leases.maximum, 3600);
	SAME(c->leases.hold_down, 120);
	SAME(c->server.port, 4555);
	cr_expect(c->server.tcp && c->server.udp);
	SAME(c->local_network_count, 1);
	SAME(c->local_networks[0].network, ip("10.0.0.0"));
	SAME(c->local_networks[0].length, 8);
	SAME(c->tunnel_count, 2);
	SAME(c->tunnels[0], RSIP_TUNNEL_IPIP);
	SAME(c->tunnels[1], RSIP_TUNNEL_GRE);
	SAME(c->datapath.mode, CONFIG_MODE_AUTO);
	SAME_TEXT(c->datapath.pin, "/sys/fs/bpf/rsip");
	SAME(c->datapath.max_bindings, 1048576);
	SAME_TEXT(c->state, "/var/lib/rsip");
	SAME_TEXT(c->control, "/run/rsip/rsipd.sock");
	cr_expect_null(c->metrics);
	config_free(c);
}

static const char everything[] =
	"interfaces:\n"
	"  public:\n"
	"    - name: wan0\n"
	"    - name: wan1.7\n"
	"  private:\n"
	"    - name: lan0\n"
	"      address: 10.0.0.1\n"
	"    - {address: 10.1.0.1, name: lan1}\n"
	"pools:\n"
	"  - name: shared\n"
	"    addresses: [203.0.113.10, 203.0.113.64/30, 203.0.113.20-203.0.113.29]\n"
	"    methods: [rsap-ip]\n"
	"    ports: 4500-4500\n"
	"    spis: 0x1000-8191\n"
	"    gateway-address: true\n"
	"  - name: whole\n"
	"    addresses: [198.51.100.0/24]\n"
	"    methods: [rsa-ip]\n"
	"    ports: 65535\n"
	"clients:\n"
	"  - match: 10.0.0.11\n"
	"    local-policy: micro\n"
	"    remote-policy: macro\n"
	"    ipsec: false\n"
	"    max-binds: 1\n"
	"    max-ports: 0\n"
	"    max-spis: 1048576\n"
	"    max-requests: 7\n"
	"  - match: 0.0.0.0/0\n"
	"    remote-policy: micro\n"
	"leases: {registration: 1, default: 2, maximum: 31536000, hold-down: 0}\n"
	"server: {port: 65535, tcp: false, udp: true}\n"
	"local-networks: [192.168.0.0/16, 10.0.0.0/8]\n"
	"tunnels: [gre]\n"
	"datapath:\n"
	"  mode: native\n"
	"  pin: /sys/fs/bpf/elsewhere\n"
	"  max-bindings: 1\n"
	"state: /srv/rsip\n"
	"control: \"/run/other.sock\"\n"
	"metrics: 0.0.0.0:9455\n";

Test(config, every_key)
{
	struct config *c = load(everything, strlen(everything));

	cr_assert_not_null(c, "%s", error.text);
	SAME(c->private_count, 2);
	SAME_TEXT(c->private_interfaces[1].name, "lan1");
	SAME(c->private_interfaces[1].address, ip("10.1.0.1"));
	SAME(c->private_interfaces[0].line, 6);
	SAME(c->private_interfaces[0].address_line, 7);
	SAME(c->public_count, 2);
	SAME_TEXT(c->public_interfaces[1].name, "wan1.7");
	SAME(c->public_interfaces[1].line, 4);
	SAME(c->pool_count, 2);
	SAME(c->pools[0].address_count, 3);
	SAME(c->pools[0].line, 11);
	SAME(c->pools[0].addresses[1].first, 0xcb007140);
	SAME(c->pools[0].addresses[1].last, 0xcb007143);
	SAME(c->pools[0].addresses[2].first, 0xcb007114);
	SAME(c->pools[0].addresses[2].last, 0xcb00711d);
	cr_expect(!c->pools[0].rsa && c->pools[0].rsap && !c->pools[0].rsipsec);
	SAME(c->pools[0].ports.first, 4500);
	SAME(c->pools[0].ports.last, 4500);
	SAME(c->pools[0].spis.first, 4096);
	SAME(c->pools[0].spis.last, 8191);
	cr_expect(c->pools[0].gateway_address);
	cr_expect(c->pools[1].rsa && !c->pools[1].rsap && !c->pools[1].rsipsec);
	SAME(c->pools[1].ports.first, 65535);
	SAME(c->client_count, 2);
	SAME(c->clients[0].match.length, 32);
	SAME(c->clients[0].local_policy, RSIP_POLICY_MICRO);
	SAME(c->clients[0].remote_policy, RSIP_POLICY_MACRO);
	cr_expect(!c->clients[0].ipsec);
	SAME(c->clients[0].max_binds, 1);
	SAME(c->clients[0].max_ports, 0);
	SAME(c->clients[0].max_spis, 1048576);
	SAME(c->clients[0].max_requests, 7);
	SAME(c->clients[1].match.length, 0);
	SAME(c->clients[1].remote_policy, RSIP_POLICY_MICRO);
	SAME(c->leases.registration, 1);
	SAME(c->leases.normal, 2);
	SAME(c->leases.maximum, 31536000);
	SAME(c->leases.hold_down, 0);
	SAME(c->server.port, 65535);
	cr_expect(!c->server.tcp && c->server.udp);
	SAME(c->local_network_count, 2);
	SAME(c->local_networks[0].network, ip("192.168.0.0"));
	SAME(c->tunnel_count, 1);
	SAME(c->tunnels[0], RSIP_TUNNEL_GRE);
	SAME(c->datapath.mode, CONFIG_MODE_NATIVE);
	SAME_TEXT(c->datapath.pin, "/sys/fs/bpf/elsewhere");
	SAME(c->datapath.max_bindings, 1);
	SAME_TEXT(c->state, "/srv/rsip");
	SAME_TEXT(c->control, "/run/other.sock");
	SAME_TEXT(c->metrics, "0.0.0.0:9455");
	config_free(c);
}

/* The file that is installed loads, and says what the defaults are. */
Test(config_installed, loads)
{
	struct config *c = config_load("docs/rsipd.yaml", &error);

	cr_assert_not_null(c, "%s", error.text);
	SAME_TEXT(c->private_interfaces[0].name, "lan0");
	SAME(c->pools[0].addresses[0].first, 0xcb00710a);
	config_free(c);
}

/* The first rule that matches a host counts. covers: REG-20 */
Test(config, client_rules)
{
	static const char text[] = BASE "clients: [{match: 10.0.0.11}, {match: 10.0.0.0/24}, {match: 10.0.0.11}]\n";
	struct config *c = load(text, strlen(text));

	cr_assert_not_null(c, "%s", error.text);
	cr_expect_eq(config_client_for(c, ip("10.0.0.11")), &c->clients[0]);
	cr_expect_eq(config_client_for(c, ip("10.0.0.12")), &c->clients[1]);
	cr_expect_null(config_client_for(c, ip("10.0.1.11")));
	config_free(c);
}

/* --- errors --------------------------------------------------------------------------- */

static const struct {
	const char *text, *error;
} faults[] = {
	/* the file as a whole */
	{ "", "1: the file is empty: interfaces and pools must be given" },
	{ "# nothing\n", "1: the file is empty: interfaces and pools must be given" },
	{ "just text\n", "1: a map with these keys is allowed: interfaces, pools, clients, leases, server, "
			 "local-networks, query, tunnels, datapath, state, control and metrics" },
	{ BASE "leases: {default: 5\n", "6: did not find expected ',' or '}': YAML as in rsipd.yaml(5) is allowed" },
	{ BASE "state: /a\x01\n", "5: control characters are not allowed: YAML as in rsipd.yaml(5) is allowed" },
	{ BASE "state: \"/a\\0b\"\n", "5: state: a zero byte stands here: an absolute path of up to 255 bytes is allowed" },
	{ BASE "state: /\xff\n", "5: invalid leading UTF-8 octet: YAML as in rsipd.yaml(5) is allowed" },
	{ BASE "---\n" BASE, "6: a second document: one is allowed" },
	{ INTERFACES, "1: pools: missing: it must be given" },
	{ POOLS, "1: interfaces: missing: it must be given" },
	{ BASE "state: /a\nstate: /b\n", "6: the key \"state\" is here again: it stands in line 5, once is allowed" },
	{ BASE "lease: {}\n",
	  "5: unknown key \"lease\": interfaces, pools, clients, leases, server, local-networks, query, tunnels, datapath, "
	  "state, control and metrics are allowed" },
	{ BASE "leases: {default: 2, defualt: 3}\n",
	  "5: leases: unknown key \"defualt\": registration, default, maximum and hold-down are allowed" },
	{ BASE "[a]: 1\n",
	  "5: a list stands here: interfaces, pools, clients, leases, server, local-networks, query, tunnels, datapath, state, "
	  "control and metrics is allowed" },
	{ BASE "<<: {state: /a}\n",
	  "5: unknown key \"<<\": interfaces, pools, clients, leases, server, local-networks, query, tunnels, datapath, state, "
	  "control and metrics are allowed" },
	/* numbers are strict */
	{ BASE "leases:\n  default: 1h\n", "6: leases.default: \"1h\" is wrong: a number from 1 to 31536000 is allowed" },
	{ BASE "leases:\n  maximum: 0\n", "6: leases.maximum: \"0\" is wrong: a number from 1 to 31536000 is allowed" },
	{ BASE "leases:\n  maximum: 31536001\n",
	  "6: leases.maximum: \"31536001\" is wrong: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: 010}\n",
	  "5: leases.registration: \"010\" is wrong: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: 1.5}\n",
	  "5: leases.registration: \"1.5\" is wrong: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: -1}\n",
	  "5: leases.registration: \"-1\" is wrong: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: +1}\n",
	  "5: leases.registration: \"+1\" is wrong: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: 1-2}\n",
	  "5: leases.registration: \"1-2\" is wrong: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: 99999999999999999999}\n",
	  "5: leases.registration: \"99999999999999999999\" is wrong: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: '600'}\n",
	  "5: leases.registration: \"600\" is a quoted text: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: }\n",
	  "5: leases.registration: has no value: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: [600]}\n",
	  "5: leases.registration: a list stands here: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: {registration: {a: 1}}\n",
	  "5: leases.registration: a map stands here: a number from 1 to 31536000 is allowed" },
	{ BASE "leases: 600\n",
	  "5: leases: a map with these keys is allowed: registration, default, maximum and hold-down" },
	{ BASE "leases: {hold-down: 86401}\n", "5: leases.hold-down: \"86401\" is wrong: a number from 0 to 86400 is allowed" },
	{ BASE "leases:\n  default: 7200\n",
	  "6: leases: default is 7200 and maximum is 3600: a default up to the maximum is allowed" },
	{ BASE "server: {port: 65536}\n", "5: server.port: \"65536\" is wrong: a number from 1 to 65535 is allowed" },
	{ BASE "server: {tcp: yes}\n", "5: server.tcp: \"yes\" is wrong: true or false is allowed" },
	{ BASE "server: {tcp: \"true\"}\n", "5: server.tcp: \"true\" is a quoted text: true or false is allowed" },
	{ BASE "server: {tcp: false, udp: false}\n", "5: server: tcp and udp are both false: one at least must be true" },
	{ BASE "datapath: {mode: skb}\n", "5: datapath.mode: \"skb\" is wrong: auto, native or generic is allowed" },
	{ BASE "datapath: {max-bindings: 0}\n",
	  "5: datapath.max-bindings: \"0\" is wrong: a number from 1 to 16777216 is allowed" },
	{ BASE "datapath: {pin: rsip}\n",
	  "5: datapath.pin: \"rsip\" is wrong: an absolute path of up to 255 bytes is allowed" },
	{ BASE "tunnels: [ip-ip, l2tp]\n", "5: tunnels[2]: \"l2tp\" is wrong: ip-ip or gre is allowed" },
	{ BASE "tunnels: [gre, gre]\n", "5: tunnels[2]: gre is in the list already: once is allowed" },
	{ BASE "tunnels: []\n", "5: tunnels: a list of 0: 1 to 2 are allowed" },
	{ BASE "tunnels: [gre, ip-ip, gre]\n", "5: tunnels: a list of 3: 1 to 2 are allowed" },
	{ BASE "tunnels: gre\n", "5: tunnels: a list is allowed: [first, second, ...]" },
	{ BASE "metrics: 9455\n",
	  "5: metrics: \"9455\" is wrong: ADDRESS:PORT with an IPv4 address and a port from 1 to 65535 is allowed" },
	{ BASE "metrics: 127.0.0.1:0\n",
	  "5: metrics: \"127.0.0.1:0\" is wrong: ADDRESS:PORT with an IPv4 address and a port from 1 to 65535 is allowed" },
	{ BASE "metrics: localhost:9455\n",
	  "5: metrics: \"localhost:9455\" is wrong: ADDRESS:PORT with an IPv4 address and a port from 1 to 65535 is allowed" },
	{ BASE "metrics: 127.0.0.1:1-2\n",
	  "5: metrics: \"127.0.0.1:1-2\" is wrong: ADDRESS:PORT with an IPv4 address and a port from 1 to 65535 is allowed" },
	{ BASE "local-networks: [10.0.0.1/8]\n",
	  "5: local-networks[1]: \"10.0.0.1/8\" is wrong: an IPv4 network ADDRESS/LENGTH without host bits, or an "
	  "address is allowed" },
	{ BASE "control: /a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z\n",
	  "5: control: \"/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t\" is wrong: an absolute path of up to 101 bytes is "
	  "allowed" },
	/* interfaces */
	{ "interfaces: {public: [{name: wan0}]}\n" POOLS, "1: interfaces.private: missing: it must be given" },
	{ "interfaces: {private: [], public: [{name: wan0}]}\n" POOLS,
	  "1: interfaces.private: a list of 0: 1 to 64 are allowed" },
	{ "interfaces:\n  private: [{name: lan0}]\n  public: [{name: wan0}]\n" POOLS,
	  "2: interfaces.private[1].address: missing: it must be given" },
	{ "interfaces:\n  private:\n    - name: lan0\n      address: 10.0.0.256\n  public: [{name: wan0}]\n" POOLS,
	  "4: interfaces.private[1].address: \"10.0.0.256\" is wrong: an IPv4 address is allowed" },
	{ "interfaces:\n  private:\n    - name: lan0\n      address: 010.0.0.1\n  public: [{name: wan0}]\n" POOLS,
	  "4: interfaces.private[1].address: \"010.0.0.1\" is wrong: an IPv4 address is allowed" },
	{ "interfaces:\n  private:\n    - name: lan0\n      address: 127.0.0.1\n  public: [{name: wan0}]\n" POOLS,
	  "4: interfaces.private[1].address: not the address of an interface: a unicast address is allowed" },
	{ "interfaces:\n  private:\n    - name: interface-name-1\n      address: 10.0.0.1\n  public: [{name: w}]\n" POOLS,
	  "3: interfaces.private[1].name: \"interface-name-1\" is wrong: the name of an interface, up to 15 bytes, is "
	  "allowed" },
	{ "interfaces:\n  private: [{name: lan0, address: 10.0.0.1}]\n  public:\n    - name: lan0\n" POOLS,
	  "4: interfaces.public[1]: lan0 stands in line 2 already: each interface once is allowed" },
	{ "interfaces:\n  private:\n  - {name: a, address: 10.0.0.1}\n  - {name: b, address: 10.0.0.1}\n"
	  "  public: [{name: c}]\n" POOLS,
	  "4: interfaces.private[2]: the address of a in line 3 already: each address once is allowed" },
	{ "interfaces:\n  private: [{name: lan0, address: 10.0.0.1}]\n  public: [{name: w, address: 192.0.2.1}]\n" POOLS,
	  "3: interfaces.public[1]: unknown key \"address\": name are allowed" },
	/* pools */
	{ INTERFACES "pools: []\n", "4: pools: a list of 0: 1 to 256 are allowed" },
	{ INTERFACES "pools: [{addresses: [203.0.113.10]}]\n", "4: pools[1].name: missing: it must be given" },
	{ INTERFACES "pools: [{name: a}]\n", "4: pools[1].addresses: missing: it must be given" },
	{ INTERFACES "pools: [{name: a b, addresses: [203.0.113.10]}]\n",
	  "4: pools[1].name: \"a b\" is wrong: a name of up to 63 letters, digits, \"-\", \"_\" and \".\" is allowed" },
	{ INTERFACES "pools:\n- {name: a, addresses: [203.0.113.10]}\n- {name: a, addresses: [203.0.113.11]}\n",
	  "6: pools[2].name: another pool is called \"a\": each name once is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.0/24]\n- name: b\n  addresses:\n  - 198.51.100.1\n"
		     "  - 203.0.113.7\n",
	  "10: pools[2].addresses[2]: overlaps the addresses in line 6: each address once is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.1-203.0.113.5, 203.0.113.5]\n",
	  "6: pools[1].addresses[2]: overlaps the addresses in line 6: each address once is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.5-203.0.113.9, 203.0.113.1-203.0.113.5]\n",
	  "6: pools[1].addresses[2]: overlaps the addresses in line 6: each address once is allowed" },
	{ INTERFACES "pools: [{name: a, addresses: [203.0.113.5-203.0.113.1]}]\n",
	  "4: pools[1].addresses[1]: \"203.0.113.5-203.0.113.1\" is wrong: an IPv4 address, ADDRESS/LENGTH, "
	  "FIRST-LAST or an interface is allowed" },
	{ INTERFACES "pools: [{name: a, addresses: [none0]}]\n",
	  "4: pools[1].addresses[1]: \"none0\" is wrong: an IPv4 address, ADDRESS/LENGTH, FIRST-LAST or an interface is "
	  "allowed" },
	{ INTERFACES "pools: [{name: a, addresses: [lo]}]\n",
	  "4: pools[1].addresses[1]: holds addresses that no host can have: unicast addresses are allowed" },
	{ INTERFACES "pools: [{name: a, addresses: [126.255.255.255-128.0.0.0]}]\n",
	  "4: pools[1].addresses[1]: the pools have 16777218 addresses in 1 ranges: 65536 in 4096 are allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.0.0/17]\n- name: b\n"
		     "  addresses: [203.0.128.0/17, 198.51.100.1]\n",
	  "8: pools[2].addresses[2]: the pools have 65537 addresses in 3 ranges: 65536 in 4096 are allowed" },
	{ INTERFACES "pools: [{name: a, addresses: [223.255.255.255-224.0.0.0]}]\n",
	  "4: pools[1].addresses[1]: holds addresses that no host can have: unicast addresses are allowed" },
	{ INTERFACES "pools: [{name: a, addresses: [0.0.0.0]}]\n",
	  "4: pools[1].addresses[1]: holds addresses that no host can have: unicast addresses are allowed" },
	{ INTERFACES "pools: [{name: a, addresses: [10.0.0.0/28]}]\n",
	  "4: pools[1].addresses: holds 10.0.0.1, the address of lan0: other addresses are allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.1]\n  methods: [rsipsec]\n",
	  "7: pools[1].methods: these methods do not go together: [rsap-ip], [rsap-ip, rsipsec] or [rsa-ip] is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.1]\n  methods: [rsa-ip, rsap-ip]\n",
	  "7: pools[1].methods: these methods do not go together: [rsap-ip], [rsap-ip, rsipsec] or [rsa-ip] is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.1]\n  methods: [rsap-ip, nat]\n",
	  "7: pools[1].methods[2]: \"nat\" is wrong: rsap-ip, rsipsec or rsa-ip is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.1]\n  ports: 0-65535\n",
	  "7: pools[1].ports: \"0-65535\" is wrong: a range FIRST-LAST within 1-65535 is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.1]\n  ports: 1024-65536\n",
	  "7: pools[1].ports: \"1024-65536\" is wrong: a range FIRST-LAST within 1-65535 is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.1]\n  ports: 2000-1000\n",
	  "7: pools[1].ports: \"2000-1000\" is wrong: a range FIRST-LAST within 1-65535 is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.1]\n  spis: 0xff-0x1ff\n",
	  "7: pools[1].spis: \"0xff-0x1ff\" is wrong: a range FIRST-LAST within 0x100-0xffffffff is allowed" },
	{ INTERFACES "pools:\n- name: a\n  addresses: [203.0.113.1]\n  gateway-address: no\n",
	  "7: pools[1].gateway-address: \"no\" is wrong: true or false is allowed" },
	/* clients */
	{ BASE "clients:\n- match: 10.0.0.0/33\n",
	  "6: clients[1].match: \"10.0.0.0/33\" is wrong: an IPv4 network ADDRESS/LENGTH without host bits, or an "
	  "address is allowed" },
	{ BASE "clients:\n- local-policy: none\n", "6: clients[1].local-policy: \"none\" is wrong: macro or micro is allowed" },
	{ BASE "clients:\n- remote-policy: any\n",
	  "6: clients[1].remote-policy: \"any\" is wrong: none, macro or micro is allowed" },
	{ BASE "clients:\n- max-binds: 1048577\n",
	  "6: clients[1].max-binds: \"1048577\" is wrong: a number from 0 to 1048576 is allowed" },
	{ BASE "clients: [10.0.0.0/8]\n",
	  "5: clients[1]: a map with these keys is allowed: match, local-policy, remote-policy, ipsec, listen, max-binds, "
	  "max-ports, max-spis, max-addresses, max-requests and key" },
	{ BASE "clients:\n- listen: true\n", "6: clients[1].listen: \"true\" is wrong: policy, always or never is allowed" },
	{ BASE "clients: [{key: key.file}]\n",
	  "5: clients[1].key: \"key.file\" is wrong: an absolute path of up to 255 bytes is allowed" },
	{ BASE "clients:\n- match: 10.0.0.1\n  key: /none/such\n",
	  "7: clients[1].key: the key file /none/such: No such file or directory" },
	{ BASE "clients: [{key: /dev/null}]\n",
	  "5: clients[1].key: the key file /dev/null: is no file: a regular file is allowed" },
	/* what makes a small file large */
	{ BASE "state: &a /a\ncontrol: *a\n", "6: an alias: a value written out is allowed" },
	{ BASE "clients: [&c {}, *c, *c]\n", "5: an alias: a value written out is allowed" },
	{ BASE "state: [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]\n",
	  "5: state: a list stands here: an absolute path of up to 255 bytes is allowed" },
	{ BASE "state: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]\n",
	  "5: nested deeper than 16: maps and lists as in rsipd.yaml(5) are allowed" },
	{ BASE "leases: &l\n  default: 1\nserver: *l\n", "7: an alias: a value written out is allowed" },
	/* an error is one line, whatever the value */
	{ BASE "datapath: {mode: \"a\\nrsipd.yaml:9: \\e[31mb\"}\n",
	  "5: datapath.mode: \"a?rsipd.yaml:9: ?[31mb\" is wrong: auto, native or generic is allowed" },
};

Test(config, faults)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct config *c = load(faults[i].text, strlen(faults[i].text));
		char wanted[600];

		snprintf(wanted, sizeof(wanted), "rsipd.yaml:%s", faults[i].error);
		cr_expect_null(c, "accepted:\n%s", faults[i].text);
		cr_expect_str_eq(error.text, wanted, "%s", faults[i].text);
		config_free(c);
	}
}

/* Two pools: one of half of the addresses, one of the other half in all ranges but one, and `more` of them. */
static struct config *load_many(unsigned int more)
{
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);
	struct config *c;

	fprintf(file, "%s", INTERFACES "pools:\n- name: a\n  addresses: [203.0.0.0/17]\n- name: b\n  addresses:\n");
	for (unsigned int i = 0; i < 4094 + more; i++)
		fprintf(file, "  - 198.51.%u.%u\n", i / 128, i % 128 * 2);
	fprintf(file, "  - 204.0.0.0-204.0.%u.%u\n", (32768 - 4094 - 1) / 256, (32768 - 4094 - 1) % 256);
	fclose(file);
	c = load(text, len);
	free(text);
	return c;
}

/* As many addresses and ranges as there may be, and not one more. */
Test(config, limits, .timeout = 60)
{
	struct config *c = load_many(0);

	cr_assert_not_null(c, "%s", error.text);
	cr_expect_eq(c->pools[1].address_count, 4095);
	config_free(c);
	cr_expect_null(load_many(1));
	SAME_TEXT(error.text, "rsipd.yaml:4104: pools[2].addresses[4096]: the pools have 65537 addresses in 4097 ranges: 65536 in "
			      "4096 are allowed");
}

/* --- files ---------------------------------------------------------------------------------- */

Test(config, files)
{
	char *text = malloc((1 << 20) + 1);

	cr_expect_null(config_load("rsipd.yaml", &error));
	SAME_TEXT(error.text, "rsipd.yaml:1: cannot be opened: No such file or directory");
	cr_expect_null(config_load("/", &error));
	SAME_TEXT(error.text, "/:1: not a file: a regular file is allowed");
	memset(text, '#', (1 << 20) + 1);
	memcpy(text, BASE, strlen(BASE));
	cr_expect_null(load(text, (1 << 20) + 1));
	SAME_TEXT(error.text, "rsipd.yaml:1: larger than 1 MiB: up to 1 MiB is allowed");
	free(text);
}

/* A megabyte of brackets, of keys, of ranges: an error, soon and in bounded memory. */
Test(config, harmful, .timeout = 20)
{
	static const struct {
		const char *head, *again, *tail, *error;
	} rows[] = {
		{ BASE "state: ", "[", "", "5: nested deeper than 16" },
		{ BASE "state: ", "{a: ", "", "5: nested deeper than 16" },
		{ BASE, "- ", "", "5: nested deeper than 16" },
		{ INTERFACES "pools: [{name: a, addresses: [", "203.0.113.10,", "]}]\n", "a list of" },
		{ INTERFACES "pools: [", "{name: a, addresses: [203.0.113.10]},", "]\n", "a list of" },
		{ BASE "local-networks: [", "10.0.0.0/8,", "]\n", "a list of" },
		{ BASE "clients: [", "{},", "]\n", "a list of" },
		{ BASE, "state: /a\n", "", "6: the key \"state\" is here again" },
		{ BASE, "?\n", "", "has no value" },
	};
	const size_t size = 1 << 20;
	char *text = malloc(size);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len = strlen(rows[i].head), add = strlen(rows[i].again);

		memcpy(text, rows[i].head, len);
		for (; len + add + 8 < size; len += add)
			memcpy(text + len, rows[i].again, add);
		len += (size_t)sprintf(text + len, "%s", rows[i].tail);
		cr_expect_null(load(text, len));
		cr_expect_not_null(strstr(error.text, rows[i].error), "row %zu: %s", i, error.text);
	}
	free(text);
}

/* Cut off at any byte, and with any byte changed: loads or says why, and never harms. */
Test(config, torn, .timeout = 60)
{
	char text[sizeof(everything)];

	for (size_t len = 0; len < strlen(everything); len++)
		config_free(load(everything, len));
	for (size_t i = 0; i < strlen(everything); i++) {
		memcpy(text, everything, sizeof(text));
		text[i] = (char)(text[i] ^ 0x15);
		struct config *c = load(text, strlen(everything));

		cr_expect(c || !strncmp(error.text, "rsipd.yaml:", 11), "%s", error.text);
		cr_expect_null(strchr(error.text, '\n'));
		config_free(c);
	}
}

/* A private address in a pool is a warning, not an error. covers: CAS-01 */
Test(config, private_pool)
{
	static const char text[] = INTERFACES "pools: [{name: inner, addresses: [192.168.1.0/24]}]\n";
	char line[256] = "";
	struct config *c;
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	log_set_level(LOG_LEVEL_INFO);
	c = load(text, strlen(text));
	cr_assert_not_null(c, "%s", error.text);
	cr_assert_gt((int)read(fds[0], line, sizeof(line) - 1), 0);
	SAME_TEXT(line, "<4>rsipd.yaml:4: pool inner holds private addresses (RFC 1918): public ones are meant to be lent\n");
	config_free(c);
}

/* --- the system ------------------------------------------------------------------------------ */

/* Every network namespace has lo, and that is all a test without rights can count on. */
static const struct {
	const char *text, *error;
} system_faults[] = {
	{ "interfaces:\n  private:\n  - name: rsip-none\n    address: 10.0.0.1\n  public: [{name: lo}]\n" POOLS,
	  "3: there is no interface rsip-none: an interface of this machine is allowed" },
	{ "interfaces:\n  private: [{name: lo, address: 10.0.0.1}]\n  public:\n\n  - name: rsip-none\n" POOLS,
	  "5: there is no interface rsip-none: an interface of this machine is allowed" },
};

Test(config, system)
{
	for (size_t i = 0; i < sizeof(system_faults) / sizeof(system_faults[0]); i++) {
		struct config *c = load(system_faults[i].text, strlen(system_faults[i].text));
		char wanted[600];

		cr_assert_not_null(c, "%s", error.text);
		cr_expect_eq(config_check_system(c, "rsipd.yaml", &error), -1);
		snprintf(wanted, sizeof(wanted), "rsipd.yaml:%s", system_faults[i].error);
		SAME_TEXT(error.text, wanted);
		config_free(c);
	}
}

/* --- a reload ---------------------------------------------------------------------------------- */

#define FIXED(key)	"rsipd.yaml:" key ": cannot change while rsipd runs: what it runs with is allowed, or a restart"

static const struct {
	const char *text, *error;	/* NULL: it can change */
	const char *running;		/* NULL: BASE */
} reloads[] = {
	{ BASE, NULL },
	{ INTERFACES "pools: [{name: other, addresses: [203.0.113.64/28], ports: 2000-2999}]\n", NULL },
	{ BASE "clients: []\nleases: {default: 60}\nlocal-networks: []\nquery: all\ntunnels: [gre]\n", NULL },
	{ "interfaces:\n  private: [{name: lan1, address: 10.0.0.1}]\n  public: [{name: wan0}]\n" POOLS,
	  FIXED("2: interfaces") },
	{ "interfaces:\n  private: [{name: lan0, address: 10.0.0.1}]\n  public: [{name: wan0}, {name: wan1}]\n" POOLS,
	  FIXED("2: interfaces") },
	{ BASE "server: {port: 4556}\n", FIXED("5: server") },
	{ BASE "\nserver:\n  tcp: false\n", FIXED("7: server") },
	{ BASE "datapath: {max-bindings: 9}\n", FIXED("5: datapath") },
	{ BASE "datapath: {pin: /sys/fs/bpf/other}\n", FIXED("5: datapath") },
	{ BASE "datapath: {peer-rekey: true}\n", FIXED("5: datapath") },
	{ BASE "state: /tmp/other\n", FIXED("5: state") },
	{ BASE "control: /tmp/other.sock\n", FIXED("5: control") },
	{ BASE "metrics: 127.0.0.1:9455\n", FIXED("5: metrics") },
	/* a key that is left out: the line of its map */
	{ "\n" BASE, FIXED("2: server"), BASE "server: {port: 4556}\n" },
};

/* What cannot change at run time is refused with the line it stands in. covers: ADM-01 */
Test(config, what_can_change)
{
	for (size_t i = 0; i < sizeof(reloads) / sizeof(reloads[0]); i++) {
		const char *text = reloads[i].running ? reloads[i].running : BASE;
		struct config *running = load(text, strlen(text)), *fresh = load(reloads[i].text, strlen(reloads[i].text));
		int err;

		cr_assert_not_null(fresh, "%s", error.text);
		err = config_check_change(running, fresh, "rsipd.yaml", &error);
		cr_expect_eq(err, reloads[i].error ? -1 : 0, "%s", reloads[i].text);
		if (reloads[i].error)
			SAME_TEXT(error.text, reloads[i].error);
		config_free(running);
		config_free(fresh);
	}
}

/* The running one takes over what can change; both can still be freed. */
Test(config, swap)
{
	static const char text[] = INTERFACES "pools: [{name: other, addresses: [203.0.113.64/28]}]\n"
				   "clients: []\nleases: {default: 60}\nlocal-networks: []\nquery: all\ntunnels: [gre]\n";
	struct config *running = load(BASE, strlen(BASE)), *fresh = load(text, strlen(text));

	fresh->follow[fresh->follow_count++] = (struct config_follow){ .name = "wan0" };
	config_swap(running, fresh);
	SAME_TEXT(running->pools[0].name, "other");
	cr_expect_eq(running->follow_count, 1);
	SAME_TEXT(running->follow[0].name, "wan0");
	cr_expect_eq(fresh->follow_count, 0);
	SAME_TEXT(fresh->pools[0].name, "shared");
	cr_expect_eq(running->client_count, 0);
	cr_expect_eq(running->leases.normal, 60);
	cr_expect_eq(running->local_network_count, 0);
	cr_expect(running->query_all);
	cr_expect_not(fresh->query_all);
	cr_expect_eq(running->tunnel_count, 1);
	cr_expect_eq(running->tunnels[0], RSIP_TUNNEL_GRE);
	cr_expect_eq(fresh->tunnel_count, 2);
	cr_expect_eq(fresh->client_count, 1);
	config_free(running);
	config_free(fresh);
}
