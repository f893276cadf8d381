/* SPDX-License-Identifier: GPL-2.0-only */
/* The keys of rsipd.yaml(5): what each may be, and what goes with what. */
#pragma once

#include "rsipd/yaml_rows.h"

/* The file as one row: a map of all keys, for row_read() into a struct config, all zero, which is
 * loader.whole as well. After an error it holds what was read until then, and can be freed. */
extern const struct row config_keys;
