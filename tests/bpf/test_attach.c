// SPDX-License-Identifier: GPL-2.0-only
/*
 * attach.c and bpfmaps.c: programs and pins come, are told apart from others,
 * and go, also after a daemon that died. What the kernel says is compared with
 * what datapath_interfaces() says, so that both kinds of kernel, with and
 * without extension programs, are tested by the same code.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <criterion/criterion.h>
#include <linux/if_link.h>
#include <xdp/libxdp.h>

#include "net.h"
#include "rsipd/bpfmaps.h"
#include "rsipd/datapath.h"

#define PINS	"/sys/fs/bpf/rsip"
#define FOLDER	PINS "/" RSIP_LAYOUT
#define MAPS	BPFMAP_COUNT

static struct config *config;

static void enter(void)
{
	net_enter();
	config = net_config();
}

TestSuite(attach, .init = enter);

static struct datapath *open_and_attach(void)
{
	struct datapath *dp;

	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_assert_eq(datapath_attach(dp), 0);
	return dp;
}

/* --- what the kernel says ------------------------------------------------------------------ */

struct seen {
	__u32 id;
	bool native;
	char name[BPF_OBJ_NAME_LEN];
};

static struct seen program_on(const char *device)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	struct seen seen = { 0 };
	int fd;

	cr_assert_eq(bpf_xdp_query((int)if_nametoindex(device), 0, &query), 0);
	seen.id = query.drv_prog_id ? query.drv_prog_id : query.skb_prog_id;
	seen.native = query.drv_prog_id != 0;
	if (!seen.id)
		return seen;
	fd = bpf_prog_get_fd_by_id(seen.id);
	cr_assert_eq(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	memcpy(seen.name, info.name, sizeof(seen.name));
	close(fd);
	return seen;
}

static void expect_nothing_on(const char *device)
{
	struct seen seen = program_on(device);

	cr_expect_eq(seen.id, 0, "%s still has \"%s\"", device, seen.name);
}

static size_t entries_in(const char *folder)
{
	DIR *dir = opendir(folder);
	size_t count = 0;

	if (!dir)
		return 0;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Both interfaces, in the order of the configuration; each told as the kernel has it. */
static void expect_interfaces(const struct datapath *dp, const char *lan_mode, const char *wan_mode)
{
	const char *const modes[] = { lan_mode, wan_mode };
	static const char *const devices[] = { "lan0", "wan0" }, *const programs[] = { "rsip_private", "rsip_public" };
	struct datapath_interface got[4];

	cr_assert_eq(datapath_interfaces(dp, got, 4), 2);
	for (size_t i = 0; i < 2; i++) {
		struct seen seen = program_on(devices[i]);

		cr_expect_str_eq(got[i].name, devices[i]);
		cr_expect_eq(got[i].public_side, i == 1);
		cr_expect_str_eq(got[i].mode, modes[i]);
		cr_expect_eq(seen.native, !strcmp(modes[i], "native"), "%s", devices[i]);
		if (!strcmp(got[i].loader, "lone program"))
			cr_expect_str_eq(seen.name, programs[i]);
		else if (!strcmp(got[i].loader, "dispatcher"))
			cr_expect_str_eq(seen.name, "xdp_dispatcher");
		else
			cr_expect(false, "%s: loader \"%s\"", devices[i], got[i].loader);
	}
}

/* --- a program that is not ours -------------------------------------------------------------- */

static int foreign_program(void)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "foreign", "GPL", pass, 2, NULL);

	cr_assert_geq(fd, 0);
	return fd;
}

static void put_foreign_on(const char *device)
{
	int fd = foreign_program();

	cr_assert_eq(bpf_xdp_attach((int)if_nametoindex(device), fd, XDP_FLAGS_DRV_MODE, NULL), 0);
	close(fd);
}

/* --- coming and going --------------------------------------------------------------------------- */

static __u32 ids[MAPS];

static bool all_gone(void *arg)
{
	for (size_t i = 0; i < MAPS; i++) {
		int fd = bpf_map_get_fd_by_id(ids[i]);

		if (fd >= 0) {
			close(fd);
			return false;
		}
	}
	return true;
}

static void no_step(void *arg)
{
}

static void note_maps(void)
{
	DIR *dir = opendir(FOLDER);
	size_t count = 0;

	cr_assert(dir);
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		struct bpf_map_info info = { 0 };
		__u32 len = sizeof(info);
		char path[300];
		int fd;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), FOLDER "/%s", entry->d_name);
		fd = bpf_obj_get(path);
		cr_assert_geq(fd, 0, "%s", path);
		cr_assert_eq(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
		cr_expect_str_eq(info.name, entry->d_name);
		/* The kernel takes no BTF for the other two kinds. */
		if (info.type != BPF_MAP_TYPE_RINGBUF && info.type != BPF_MAP_TYPE_DEVMAP_HASH)
			cr_expect_neq(info.btf_id, 0, "%s has no BTF", entry->d_name);
		close(fd);
		cr_assert_lt(count, MAPS);
		ids[count++] = info.id;
	}
	closedir(dir);
	cr_assert_eq(count, MAPS);
}

Test(attach, detach_leaves_nothing_behind)
{
	struct datapath *dp;
	bool shared;

	cr_assert_eq(datapath_open(config, &dp), 0);
	expect_nothing_on("lan0");
	expect_nothing_on("wan0");
	cr_expect_eq(datapath_interfaces(dp, NULL, 0), 0);
	cr_assert_eq(datapath_attach(dp), 0);
	note_maps();
	shared = !strcmp(program_on("lan0").name, "xdp_dispatcher");
	expect_interfaces(dp, "native", "native");
	datapath_detach(dp);
	expect_nothing_on("lan0");
	expect_nothing_on("wan0");
	cr_expect_not(exists(PINS));
	cr_expect_eq(entries_in("/sys/fs/bpf/xdp"), 0, "libxdp's state is left");
	datapath_close(dp);
	/* libxdp 1.3.1 leaks descriptors of what it reads from a dispatcher: that ends with the process. */
	if (!shared)
		cr_expect(net_until(no_step, all_gone, NULL), "a map is left in the kernel");
}

Test(attach, closing_without_detaching_leaves_all_in_place)
{
	struct datapath *dp = open_and_attach();

	datapath_close(dp);
	cr_expect_neq(program_on("lan0").id, 0);
	cr_expect_neq(program_on("wan0").id, 0);
	cr_expect_eq(entries_in(FOLDER), MAPS);
}

Test(attach, generic_mode)
{
	struct datapath *dp;

	config->datapath.mode = CONFIG_MODE_GENERIC;
	dp = open_and_attach();
	expect_interfaces(dp, "generic", "generic");
	datapath_detach(dp);
	expect_nothing_on("lan0");
	expect_nothing_on("wan0");
	datapath_close(dp);
}

/* A veth refuses native XDP while its peer's MTU is too large. */
Test(attach, auto_mode_falls_back_to_generic_where_it_must)
{
	struct datapath *dp;

	net_outside("ip link set y0 mtu 9000");
	dp = open_and_attach();
	expect_interfaces(dp, "native", "generic");
	datapath_detach(dp);
	expect_nothing_on("wan0");
	datapath_close(dp);
}

Test(attach, native_mode_fails_where_it_is_refused)
{
	struct datapath *dp;

	net_outside("ip link set y0 mtu 9000");
	config->datapath.mode = CONFIG_MODE_NATIVE;
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_expect_lt(datapath_attach(dp), 0);
	expect_nothing_on("lan0");
	expect_nothing_on("wan0");
	cr_expect_eq(datapath_interfaces(dp, NULL, 0), 0);
	datapath_detach(dp);
	datapath_close(dp);
}

/* libxdp without its dispatcher, as told by the operator, and as it cannot help it. */
static void expect_lone(void)
{
	struct datapath *dp = open_and_attach();
	struct datapath_interface got[2];

	expect_interfaces(dp, "native", "native");
	cr_assert_eq(datapath_interfaces(dp, got, 2), 2);
	cr_expect_str_eq(got[0].loader, "lone program");
	cr_expect_str_eq(got[1].loader, "lone program");
	datapath_detach(dp);
	expect_nothing_on("lan0");
	expect_nothing_on("wan0");
	datapath_close(dp);
}

Test(attach, lone_program_through_libxdp)
{
	setenv("LIBXDP_SKIP_DISPATCHER", "1", 1);
	expect_lone();
}

Test(attach, lone_program_where_libxdp_fails)
{
	setenv("LIBXDP_OBJECT_PATH", "/nonexistent", 1);
	expect_lone();
}

/* In a process of its own, which ends without a word. */
static void leave_behind(void)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct datapath *dp;

		if (datapath_open(config, &dp) || datapath_attach(dp))
			_exit(1);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert_neq(program_on("lan0").id, 0);
	cr_assert_neq(program_on("wan0").id, 0);
	cr_assert_eq(entries_in(FOLDER), MAPS);
}

/* --- others ----------------------------------------------------------------------------------------- */

Test(attach, foreign_program_is_left_alone)
{
	struct datapath *dp;
	__u32 id;

	put_foreign_on("wan0");
	id = program_on("wan0").id;
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_expect_eq(datapath_attach(dp), -EBUSY);
	expect_nothing_on("lan0");
	cr_expect_eq(program_on("wan0").id, id);
	datapath_detach(dp);
	cr_expect_eq(program_on("wan0").id, id);
	datapath_close(dp);
}

/* Somebody took ours off and put something else there. */
Test(attach, detach_takes_off_nothing_but_ours)
{
	struct datapath *dp = open_and_attach();
	struct datapath_interface got[2];
	__u32 id;

	net_run("ip link set wan0 xdp off");
	put_foreign_on("wan0");
	id = program_on("wan0").id;
	cr_assert_eq(datapath_interfaces(dp, got, 2), 2);
	cr_expect_str_eq(got[1].mode, "off");
	cr_expect_str_eq(got[1].loader, "-");
	datapath_detach(dp);
	expect_nothing_on("lan0");
	cr_expect_eq(program_on("wan0").id, id);
	datapath_close(dp);
}

/* Whatever became of it, it is back within a second, and only where it was missing. covers: FAIL-13 */
Test(attach, what_was_taken_off_is_put_on_again)
{
	struct datapath *dp = open_and_attach();
	struct seen lan = program_on("lan0"), wan;

	cr_expect_eq(datapath_tick(dp, 1000), 0);
	for (uint64_t second = 2; second < 5; second++) {
		net_run("ip link set wan0 xdp off");
		expect_nothing_on("wan0");
		cr_expect_eq(datapath_tick(dp, second * 1000), 0);
		expect_interfaces(dp, "native", "native");
	}
	wan = program_on("wan0");
	cr_expect_eq(datapath_tick(dp, 5000), 0);
	cr_expect_eq(program_on("lan0").id, lan.id, "nobody touched it");
	cr_expect_eq(program_on("wan0").id, wan.id, "it is there");
	datapath_detach(dp);
	expect_nothing_on("lan0");
	expect_nothing_on("wan0");
	datapath_close(dp);
}

/* An interface that is gone is waited for. */
Test(attach, interface_that_is_gone_is_no_fault)
{
	struct datapath *dp = open_and_attach();

	net_run("ip link del wan0");
	cr_expect_eq(datapath_tick(dp, 1000), 0);
	datapath_detach(dp);
	datapath_close(dp);
}

/* Another program is in its place, which is nobody's mistake to mend but the operator's. covers: FAIL-13 */
Test(attach, what_cannot_be_put_on_again_is_a_fault)
{
	struct datapath *dp = open_and_attach();
	struct seen lan = program_on("lan0");
	__u32 id;

	net_run("ip link set wan0 xdp off");
	put_foreign_on("wan0");
	id = program_on("wan0").id;
	cr_expect_eq(datapath_tick(dp, 1000), -EBUSY);
	cr_expect_eq(program_on("wan0").id, id);
	cr_expect_eq(program_on("lan0").id, lan.id, "it goes on forwarding");
	datapath_close(dp);
	cr_assert_eq(datapath_remove_pins(config), 0);
}

Test(attach, one_device_cannot_have_both_sides)
{
	static struct config_interface both = { .name = "lan0" };
	struct datapath *dp;

	config->public_interfaces = &both;
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_expect_eq(datapath_attach(dp), -EINVAL);
	expect_nothing_on("lan0");
	datapath_detach(dp);
	datapath_close(dp);
}

/* Programs go on the device below a VLAN, and a redirect leads there. */
Test(attach, vlan_interface)
{
	static struct config_interface vlan = { .name = "lan0.7" };
	struct rsip_device value;
	struct datapath *dp;
	__u32 key = if_nametoindex("lan0");
	int fd;

	net_vlan();
	vlan.address = net_addr("10.7.0.1");
	config->private_interfaces = &vlan;
	dp = open_and_attach();
	cr_expect_neq(program_on("lan0").id, 0);
	fd = bpf_obj_get(FOLDER "/rsip_devices");
	cr_assert_geq(fd, 0);
	cr_expect_eq(bpf_map_lookup_elem(fd, &key, &value), 0);
	close(fd);
	datapath_detach(dp);
	expect_nothing_on("lan0");
	datapath_close(dp);
}

/* Another program, put there through libxdp, keeps its place beside ours and after it. */
Test(attach, dispatcher_is_shared)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .find_filename = "xdp-dispatcher.o", .prog_name = "xdp_pass");
	struct xdp_program *other = xdp_program__create(&opts);
	int wan = (int)if_nametoindex("wan0");
	struct datapath *dp;

	cr_assert_eq(libxdp_get_error(other), 0);
	cr_assert_eq(xdp_program__attach(other, wan, XDP_MODE_NATIVE, 0), 0);
	if (strcmp(program_on("wan0").name, "xdp_dispatcher"))
		cr_skip("this kernel loads no extension programs: libxdp has no dispatcher");
	dp = open_and_attach();
	expect_interfaces(dp, "native", "native");
	cr_expect_eq(xdp_program__is_attached(other, wan), XDP_MODE_NATIVE);
	/* Another dispatcher each time, with ours in it. */
	for (uint64_t second = 1; second < 5; second++) {
		__u32 id = program_on("wan0").id;

		cr_expect_eq(datapath_tick(dp, second * 1000), 0);
		cr_expect_eq(program_on("wan0").id, id, "ours was not missing");
		if (second % 2)
			cr_assert_eq(xdp_program__detach(other, wan, XDP_MODE_NATIVE, 0), 0);
		else
			cr_assert_eq(xdp_program__attach(other, wan, XDP_MODE_NATIVE, 0), 0);
	}
	datapath_detach(dp);
	expect_nothing_on("lan0");
	cr_expect_eq(xdp_program__is_attached(other, wan), XDP_MODE_NATIVE);
	datapath_close(dp);
	leave_behind();
	cr_assert_eq(datapath_remove_pins(config), 0);
	expect_nothing_on("lan0");
	cr_expect_eq(xdp_program__is_attached(other, wan), XDP_MODE_NATIVE);
	cr_assert_eq(xdp_program__detach(other, wan, XDP_MODE_NATIVE, 0), 0);
	expect_nothing_on("wan0");
	xdp_program__close(other);
}

/* --- interfaces that come back -------------------------------------------------------------------- */

static void read_netlink(void *arg)
{
	datapath_ready(arg, 1, net_now());
}

static bool both_on(void *arg __attribute__((unused)))
{
	return program_on("lan0").id && program_on("wan0").id;
}

Test(attach, interfaces_made_anew)
{
	struct datapath *dp = open_and_attach();
	__u32 key, value;
	int fd = bpf_obj_get(FOLDER "/rsip_devices");

	net_anew();
	cr_expect_not(both_on(NULL));
	cr_assert(net_until(read_netlink, both_on, dp));
	expect_interfaces(dp, "native", "native");
	key = if_nametoindex("lan0");
	cr_expect_eq(bpf_map_lookup_elem(fd, &key, &value), 0);
	key = if_nametoindex("wan0");
	cr_expect_eq(bpf_map_lookup_elem(fd, &key, &value), 0);
	close(fd);
	datapath_detach(dp);
	expect_nothing_on("lan0");
	expect_nothing_on("wan0");
	datapath_close(dp);
}

static bool lan_is_on(void *arg)
{
	return program_on("lan0").id;
}

/* Another program has the device that came back: it is asked for some seconds, then it is a fault. covers: FAIL-13 */
Test(attach, device_that_came_back_and_is_taken)
{
	struct datapath *dp = open_and_attach();
	uint64_t second = 1;

	net_anew();
	put_foreign_on("wan0");
	cr_assert(net_until(read_netlink, lan_is_on, dp));
	for (; second < 4; second++)
		cr_expect_eq(datapath_tick(dp, second * 1000), 0);
	cr_expect_str_eq(program_on("wan0").name, "foreign");
	net_run("ip link set wan0 xdp off");
	cr_expect_eq(datapath_tick(dp, second++ * 1000), 0);
	expect_interfaces(dp, "native", "native");

	net_anew();
	put_foreign_on("wan0");
	cr_assert(net_until(read_netlink, lan_is_on, dp));
	for (unsigned int tries = 0; tries < 8; tries++)
		cr_expect_eq(datapath_tick(dp, second++ * 1000), 0);
	cr_expect_eq(datapath_tick(dp, second * 1000), -EBUSY);
	datapath_detach(dp);
	datapath_close(dp);
}

/* --- a daemon that died -------------------------------------------------------------------------------- */

/* The programs stay where they are, without a moment off; what nobody holds any more goes from the maps. */
/* covers: FAIL-08 FAIL-09 */
Test(attach, next_daemon_takes_over)
{
	struct datapath *dp;
	struct seen lan, wan;
	__be32 key;
	int fd;

	leave_behind();
	lan = program_on("lan0");
	wan = program_on("wan0");
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_expect_eq(program_on("lan0").id, lan.id);
	cr_assert_eq(datapath_attach(dp), 0);
	cr_expect_eq(program_on("lan0").id, lan.id);
	cr_expect_eq(program_on("wan0").id, wan.id);
	fd = bpf_obj_get(FOLDER "/rsip_clients");
	cr_assert_geq(fd, 0);
	cr_expect_neq(bpf_map_get_next_key(fd, NULL, &key), 0);
	close(fd);
	expect_interfaces(dp, "native", "native");
	datapath_detach(dp);
	datapath_close(dp);
	expect_nothing_on("lan0");
	expect_nothing_on("wan0");
	cr_expect_not(exists(PINS));
}

/* On other maps the programs are others, whatever their code is: they are replaced. */
Test(attach, programs_on_other_maps_are_replaced)
{
	struct datapath *dp;
	struct seen lan;

	leave_behind();
	lan = program_on("lan0");
	config->datapath.max_bindings *= 2;
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_expect_eq(program_on("lan0").id, lan.id);
	cr_assert_eq(datapath_attach(dp), 0);
	cr_expect_neq(program_on("lan0").id, lan.id);
	expect_interfaces(dp, "native", "native");
	datapath_detach(dp);
	expect_nothing_on("lan0");
	datapath_close(dp);
}

/* A daemon that cannot start leaves alone what forwards. */
Test(attach, a_failed_start_leaves_what_was_there)
{
	struct datapath *dp;
	struct seen lan;

	leave_behind();
	lan = program_on("lan0");
	net_run("ip link set wan0 xdp off");
	put_foreign_on("wan0");
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_expect_eq(datapath_attach(dp), -EBUSY);
	cr_expect_eq(program_on("lan0").id, lan.id);
	datapath_close(dp);
	cr_assert_eq(datapath_remove_pins(config), 0);
}

Test(attach, leftovers_are_removed_without_a_daemon)
{
	leave_behind();
	cr_assert_eq(datapath_remove_pins(config), 0);
	expect_nothing_on("lan0");
	expect_nothing_on("wan0");
	cr_expect_not(exists(PINS));
	cr_expect_eq(entries_in("/sys/fs/bpf/xdp"), 0);
	cr_assert_eq(datapath_remove_pins(config), 0);	/* nothing there: fine as well */
}

/* Pins of an older layout, of a map that changed its shape, and what nobody knows. */
Test(attach, stale_and_unknown_pins_do_not_stop_the_daemon)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "other", 4, 8, 1, NULL);
	struct datapath *dp;

	cr_assert_geq(fd, 0);
	cr_assert_eq(mkdir(PINS, 0700) | mkdir(PINS "/v0", 0700) | mkdir(FOLDER, 0700) | mkdir(PINS "/else", 0700), 0);
	cr_assert_eq(bpf_obj_pin(fd, PINS "/v0/rsip_gone"), 0);
	cr_assert_eq(bpf_obj_pin(fd, FOLDER "/rsip_spis"), 0);
	cr_assert_eq(bpf_obj_pin(fd, FOLDER "/unknown"), 0);
	cr_assert_eq(bpf_obj_pin(fd, PINS "/else/rsip_kept"), 0);
	dp = open_and_attach();
	cr_expect_not(exists(PINS "/v0"));
	cr_expect(exists(FOLDER "/unknown"));
	cr_expect(exists(PINS "/else/rsip_kept"));
	expect_interfaces(dp, "native", "native");
	datapath_detach(dp);
	datapath_close(dp);
	cr_expect_not(exists(FOLDER "/rsip_spis"));
	close(fd);
}

Test(attach, pin_folder_elsewhere_gets_a_file_system_of_its_own)
{
	char folder[] = "/tmp/rsip-pins-XXXXXX", pin[64], map[128];
	struct datapath *dp;

	cr_assert(mkdtemp(folder));
	snprintf(pin, sizeof(pin), "%s/bpf", folder);
	snprintf(map, sizeof(map), "%s/" RSIP_LAYOUT "/rsip_spis", pin);
	config->datapath.pin = pin;
	cr_assert_eq(datapath_open(config, &dp), 0);
	cr_expect(exists(map));
	datapath_detach(dp);
	datapath_close(dp);
	cr_expect_not(exists(map));
	net_run("umount %s; rm -r %s", pin, folder);
}
