// SPDX-License-Identifier: GPL-2.0-only
/* `rsip`: runs an instance (up), or asks the one that runs (everything else). */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ask.h"
#include "lib/log.h"
#include "lib/out.h"
#include "rsip/listen.h"
#include "rsip/options.h"
#include "rsip/up.h"

#define RUN_DIR		"/run/rsip"
#define READY_MS	30000	/* how long `up -d` waits for the lease */

enum exit_status { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_UNREACHABLE };

/* Network namespaces share /run, so their number is part of the name. 0: cannot be told. */
static unsigned long namespace_number(void)
{
	struct stat status;

	return stat("/proc/self/ns/net", &status) ? 0 : (unsigned long)status.st_ino;
}

static void instance_path(const struct options *options, const char *ending, char out[static PATH_MAX])
{
	snprintf(out, PATH_MAX, RUN_DIR "/rsip-%s-%lu.%s", options->gateway_text, namespace_number(), ending);
}

/* --- up ------------------------------------------------------------------------------- */

struct background {
	int ready;		/* write end of the pipe to the parent, or -1 */
	int log;		/* where stderr goes when the parent has left */
};

/* "203.0.113.10 on rsip0, ports 40000-40003, for 198.51.100.7" */
static void print_lease(FILE *to, const json_t *lease)
{
	const char *spis = json_string_value(json_object_get(lease, "spis"));
	const char *ports = json_string_value(json_object_get(lease, "ports"));
	const char *remote = json_string_value(json_object_get(lease, "remote"));
	const char *interface = json_string_value(json_object_get(lease, "interface"));

	fputs(json_string_value(json_object_get(lease, "address")), to);
	if (interface != NULL)
		fprintf(to, " on %s", interface);
	if (spis != NULL)
		fprintf(to, ", SPIs %s", spis);
	if (ports != NULL)
		fprintf(to, ", ports %s", ports);
	if (remote != NULL && strcmp(remote, "any") != 0)
		fprintf(to, ", for %s", remote);
}

static void print_ready(FILE *to, const json_t *status, const struct options *options)
{
	const json_t *lease;
	size_t i;

	if (options->json) {
		out_json(to, status);
		return;
	}
	json_array_foreach(json_object_get(status, "leases"), i, lease) {
		if (json_object_get(lease, "address") == NULL)
			continue;
		print_lease(to, lease);
		fprintf(to, ", from %s\n", options->gateway_text);
	}
	if (json_is_null(json_object_get(status, "lease")))
		fprintf(to, "registered, at %s\n", options->gateway_text);
}

/* The lease is up: tells the person, or the parent, which leaves then. */
static void on_ready(json_t *status, const struct options *options, void *arg)
{
	struct background *background = arg;
	FILE *to = background->ready >= 0 ? fdopen(background->ready, "w") : stdout;
	int null;

	if (to != NULL) {
		print_ready(to, status, options);
		fflush(to);
	}
	json_decref(status);
	if (background->ready < 0)
		return;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(background->log, STDERR_FILENO);
	close(null);
	if (to != NULL)
		fclose(to);
}

/* Copies what the child says when it is ready. false: it ended before, or took too long. */
static bool wait_ready(int fd)
{
	struct pollfd poll_for = { .fd = fd, .events = POLLIN };
	bool ready = false;
	char text[4096];
	ssize_t len;

	if (poll(&poll_for, 1, READY_MS) <= 0) {
		fprintf(stderr, "rsip: no lease after %d s\n", READY_MS / 1000);
		return false;
	}
	while ((len = read(fd, text, sizeof(text))) > 0) {
		fwrite(text, 1, (size_t)len, stdout);
		ready = true;
	}
	return ready;
}

static int parent_wait(pid_t child, int fd)
{
	int status;

	if (wait_ready(fd)) {
		fflush(stdout);
		return EXIT_OK;
	}
	kill(child, SIGTERM);
	waitpid(child, &status, 0);
	return EXIT_FAILED;
}

static int run_up(const struct options *options, struct background *background)
{
	char path[PATH_MAX];

	instance_path(options, "sock", path);
	return up_run(options, path, on_ready, background) ? EXIT_FAILED : EXIT_OK;
}

static int run_background(const struct options *options, const char *lock)
{
	struct background background;
	char path[PATH_MAX];
	int fds[2], result;
	pid_t child;

	instance_path(options, "log", path);
	background.log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (background.log < 0 || pipe2(fds, O_CLOEXEC)) {
		fprintf(stderr, "rsip: %s: %s\n", path, strerror(errno));
		return EXIT_FAILED;
	}
	child = fork();
	if (child < 0) {
		fprintf(stderr, "rsip: fork: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	if (child > 0) {
		close(fds[1]);
		return parent_wait(child, fds[0]);
	}
	close(fds[0]);
	setsid();
	background.ready = fds[1];
	result = run_up(options, &background);
	unlink(lock);
	return result;
}

/* The descriptor of the lock file, locked, or -errno; -EWOULDBLOCK: another one holds it. */
static int take_lock(const char *path)
{
	struct stat ours, there;
	int fd, err;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &ours)) {
			err = -errno;
			close(fd);
			return err;
		}
		/* One that ends removes its file: was it this one, between our open and flock? */
		if (stat(path, &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev)
			return fd;
		close(fd);
	}
}

static int command_up(const struct options *options)
{
	struct background background = { -1, -1 };
	char path[PATH_MAX];
	int lock, result;

	if (mkdir(RUN_DIR, 0755) && errno != EEXIST) {
		fprintf(stderr, "rsip: %s: %s\n", RUN_DIR, strerror(errno));
		return EXIT_FAILED;
	}
	instance_path(options, "lock", path);
	lock = take_lock(path);
	if (lock == -EWOULDBLOCK)
		fprintf(stderr, "rsip: `rsip up' runs already for %s\n", options->gateway_text);
	else if (lock < 0)
		fprintf(stderr, "rsip: %s: %s\n", path, strerror(-lock));
	if (lock < 0)
		return EXIT_FAILED;
	if (options->background)
		return run_background(options, path);
	result = run_up(options, &background);
	unlink(path);
	return result;
}

/* --- asking the running instance ------------------------------------------------------------ */

/* The socket of one that was killed is still there, and refuses. (To try its lock could be what stops another
 * one from taking it just then.) */
static bool instance_runs(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool runs;

	if (fd < 0)
		return false;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	runs = !connect(fd, (const struct sockaddr *)&address, sizeof(address)) || errno == EAGAIN;
	close(fd);
	return runs;
}

/* Which instance is meant: that of -g, or the only one in this network namespace. */
static enum exit_status find_instance(const struct options *options, char out[static PATH_MAX])
{
	enum exit_status result = EXIT_UNREACHABLE;
	char pattern[PATH_MAX];
	glob_t found = { 0 };
	size_t running = 0;

	if (options->gateway.sin_port != 0) {
		instance_path(options, "sock", out);
		return EXIT_OK;
	}
	snprintf(pattern, sizeof(pattern), RUN_DIR "/rsip-*-%lu.sock", namespace_number());
	glob(pattern, 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		if (!instance_runs(found.gl_pathv[i]))
			continue;
		snprintf(out, PATH_MAX, "%s", found.gl_pathv[i]);
		running++;
	}
	if (running == 0)
		fprintf(stderr, "rsip: no `rsip up' runs here\n");
	else if (running > 1)
		fprintf(stderr, "rsip: `rsip up' runs for several gateways: name one with -g ADDRESS\n");
	result = running == 0 ? EXIT_UNREACHABLE : running == 1 ? EXIT_OK : EXIT_USAGE;
	globfree(&found);
	return result;
}

static void print_status(json_t *status)
{
	static const struct out_column leases[] = {
		{ "kind", "LEASE" },	 { "bind", "BIND" },	 { "address", "ADDRESS" }, { "ports", "PORTS" },
		{ "spis", "SPIS" },	 { "remote", "REMOTE" }, { "state", "STATE" },	   { "expires-in", "ENDS" },
		{ "extend-in", "EXTENDS" }, { "tunnel", "TUNNEL" }, { "end-point", "END POINT" }, { "interface", "ON" },
		{ 0 },
	};
	static const struct out_column tunnels[] = {
		{ "interface", "TUNNEL" }, { "by", "BY" },	   { "over", "OVER" },		{ "mtu", "MTU" },
		{ "table", "TABLE" },	   { "sent", "SENT" },	   { "received", "RECEIVED" },
		{ 0 },
	};
	json_t *lists[] = { json_object_get(status, "leases"), json_object_get(status, "tunnels") };

	json_incref(lists[0]);
	json_incref(lists[1]);
	for (const char *const *key = (const char *const[]){ "lease", "tunnel", "leases", "tunnels", NULL }; *key; key++)
		json_object_del(status, *key);
	out_fields(stdout, status);
	putchar('\n');
	out_table(stdout, lists[0], leases, "No lease is wanted.");
	putchar('\n');
	out_table(stdout, lists[1], tunnels, "No tunnel is up.");
	json_decref(lists[0]);
	json_decref(lists[1]);
}

static void print_result(const struct options *options, json_t *result)
{
	static const struct out_column columns[] = {
		{ "destination", "DESTINATION" },
		{ "is", "IS" },
		{ 0 },
	};

	if (options->json) {
		out_json(stdout, result);
	} else if (options->command == COMMAND_QUERY) {
		out_table(stdout, result, columns, "The gateway names no local network.");
	} else if (options->command == COMMAND_STATUS) {
		print_status(result);
	} else if (options->command == COMMAND_LISTEN) {
		print_lease(stdout, result);
		printf(", bind %lld\n", (long long)json_integer_value(json_object_get(result, "bind")));
	}
}

/* `listen` sends what its options say, the others the words as they are. */
static size_t command_words(const struct options *options, const char *name, const char **words,
			    char listen[LISTEN_WORDS][LISTEN_WORD_LEN])
{
	size_t count = options->command == COMMAND_LISTEN ? LISTEN_WORDS : options->word_count;

	words[0] = name;
	if (options->command == COMMAND_LISTEN)
		listen_write(options, listen);
	for (size_t i = 0; i < count; i++)
		words[i + 1] = options->command == COMMAND_LISTEN ? listen[i] : options->words[i];
	return count + 1;
}

static enum exit_status command_ask(const struct options *options, const char *name)
{
	const char **words = calloc(options->word_count + LISTEN_WORDS + 1, sizeof(*words));
	char listen[LISTEN_WORDS][LISTEN_WORD_LEN];
	char path[PATH_MAX];
	enum exit_status result;
	json_t *answer = NULL;
	size_t count;
	int err;

	if (words == NULL)
		return EXIT_FAILED;
	count = command_words(options, name, words, listen);
	result = find_instance(options, path);
	if (result != EXIT_OK)
		goto out;
	err = ask(path, words, count, &answer);
	if (err) {
		fprintf(stderr, "rsip: `rsip up' cannot be reached: %s: %s\n", path, strerror(-err));
		result = EXIT_UNREACHABLE;
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		fprintf(stderr, "rsip: %s\n", json_string_value(json_object_get(answer, "error")));
		result = EXIT_FAILED;
	} else {
		print_result(options, json_object_get(answer, "result"));
	}
	json_decref(answer);
out:
	free(words);
	return result;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {
		[COMMAND_DOWN] = "down",
		[COMMAND_STATUS] = "status",
		[COMMAND_QUERY] = "query",
		[COMMAND_LISTEN] = "listen",
		[COMMAND_RELEASE] = "release",
	};
	struct options options;
	bool done;
	int result = EXIT_OK;

	if (options_parse(argc, argv, &options, &done))
		return EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN);
	if (!done)
		result = options.command == COMMAND_UP ? command_up(&options) :
							 (int)command_ask(&options, names[options.command]);
	options_free(&options);
	return result;
}
