// SPDX-License-Identifier: Apache-2.0
// What exporters read alike from their YAML: queue, retry, headers; and TLS, secrets and endpoints, which are those of
// all clients (net/client/client_config.h). Keys are the Collector's (exporterhelper, configgrpc, confighttp); problems
// go to the document's issues.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config_node.h"
#include "export/authorization.h"
#include "export/queue/send_queue.h"
#include "net/client/client_config.h"

namespace tailgate {

inline constexpr Duration kBackendLookUpEvery = std::chrono::seconds(30);  // for the addresses of a backend's name

// `sending_queue` and `retry_on_failure` of `node` over what `options` holds already.
void read_queue(const ConfigNode& node, SendQueueOptions& options);

// `headers`: a map, or a list of {name, value}.
std::vector<std::pair<std::string, std::string>> read_headers(const ConfigNode& node);

enum class Compression { kNone, kGzip, kZstd };
// gzip when absent, as in the Collector; zstd only where `zstd`.
Compression read_compression(const ConfigNode& node, bool zstd);
// `bearer_token` or `bearer_token_file`; an error next to an Authorization in `headers`.
Authorization read_bearer_token(const ConfigNode& node,
                                const std::vector<std::pair<std::string, std::string>>& headers);
// The same for another key and scheme, such as `api_key` and "ApiKey ".
Authorization read_token(const ConfigNode& node, const std::string& key, const std::string& scheme);

// `retry_on_failure.also`, before read_queue(): HTTP statuses from 400 to 599.
std::vector<int> read_also_statuses(const ConfigNode& node);

}  // namespace tailgate
