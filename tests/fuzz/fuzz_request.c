// SPDX-License-Identifier: GPL-2.0-only
/* Any bytes as a line on the control socket. The input is the line. */
#include "fuzz.h"

#include <string.h>

#include "rsipd/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct request request;
	const char *why;

	memset(&request, 'x', sizeof(request));
	why = request_parse((const char *)data, len, &request);
	if (why) {
		claim(why[0] && !strchr(why, '\n'), "\"%s\" is no reason", why);
		return 0;
	}
	claim(len < REQUEST_LINE_MAX, "%zu bytes", len);
	claim(request.command < REQUEST_COUNT, "command %d", request.command);
	claim(request.count >= 1 && request.count <= REQUEST_WORDS_MAX, "%zu words", request.count);
	for (size_t i = 0; i < request.count; i++)
		claim(memchr(request.words[i], 0, REQUEST_WORD_LEN), "word %zu has no end", i);
	return 0;
}
