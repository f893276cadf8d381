/* SPDX-License-Identifier: GPL-2.0-only */
/* See auth.h. BLAKE2b with a key, from libsodium. */
#include "lib/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rsip/proto.h>
#include "lib/buf.h"

/* Another use of the same key gives other hashes. */
static const unsigned char person[crypto_generichash_blake2b_PERSONALBYTES] = "RSIP message v1";

_Static_assert(AUTH_LEN == RSIP_PARAM_HEADER_LEN + 2 + 2 + 8 + 8 + AUTH_MAC_LEN, "docs/authentication.md");

static void hash(const uint8_t *key, const uint8_t *data, size_t len, uint8_t mac[static AUTH_MAC_LEN])
{
	crypto_generichash_blake2b_salt_personal(mac, AUTH_MAC_LEN, data, len, key, AUTH_KEY_LEN, NULL, person);
}

static void write_u64(struct writer *w, uint64_t value)
{
	write_u32(w, (uint32_t)(value >> 32));
	write_u32(w, (uint32_t)value);
}

static uint64_t read_u64(struct reader *r)
{
	uint64_t high = read_u32(r);

	return high << 32 | read_u32(r);
}

size_t auth_seal(const uint8_t key[static AUTH_KEY_LEN], struct auth_stamp stamp, uint8_t *data, size_t len,
		 size_t capacity)
{
	struct writer w = { .data = data, .capacity = capacity, .len = len };

	if (len < RSIP_HEADER_LEN || len + AUTH_LEN > capacity || len + AUTH_LEN > RSIP_MESSAGE_MAX)
		return 0;
	write_u8(&w, RSIP_PARAM_VENDOR);
	write_u16(&w, AUTH_LEN - RSIP_PARAM_HEADER_LEN);
	write_u16(&w, AUTH_VENDOR);
	write_u16(&w, AUTH_SUBTYPE);
	write_u64(&w, stamp.nonce);
	write_u64(&w, stamp.sequence);
	write_u16_at(&w, 2, (uint16_t)(len + AUTH_LEN));
	hash(key, data, w.len, data + w.len);
	return w.len + AUTH_MAC_LEN;
}

bool auth_open(const uint8_t key[static AUTH_KEY_LEN], const uint8_t *data, size_t len, struct auth_stamp *out)
{
	uint8_t mac[AUTH_MAC_LEN];
	struct reader r = { .left = AUTH_LEN - AUTH_MAC_LEN };

	if (len < RSIP_HEADER_LEN + AUTH_LEN)
		return false;
	r.at = data + len - AUTH_LEN;
	if (read_u8(&r) != RSIP_PARAM_VENDOR || read_u16(&r) != AUTH_LEN - RSIP_PARAM_HEADER_LEN ||
	    read_u16(&r) != AUTH_VENDOR || read_u16(&r) != AUTH_SUBTYPE)
		return false;
	hash(key, data, len - AUTH_MAC_LEN, mac);
	if (sodium_memcmp(mac, data + len - AUTH_MAC_LEN, AUTH_MAC_LEN))
		return false;
	out->nonce = read_u64(&r);
	out->sequence = read_u64(&r);
	return true;
}

/* --- key files ------------------------------------------------------------------------ */

static const char *check_file(int fd)
{
	struct stat status;

	if (fstat(fd, &status))
		return strerror(errno);
	if (!S_ISREG(status.st_mode))
		return "is no file: a regular file is allowed";
	if (status.st_uid != 0 && status.st_uid != geteuid())
		return "belongs to somebody else: a file of root or of its reader is allowed";
	if (status.st_mode & 077)
		return "is open to others: mode 0600 or 0400 is allowed";
	return NULL;
}

int auth_load_key(const char *path, uint8_t key[static AUTH_KEY_LEN], const char **why)
{
	char text[2 * AUTH_KEY_LEN + 2];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t bytes = 0;
	ssize_t len;

	*why = fd < 0 ? strerror(errno) : check_file(fd);
	if (!*why) {
		len = read(fd, text, sizeof(text));
		if (len == 2 * AUTH_KEY_LEN + 1 && text[2 * AUTH_KEY_LEN] == '\n')
			len--;
		if (len != 2 * AUTH_KEY_LEN ||
		    sodium_hex2bin(key, AUTH_KEY_LEN, text, (size_t)len, NULL, &bytes, NULL) || bytes != AUTH_KEY_LEN)
			*why = "is no key: 64 hexadecimal digits are allowed";
		sodium_memzero(text, sizeof(text));
	}
	if (fd >= 0)
		close(fd);
	return *why ? -1 : 0;
}

/* --- the gateway ------------------------------------------------------------------------ */

static uint64_t random_nonce(void)
{
	uint64_t nonce;

	do
		randombytes_buf(&nonce, sizeof(nonce));
	while (!nonce);
	return nonce;
}

enum auth_verdict auth_judge(struct auth_peer *peer, struct auth_stamp stamp)
{
	if (stamp.sequence & AUTH_ASYNC)
		return AUTH_OLD;
	if (stamp.nonce && stamp.nonce == peer->nonce) {
		if (stamp.sequence <= peer->sequence)
			return stamp.sequence == peer->sequence ? AUTH_AGAIN : AUTH_OLD;
		peer->sequence = stamp.sequence;
		return AUTH_NEW;
	}
	if (stamp.nonce && stamp.nonce == peer->offered) {
		*peer = (struct auth_peer){ .nonce = stamp.nonce, .sequence = stamp.sequence };
		return AUTH_NEW;
	}
	if (!peer->offered)
		peer->offered = random_nonce();
	return AUTH_CHALLENGE;
}

struct auth_stamp auth_challenge(const struct auth_peer *peer, struct auth_stamp request)
{
	return (struct auth_stamp){ peer->offered, request.sequence };
}

struct auth_stamp auth_tell(struct auth_peer *peer)
{
	return (struct auth_stamp){ peer->nonce, AUTH_ASYNC | ++peer->told };
}

/* --- the host ------------------------------------------------------------------------------ */

void auth_host_init(struct auth_host *host)
{
	*host = (struct auth_host){ .sequence = random_nonce() >> 2 };
}

struct auth_stamp auth_ask(struct auth_host *host)
{
	return (struct auth_stamp){ host->nonce, ++host->sequence };
}

enum auth_news auth_hear(struct auth_host *host, struct auth_stamp stamp, bool is_error)
{
	if (stamp.sequence & AUTH_ASYNC) {
		if (stamp.nonce != host->nonce || stamp.sequence <= host->told)
			return AUTH_NOTHING;
		host->told = stamp.sequence;
		return AUTH_TOLD;
	}
	if (stamp.sequence != host->sequence)
		return AUTH_NOTHING;
	if (stamp.nonce == host->nonce)
		return AUTH_ANSWER;
	if (!is_error || !stamp.nonce)
		return AUTH_NOTHING;
	host->nonce = stamp.nonce;
	host->told = 0;
	return AUTH_ASK_AGAIN;
}
