// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "config/config_node.h"
#include "net/tls/tls.h"

namespace tailgate {
namespace {

int version_of(const ConfigNode& node, std::string_view key, int fallback) {
  const std::string text = node.choice(key, "", {"1.2", "1.3"});
  return text == "1.2" ? TLS1_2_VERSION : text == "1.3" ? TLS1_3_VERSION : fallback;
}

}  // namespace

std::optional<TlsOptions> read_server_tls(const ConfigNode& node) {
  if (node.is_null()) return std::nullopt;
  TlsOptions out;
  out.cert_file = node.text("cert_file");
  out.key_file = node.text("key_file");
  if (out.cert_file.empty()) node.error("cert_file", "expected a PEM file with the server's certificate");
  if (out.key_file.empty()) node.error("key_file", "expected a PEM file with the server's key");
  for (const char* key : {"cert_pem", "key_pem", "client_ca_pem"}) {
    if (node.has(key)) node.error(key, "expected a file instead: secrets do not belong in a configuration");
  }
  out.client_ca_file = node.text("client_ca_file");
  out.client_sans = node.texts("client_sans");
  if (!out.client_sans.empty() && out.client_ca_file.empty())
    node.error("client_sans", "expected a client_ca_file with it");
  out.min_version = version_of(node, "min_version", TLS1_2_VERSION);
  out.max_version = version_of(node, "max_version", 0);
  if (out.max_version != 0 && out.max_version < out.min_version)
    node.error("max_version", "expected min_version or more");
  for (const ConfigNode& item : node.child("cipher_suites").items()) {
    // The Collector's names are those of the TLS registry; OpenSSL has its own.
    const std::string name = OPENSSL_cipher_name(item.scalar().c_str());
    if (name == "(NONE)")
      item.error("expected the name of a TLS 1.2 cipher suite, as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    out.cipher_suites += (out.cipher_suites.empty() ? "" : ":") + name;
  }
  out.reload_interval = node.duration("reload_interval", out.reload_interval, std::chrono::milliseconds(10));
  node.without_effect(
      {"client_ca_file_reload", "curve_preferences", "include_system_ca_certs_pool", "include_insecure_cipher_suites"});
  node.finish();
  if (!out.cert_file.empty() && !out.key_file.empty()) {
    const auto loaded = TlsContext::load(out, {});
    if (!loaded) node.error(fmt::format("expected TLS files that load ({})", loaded.error().text));
  }
  return out;
}

}  // namespace tailgate
