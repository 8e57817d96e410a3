// SPDX-License-Identifier: Apache-2.0
// The keys of the s3 exporter.
//     s3: {region: eu-central-1, bucket: traces, prefix: prod/spans, max_file_age: 60s}
//     s3: {endpoint: http://minio:9000, bucket: traces, access_key: tailgate, secret_key_file: /run/secrets/s3}
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/units.h"
#include "codec/percent.h"
#include "export/export_config.h"
#include "export/parquet/library.h"
#include "export/registry.h"
#include "export/s3/s3.h"

namespace tailgate {
namespace {

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_bucket_name(const std::string& name) {
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return name.size() >= 3 && name.size() <= 63 && alnum(name.front()) && alnum(name.back()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return alnum(c) || c == '-' || c == '.'; }) &&
         name.find("..") == std::string::npos;
}

// Whether a path, without slashes at its ends, reaches the store unchanged: proxies and stores remove "//" and dots,
// and then the signature is for another path.
bool is_plain_path(std::string_view path) {
  while (!path.empty()) {
    const std::string_view part = path.substr(0, path.find('/'));
    if (part.empty() || part == "." || part == "..") return false;
    path.remove_prefix(std::min(path.size(), part.size() + 1));
  }
  return true;
}

std::string domain_of(const std::string& region) {
  return region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
}

void read_bucket(const ConfigNode& node, S3Options& options) {
  options.region = node.text("region", options.region);
  const auto of_region = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  if (options.region.empty() || !std::all_of(options.region.begin(), options.region.end(), of_region))
    node.error("region", "expected a region such as us-east-1");
  const std::string bucket = node.text("bucket");
  if (!is_bucket_name(bucket))
    node.error("bucket",
               "expected the name of a bucket: 3 to 63 of a-z, 0-9, '-' and '.', a letter or digit at its ends");
  options.prefix = node.text("prefix");
  while (options.prefix.ends_with('/')) options.prefix.pop_back();
  if (options.prefix.size() > 500 || !is_plain_path(options.prefix) ||
      std::any_of(options.prefix.begin(), options.prefix.end(), [](char c) { return (c >= 0 && c < ' ') || c == 127; }))
    node.error("prefix",
               "expected a path of at most 500 bytes without a slash in front, and no part empty, '.' or '..'");
  if (!options.prefix.empty()) options.prefix += '/';

  const std::string endpoint = node.text("endpoint");
  Result<HttpUrl> url = parse_http_url(
      endpoint.empty() ? fmt::format("https://s3.{}.{}", options.region, domain_of(options.region)) : endpoint);
  if (!url || url->path.find('?') != std::string::npos) {
    if (!endpoint.empty())
      node.error("endpoint", fmt::format("expected http://host:port or https://host:port ({})",
                                         url ? "a query has no place in it" : url.error().text));
    return;
  }
  while (url->path.ends_with('/')) url->path.pop_back();
  // It is sent and signed as it is, so it must not need encoding.
  if (!url->path.empty() &&
      (!is_plain_path(url->path.substr(1)) || percent_encoded(url->path, PercentKeep::kPath) != url->path))
    node.error("endpoint", "expected a path of letters, digits and '-._~/', and no part of it empty, '.' or '..'");
  // Amazon's certificates are for one label before their host.
  const bool dots = bucket.find('.') != std::string::npos;
  const bool path_style = node.boolean("force_path_style", !endpoint.empty() || dots);
  if (path_style) {
    url->path += "/" + bucket;
  } else {
    url->host = bucket + "." + url->host;
    if (url->path.empty()) url->path = "/";
  }
  options.http.urls = {*url};
}

// Finds who hands out a role's keys, by the variables that Amazon's platforms set. False when nobody does.
bool read_role(const std::string& region, S3CredentialsOptions& out) {
  const auto url = [&](const std::string& text) {
    const Result<HttpUrl> parsed = parse_http_url(text);
    if (parsed) out.url = *parsed;
    return parsed.has_value();
  };
  const std::string role = environment("AWS_ROLE_ARN"), file = environment("AWS_WEB_IDENTITY_TOKEN_FILE");
  if (!role.empty() && !file.empty()) {
    std::string sts = environment("AWS_ENDPOINT_URL_STS");
    if (sts.empty()) sts = fmt::format("https://sts.{}.{}", region, domain_of(region));
    out.token_file = file;
    out.web_identity = true;
    return url(
        fmt::format("{}/?Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=tailgate&RoleArn={}", sts,
                    percent_encoded(role, PercentKeep::kUnreserved)));
  }
  std::string address = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  const std::string relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) address = "http://169.254.170.2" + relative;
  out.token_file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  out.token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  return !address.empty() && url(address);
}

// The keys of the configuration, else those of the environment under the names that every S3 tool knows, else a role's.
void read_credentials(const ConfigNode& node, const std::string& region, S3CredentialsOptions& options) {
  AwsCredentials& out = options.given;
  out.access_key = read_secret(node, "access_key");
  out.secret_key = read_secret(node, "secret_key");
  out.session_token = read_secret(node, "session_token");
  if (out.access_key.empty() != out.secret_key.empty())
    node.error("expected access_key and secret_key (or their _file), or neither of them");
  if (out.access_key.empty() && out.secret_key.empty()) {
    if (!out.session_token.empty()) node.error("session_token", "expected access_key and secret_key next to it");
    out = {environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY"), environment("AWS_SESSION_TOKEN")};
    if (out.access_key.empty() || out.secret_key.empty()) {
      out = {};
      if (!read_role(region, options))
        node.error(
            "expected access_key and secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment");
    }
  }
  const std::pair<const char*, const std::string&> secrets[] = {
      {"access_key", out.access_key},
      {"secret_key", out.secret_key},
      {"session_token", out.session_token},
  };
  for (const auto& [name, secret] : secrets) {
    if (!is_printable(secret)) node.error(fmt::format("expected {} of one line, printable ASCII without blanks", name));
  }
  if (!is_printable(options.token, true))
    node.error("expected AWS_CONTAINER_AUTHORIZATION_TOKEN of one line, printable ASCII");
  read_http_tls(node, options.client, "role_tls");
}

}  // namespace

ExporterParts read_s3_exporter(const ConfigNode& node, const ExporterDefaults& defaults) {
  ExporterParts parts;
  S3Options options;
  options.module = find_parquet_module();
  if (options.module.empty())
    node.error(
        fmt::format("expected a build with Parquet: {} is not next to this program; build with "
                    "-DTAILGATE_WITH_PARQUET=ON (docs/exporters/s3.md)",
                    kParquetModule));
  read_bucket(node, options);
  read_credentials(node, options.region, options.credentials);
  read_http_tls(node, options.http.client);
  options.http.client.connect_timeout =
      node.duration("connect_timeout", options.http.client.connect_timeout, std::chrono::milliseconds(1));
  options.http.headers = {{"User-Agent", defaults.user_agent}};
  options.http.compression = Compression::kNone;
  options.http.timeout = node.duration("timeout", std::chrono::seconds(60), std::chrono::milliseconds(1));
  node.choice("format", "parquet", {"parquet"});
  options.table.compression_level =
      static_cast<int>(node.integer("compression_level", options.table.compression_level, {.min = 1, .max = 12}));
  options.table.row_group_rows =
      node.integer("row_group_rows", options.table.row_group_rows, {.min = 100, .max = 1'000'000});
  options.time_range = read_time_range(node);
  options.part_bytes = static_cast<std::size_t>(node.bytes("part_bytes", options.part_bytes));
  if (options.part_bytes < 5 * kMiB || options.part_bytes > 1024 * kMiB)
    node.error("part_bytes", "expected 5MiB to 1GiB: S3 takes no smaller parts");

  parts.queue.bytes_max = defaults.queue_bytes_max;
  parts.queue.in_flight_max = 2;
  parts.queue.divide = false;  // files are to be large, and the store does not look into them
  if (node.child("sending_queue").has("batch"))
    node.child("sending_queue").child("batch").error("expected max_file_bytes and max_file_age instead");
  read_queue(node, parts.queue);
  const std::uint64_t most = node.bytes("max_file_bytes", 64 * kMiB);
  if (most < kMiB || most > 4096 * kMiB) node.error("max_file_bytes", "expected 1MiB to 4GiB");
  parts.queue.batch_bytes = static_cast<std::size_t>(most);
  parts.queue.flush_timeout = node.duration("max_file_age", std::chrono::seconds(60), std::chrono::milliseconds(100));
  parts.queue.durable.window_max = 4 * parts.queue.batch_bytes;
  if (options.http.urls.empty()) return parts;
  parts.endpoint = endpoint_of(options.http.urls[0]);
  parts.exporter = make_s3_exporter(std::move(options));
  return parts;
}

}  // namespace tailgate
