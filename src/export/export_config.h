// SPDX-License-Identifier: Apache-2.0
// What exporters read alike from their YAML: queue, retry, headers, TLS, endpoint. Keys are the Collector's
// (exporterhelper, configgrpc, confighttp, configtls); problems go to the document's issues.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config_node.h"
#include "export/authorization.h"
#include "export/queue/send_queue.h"

namespace tailgate {

// `sending_queue` and `retry_on_failure` of `node` over what `options` holds already.
void read_queue(const ConfigNode& node, SendQueueOptions& options);

// `headers`: a map, or a list of {name, value}.
std::vector<std::pair<std::string, std::string>> read_headers(const ConfigNode& node);

// The value of `key`, or what is in the file that `key`_file names, without blanks and line ends around it; "" when
// there is neither. Errors do not show the value.
std::string read_secret(const ConfigNode& node, const std::string& key);

struct TlsConfig {
  bool insecure = false;  // no TLS at all
  bool insecure_skip_verify = false;
  std::string ca_file;
  std::string ca_pem;  // contents, also of ca_file
  std::string cert_pem;
  std::string key_pem;
  std::string server_name_override;
};

// `tls`. Files are read here, so that `check` finds the missing ones.
TlsConfig read_tls(const ConfigNode& node);
TlsConfig read_tls_block(const ConfigNode& tls);  // the same, given the block itself

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

// host:port, [v6]:port. Nothing when the port is missing or is not a number.
std::optional<std::pair<std::string, std::string>> split_host_port(const std::string& endpoint);

}  // namespace tailgate
