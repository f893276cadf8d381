// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XDP programs of the gateway, one for each side. Each is the story of a
 * packet as a list of steps, which live in the headers. A step returns
 * RSIP_GO_ON or the outcome that ends the packet. The third program tells the
 * daemon what time it is for them.
 */
#include "answer.h"
#include "demux.h"
#include "encap.h"
#include "forward.h"
#include "fragment.h"
#include "icmp.h"
#include "learn.h"
#include "maps.h"
#include "outspi.h"
#include "packet.h"
#include "policy.h"
#include "relay.h"
#include "stats.h"
#include "turn.h"

/* Kinds that go on stand in the order of the outcomes. */
_Static_assert(RSIP_IN_PORT - RSIP_IN_ESP == PACKET_PORT, "kinds and outcomes differ");
_Static_assert(RSIP_OUT_PORT - RSIP_OUT_ESP == PACKET_PORT, "kinds and outcomes differ");

/* --- public side ------------------------------------------------------------------ */

/* A packet for a host that cannot go on, `why`: an ICMP error to the peer, if that may be. */
RARE int tell_peer(struct xdp_md *ctx, int why)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet p = {};
	struct answer a = { .type = ICMP_TIME_EXCEEDED };

	parse_plain_header(data, end, &p);
	if (OUTCOME(why) == RSIP_IN_TOO_BIG) {
		a.type = ICMP_UNREACHABLE;
		a.code = ICMP_FRAG_NEEDED;
		a.mtu = why >> 8;
	}
	why = OUTCOME(why);
	a.from = answer_speaker(p.ip.dst, p.ip.dst);
	if (!answer_fits(data, end, &p) || !answer_allowed(RSIP_BUCKET_PUBLIC))
		return why;
	if (!answer_send(ctx, &p, p.ip_at, &a))
		return RSIP_ERROR;
	return why == RSIP_IN_TOO_BIG ? RSIP_IN_TOO_BIG_TOLD : RSIP_IN_TTL_TOLD;
}

/* The new cookie of a peer that may begin: see learn_from_peer(). */
RARE int learn_cookie_of_peer(struct xdp_md *ctx, __u32 slot, __u32 generation)
{
	struct rsip_target target = { slot, generation };
	struct packet p = {};

	parse_plain_header((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	parse_first((void *)(long)ctx->data, (void *)(long)ctx->data_end, SIDE_PUBLIC, &p);
	return p.kind == PACKET_IKE ? learn_from_peer(&p, &target) : RSIP_ERROR;
}

static __always_inline bool is_told_peer(int why)
{
	return why == RSIP_IN_TTL || OUTCOME(why) == RSIP_IN_TOO_BIG;
}

/* Into the host's tunnel; `sent` is the outcome if it leaves at once. */
static __always_inline int deliver(struct xdp_md *ctx, struct packet *p, const struct lease *lease,
				   enum rsip_outcome sent)
{
	__u32 push = outer_len(lease->bind->tunnel), len = p->ip.len + push;
	struct way way = {};
	enum rsip_outcome why;

	why = way_by_slot(lease->bind->nexthop, &way) ? RSIP_GO_ON : RSIP_IN_UNREACHABLE;
	if (!why)
		why = way_check(&way, p, len, RSIP_IN_UNREACHABLE, RSIP_IN_TOO_BIG);
	if (why == RSIP_IN_TOO_BIG && way.hop)
		return TOO_BIG(why, way.hop->mtu - push);
	if (!why && lease->new_cookie)
		why = learn_cookie_of_peer(ctx, lease->target.bind, lease->target.generation);
	if (!why)
		why = encapsulate(ctx, p, lease->bind, &way);
	if (!why && !lease_lasts(lease))
		why = RSIP_IN_UNREACHABLE;
	if (why)
		return why;
	if (way.state != RSIP_NEXTHOP_VALID)
		return hand(ctx, &way, len, true);
	return redirect(&way, sent);
}

/* ICMP: to the host whose packet it is about, or who asked. */
RARE int icmp_inbound(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	enum rsip_outcome why = RSIP_IN_ICMP, sent = RSIP_IN_ICMP, nobodys;
	struct packet p = {};
	struct lease lease = {};

	parse_plain_header(data, end, &p);
	if (icmp_read(data, end, &p))
		why = relay_inbound(data, end, &p, &lease, &sent);
	p.kind = PACKET_ICMP;
	if (why == RSIP_IN_ICMP || why == RSIP_IN_ICMP_REQUEST) {
		nobodys = unmatched_inbound(&p, address_of(p.ip.dst));
		return nobodys == RSIP_IN_PASS ? nobodys : why;
	}
	return why ? why : deliver(ctx, &p, &lease, sent);
}

/* The first fragment of a packet: whose is it? Its outcome `sent` when it is delivered. */
static __always_inline enum rsip_outcome first_inbound(const void *data, const void *end, struct packet *p,
						       const struct rsip_address *address, struct lease *lease,
						       enum rsip_outcome *sent)
{
	parse_first(data, end, SIDE_PUBLIC, p);
	*sent = RSIP_IN_ESP + p->kind;
	if (p->kind == PACKET_ICMP) {
		p->kind = PACKET_PROTOCOL;
		*sent = RSIP_IN_ICMP_REPLY;
		if (!icmp_read(data, end, p))
			return RSIP_IN_FRAGMENT;
		if (icmp_class(p->icmp_type) == ICMP_CLASS_REPLY)
			return relay_reply(p, address, lease);
		return icmp_class(p->icmp_type) == ICMP_CLASS_REQUEST ? RSIP_IN_ICMP_REQUEST : RSIP_IN_ICMP;
	}
	/* Without the ports, the SPI or the cookie in it nothing can be decided: a trick */
	if (p->kind == PACKET_MALFORMED || p->kind == PACKET_IKE_SHORT || p->kind == PACKET_NATT_SHORT)
		return RSIP_IN_FRAGMENT;
	if (!demux(p, lease) && !lease_by_address(address, p, lease))
		return unmatched_inbound(p, address);
	if (is_spoofed(p->ip.src))
		return RSIP_IN_SPOOFED;
	if (lease->new_cookie)
		return RSIP_IN_NO_COOKIE;	/* learn_first() did not take it */
	*sent = p->kind == PACKET_WHOLE ? RSIP_IN_WHOLE : RSIP_IN_ESP + p->kind;
	return policy_inbound(p, lease);
}

/*
 * A fragment for an address of the pool. Early ones to an address that is N's as
 * well go both ways: the stack has no use for what is a host's, nor rsipd for the rest.
 */
RARE int fragment_inbound(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	enum rsip_outcome why = RSIP_GO_ON, sent = RSIP_IN_FRAGMENT_SENT;
	const struct rsip_address *address;
	struct rsip_fragment *there = NULL;
	struct handing what = {};
	struct packet p = {};
	struct lease lease = {};
	enum fragment_way way;
	struct piece piece;
	bool both, held;

	parse_plain_header(data, end, &p);
	if (p.kind != PACKET_FRAGMENT)
		return RSIP_ERROR;
	address = address_of(p.ip.dst);
	if (!address || !(address->flags & RSIP_ADDRESS_POOL))
		return RSIP_IN_PASS;
	if (!fragment_place(&p, &piece))
		return RSIP_IN_FRAGMENT;
	fragment_key(&p, ip_id(data + p.ip_at, end), &what.key);
	if (!piece.from) {
		__u32 state = 0;

		why = first_inbound(data, end, &p, address, &lease, &sent);
		if (why)
			state = why == RSIP_IN_PASS || why == RSIP_IN_ICMP_REQUEST ? RSIP_FRAGMENT_PASS : RSIP_FRAGMENT_REFUSED;
		way = fragment_first(&what.key, &piece, &lease.target, state);
		if (why)
			return why;
	} else {
		way = fragment_follow(&what.key, &piece, &there);
		if (there)
			lease.target = there->target;
	}
	if (way == FRAGMENT_DROP)
		return RSIP_IN_FRAGMENT;
	if (way == FRAGMENT_STACK)
		return RSIP_IN_PASS;
	both = way == FRAGMENT_HOLD && address->flags & RSIP_ADDRESS_SHARED && !lease.target.generation;
	if (p.ip.ttl <= 1)
		return both ? RSIP_IN_PASS : RSIP_IN_TTL;
	if (way == FRAGMENT_HOLD) {
		what.kind = RSIP_EVENT_FRAGMENT;
		what.target = lease.target;
		what.passed = there ? there->state & RSIP_FRAGMENT_NEXT : 0;
		what.ip_at = p.ip_at;
		what.len = p.ip.len;
		held = hand_fragment(ctx, &what);
		if (both)
			return RSIP_IN_PASS;
		return held ? RSIP_IN_FRAGMENT_HELD : RSIP_ERROR;
	}
	what.target = lease.target;
	/* of a first fragment once more: Linux 6.1 does not see that it has been found ("invalid mem access 'scalar'") */
	if (!lease_get(&what.target, &lease))
		return RSIP_IN_FRAGMENT;
	lease.new_cookie = false;
	return deliver(ctx, &p, &lease, sent);
}

/* IKE that a peer begins with a packet in fragments: the cookie is learned before anything else. */
RARE int learn_first(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet p = {};
	struct lease lease = {};
	struct piece piece;

	parse_plain_header(data, end, &p);
	if (!fragment_place(&p, &piece))
		return RSIP_GO_ON;
	parse_first(data, end, SIDE_PUBLIC, &p);
	if (p.kind != PACKET_IKE || !demux(&p, &lease) || !lease.new_cookie || is_spoofed(p.ip.src) ||
	    policy_inbound(&p, &lease))
		return RSIP_GO_ON;
	return learn_from_peer(&p, &lease.target);
}

static __always_inline int fragments_inbound(struct xdp_md *ctx, const struct packet *p)
{
	if (!(p->ip.frag & bpf_htons(IPV4_OFFSET)))
		learn_first(ctx);
	return fragment_inbound(ctx);
}

/* From a peer, perhaps for a host. */
static __always_inline int inbound(struct xdp_md *ctx, struct packet *p)
{
	struct lease lease = {};
	enum rsip_outcome why;

	if (p->kind == PACKET_FOREIGN)
		return RSIP_IN_PASS;
	if (!demux(p, &lease)) {
		const struct rsip_address *address;

		if (p->kind == PACKET_ICMP)
			return icmp_inbound(ctx);
		address = address_of(p->ip.dst);
		if (!lease_by_address(address, p, &lease))
			return p->kind == PACKET_FRAGMENT ? fragments_inbound(ctx, p) : unmatched_inbound(p, address);
	}
	why = is_spoofed(p->ip.src) ? RSIP_IN_SPOOFED : policy_inbound(p, &lease);
	return why ? why : deliver(ctx, p, &lease, p->kind == PACKET_WHOLE ? RSIP_IN_WHOLE : RSIP_IN_ESP + p->kind);
}

/* --- private side ----------------------------------------------------------------- */

/* A host's packet that cannot go on, `why`: an ICMP error through its tunnel, if that may be. */
RARE int tell_host(struct xdp_md *ctx, int why)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct answer a = { .type = ICMP_TIME_EXCEEDED };
	enum rsip_outcome told = RSIP_OUT_TTL_TOLD;
	__u32 link_len;
	struct packet p = {};

	a.mtu = why >> 8;
	why = OUTCOME(why);
	link_len = parse_ethernet(data, end);
	if (!link_len)
		return why;
	parse_tunnelled_header(data, end, &p);
	if (why == RSIP_OUT_TOO_BIG) {
		a.type = ICMP_UNREACHABLE;
		a.code = ICMP_FRAG_NEEDED;
		told = RSIP_OUT_TOO_BIG_TOLD;
	} else if (why == RSIP_OUT_UNREACHABLE) {
		a.type = ICMP_UNREACHABLE;
		a.code = ICMP_NET_UNREACHABLE;
		told = RSIP_OUT_UNREACHABLE_TOLD;
	}
	a.tunnel.src = p.outer.dst;
	a.tunnel.dst = p.outer.src;
	a.tunnel.proto = p.outer.proto;
	a.from = answer_speaker(p.ip.src, p.outer.dst);
	if (!answer_fits(data, end, &p) || !answer_allowed(RSIP_BUCKET_PRIVATE))
		return why;
	return answer_send(ctx, &p, link_len, &a) ? told : RSIP_ERROR;
}

/* Names a refusal and reports it: see refuse(). The target: of the bind whose rule it was, or 0. */
RARE int refuse_host(struct xdp_md *ctx, int why, __u32 slot, __u32 generation)
{
	struct lease lease = { .target = { slot, generation } };
	struct packet p = {};

	parse_tunnelled((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	lease.bind = bpf_map_lookup_elem(&rsip_binds, &slot);
	return refuse(&p, &lease, why);
}

/* A new cookie, perhaps in a first fragment, becomes the bind's: see learn(). Of other packets, nothing. */
RARE int learn_cookie(struct xdp_md *ctx)
{
	struct lease lease = {};
	struct packet p = {};

	parse_tunnelled_header((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	parse_first((void *)(long)ctx->data, (void *)(long)ctx->data_end, SIDE_PRIVATE, &p);
	if (p.kind != PACKET_IKE)
		return RSIP_GO_ON;
	if (admit(&p, &lease))
		return RSIP_ERROR;
	return lease.new_cookie ? learn(&p, &lease.target) : RSIP_GO_ON;
}

static __always_inline bool is_told_host(int why)
{
	return why == RSIP_OUT_TTL || OUTCOME(why) == RSIP_OUT_TOO_BIG || why == RSIP_OUT_UNREACHABLE;
}

/* Hands over what begins at `ip_at`. */
static __always_inline int hold_outbound(struct xdp_md *ctx, const struct packet *p, struct handing *what, __u32 ip_at,
					 __u32 len)
{
	what->tos = p->outer.tos;
	what->ip_at = ip_at;
	what->len = len;
	return hand_fragment(ctx, what) ? RSIP_OUT_FRAGMENT_HELD : RSIP_ERROR;
}

/* A fragment that came too early, or whose first did: with what is known of its packet. */
RARE int hold_fragment(struct xdp_md *ctx, int is_turned)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct handing what = { .kind = RSIP_EVENT_FRAGMENT };
	const struct rsip_fragment *there;
	struct packet p = {};

	parse_tunnelled_header(data, end, &p);
	fragment_key(&p, ip_id(data + p.ip_at, end), &what.key);
	what.key.turned = is_turned;
	there = bpf_map_lookup_elem(&rsip_fragments, &what.key);
	if (!there)
		return RSIP_ERROR;
	what.target = there->target;
	what.passed = there->state & RSIP_FRAGMENT_NEXT;
	return hold_outbound(ctx, &p, &what, p.ip_at, p.ip.len);
}

/* From here to another host (turn.h). */
static __always_inline int turn(struct xdp_md *ctx, const struct packet *p)
{
	int why;

	if (p->ip.frag & bpf_htons(IPV4_FRAGMENT)) {
		why = p->ip.frag & bpf_htons(IPV4_OFFSET) ? turn_later(ctx) : turn_first(ctx);
		if (why == RSIP_OUT_FRAGMENT_HELD)
			return hold_fragment(ctx, true);
		return why ? why : turn_noted(ctx);
	}
	if (p->ip.proto != IPPROTO_ICMP)
		return turn_packet(ctx);
	why = turn_icmp(ctx);
	return why == RSIP_OUT_ECHO ? turn_echo(ctx) : why;
}

/* Out of the tunnel and to the peer; `sent` is the outcome if it leaves at once. */
static __always_inline int leave(struct xdp_md *ctx, struct packet *p, const struct lease *lease, enum rsip_outcome sent)
{
	struct way way = {};
	enum rsip_outcome why;
	bool inside;

	why = way_by_peer(p->ip.dst, &way) ? RSIP_GO_ON : RSIP_OUT_UNREACHABLE;
	inside = !way.hop && is_leased(p->ip.dst);
	if (!why && !inside)
		why = way_check(&way, p, p->ip.len, RSIP_OUT_UNREACHABLE, RSIP_OUT_TOO_BIG);
	if (why == RSIP_OUT_TOO_BIG && way.hop)
		return TOO_BIG(why, way.hop->mtu);
	if (!why && lease->new_cookie)
		why = learn_cookie(ctx);
	if (!why)
		outspi_note(p, lease);
	if (!why && inside)
		return turn(ctx, p);
	if (!why)
		why = decapsulate(ctx, p, &way);
	if (why)
		return why;
	if (way.state != RSIP_NEXTHOP_VALID)
		return hand(ctx, &way, p->ip.len, false);
	return redirect(&way, sent);
}

/*
 * ICMP: what the host asks and answers, and what it says about packets that it
 * got. May it be sent? Its outcome when it has left, or of its refusal.
 */
RARE int icmp_outbound(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	enum rsip_outcome why = RSIP_OUT_ICMP, sent = RSIP_OUT_ICMP;
	struct packet p = {};
	struct lease lease = {};

	parse_tunnelled_header(data, end, &p);
	if (icmp_read(data, end, &p))
		why = relay_outbound(data, end, &p, &lease, &sent);
	if (!why && icmp_class(p.icmp_type) == ICMP_CLASS_REQUEST)
		why = echo_learn(&p, &lease.target);
	return why ? why : sent;
}

static __always_inline enum rsip_outcome sent_outbound(enum packet_kind kind)
{
	switch (kind) {
	case PACKET_WHOLE:
		return RSIP_OUT_WHOLE;
	case PACKET_KEEPALIVE:
		return RSIP_OUT_NATT;
	default:
		return RSIP_OUT_ESP + kind;
	}
}

/* The first fragment of a packet of a host: may it be sent? Its outcome `sent` when it has left. */
static __always_inline enum rsip_outcome first_outbound(const void *data, const void *end, struct packet *p,
							struct lease *lease, enum rsip_outcome *sent)
{
	enum rsip_outcome why;

	parse_first(data, end, SIDE_PRIVATE, p);
	if (p->kind == PACKET_ICMP) {
		p->kind = PACKET_PROTOCOL;
		*sent = RSIP_OUT_ICMP_QUERY;
		if (!icmp_read(data, end, p) || icmp_class(p->icmp_type) > ICMP_CLASS_REPLY ||
		    icmp_class(p->icmp_type) == ICMP_CLASS_ERROR)
			return RSIP_OUT_ICMP;
		why = admit_any(p, lease);
		if (!why)
			why = policy_outbound(p, lease);
		if (!why && icmp_class(p->icmp_type) == ICMP_CLASS_REQUEST)
			why = echo_learn(p, &lease->target);
		return why;
	}
	if (p->kind == PACKET_MALFORMED || p->kind == PACKET_IKE_SHORT || p->kind == PACKET_NATT_SHORT)
		return RSIP_OUT_FRAGMENT;
	why = admit(p, lease);
	*sent = sent_outbound(p->kind);
	if (!why)
		why = policy_outbound(p, lease);
	if (!why)
		outspi_note(p, lease);
	return why;
}

/* Is it for a tunnel that ends here, from a host that has the address inside? */
static __always_inline bool is_hosts(const struct packet *p)
{
	struct rsip_grant_key key = { .client = p->outer.src, .addr = p->ip.src };
	const struct rsip_address *address = address_of(p->outer.dst);

	if (!address || !(address->flags & RSIP_ADDRESS_TUNNEL))
		return false;
	if (!p->ip.len)
		return bpf_map_lookup_elem(&rsip_clients, &key.client);
	return bpf_map_lookup_elem(&rsip_grants, &key);
}

/* A fragment of a tunnel packet: rsipd puts it together. */
RARE int outer_outbound(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 outer_at = parse_ethernet(data, end);
	struct handing what = { .kind = RSIP_EVENT_OUTER };
	struct packet p = {};

	parse_tunnelled_header(data, end, &p);
	if (p.kind != PACKET_FRAGMENT || p.ip.len || !is_hosts(&p))
		return RSIP_OUT_FRAGMENT;
	what.key.src = what.key.client = p.outer.src;
	what.key.dst = p.outer.dst;
	what.key.id = ip_id(data + outer_at, end);
	what.key.proto = p.outer.proto;
	return hold_outbound(ctx, &p, &what, outer_at, p.outer.len);
}

/*
 * A fragment from a host. May it be sent? Its outcome when it has left, or of
 * its refusal, or RSIP_OUT_FRAGMENT_HELD: it is for hold_fragment().
 */
RARE int fragment_outbound(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	enum rsip_outcome why, sent = RSIP_OUT_FRAGMENT_SENT;
	struct rsip_fragment *there = NULL;
	struct handing what = {};
	struct packet p = {};
	struct lease lease = {};
	enum fragment_way way;
	struct piece piece;

	parse_tunnelled_header(data, end, &p);
	if (p.kind != PACKET_FRAGMENT || !p.ip.len || !is_hosts(&p))
		return RSIP_OUT_FRAGMENT;
	if (!fragment_place(&p, &piece))
		return RSIP_OUT_FRAGMENT;
	fragment_key(&p, ip_id(data + p.ip_at, end), &what.key);
	if (!piece.from) {
		why = first_outbound(data, end, &p, &lease, &sent);
		way = fragment_first(&what.key, &piece, &lease.target, why ? RSIP_FRAGMENT_REFUSED : 0);
		if (why)
			return why;
	} else {
		way = fragment_follow(&what.key, &piece, &there);
		if (there)
			lease.target = there->target;
	}
	if (way != FRAGMENT_SEND && way != FRAGMENT_HOLD)
		return RSIP_OUT_FRAGMENT;
	if (is_unmarkable(&p))
		return RSIP_OUT_ECN;
	if (p.ip.ttl <= 1)
		return RSIP_OUT_TTL;
	if (way == FRAGMENT_HOLD)
		return RSIP_OUT_FRAGMENT_HELD;
	what.target = lease.target;
	return piece.from && !lease_get(&what.target, &lease) ? RSIP_OUT_FRAGMENT : sent;
}

/* The first of them is the only one to learn from, and to say who gets the packet if that is another host. */
static __always_inline int hold(struct xdp_md *ctx, const struct packet *p)
{
	int why = RSIP_GO_ON;

	if (!(p->ip.frag & bpf_htons(IPV4_OFFSET))) {
		why = learn_cookie(ctx);
		if (!why && is_leased(p->ip.dst))
			why = turn_first(ctx);
	}
	return why && why != RSIP_OUT_FRAGMENT_HELD ? why : hold_fragment(ctx, false);
}

/* From a host through its tunnel, perhaps to a peer. */
static __always_inline int outbound(struct xdp_md *ctx, struct packet *p)
{
	struct lease lease = {};
	enum rsip_outcome why, sent;

	if (p->kind == PACKET_FOREIGN)
		return RSIP_OUT_PASS;
	why = admit_sender(p, &lease) ? RSIP_GO_ON : admit(p, &lease);
	if (!why)
		why = policy_outbound(p, &lease);
	sent = sent_outbound(p->kind);
	if (why == RSIP_OUT_ICMP || why == RSIP_OUT_FRAGMENT) {
		sent = why == RSIP_OUT_ICMP ? icmp_outbound(ctx) :
		       p->ip.len ? fragment_outbound(ctx) : outer_outbound(ctx);
		why = outcome_forwards(sent) ? RSIP_GO_ON : sent;
		lease.new_cookie = sent == RSIP_OUT_IKE;
	}
	if (why == RSIP_OUT_FRAGMENT_HELD)
		return p->ip.len ? hold(ctx, p) : why;
	if (why)
		return why == RSIP_OUT_TTL ? why : refuse_host(ctx, why, lease.target.bind, lease.target.generation);
	return leave(ctx, p, &lease, sent);
}

SEC("xdp")
int rsip_public(struct xdp_md *ctx)
{
	struct packet p = {};

	int why;

	parse_plain((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	why = inbound(ctx, &p);
	if (is_told_peer(why))
		why = tell_peer(ctx, why);
	return finish(why, p.frame_len);
}

SEC("xdp")
int rsip_private(struct xdp_md *ctx)
{
	struct packet p;
	int why;

	packet_init(&p);
	parse_tunnelled((void *)(long)ctx->data, (void *)(long)ctx->data_end, &p);
	why = outbound(ctx, &p);
	if (is_told_host(why))
		why = tell_host(ctx, why);
	return finish(why, p.frame_len);
}

SEC("syscall")
int rsip_clock(struct rsip_clock *now)
{
	now->jiffies = bpf_jiffies64();
	now->ns = bpf_ktime_get_ns();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
