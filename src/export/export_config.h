// What exporters read alike from their YAML: queue, retry, headers, TLS, endpoint. Keys are the Collector's
// (exporterhelper, configgrpc, confighttp, configtls); problems go to the document's issues.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config_node.h"
#include "export/send_queue.h"

namespace tailgate {

// `sending_queue` and `retry_on_failure` of `node` over what `options` holds already.
void read_queue(const ConfigNode& node, SendQueueOptions& options);

// `headers`: a map, or a list of {name, value}.
std::vector<std::pair<std::string, std::string>> read_headers(const ConfigNode& node);

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

// "none" or "gzip"; gzip when absent, as in the Collector. True for gzip.
bool read_gzip(const ConfigNode& node);

// host:port, [v6]:port. Nothing when the port is missing or no number.
std::optional<std::pair<std::string, std::string>> split_host_port(const std::string& endpoint);

}  // namespace tailgate
