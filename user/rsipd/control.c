/* SPDX-License-Identifier: GPL-2.0-only */
/* The control socket: requests, commands, answers. */
#include "rsipd/control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utlist.h>

#include "lib/log.h"
#include "lib/show.h"
#include "rsipd/request.h"

#define CONNECTIONS_MAX	32
#define REQUEST_MS	5000	/* until the request is there */
#define ANSWER_MS	60000	/* until the answer was taken */
#define BACKLOG		16
#define INTERFACES_MAX	128	/* shown by status */

struct connection {
	uv_pipe_t pipe;
	struct control *control;
	char line[REQUEST_LINE_MAX];
	size_t len;
	uint64_t deadline;
	char *answer;			/* being written; NULL before */
	uv_write_t write;
	bool stop_after;		/* the daemon ends when the answer is out */
	struct connection *prev, *next;
};

struct control {
	struct rsipd *rsipd;
	uv_pipe_t listener;
	struct connection *connections;
	unsigned int count;
};

/* --- what the commands work with ----------------------------------------------------- */

struct call {
	struct rsipd *rsipd;
	const struct request *request;
	FILE *out;			/* the result goes here, as JSON text */
	char error[128];		/* or, when not empty, the reason for a refusal here */
	bool stop;
};

static void put_json(FILE *out, json_t *value)
{
	json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(value);
}

/* A list is written item by item: a million binds as one JSON value would take a gigabyte. */
struct list {
	struct call *call;
	uint64_t now;
	const struct client *client;
	bool any;
};

static void list_open(struct list *list, struct call *call)
{
	*list = (struct list){ .call = call, .now = daemon_now() };
	fputc('[', call->out);
}

static void list_put(struct list *list, json_t *item)
{
	if (list->any)
		fputc(',', list->call->out);
	list->any = true;
	put_json(list->call->out, item);
}

static void list_close(struct list *list)
{
	fputc(']', list->call->out);
}

/* --- commands that show ------------------------------------------------------------------ */

static json_t *show_interfaces(const struct datapath *dp)
{
	struct datapath_interface interfaces[INTERFACES_MAX];
	size_t count = datapath_interfaces(dp, interfaces, INTERFACES_MAX);
	json_t *list = json_array();

	for (size_t i = 0; i < count && i < INTERFACES_MAX; i++)
		json_array_append_new(list, json_pack("{ss ss ss ss}", "name", interfaces[i].name, "side",
						      interfaces[i].public_side ? "public" : "private", "mode",
						      interfaces[i].mode, "loader", interfaces[i].loader));
	return list;
}

static void run_status(struct call *call)
{
	struct rsipd *rsipd = call->rsipd;
	const struct leases *leases = session_leases(rsipd->sessions);

	put_json(call->out, json_pack("{ss ss si sI ss ss ss so sI sI sI}",
				      "daemon", "running",
				      "version", RSIP_VERSION_TEXT,
				      "pid", (int)getpid(),
				      "uptime", (json_int_t)((daemon_now() - rsipd->started) / 1000),
				      "configuration", rsipd->config_path,
				      "control", rsipd->config->control,
				      "pin", rsipd->config->datapath.pin,
				      "interfaces", show_interfaces(rsipd->dp),
				      "registrations", (json_int_t)lease_client_count(leases),
				      "binds", (json_int_t)lease_bind_count(leases),
				      "max_binds", (json_int_t)rsipd->config->datapath.max_bindings));
}

static bool put_client(struct client *client, void *arg)
{
	struct list *list = arg;

	list_put(list, json_pack("{sI so so ss ss ss sI sI sI sI sI}",
				 "client_id", (json_int_t)client->client_id,
				 "client", show_addr(client->origin.source),
				 "gateway", show_addr(client->origin.local),
				 "transport", client->origin.tcp ? "tcp" : "udp",
				 "local_policy", msg_policy_name(client->local_policy),
				 "remote_policy", msg_policy_name(client->remote_policy),
				 "binds", (json_int_t)client->bind_count,
				 "ports", (json_int_t)client->port_count,
				 "spis", (json_int_t)client->spi_count,
				 "age", (json_int_t)((list->now - client->registered) / 1000),
				 "lease", (json_int_t)lease_seconds_left(client->expires, list->now)));
	return true;
}

static void run_clients(struct call *call)
{
	struct list list;

	list_open(&list, call);
	lease_each_client(session_leases(call->rsipd->sessions), put_client, &list);
	list_close(&list);
}

static json_t *show_ports(const struct pool_grant *grant)
{
	struct msg_ports ports;
	uint32_t numbers[RSIP_PORTS_MAX];

	pool_grant_ports(grant, &ports);
	if (ports.form != MSG_RUN && ports.form != MSG_LIST)
		return json_null();
	for (unsigned int i = 0; i < ports.count; i++)
		numbers[i] = msg_port_at(&ports, i);
	return show_numbers(numbers, ports.count, false);
}

static bool put_cookie(const struct datapath_cookie *cookie, void *list)
{
	char text[2 * sizeof(cookie->cookie) + 1];

	for (size_t i = 0; i < sizeof(cookie->cookie); i++)
		sprintf(text + 2 * i, "%02x", cookie->cookie[i]);
	json_array_append_new(list, json_pack("{ss so si}", "cookie", text, "peer", show_addr(cookie->peer), "port",
					      (int)cookie->port));
	return true;
}

static json_t *show_cookies(const struct datapath *dp, uint32_t slot)
{
	json_t *list = json_array();

	datapath_cookies(dp, slot, put_cookie, list);
	return list;
}

static bool put_bind(struct bind *bind, void *arg)
{
	struct list *list = arg;

	list_put(list, json_pack("{sI sI so so so so so so ss ss sI so}",
				 "client_id", (json_int_t)bind->client->client_id,
				 "bind_id", (json_int_t)bind->bind_id,
				 "client", show_addr(bind->client->origin.source),
				 "gateway", show_addr(bind->gateway),
				 "address", show_addr(bind->grant->addr),
				 "ports", show_ports(bind->grant),
				 "spis", show_numbers(bind->grant->spis, bind->grant->spi_count, true),
				 "remote", show_remote(bind->remote, bind->remote_port),
				 "tunnel", msg_tunnel_name(bind->tunnel),
				 "method", msg_method_name(bind->kind == LEASE_RSIPSEC ? RSIP_METHOD_RSIPSEC :
										       RSIP_METHOD_RSAP),
				 "lease", (json_int_t)lease_seconds_left(bind->expires, list->now),
				 "cookies", show_cookies(list->call->rsipd->dp, bind->slot)));
	return true;
}

static bool put_binds(struct client *client, void *arg)
{
	struct list *list = arg;

	lease_each_bind(session_leases(list->call->rsipd->sessions), client, put_bind, list);
	return true;
}

static void run_bindings(struct call *call)
{
	struct list list;

	list_open(&list, call);
	lease_each_client(session_leases(call->rsipd->sessions), put_binds, &list);
	list_close(&list);
}

static bool put_pool(const struct pool_usage *usage, void *arg)
{
	list_put(arg, json_pack("{ss so sb sI sI sI sI sI sI sI}",
				"pool", usage->pool,
				"address", show_addr(usage->addr),
				"gateway_address", usage->gateway_address,
				"ports", (json_int_t)usage->ports,
				"ports_leased", (json_int_t)usage->ports_leased,
				"ports_resting", (json_int_t)usage->ports_resting,
				"spis", (json_int_t)usage->spis,
				"spis_leased", (json_int_t)usage->spis_leased,
				"spis_resting", (json_int_t)usage->spis_resting,
				"grants", (json_int_t)usage->grants));
	return true;
}

static void run_pools(struct call *call)
{
	struct list list;

	list_open(&list, call);
	pools_each(session_pools(call->rsipd->sessions), put_pool, &list);
	list_close(&list);
}

static json_t *show_messages(const struct session_counters *counters)
{
	json_t *list = json_array();

	for (unsigned int type = 0; type < 256; type++) {
		/* The defined ones always, so that a reader finds each; others when there were any. */
		if (!strcmp(msg_type_name((uint8_t)type), "unknown") && !counters->in[type])
			continue;
		json_array_append_new(list, json_pack("{si ss sI sI}", "type", (int)type,
						      "name", msg_type_name((uint8_t)type),
						      "in", (json_int_t)counters->in[type],
						      "out", (json_int_t)counters->out[type]));
	}
	return list;
}

static json_t *show_errors(const struct session_counters *counters)
{
	static const uint16_t codes[] = {
#define X(code, name) code,
		RSIP_ERRORS(X)
#undef X
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		json_array_append_new(list, json_pack("{si ss sI}", "code", (int)codes[i],
						      "name", msg_error_name(codes[i]),
						      "sent", (json_int_t)counters->errors[codes[i]]));
	return list;
}

static void run_counters(struct call *call)
{
	struct rsip_counter packets[RSIP_OUTCOME_COUNT];
	const struct session_counters *counters = session_counters(call->rsipd->sessions);
	int err = datapath_counters(call->rsipd->dp, packets);

	if (err) {
		snprintf(call->error, sizeof(call->error), "the counters cannot be read: %s", strerror(-err));
		return;
	}
	put_json(call->out, json_pack("{so so so sI sI}", "outcomes", show_counters(packets),
				      "messages", show_messages(counters), "errors", show_errors(counters),
				      "duplicates", (json_int_t)counters->duplicates,
				      "ignored", (json_int_t)counters->ignored));
}

/* --- commands that act --------------------------------------------------------------------- */

/* CLIENT is a Client ID or the address of a registered host. */
static bool read_client(struct call *call, const char *word, uint32_t *client_id)
{
	struct num_range number;
	__be32 address;

	if (addr_parse(word, &address)) {
		const struct client *client =
			lease_client_by_address(session_leases(call->rsipd->sessions), address);

		if (client) {
			*client_id = client->client_id;
			return true;
		}
		snprintf(call->error, sizeof(call->error), "no host with the address %s is registered", word);
		return false;
	}
	if (!strchr(word, '-') && num_parse_range(word, UINT32_MAX, &number)) {
		*client_id = number.first;
		return true;
	}
	snprintf(call->error, sizeof(call->error), "\"%.40s\" is neither a Client ID nor an address", word);
	return false;
}

static void run_free(struct call *call)
{
	const char *bind_word = call->request->words[2];
	struct num_range bind_id;
	uint32_t client_id;

	if (!read_client(call, call->request->words[1], &client_id))
		return;
	if (strchr(bind_word, '-') || !num_parse_range(bind_word, UINT32_MAX, &bind_id)) {
		snprintf(call->error, sizeof(call->error), "\"%.40s\" is not a Bind ID", bind_word);
		return;
	}
	if (!session_free_bind(call->rsipd->sessions, client_id, bind_id.first, daemon_now())) {
		snprintf(call->error, sizeof(call->error), "client %u has no bind %u", client_id, bind_id.first);
		return;
	}
	log_info("control: bind %u of client %u was freed", bind_id.first, client_id);
	daemon_wake(call->rsipd);
	put_json(call->out, json_pack("{sI sI}", "client_id", (json_int_t)client_id,
				      "bind_id", (json_int_t)bind_id.first));
}

static void run_deregister(struct call *call)
{
	uint32_t client_id;

	if (!read_client(call, call->request->words[1], &client_id))
		return;
	if (!session_evict(call->rsipd->sessions, client_id, daemon_now())) {
		snprintf(call->error, sizeof(call->error), "client %u is not registered", client_id);
		return;
	}
	log_info("control: client %u was de-registered", client_id);
	daemon_wake(call->rsipd);
	put_json(call->out, json_pack("{sI}", "client_id", (json_int_t)client_id));
}

static void run_reload(struct call *call)
{
	snprintf(call->error, sizeof(call->error),
		 "the configuration is read at the start only: check it with \"rsipd -t\", then restart rsipd");
}

static void run_detach(struct call *call)
{
	uint32_t hosts = lease_client_count(session_leases(call->rsipd->sessions));

	log_info("control: detaching: %u hosts are de-registered, rsipd ends", hosts);
	daemon_detach(call->rsipd);
	call->stop = true;
	put_json(call->out, json_pack("{sI}", "deregistered", (json_int_t)hosts));
}

static void (*const commands[REQUEST_COUNT])(struct call *call) = {
	[REQUEST_STATUS] = run_status,
	[REQUEST_CLIENTS] = run_clients,
	[REQUEST_BINDINGS] = run_bindings,
	[REQUEST_POOLS] = run_pools,
	[REQUEST_COUNTERS] = run_counters,
	[REQUEST_FREE] = run_free,
	[REQUEST_DEREGISTER] = run_deregister,
	[REQUEST_RELOAD] = run_reload,
	[REQUEST_DETACH] = run_detach,
};

/* --- answers --------------------------------------------------------------------------- */

/* {"ok": true, "result": ...} or {"ok": false, "error": "..."}, with a newline; the caller
 * frees it. NULL if memory is short. */
static char *answer_line(struct connection *connection, size_t *len)
{
	struct call call = { .rsipd = connection->control->rsipd };
	struct request request;
	const char *why = request_parse(connection->line, connection->len, &request);
	char *answer = NULL;

	call.request = &request;
	call.out = open_memstream(&answer, len);
	if (!call.out)
		return NULL;
	fputs("{\"ok\":true,\"result\":", call.out);
	if (!why) {
		commands[request.command](&call);
		connection->stop_after = call.stop;
		why = call.error[0] ? call.error : NULL;
	}
	if (why) {
		rewind(call.out);
		put_json(call.out, json_pack("{sb ss}", "ok", 0, "error", why));
		fputs("\n", call.out);
	} else {
		fputs("}\n", call.out);
	}
	if (fclose(call.out)) {
		free(answer);
		return NULL;
	}
	return answer;
}

/* --- connections ---------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;

	free(connection->answer);
	free(connection);
}

static void connection_close(struct connection *connection)
{
	struct control *control = connection->control;

	if (uv_is_closing((uv_handle_t *)&connection->pipe))
		return;
	DL_DELETE(control->connections, connection);
	control->count--;
	uv_close((uv_handle_t *)&connection->pipe, on_closed);
	/* Also when the asking end went away without its answer. */
	if (connection->stop_after)
		daemon_stop(control->rsipd);
}

static void on_written(uv_write_t *write, int status)
{
	connection_close(write->handle->data);
}

static void answer(struct connection *connection)
{
	size_t len;
	uv_buf_t buf;

	uv_read_stop((uv_stream_t *)&connection->pipe);
	connection->answer = answer_line(connection, &len);
	connection->deadline = daemon_now() + ANSWER_MS;
	if (connection->answer) {
		buf = uv_buf_init(connection->answer, (unsigned int)len);
		if (len <= UINT32_MAX &&
		    !uv_write(&connection->write, (uv_stream_t *)&connection->pipe, &buf, 1, on_written))
			return;
	}
	log_error("control: the answer to a request could not be written");
	connection_close(connection);
}

static void on_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
	struct connection *connection = handle->data;

	*buf = uv_buf_init(connection->line + connection->len,
			   (unsigned int)(sizeof(connection->line) - connection->len));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct connection *connection = stream->data;
	const char *end;

	if (len < 0) {
		connection_close(connection);
		return;
	}
	connection->len += (size_t)len;
	end = memchr(connection->line, '\n', connection->len);
	if (end)
		connection->len = (size_t)(end - connection->line);
	/* Without a newline in a full buffer the request is too long, and told so. */
	if (end || connection->len == sizeof(connection->line))
		answer(connection);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct control *control = listener->data;
	struct connection *connection;

	if (status < 0)
		return;
	connection = calloc(1, sizeof(*connection));
	if (!connection)
		return;
	connection->control = control;
	connection->deadline = daemon_now() + REQUEST_MS;
	uv_pipe_init(control->rsipd->loop, &connection->pipe, 0);
	connection->pipe.data = connection;
	if (uv_accept(listener, (uv_stream_t *)&connection->pipe) || control->count >= CONNECTIONS_MAX) {
		uv_close((uv_handle_t *)&connection->pipe, on_closed);
		return;
	}
	DL_APPEND(control->connections, connection);
	control->count++;
	uv_read_start((uv_stream_t *)&connection->pipe, on_buffer, on_read);
}

void control_tick(struct control *control, uint64_t now)
{
	struct connection *connection, *next;

	DL_FOREACH_SAFE(control->connections, connection, next) {
		if (now > connection->deadline)
			connection_close(connection);
	}
}

/* --- the socket -------------------------------------------------------------------------------- */

/* The folder is made with what lies above it, if need be. */
static int make_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
	mode_t mask = umask(022);
	int err = 0;

	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash = strchr(folder + 1, '/'); slash && !err; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(folder, 0755) && errno != EEXIST)
			err = -errno;
		*slash = '/';
	}
	umask(mask);
	return err;
}

int control_lock(const char *socket_path)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(".lock")];
	int fd, err = make_folder(socket_path);

	if (err) {
		log_error("control: the folder of %s: %s", socket_path, strerror(-err));
		return err;
	}
	snprintf(path, sizeof(path), "%s.lock", socket_path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		err = -errno;
		log_error("control: %s: %s", path, strerror(errno));
		return err;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = errno == EWOULDBLOCK ? CONTROL_BUSY : -errno;
		if (err != CONTROL_BUSY)
			log_error("control: locking %s: %s", path, strerror(errno));
		close(fd);
		return err;
	}
	return fd;
}

/* The descriptor of the bound socket, readable by nobody but us. */
static int bind_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;
	mode_t mask;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	mask = umask(0177);
	err = bind(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(mask);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int control_open(struct rsipd *rsipd, struct control **out)
{
	const char *path = rsipd->config->control;
	struct control *control = calloc(1, sizeof(*control));
	int fd, err;

	if (!control)
		return -ENOMEM;
	fd = bind_socket(path);
	if (fd < 0) {
		err = fd;
		goto fail;
	}
	control->rsipd = rsipd;
	uv_pipe_init(rsipd->loop, &control->listener, 0);
	control->listener.data = control;
	err = uv_pipe_open(&control->listener, fd);
	if (!err)
		err = uv_listen((uv_stream_t *)&control->listener, BACKLOG, on_connection);
	*out = control;
	if (err)
		log_error("control: %s: %s", path, uv_strerror(err));
	return err;
fail:
	log_error("control: %s: %s", path, strerror(-err));
	free(control);
	return err;
}

void control_close(struct control *control)
{
	struct connection *connection, *next;

	if (!control)
		return;
	unlink(control->rsipd->config->control);
	uv_close((uv_handle_t *)&control->listener, NULL);
	DL_FOREACH_SAFE(control->connections, connection, next)
		connection_close(connection);
}

void control_free(struct control *control)
{
	free(control);
}
