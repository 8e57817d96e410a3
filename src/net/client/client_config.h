// SPDX-License-Identifier: Apache-2.0
// What clients of others read alike from their YAML: TLS, secrets, endpoints. Keys are the Collector's (configtls);
// problems go to the document's issues.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "config/config_node.h"

namespace tailgate {

// `text` without the blanks and line ends around it, which files have.
std::string without_blanks(std::string text);

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

// host:port, [v6]:port. Nothing when the port is missing or is not a number.
std::optional<std::pair<std::string, std::string>> split_host_port(const std::string& endpoint);

}  // namespace tailgate
