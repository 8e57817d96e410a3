// SPDX-License-Identifier: Apache-2.0
// The answer of Elasticsearch and OpenSearch to a _bulk request: which of its items were taken. Read from
// {"errors":true,"items":[{"create":{"status":400,"error":{"type":"...","reason":"..."}}},...]}; other members are
// skipped. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace tailgate {

struct BulkItem {
  int status = 0;   // an HTTP status; 0: it did not say
  std::string why;  // type and reason of its error, cut at 300 bytes; "" when there is none
};

// kBadInput when the text is not such an answer or has more than `items_max` items. One pass; memory for `items_max`.
Result<std::vector<BulkItem>> read_bulk_reply(ByteView json, std::size_t items_max);

}  // namespace tailgate
