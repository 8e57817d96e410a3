// SPDX-License-Identifier: Apache-2.0
#include "net/client/client_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace tailgate {
namespace {

std::string read_whole(const ConfigNode& node, std::string_view key) {
  const std::string path = node.text(key);
  if (path.empty()) return "";
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  content << in.rdbuf();
  if (!in || content.str().empty()) {
    node.error(key, fmt::format("expected a file that can be read ({})", std::strerror(errno)));
    return "";
  }
  return std::move(content).str();
}

std::string file_or_pem(const ConfigNode& node, std::string_view file_key, std::string_view pem_key) {
  const std::string file = read_whole(node, file_key);
  const std::string pem = node.text(pem_key);
  if (!file.empty() && !pem.empty()) node.error(pem_key, fmt::format("expected either this or {}", file_key));
  return file.empty() ? pem : file;
}

}  // namespace

std::string without_blanks(std::string text) {
  constexpr const char* kBlank = " \t\r\n";
  text.erase(text.find_last_not_of(kBlank) + 1);
  text.erase(0, std::min(text.find_first_not_of(kBlank), text.size()));
  return text;
}

std::string read_secret(const ConfigNode& node, const std::string& key) {
  const std::string in_file = key + "_file";
  std::string secret = read_whole(node, in_file);
  if (!secret.empty() && node.has(key)) node.error(in_file, fmt::format("expected either this or {}", key));
  if (secret.empty()) return node.text(key);
  secret = without_blanks(std::move(secret));
  if (secret.empty()) node.error(in_file, "expected a file that is not empty");
  return secret;
}

TlsConfig read_tls(const ConfigNode& node) { return read_tls_block(node.child("tls")); }

TlsConfig read_tls_block(const ConfigNode& tls) {
  TlsConfig out;
  out.insecure = tls.boolean("insecure", false);
  out.insecure_skip_verify = tls.boolean("insecure_skip_verify", false);
  out.ca_file = tls.text("ca_file");
  out.ca_pem = file_or_pem(tls, "ca_file", "ca_pem");
  out.cert_pem = file_or_pem(tls, "cert_file", "cert_pem");
  out.key_pem = file_or_pem(tls, "key_file", "key_pem");
  if (out.cert_pem.empty() != out.key_pem.empty()) tls.error("expected cert_file and key_file, or neither of them");
  out.server_name_override = tls.text("server_name_override");
  tls.without_effect({"min_version", "max_version", "cipher_suites", "curve_preferences", "reload_interval",
                      "include_system_ca_certs_pool", "include_insecure_cipher_suites", "tpm"});
  tls.finish();
  return out;
}

std::optional<std::pair<std::string, std::string>> split_host_port(const std::string& endpoint) {
  const std::size_t colon = endpoint.rfind(':');
  if (colon == std::string::npos || colon == 0) return std::nullopt;
  std::string host = endpoint.substr(0, colon);
  const std::string port = endpoint.substr(colon + 1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (port.empty() || port.size() > 5 || !std::all_of(port.begin(), port.end(), digit) || std::stoi(port) > 65535) {
    return std::nullopt;
  }
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (!brackets && host.find_first_of("[]:/ ") != std::string::npos) return std::nullopt;
  if (brackets) host = host.substr(1, host.size() - 2);
  return std::pair(std::move(host), port);
}

}  // namespace tailgate
