// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attaching and detaching. libxdp loads a program as an extension of its
 * dispatcher, and as an XDP program of its own where the kernel refuses
 * extensions. It knows only one reason for that, so there is a direct way as
 * well, with an object of its own: an object is loaded once, as one or the other.
 */
#include "rsipd/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <xdp/libxdp.h>

#include "lib/log.h"
#include "rsipd/identity.h"
#include "rsipd/occupant.h"
#include "rsip.skel.h"

#define TRIES		10	/* to put a program on a device that came back, one a second */

struct program {
	const char *name;
	struct rsip_bpf *shared;	/* for libxdp */
	struct xdp_program *xdp;
	struct rsip_bpf *alone;		/* for the direct way; loaded when needed */
	int fd;				/* of the latter, or -1; owned by it */
};

struct place {				/* an interface with a program on it */
	char name[IF_NAMESIZE];
	bool public_side;
	bool on;			/* ours to take off */
	const struct place *with;	/* another VLAN of the same device, which has the program; or NULL */
	bool inherited;			/* something of ours was there before */
	int ifindex;			/* of the device that has it: below a VLAN */
	__u32 id;			/* of the program that was put there */
	int fd;				/* the same, open, so that nobody has to be asked for it; or -1 */
	__u32 seen;			/* of a dispatcher with it, when last looked at */
	unsigned int failures;		/* to put it on since the device came back */
};

struct attach {
	const struct bpfmaps *maps;
	struct program programs[2];	/* by public_side */
	struct place *places;
	size_t count;
	enum config_mode mode;
};

/* --- messages of the libraries --------------------------------------------------------- */

/* While a way is tried of which we say ourselves what came of it. */
static bool quiet;

static void log_line(enum log_level level, const char *line)
{
	if (!*line || level > LOG_LEVEL_DEBUG)
		return;
	if (level == LOG_LEVEL_INFO && !quiet)
		log_info("%s", line);
	else
		log_debug("%s", line);
}

/* The text may have many lines: a verifier log has. */
static int log_text(enum log_level level, const char *format, va_list args)
{
	char *text = NULL, *at, *line;

	if (vasprintf(&text, format, args) < 0)
		return 0;
	at = text;
	while ((line = strsep(&at, "\n")))
		log_line(level, line);
	free(text);
	return 0;
}

static int log_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	/* libbpf's debug lines tell every relocation: of no use to an operator. */
	if (level == LIBBPF_DEBUG)
		return 0;
	return log_text(level == LIBBPF_WARN ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, format, args);
}

static int log_libxdp(enum libxdp_print_level level, const char *format, va_list args)
{
	if (level == LIBXDP_DEBUG)
		return 0;
	return log_text(level == LIBXDP_WARN ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, format, args);
}

void attach_log(void)
{
	libbpf_set_print(log_libbpf);
	libxdp_set_print(log_libxdp);
}

/* --- what was put there --------------------------------------------------------------------- */

static __u32 program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* `fd` stays the caller's. */
static void hold(struct place *place, int fd)
{
	if (place->fd >= 0)
		close(place->fd);
	place->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	place->id = program_id(fd);
}

static void hold_by_id(struct place *place, __u32 id)
{
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return;
	hold(place, fd);
	close(fd);
}

/* --- taking off ------------------------------------------------------------------------------- */

static void take_off(struct place *place)
{
	struct occupant found;
	int err;

	if (!place->on)
		return;
	place->on = false;
	err = occupant_look(place->ifindex, &found);
	if (!err && found.id == place->id)
		err = occupant_remove_alone(place->ifindex, place->fd, found.native);
	else if (!err && occupant_is_dispatcher(&found))
		err = occupant_remove_shared(place->ifindex, place->id, found.native);
	if (err && err != -ENODEV)
		log_warn("%s: the XDP program could not be taken off: %s", place->name, strerror(-err));
}

static unsigned int remove_left_by_name(const char *name, struct netlink *netlink)
{
	struct netlink_link link;

	return netlink_link_get(netlink, 0, name, &link) ? 0 : occupant_remove_ours((int)link.lower);
}

unsigned int attach_remove_left(const struct config *config, struct netlink *netlink)
{
	unsigned int removed = 0;

	for (size_t i = 0; i < config->private_count; i++)
		removed += remove_left_by_name(config->private_interfaces[i].name, netlink);
	for (size_t i = 0; i < config->public_count; i++)
		removed += remove_left_by_name(config->public_interfaces[i].name, netlink);
	return removed;
}

/* --- loading ---------------------------------------------------------------------------------- */

static int open_shared(const struct bpfmaps *maps, struct program *program)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts);

	if (program->xdp)
		return 0;
	program->shared = bpfmaps_program_open(maps, program->name);
	if (!program->shared)
		return -EINVAL;
	opts.obj = program->shared->obj;
	opts.prog_name = program->name;
	program->xdp = xdp_program__create(&opts);
	if (libxdp_get_error(program->xdp)) {
		int err = (int)libxdp_get_error(program->xdp);

		program->xdp = NULL;
		return err;
	}
	return 0;
}

/* A program that was refused once is not tried again. */
static int load_alone(const struct bpfmaps *maps, struct program *program)
{
	int err;

	if (program->fd >= 0)
		return 0;
	if (program->alone)
		return -EINVAL;
	program->alone = bpfmaps_program_open(maps, program->name);
	if (!program->alone)
		return -EINVAL;
	quiet = true;
	err = bpf_object__load(program->alone->obj);
	quiet = false;
	if (err) {
		log_error("program %s: the kernel does not load it: %s (with -v its reasons stand above)",
			  program->name, strerror(-err));
		return err;
	}
	program->fd = bpf_program__fd(bpf_object__find_program_by_name(program->alone->obj, program->name));
	return 0;
}

static bool was_refused(const struct program *program)
{
	return program->alone && program->fd < 0;
}

static void program_close(struct program *program)
{
	xdp_program__close(program->xdp);
	bpfmaps_program_close(program->shared);
	bpfmaps_program_close(program->alone);
}

/* --- putting on --------------------------------------------------------------------------------- */

static int put_on_shared(struct attach *attach, struct place *place, bool native)
{
	struct program *program = &attach->programs[place->public_side];
	int err;

	quiet = true;
	err = open_shared(attach->maps, program);
	if (!err)
		err = xdp_program__attach(program->xdp, place->ifindex, native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	quiet = false;
	if (!err)
		hold(place, xdp_program__fd(program->xdp));
	else
		log_debug("%s: libxdp could not attach %s: %s", place->name, program->name, strerror(-err));
	return err;
}

static int put_on_alone(struct attach *attach, struct place *place, bool native)
{
	struct program *program = &attach->programs[place->public_side];
	int err = load_alone(attach->maps, program);

	if (!err)
		err = bpf_xdp_attach(place->ifindex, program->fd, XDP_FLAGS_UPDATE_IF_NOEXIST |
				     (native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE), NULL);
	if (!err)
		hold(place, program->fd);
	return err;
}

static int put_on_mode(struct attach *attach, struct place *place, bool native)
{
	int err = put_on_shared(attach, place, native);

	if (err)
		err = put_on_alone(attach, place, native);
	place->on = !err;
	return err;
}

/* --- what an earlier daemon put on -------------------------------------------------------------- */

/* A lone program of ours gives way to the new one in one step. */
static int replace_alone(struct attach *attach, struct place *place, const struct occupant *there)
{
	struct program *program = &attach->programs[place->public_side];
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int err, fd;

	if (identity_same(program->fd, there->id)) {
		hold_by_id(place, there->id);
		place->on = place->inherited = true;
		return 0;
	}
	fd = bpf_prog_get_fd_by_id(there->id);
	if (fd < 0)
		return -errno;
	opts.old_prog_fd = fd;
	err = bpf_xdp_attach(place->ifindex, program->fd, XDP_FLAGS_REPLACE |
			     (there->native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE), &opts);
	close(fd);
	if (err)
		return err;
	hold(place, program->fd);
	place->on = place->inherited = true;
	log_info("%s: the XDP program of an earlier rsipd is replaced", place->name);
	return 0;
}

/* In a dispatcher the new one is added before the old ones go. */
static int replace_shared(struct attach *attach, struct place *place, const struct occupant *there, const __u32 *old,
			  size_t count)
{
	int err;

	if (count == 1 && identity_same(attach->programs[place->public_side].fd, old[0])) {
		hold_by_id(place, old[0]);
		place->on = place->inherited = true;
		return 0;
	}
	err = put_on_shared(attach, place, there->native);
	if (err)
		return err;
	place->on = place->inherited = true;
	for (size_t i = 0; i < count; i++)
		occupant_remove_shared(place->ifindex, old[i], there->native);
	log_info("%s: the XDP program of an earlier rsipd is replaced", place->name);
	return 0;
}

/* What an earlier daemon left is in the mode that is asked for: it can go on. 0; -ENOENT: it is not there,
 * or in the way no more. */
static int take_over(struct attach *attach, struct place *place, const struct occupant *there)
{
	enum config_mode other = there->native ? CONFIG_MODE_GENERIC : CONFIG_MODE_NATIVE;
	__u32 ids[OCCUPANT_SHARED_MAX];
	size_t count = occupant_is_dispatcher(there) ? occupant_shared_ours(place->ifindex, ids) : 0;
	int err;

	if (!count && !occupant_is_ours(there->name))
		return -ENOENT;
	if (attach->mode == other) {
		log_info("%s: the XDP program of an earlier rsipd is in %s mode: taken off", place->name,
			 there->native ? "native" : "generic");
		occupant_remove_ours(place->ifindex);
		return -ENOENT;
	}
	err = load_alone(attach->maps, &attach->programs[place->public_side]);
	if (err)
		return err;
	return count ? replace_shared(attach, place, there, ids, count) : replace_alone(attach, place, there);
}

/* Something is there already: a dispatcher takes us in, in its own mode; another program does not. */
static int join(struct attach *attach, struct place *place, const struct occupant *there)
{
	enum config_mode other = there->native ? CONFIG_MODE_GENERIC : CONFIG_MODE_NATIVE;

	if (occupant_is_dispatcher(there) && attach->mode != other && !put_on_shared(attach, place, there->native)) {
		place->on = true;
		return 0;
	}
	log_error("%s already has an XDP program that cannot be shared: \"%s\", id %u, %s mode; take it off first",
		  place->name, *there->name ? there->name : "unknown", there->id, there->native ? "native" : "generic");
	return -EBUSY;
}

static int put_on(struct attach *attach, struct place *place)
{
	const struct program *program = &attach->programs[place->public_side];
	struct occupant there;
	int err = occupant_look(place->ifindex, &there);

	if (err) {
		log_error("%s: cannot ask for its XDP program: %s", place->name, strerror(-err));
		return err;
	}
	if (there.id) {
		err = take_over(attach, place, &there);
		if (err != -ENOENT)
			return err;
		err = occupant_look(place->ifindex, &there);
		if (err || there.id)
			return err ? err : join(attach, place, &there);
	}
	err = -EOPNOTSUPP;
	if (attach->mode != CONFIG_MODE_GENERIC)
		err = put_on_mode(attach, place, true);
	if (err && attach->mode != CONFIG_MODE_NATIVE && !was_refused(program)) {
		if (attach->mode == CONFIG_MODE_AUTO)
			log_warn("%s: no native XDP (%s): generic XDP instead, which is many times slower",
				 place->name, strerror(-err));
		err = put_on_mode(attach, place, false);
	}
	if (err)
		log_error("%s: %s cannot be attached in %s mode: %s", place->name, program->name,
			  attach->mode == CONFIG_MODE_NATIVE ? "native" : "generic", strerror(-err));
	return err;
}

/* --- interfaces ------------------------------------------------------------------------------------ */

/* Two VLANs of one device need its program only once; two programs do not fit there. */
static int find_other(const struct attach *attach, struct place *place)
{
	place->with = NULL;
	for (size_t i = 0; i < attach->count; i++) {
		const struct place *other = &attach->places[i];

		if (other == place || other->with || other->ifindex != place->ifindex)
			continue;
		if (other->public_side != place->public_side) {
			log_error("%s and %s are on one device: a private and a public interface need one each",
				  other->name, place->name);
			return -EINVAL;
		}
		place->with = other;
	}
	return 0;
}

static int add_place(struct attach *attach, struct netlink *netlink, const char *name, bool public_side)
{
	struct place *place = &attach->places[attach->count];
	struct netlink_link link;
	int err = netlink_link_get(netlink, 0, name, &link);

	if (err) {
		log_error("%s: cannot look at the interface: %s", name, strerror(-err));
		return err;
	}
	snprintf(place->name, sizeof(place->name), "%s", name);
	place->public_side = public_side;
	place->ifindex = (int)link.lower;
	place->fd = -1;
	err = find_other(attach, place);
	if (!err)
		attach->count++;
	return err;
}

static int add_places(struct attach *attach, const struct config *config, struct netlink *netlink)
{
	int err = 0;

	attach->places = calloc(config->private_count + config->public_count, sizeof(*attach->places));
	if (!attach->places)
		return -ENOMEM;
	for (size_t i = 0; i < config->private_count && !err; i++)
		err = add_place(attach, netlink, config->private_interfaces[i].name, false);
	for (size_t i = 0; i < config->public_count && !err; i++)
		err = add_place(attach, netlink, config->public_interfaces[i].name, true);
	return err;
}

static void describe(const struct place *place, struct datapath_interface *out)
{
	struct occupant found;

	*out = (struct datapath_interface){ .public_side = place->public_side, .mode = "off", .loader = "-" };
	memcpy(out->name, place->name, sizeof(out->name));
	place = place->with ? place->with : place;
	if (!place->on || occupant_look(place->ifindex, &found) || !found.id)
		return;
	if (found.id == place->id)
		out->loader = "lone program";
	else if (occupant_is_dispatcher(&found))
		out->loader = "dispatcher";
	else
		return;
	out->mode = found.native ? "native" : "generic";
}

size_t attach_interfaces(const struct attach *attach, struct datapath_interface *out, size_t max)
{
	for (size_t i = 0; i < attach->count && i < max; i++)
		describe(&attach->places[i], &out[i]);
	return attach->count < max ? attach->count : max;
}

bool attach_is_shared(const struct attach *attach)
{
	struct occupant found;

	for (size_t i = 0; i < attach->count; i++) {
		if (!occupant_look(attach->places[i].ifindex, &found) && occupant_is_dispatcher(&found))
			return true;
	}
	return false;
}

/* Puts the program on, and says what was reached. */
static int occupy(struct attach *attach, struct place *place)
{
	struct datapath_interface reached;
	int err = place->with ? 0 : put_on(attach, place);

	if (err)
		return err;
	describe(place, &reached);
	log_info("%s: %s side attached, %s mode, %s", reached.name, reached.public_side ? "public" : "private",
		 reached.mode, reached.loader);
	return 0;
}

/* To look at a device that is gone is no error: it has nothing. */
static bool is_gone(const struct place *place)
{
	char name[IF_NAMESIZE];

	return !if_indextoname((unsigned int)place->ifindex, name);
}

void attach_follow(struct attach *attach, struct netlink *netlink)
{
	for (size_t i = 0; i < attach->count; i++) {
		struct place *place = &attach->places[i];
		struct netlink_link link;

		if (netlink_link_get(netlink, 0, place->name, &link) || (int)link.lower == place->ifindex)
			continue;
		/* Off the old device, if that is still there and nobody else is on it. */
		if (!place->with)
			take_off(place);
		/* libxdp's pins are named after the index */
		if (is_gone(place))
			libxdp_clean_references(place->ifindex);
		place->ifindex = (int)link.lower;
		place->failures = !find_other(attach, place) && occupy(attach, place);
	}
}

/* --- what others do ---------------------------------------------------------------------------------- */

/* One look as long as nobody touches it. */
static bool is_still_on(struct place *place, const struct occupant *found)
{
	__u32 ids[OCCUPANT_SHARED_MAX];
	size_t count;

	if (found->id && (found->id == place->id || found->id == place->seen))
		return true;
	count = occupant_is_dispatcher(found) ? occupant_shared_ours(place->ifindex, ids) : 0;
	for (size_t i = 0; i < count; i++) {
		if (ids[i] != place->id)
			continue;
		place->seen = found->id;
		return true;
	}
	return false;
}

/* Of an rsipd with another "control": to put ours on again would have two fight for the interface. */
static bool is_rivals(const struct place *place, const struct occupant *found)
{
	__u32 ids[OCCUPANT_SHARED_MAX];

	return occupant_is_ours(found->name) || (occupant_is_dispatcher(found) && occupant_shared_ours(place->ifindex, ids));
}

static int keep_on(struct attach *attach, struct place *place)
{
	struct occupant found;
	int err;

	/* An interface that is gone may come back, which attach_follow() sees to. */
	if (occupant_look(place->ifindex, &found) || is_still_on(place, &found) || is_gone(place))
		return 0;
	if (is_rivals(place, &found)) {
		log_error("%s: another rsipd has put its XDP program, id %u, in the place of ours", place->name, found.id);
		return -EBUSY;
	}
	err = occupy(attach, place);
	if (!err)
		log_warn("%s: somebody had taken the XDP program off: it is on again", place->name);
	return err && is_gone(place) ? 0 : err;
}

/* A device that has just come back may not be ready for a program, or have another one for a while. */
static int try_again(struct attach *attach, struct place *place)
{
	int err = is_gone(place) ? 0 : occupy(attach, place);

	place->failures = err ? place->failures + 1 : 0;
	return place->failures < TRIES ? 0 : err;
}

int attach_keep(struct attach *attach)
{
	int err = 0;

	for (size_t i = 0; i < attach->count && !err; i++) {
		struct place *place = &attach->places[i];

		if (place->on)
			err = keep_on(attach, place);
		else if (place->failures)
			err = try_again(attach, place);
	}
	return err;
}

/* --- life ------------------------------------------------------------------------------------------- */

int attach_new(const struct config *config, const struct bpfmaps *maps, struct netlink *netlink,
	       struct attach **out)
{
	struct attach *attach = calloc(1, sizeof(*attach));
	int err;

	if (!attach)
		return -ENOMEM;
	attach->maps = maps;
	attach->mode = config->datapath.mode;
	attach->programs[false] = (struct program){ .name = PROGRAM_PRIVATE, .fd = -1 };
	attach->programs[true] = (struct program){ .name = PROGRAM_PUBLIC, .fd = -1 };
	err = add_places(attach, config, netlink);
	for (size_t i = 0; i < attach->count && !err; i++)
		err = occupy(attach, &attach->places[i]);
	if (err) {
		for (size_t i = 0; i < attach->count; i++)
			attach->places[i].on &= !attach->places[i].inherited;
		attach_off(attach);
		attach_free(attach);
		return err;
	}
	*out = attach;
	return 0;
}

void attach_off(struct attach *attach)
{
	for (size_t i = 0; i < attach->count; i++)
		take_off(&attach->places[i]);
}

void attach_free(struct attach *attach)
{
	if (!attach)
		return;
	for (size_t i = 0; i < 2; i++)
		program_close(&attach->programs[i]);
	for (size_t i = 0; i < attach->count; i++) {
		if (attach->places[i].fd >= 0)
			close(attach->places[i].fd);
	}
	free(attach->places);
	free(attach);
}
