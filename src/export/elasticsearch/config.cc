// SPDX-License-Identifier: Apache-2.0
// The keys of the elasticsearch exporter. Those that the Collector's has too are named as there.
//     elasticsearch: {endpoints: [https://es:9200], user: tailgate, password_file: /run/secrets/es, index_prefix: prod}
#include <fmt/format.h>

#include <algorithm>

#include "codec/base64.h"
#include "codec/json_text.h"
#include "export/elasticsearch/elasticsearch.h"
#include "export/export_config.h"
#include "export/registry.h"

namespace tailgate {
namespace {

constexpr std::size_t kReplyBytesMax = 16 << 20;  // some 300 bytes an item, were all to fail

void read_endpoints(const ConfigNode& node, ElasticsearchOptions& options) {
  std::vector<std::string> texts = node.texts("endpoints");
  const std::string one = node.text("endpoint");
  const char* const key = texts.empty() ? "endpoint" : "endpoints";
  if (!one.empty() && !texts.empty()) node.error("endpoint", "expected either this or endpoints");
  if (!one.empty()) texts = {one};
  if (texts.empty()) node.error("endpoints", "expected a list of http://host:port or https://host:port");
  for (const std::string& text : texts) {
    const Result<HttpUrl> url = parse_http_url(text);
    if (!url || url->path.find('?') != std::string::npos) {
      node.error(key, fmt::format("expected http://host:port or https://host:port ({})",
                                  url ? "a query has no place in it" : url.error().text));
    } else {
      options.http.urls.push_back(*url);
    }
  }
}

// One of: user and password, an API key, a bearer token.
void read_credentials(const ConfigNode& node, ElasticsearchOptions& options) {
  const std::string user = node.text("user");
  const std::string password = read_secret(node, "password");
  Authorization api_key = read_token(node, "api_key", "ApiKey ");
  Authorization token = read_token(node, "bearer_token", "Bearer ");
  if (user.empty() != password.empty()) node.error("expected user and password, or neither of them");
  if ((user.empty() ? 0 : 1) + (api_key.empty() ? 0 : 1) + (token.empty() ? 0 : 1) > 1) {
    node.error("expected one of user, api_key and bearer_token");
  }
  Authorization& out = options.http.authorization;
  out = !api_key.empty() ? std::move(api_key) : std::move(token);
  if (user.empty()) return;
  out = Authorization(password, node.text("password_file"), [user](const std::string& secret) {
    std::string value = "Basic ";
    append_base64(value, user + ":" + secret);
    return value;
  });
}

}  // namespace

ExporterParts read_elasticsearch_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  ElasticsearchOptions options;
  read_endpoints(node, options);
  read_http_exporter(node, options.http, defaults.user_agent);
  read_credentials(node, options);
  options.http.client.response_bytes_max = kReplyBytesMax;
  options.prefix = node.text("index_prefix");
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; };
  const bool starts_well = options.prefix.empty() || (options.prefix[0] != '-' && options.prefix[0] != '_');
  if (!starts_well || options.prefix.size() > 100 ||
      !std::all_of(options.prefix.begin(), options.prefix.end(), allowed)) {
    node.error("index_prefix", "expected at most 100 of a-z, 0-9, '-' and '_', a letter or digit first");
  }
  if (!options.prefix.empty() && !options.prefix.ends_with('-')) options.prefix += '-';
  options.use_aliases = node.boolean("use_aliases", false);
  options.create_templates = node.boolean("create_templates", true);
  options.shards = node.integer("shards", options.shards, {.min = 1, .max = 1024});
  options.replicas = node.integer("replicas", options.replicas, {.min = 0, .max = 100});
  options.time_range = read_time_range(node);
  parts.queue.bytes_max = defaults.queue_bytes_max;
  read_queue(node, parts.queue);
  if (options.http.urls.empty()) return parts;
  parts.endpoint = endpoint_of(options.http.urls[0]);
  parts.exporter = make_elasticsearch_exporter(std::move(options));
  return parts;
}

}  // namespace tailgate
