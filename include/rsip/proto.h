/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * RSIP on the wire: the numbers of RFC 3103, RFC 3104 and the IANA registry
 * "Realm Specific IP (RSIP) Parameters". Nothing here is a struct: messages
 * are read and written byte by byte, by user/lib/msg.c.
 */
#pragma once

#define RSIP_VERSION		1	/* RFC 3103 9 */
#define RSIP_PORT		4555	/* RFC 3103 12: TCP and UDP */
#define RSIP_HEADER_LEN		4	/* version, type, overall length */
#define RSIP_MESSAGE_MAX	65535	/* overall length is 16 bits */
#define RSIP_PARAM_HEADER_LEN	3	/* type, length */

/* Message types: RFC 3103 Appendix B, RFC 3104 7 */
enum rsip_message {
	RSIP_ERROR_RESPONSE		= 1,
	RSIP_REGISTER_REQUEST		= 2,
	RSIP_REGISTER_RESPONSE		= 3,
	RSIP_DEREGISTER_REQUEST		= 4,
	RSIP_DEREGISTER_RESPONSE	= 5,
	RSIP_ASSIGN_REQUEST_RSA		= 6,
	RSIP_ASSIGN_RESPONSE_RSA	= 7,
	RSIP_ASSIGN_REQUEST_RSAP	= 8,
	RSIP_ASSIGN_RESPONSE_RSAP	= 9,
	RSIP_EXTEND_REQUEST		= 10,
	RSIP_EXTEND_RESPONSE		= 11,
	RSIP_FREE_REQUEST		= 12,
	RSIP_FREE_RESPONSE		= 13,
	RSIP_QUERY_REQUEST		= 14,
	RSIP_QUERY_RESPONSE		= 15,
	RSIP_LISTEN_REQUEST		= 16,
	RSIP_LISTEN_RESPONSE		= 17,
	RSIP_ASSIGN_REQUEST_RSIPSEC	= 22,
	RSIP_ASSIGN_RESPONSE_RSIPSEC	= 23,
};

/* Parameter types: RFC 3103 8, RFC 3104 6.2 */
enum rsip_param {
	RSIP_PARAM_ADDRESS		= 1,
	RSIP_PARAM_PORTS		= 2,
	RSIP_PARAM_LEASE_TIME		= 3,
	RSIP_PARAM_CLIENT_ID		= 4,
	RSIP_PARAM_BIND_ID		= 5,
	RSIP_PARAM_TUNNEL_TYPE		= 6,
	RSIP_PARAM_METHOD		= 7,
	RSIP_PARAM_ERROR		= 8,
	RSIP_PARAM_FLOW_POLICY		= 9,
	RSIP_PARAM_INDICATOR		= 10,
	RSIP_PARAM_MESSAGE_COUNTER	= 11,
	RSIP_PARAM_VENDOR		= 12,
	RSIP_PARAM_SPI			= 22,
};

/* Address types: RFC 3103 8.1 */
enum rsip_addrtype {
	RSIP_ADDR_RESERVED	= 0,	/* accepted for don't-care only */
	RSIP_ADDR_IPV4		= 1,
	RSIP_ADDR_NETMASK	= 2,
	RSIP_ADDR_IPV6		= 3,
	RSIP_ADDR_FQDN		= 4,
};

/* Tunnel types: RFC 3103 8.6 */
enum rsip_tunnel {
	RSIP_TUNNEL_IPIP	= 1,
	RSIP_TUNNEL_GRE		= 2,
	RSIP_TUNNEL_L2TP	= 3,
};

/* RSIP methods: RFC 3103 8.7, RFC 3104 6 */
enum rsip_method {
	RSIP_METHOD_RSA		= 1,
	RSIP_METHOD_RSAP	= 2,
	RSIP_METHOD_RSIPSEC	= 3,
};

/* Flow policies: RFC 3103 8.9; "none" is for the remote side only */
enum rsip_policy {
	RSIP_POLICY_MACRO	= 1,
	RSIP_POLICY_MICRO	= 2,
	RSIP_POLICY_NONE	= 3,
};

/* Indicator values: RFC 3103 9.14.1 and 9.15.1 */
enum rsip_indicator {
	RSIP_QUERY_ADDRESS	= 1,	/* in a QUERY_REQUEST */
	RSIP_QUERY_NETWORK	= 2,
	RSIP_LOCAL_ADDRESS	= 1,	/* in a QUERY_RESPONSE */
	RSIP_LOCAL_NETWORK	= 2,
	RSIP_REMOTE_ADDRESS	= 3,
	RSIP_REMOTE_NETWORK	= 4,
};

/* Error codes: RFC 3103 Appendix A, RFC 3104 6.2 */
#define RSIP_ERRORS(X)							\
	X(101, UNKNOWN_ERROR)						\
	X(102, USE_TCP)							\
	X(103, FLOW_POLICY_VIOLATION)					\
	X(104, INTERNAL_SERVER_ERROR)					\
	X(105, MESSAGE_COUNTER_REQUIRED)				\
	X(106, UNSUPPORTED_RSIP_VERSION)				\
	X(201, MISSING_PARAM)						\
	X(202, DUPLICATE_PARAM)						\
	X(203, EXTRA_PARAM)						\
	X(204, ILLEGAL_PARAM)						\
	X(205, BAD_PARAM)						\
	X(206, ILLEGAL_MESSAGE)						\
	X(207, BAD_MESSAGE)						\
	X(208, UNSUPPORTED_MESSAGE)					\
	X(301, REGISTER_FIRST)						\
	X(302, ALREADY_REGISTERED)					\
	X(303, ALREADY_UNREGISTERED)					\
	X(304, REGISTRATION_DENIED)					\
	X(305, BAD_CLIENT_ID)						\
	X(306, BAD_BIND_ID)						\
	X(307, BAD_TUNNEL_TYPE)						\
	X(308, LOCAL_ADDR_UNAVAILABLE)					\
	X(309, LOCAL_ADDRPORT_UNAVAILABLE)				\
	X(310, LOCAL_ADDR_INUSE)					\
	X(311, LOCAL_ADDRPORT_INUSE)					\
	X(312, LOCAL_ADDR_UNALLOWED)					\
	X(313, LOCAL_ADDRPORT_UNALLOWED)				\
	X(314, REMOTE_ADDR_UNALLOWED)					\
	X(315, REMOTE_ADDRPORT_UNALLOWED)				\
	X(401, IPSEC_UNALLOWED)						\
	X(402, IPSEC_SPI_UNAVAILABLE)					\
	X(403, IPSEC_SPI_INUSE)

enum rsip_error {
#define X(code, name) RSIP_E_##name = code,
	RSIP_ERRORS(X)
#undef X
};

#define RSIP_PORTS_MAX		255	/* the Number of a Ports parameter is 8 bits */
#define RSIP_SPIS_MAX		16383	/* what one SPI parameter can list */
#define RSIP_SPI_FIRST		256	/* 0 is local use, 1-255 reserved (RFC 4303 2.1) */
#define RSIP_FQDN_MAX		255	/* RFC 3103 8.1; a name of 256 bytes is 205 */

#define RSIP_IKE_PORT		500
#define RSIP_NATT_PORT		4500	/* RFC 3948: IKE after four zero bytes, or ESP */

/* The host's retransmission schedule (T-17): 7 sends, the wait doubles */
#define RSIP_RETRY_FIRST_US	12500
#define RSIP_RETRY_SENDS	7

/* Lease after which a freed tuple may be lent again (RFC 3102 6.1), seconds */
#define RSIP_HOLD_DOWN		120
