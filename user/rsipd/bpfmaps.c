// SPDX-License-Identifier: GPL-2.0-only
/* Maps of the data plane: sizes, pins, mappings, series of elements. */
#include "rsipd/bpfmaps.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#include "lib/log.h"
#include "rsip.skel.h"

#define BPFFS		"/sys/fs/bpf"
#define PIN_PREFIX	"rsip_"
#define BATCH		256	/* elements for one system call */
#define BATCH_MIN	2	/* already two cost a third less than one by one */
#define WALK		4096	/* of a walk over a map: more than one bucket ever holds */
#define COOKIES_MIN	1024

static const char *const names[BPFMAP_COUNT] = {
	[BPFMAP_SPIS] = "rsip_spis", [BPFMAP_PORTS] = "rsip_ports", [BPFMAP_COOKIES] = "rsip_cookies",
	[BPFMAP_BINDS] = "rsip_binds", [BPFMAP_BINDS_RARE] = "rsip_binds_rare",
	[BPFMAP_CLIENTS] = "rsip_clients", [BPFMAP_GRANTS] = "rsip_grants",
	[BPFMAP_REMOTES] = "rsip_remotes", [BPFMAP_PEERS] = "rsip_peers",
	[BPFMAP_ADDRESSES] = "rsip_addresses", [BPFMAP_REALM] = "rsip_realm",
	[BPFMAP_DEVICES] = "rsip_devices",
	[BPFMAP_NEXTHOPS] = "rsip_nexthops", [BPFMAP_ROUTES] = "rsip_routes",
	[BPFMAP_EVENTS] = "rsip_events", [BPFMAP_COUNTERS] = "rsip_counters",
	[BPFMAP_ECHOES] = "rsip_echoes", [BPFMAP_SENDERS] = "rsip_senders",
	[BPFMAP_OUTSPIS] = "rsip_outspis", [BPFMAP_BUCKETS] = "rsip_buckets",
	[BPFMAP_FRAGMENTS] = "rsip_fragments", [BPFMAP_SLOW] = "rsip_slow",
};

/* --- the pin folder ------------------------------------------------------------------ */

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

static int mount_bpffs(const char *path)
{
	if (is_bpffs(path))
		return 0;
	if (mount("bpf", path, "bpf", 0, "mode=0700")) {
		int err = -errno;

		log_error("%s: cannot mount the BPF file system: %s", path, strerror(-err));
		return err;
	}
	log_info("%s: mounted the BPF file system", path);
	return 0;
}

static int make_folder(const char *path)
{
	if (mkdir(path, 0700) && errno != EEXIST) {
		int err = -errno;

		log_error("%s: cannot make the folder: %s", path, strerror(-err));
		return err;
	}
	return 0;
}

static int make_parents(const char *path)
{
	char part[PATH_MAX];
	int err = 0;

	snprintf(part, sizeof(part), "%s", path);
	for (char *at = strchr(part + 1, '/'); at && !err; at = strchr(at + 1, '/')) {
		*at = '\0';
		err = make_folder(part);
		*at = '/';
	}
	return err;
}

static void layout_folder(const struct config *config, char out[static PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/" RSIP_LAYOUT, config->datapath.pin);
}

/*
 * libxdp keeps its state in BPFFS as well, so that is mounted in any case. A
 * pin folder elsewhere becomes a file system of its own.
 */
static int prepare_folder(const struct config *config)
{
	char folder[PATH_MAX];
	int err = mount_bpffs(BPFFS);

	if (!err)
		err = make_parents(config->datapath.pin);
	if (!err)
		err = make_folder(config->datapath.pin);
	if (!err)
		err = mount_bpffs(config->datapath.pin);
	layout_folder(config, folder);
	return err ? err : make_folder(folder);
}

static unsigned int remove_layout(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned int removed = 0;

	if (!dir)
		return 0;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!strncmp(entry->d_name, PIN_PREFIX, strlen(PIN_PREFIX)) &&
		    unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			removed++;
		else
			log_warn("%s/%s is not a pin of rsipd: left alone", folder, entry->d_name);
	}
	closedir(dir);
	rmdir(folder);
	return removed;
}

static bool is_layout(const char *name)
{
	return name[0] == 'v' && name[1] >= '0' && name[1] <= '9';
}

/* All layouts but the one of that name; NULL: all of them. */
static unsigned int remove_layouts(const struct config *config, const char *but)
{
	DIR *dir = opendir(config->datapath.pin);
	unsigned int removed = 0;

	if (!dir)
		return 0;
	for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		char folder[PATH_MAX];

		if (!is_layout(entry->d_name) || (but && !strcmp(entry->d_name, but)))
			continue;
		snprintf(folder, sizeof(folder), "%s/%.32s", config->datapath.pin, entry->d_name);
		removed += remove_layout(folder);
		if (but)
			log_warn("data plane: the maps in %s are another version's: set aside, new ones are filled from "
				 "the state folder", folder);
	}
	closedir(dir);
	return removed;
}

unsigned int bpfmaps_remove_pins(const struct config *config)
{
	unsigned int removed = remove_layouts(config, NULL);

	rmdir(config->datapath.pin);
	return removed;
}

/* --- sizes ----------------------------------------------------------------------------- */

static uint32_t bounded(uint64_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : n ? (uint32_t)n : 1;
}

/*
 * How many elements each map has room for; 0: what the object file says. With
 * B = max-bindings: an SPI takes two entries (ESP and AH), a bind may need two
 * grants (with and without a remote address), and a host at least one bind to
 * be of any use. A cookie for every fourth bind is generous: it lives as long
 * as an IKE SA, and most hosts have one. Remotes given by name and peers that
 * may begin IKE are no more. Places of senders are a power of two. SPIs that
 * hosts send with stand in sets of four, two of them for a bind. The pools of
 * two configurations have room: a reload adds the new addresses before it
 * removes the old ones.
 */
static void sizes(const struct config *config, uint32_t entries[static BPFMAP_COUNT])
{
	uint64_t binds = config->datapath.max_bindings;

	memset(entries, 0, BPFMAP_COUNT * sizeof(entries[0]));
	entries[BPFMAP_BINDS] = entries[BPFMAP_BINDS_RARE] = entries[BPFMAP_PORTS] = entries[BPFMAP_CLIENTS] = bounded(binds);
	entries[BPFMAP_SPIS] = entries[BPFMAP_GRANTS] = bounded(2 * binds);
	entries[BPFMAP_COOKIES] = bounded(binds / 4 > COOKIES_MIN ? binds / 4 : COOKIES_MIN);
	entries[BPFMAP_REMOTES] = entries[BPFMAP_PEERS] = entries[BPFMAP_COOKIES];
	entries[BPFMAP_OUTSPIS] = bounded(binds / 2 > RSIP_OUTSPI_SETS ? binds / 2 : RSIP_OUTSPI_SETS);
	for (entries[BPFMAP_SENDERS] = 1; entries[BPFMAP_SENDERS] < binds && entries[BPFMAP_SENDERS] < RSIP_SENDERS_MAX;)
		entries[BPFMAP_SENDERS] *= 2;
	entries[BPFMAP_NEXTHOPS] = bounded(binds + NEXTHOP_PEERS);
	entries[BPFMAP_ADDRESSES] = 2 * CONFIG_ADDRESSES_MAX + (uint32_t)config->private_count;
}

/* --- making them --------------------------------------------------------------------------- */

static struct bpf_map *map_of(const struct rsip_bpf *skeleton, enum bpfmap map)
{
	return bpf_object__find_map_by_name(skeleton->obj, names[map]);
}

static int set_up(const struct rsip_bpf *skeleton, const struct bpfmaps *maps, const char *folder)
{
	for (enum bpfmap i = 0; i < BPFMAP_COUNT; i++) {
		struct bpf_map *map = map_of(skeleton, i);
		char pin[PATH_MAX + 32];
		int err = map ? 0 : -ENOENT;

		snprintf(pin, sizeof(pin), "%s/%s", folder, names[i]);
		if (!err)
			err = bpf_map__set_pin_path(map, pin);
		if (!err && maps->entries[i])
			err = bpf_map__set_max_entries(map, maps->entries[i]);
		if (err) {
			log_error("map %s: %s", names[i], strerror(-err));
			return err;
		}
	}
	return 0;
}

static int take_over(const struct rsip_bpf *skeleton, struct bpfmaps *maps)
{
	for (enum bpfmap i = 0; i < BPFMAP_COUNT; i++) {
		struct bpf_map *map = map_of(skeleton, i);

		maps->fd[i] = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);
		if (maps->fd[i] < 0)
			return -errno;
		maps->entries[i] = bpf_map__max_entries(map);
	}
	return 0;
}

static size_t mapping_size(const struct bpfmaps *maps, enum bpfmap map, size_t element)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (maps->entries[map] * element + page - 1) / page * page;
}

static int map_array(const struct bpfmaps *maps, enum bpfmap map, size_t element, void *out)
{
	void *memory = mmap(NULL, mapping_size(maps, map, element), PROT_READ | PROT_WRITE, MAP_SHARED,
			    maps->fd[map], 0);

	if (memory == MAP_FAILED) {
		int err = -errno;

		log_error("map %s: cannot be mapped into memory: %s", names[map], strerror(-err));
		return err;
	}
	*(void **)out = memory;
	return 0;
}

static int map_arrays(struct bpfmaps *maps)
{
	int err = map_array(maps, BPFMAP_BINDS, sizeof(*maps->binds), &maps->binds);

	if (!err)
		err = map_array(maps, BPFMAP_BINDS_RARE, sizeof(*maps->binds_rare), &maps->binds_rare);
	if (!err)
		err = map_array(maps, BPFMAP_SENDERS, sizeof(*maps->senders), &maps->senders);
	if (!err)
		err = map_array(maps, BPFMAP_NEXTHOPS, sizeof(*maps->nexthops), &maps->nexthops);
	if (!err)
		err = map_array(maps, BPFMAP_ROUTES, sizeof(*maps->routes), &maps->routes);
	return err;
}

/* Those that are pinned already are used as they are; prepare_pins() saw to it that they fit. */
static int reuse_pinned(const struct rsip_bpf *skeleton, const char *folder)
{
	int err = 0;

	for (enum bpfmap i = 0; i < BPFMAP_COUNT && !err; i++) {
		char pin[PATH_MAX + 32];
		int fd;

		snprintf(pin, sizeof(pin), "%s/%s", folder, names[i]);
		fd = bpf_obj_get(pin);
		if (fd < 0)
			continue;
		/* Not by its path: libbpf 1.1 does not recognize a device map by that. */
		err = bpf_map__reuse_fd(map_of(skeleton, i), fd);
		if (!err)
			err = bpf_map__set_pin_path(map_of(skeleton, i), NULL);
		close(fd);
	}
	return err;
}

static int create(const char *folder, struct bpfmaps *maps)
{
	struct rsip_bpf *skeleton = rsip_bpf__open();
	struct bpf_program *program;
	int err;

	if (!skeleton) {
		err = -errno;
		log_error("the BPF object cannot be read: %s", strerror(-err));
		return err;
	}
	bpf_object__for_each_program(program, skeleton->obj)
		bpf_program__set_autoload(program, false);
	err = set_up(skeleton, maps, folder);
	if (!err)
		err = reuse_pinned(skeleton, folder);
	if (!err) {
		err = bpf_object__load(skeleton->obj);
		if (err)
			log_error("maps cannot be made under %s: %s%s", folder, strerror(-err),
				  err == -ENOMEM ? "; a smaller datapath.max-bindings needs less memory" : "");
	}
	if (!err)
		err = take_over(skeleton, maps);
	rsip_bpf__destroy(skeleton);
	return err;
}

/* --- those of an earlier daemon --------------------------------------------------------------- */

/* Whether a pinned map is what we would make. */
static bool is_same_map(int fd, const struct bpf_map *want)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &len) && info.type == bpf_map__type(want) &&
	       info.key_size == bpf_map__key_size(want) && info.value_size == bpf_map__value_size(want) &&
	       info.max_entries == bpf_map__max_entries(want) &&
	       (info.map_flags & ~BPF_F_RDONLY_PROG) == bpf_map__map_flags(want);	/* the kernel adds it to device maps */
}

/* How many of the maps are there, and in `usable` how many of them fit. Counters that
 * do not are a newer daemon's, or an older one's, and start anew. */
static unsigned int look_at_pins(const struct rsip_bpf *skeleton, const char *folder, unsigned int *usable)
{
	unsigned int there = 0;

	*usable = 0;
	for (enum bpfmap i = 0; i < BPFMAP_COUNT; i++) {
		char pin[PATH_MAX + 32];
		bool fits;
		int fd;

		snprintf(pin, sizeof(pin), "%s/%s", folder, names[i]);
		fd = bpf_obj_get(pin);
		there += fd >= 0 || errno != ENOENT;
		fits = fd >= 0 && is_same_map(fd, map_of(skeleton, i));
		if (!fits && i == BPFMAP_COUNTERS)
			fits = fd < 0 || unlink(pin) == 0;
		*usable += fits;
		if (fd >= 0)
			close(fd);
	}
	return there;
}

/* Whether the maps can be taken over; what cannot is out of the way after this. */
static int prepare_pins(const struct config *config, struct bpfmaps *maps)
{
	struct rsip_bpf *skeleton = rsip_bpf__open();
	unsigned int there, usable;
	char folder[PATH_MAX];
	int err = skeleton ? 0 : -errno;

	layout_folder(config, folder);
	if (!err)
		err = set_up(skeleton, maps, folder);
	if (err) {
		rsip_bpf__destroy(skeleton);
		return err;
	}
	there = look_at_pins(skeleton, folder, &usable);
	rsip_bpf__destroy(skeleton);
	maps->adopted = there && usable == BPFMAP_COUNT;
	if (there && !maps->adopted) {
		log_warn("data plane: the maps in %s do not fit (another max-bindings, or some are missing): set aside, "
			 "new ones are filled from the state folder; hosts have to start IKE exchanges anew", folder);
		remove_layout(folder);
		return make_folder(folder);
	}
	return 0;
}

int bpfmaps_open(const struct config *config, struct bpfmaps **out)
{
	struct bpfmaps *maps = calloc(1, sizeof(*maps));
	char folder[PATH_MAX];
	int err;

	if (!maps)
		return -ENOMEM;
	memset(maps->fd, -1, sizeof(maps->fd));
	sizes(config, maps->entries);
	layout_folder(config, folder);
	err = prepare_folder(config);
	if (!err)
		err = prepare_pins(config, maps);
	if (!err)
		err = create(folder, maps);
	if (!err)
		err = map_arrays(maps);
	if (err) {
		bpfmaps_close(maps);
		return err;
	}
	remove_layouts(config, RSIP_LAYOUT);
	*out = maps;
	return 0;
}

void bpfmaps_close(struct bpfmaps *maps)
{
	if (!maps)
		return;
	if (maps->binds)
		munmap(maps->binds, mapping_size(maps, BPFMAP_BINDS, sizeof(*maps->binds)));
	if (maps->binds_rare)
		munmap(maps->binds_rare, mapping_size(maps, BPFMAP_BINDS_RARE, sizeof(*maps->binds_rare)));
	if (maps->senders)
		munmap(maps->senders, mapping_size(maps, BPFMAP_SENDERS, sizeof(*maps->senders)));
	if (maps->nexthops)
		munmap(maps->nexthops, mapping_size(maps, BPFMAP_NEXTHOPS, sizeof(*maps->nexthops)));
	if (maps->routes)
		munmap(maps->routes, mapping_size(maps, BPFMAP_ROUTES, sizeof(*maps->routes)));
	for (enum bpfmap i = 0; i < BPFMAP_COUNT; i++)
		if (maps->fd[i] >= 0)
			close(maps->fd[i]);
	free(maps);
}

/* --- programs on these maps ------------------------------------------------------------------ */

struct rsip_bpf *bpfmaps_program_open(const struct bpfmaps *maps, const char *name)
{
	struct rsip_bpf *skeleton = rsip_bpf__open();
	struct bpf_program *program;
	int err = skeleton ? 0 : -errno;

	for (enum bpfmap i = 0; i < BPFMAP_COUNT && !err; i++) {
		/* They are pinned already; the path would only be looked up again. */
		err = bpf_map__set_pin_path(map_of(skeleton, i), NULL);
		if (!err)
			err = bpf_map__reuse_fd(map_of(skeleton, i), maps->fd[i]);
	}
	if (err) {
		log_error("program %s: %s", name, strerror(-err));
		rsip_bpf__destroy(skeleton);
		return NULL;
	}
	skeleton->rodata->outspi_sets = maps->entries[BPFMAP_OUTSPIS];
	skeleton->rodata->sender_places = maps->entries[BPFMAP_SENDERS];
	bpf_object__for_each_program(program, skeleton->obj)
		bpf_program__set_autoload(program, !strcmp(bpf_program__name(program), name));
	return skeleton;
}

void bpfmaps_program_close(struct rsip_bpf *skeleton)
{
	rsip_bpf__destroy(skeleton);
}

/* --- series of elements ------------------------------------------------------------------------- */

/* A full hash map says E2BIG. */
static int map_error(int err)
{
	return err == -E2BIG ? -ENOSPC : err;
}

int bpfmaps_put(int fd, const void *key, const void *value)
{
	return map_error(bpf_map_update_elem(fd, key, value, BPF_ANY));
}

static int update_some(int fd, const uint8_t *keys, size_t key_size, unsigned int count, const uint8_t *values,
		       size_t value_size)
{
	unsigned int done = 0;
	int err = 0;

	if (count >= BATCH_MIN) {
		uint32_t n = count;

		err = bpf_map_update_batch(fd, keys, values, &n, NULL);
		if (!err)
			return 0;
		/* One by one tells whether the map or only the batch is the trouble. */
	}
	for (done = 0, err = 0; done < count && !err; done++)
		err = bpf_map_update_elem(fd, keys + done * key_size, values + done * value_size, BPF_ANY);
	return map_error(err);
}

int bpfmaps_update(int fd, size_t key_size, unsigned int count, bpfmaps_key *key, const void *arg,
		   const void *value, size_t value_size)
{
	uint8_t keys[BATCH * BPFMAPS_KEY_MAX], values[BATCH * BPFMAPS_KEY_MAX];
	int err = 0;

	for (unsigned int i = 0; i < BATCH && i < count; i++)
		memcpy(values + i * value_size, value, value_size);
	for (unsigned int done = 0; done < count && !err;) {
		unsigned int n = count - done < BATCH ? count - done : BATCH;

		for (unsigned int i = 0; i < n; i++)
			key(done + i, keys + i * key_size, arg);
		err = update_some(fd, keys, key_size, n, values, value_size);
		done += n;
	}
	return err;
}

void bpfmaps_delete(int fd, size_t key_size, unsigned int count, bpfmaps_key *key, const void *arg)
{
	uint8_t keys[BATCH * BPFMAPS_KEY_MAX];

	for (unsigned int done = 0; done < count;) {
		unsigned int n = count - done < BATCH ? count - done : BATCH;
		uint32_t deleted = n;

		for (unsigned int i = 0; i < n; i++)
			key(done + i, keys + i * key_size, arg);
		done += n;
		/* A batch stops at the first key that is not there. */
		if (n >= BATCH_MIN && bpf_map_delete_batch(fd, keys, &deleted, NULL) == 0)
			continue;
		for (unsigned int i = 0; i < n; i++)
			bpf_map_delete_elem(fd, keys + i * key_size);
	}
}

int bpfmaps_each(int fd, size_t key_size, size_t value_size, void (*visit)(const void *key, const void *value, void *arg),
		 void *arg)
{
	uint8_t *keys = malloc(WALK * key_size), *values = malloc(WALK * value_size);
	__u32 place = 0, count;
	bool begun = false;
	int err = keys && values ? 0 : -ENOMEM;

	while (!err) {
		count = WALK;
		/* ENOENT: it was the last batch. */
		err = bpf_map_lookup_batch(fd, begun ? &place : NULL, &place, keys, values, &count, NULL) ? -errno : 0;
		begun = true;
		for (__u32 i = 0; (!err || err == -ENOENT) && i < count; i++)
			visit(keys + i * key_size, values + i * value_size, arg);
	}
	free(keys);
	free(values);
	return err == -ENOENT ? 0 : err;
}
