// SPDX-License-Identifier: Apache-2.0
#include "export/export_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tailgate {
namespace {

void read_batch(const ConfigNode& batch, SendQueueOptions& options, std::string_view queue_sizer) {
  options.flush_timeout = batch.duration("flush_timeout", options.flush_timeout);
  const std::string sizer = batch.choice("sizer", queue_sizer, {"requests", "items", "bytes"});
  if (sizer == "bytes") {
    options.batch_bytes = static_cast<std::size_t>(batch.bytes("min_size", options.batch_bytes));
    options.batch_bytes = std::max<std::size_t>(options.batch_bytes, 1);
    if (const std::uint64_t most = batch.bytes("max_size", 0); most != 0)
      options.request_bytes_max = static_cast<std::size_t>(most);
  } else {
    batch.without_effect({"min_size", "max_size"});
  }
  batch.without_effect({"enabled", "partition"});
  batch.finish();
}

}  // namespace

void read_queue(const ConfigNode& node, SendQueueOptions& options) {
  const ConfigNode queue = node.child("sending_queue");
  if (queue.has("enabled") && !queue.boolean("enabled", true)) {
    queue.child("enabled").notice("the queue cannot be switched off; accepted, but without effect here");
  }
  options.in_flight_max =
      static_cast<std::uint32_t>(queue.integer("num_consumers", options.in_flight_max, {.min = 1, .max = 1000}));
  const std::string sizer = queue.choice("sizer", "requests", {"requests", "items", "bytes"});
  options.durable.directory = queue.text("directory");
  std::size_t& most = options.durable.directory.empty() ? options.bytes_max : options.durable.bytes_max;
  if (sizer == "bytes") {
    most = static_cast<std::size_t>(queue.bytes("queue_size", most));
  } else if (queue.has("queue_size")) {
    queue.child("queue_size").without_effect("; queues are bounded in bytes: max_bytes, or sizer: bytes");
  }
  most = static_cast<std::size_t>(queue.bytes("max_bytes", most));
  if (options.durable.directory.empty()) {
    if (queue.has("max_age")) queue.error("max_age", "expected a `directory` next to it: a queue in memory has no age");
  } else {
    options.durable.age_max = queue.duration("max_age", Duration::zero());
    options.bytes_max = SIZE_MAX / 2;  // what it is fed is bounded by the window, and must not be dropped
  }
  if (most == 0) queue.error("max_bytes", "expected more than 0");
  queue.without_effect({"storage", "wait_for_result", "block_on_overflow", "blocking"});
  read_batch(queue.child("batch"), options, sizer == "bytes" ? "bytes" : "items");
  queue.finish();

  const ConfigNode retry = node.child("retry_on_failure");
  RetryOptions& r = options.retry;
  r.enabled = retry.boolean("enabled", r.enabled);
  r.initial_interval = retry.duration("initial_interval", r.initial_interval);
  r.max_interval = retry.duration("max_interval", r.max_interval);
  r.max_elapsed_time = retry.duration("max_elapsed_time", r.max_elapsed_time);
  r.multiplier = retry.number("multiplier", r.multiplier);
  if (r.multiplier < 1) retry.error("multiplier", "expected 1 or more");
  r.randomization_factor = retry.number("randomization_factor", r.randomization_factor);
  if (r.randomization_factor < 0 || r.randomization_factor > 1) retry.error("randomization_factor", "expected 0 to 1");
  r.multiplier = std::max(r.multiplier, 1.0);
  r.randomization_factor = std::clamp(r.randomization_factor, 0.0, 1.0);
  retry.finish();
}

std::vector<std::pair<std::string, std::string>> read_headers(const ConfigNode& node) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto add = [&](const ConfigNode& at, std::string name, std::string value) {
    const auto bad_name = [](char c) {
      return c <= ' ' || c >= 127 || std::strchr("\"(),/:;<=>?@[\\]{}", c) != nullptr;
    };
    const auto bad_value = [](char c) { return c < ' ' || c == 127; };
    if (name.empty() || std::any_of(name.begin(), name.end(), bad_name)) {
      at.error("expected a header name");
    } else if (std::any_of(value.begin(), value.end(), bad_value)) {
      at.error("expected a header value of printable ASCII");
    } else {
      out.emplace_back(std::move(name), std::move(value));
    }
  };
  const ConfigNode headers = node.child("headers");
  if (headers.is_list()) {
    for (const ConfigNode& item : headers.items()) {
      add(item, item.text("name"), item.text("value"));
      item.finish();
    }
    return out;
  }
  for (const auto& [name, value] : headers.entries()) {
    if (!value.is_text() && !value.is_null()) {
      value.error("expected text");
    } else {
      add(value, name, value.scalar());
    }
  }
  return out;
}

Compression read_compression(const ConfigNode& node, bool zstd) {
  if (node.present() && node.child("compression").is_scalar() && node.text("compression").empty())
    return Compression::kNone;
  std::vector<std::string_view> known = {"gzip", "none"};
  if (zstd) known.push_back("zstd");
  const std::string wanted = node.choice("compression", "gzip", known);
  return wanted == "none" ? Compression::kNone : wanted == "zstd" ? Compression::kZstd : Compression::kGzip;
}

Authorization read_token(const ConfigNode& node, const std::string& key, const std::string& scheme) {
  const std::string token = read_secret(node, key);
  if (token.empty()) return {};
  Authorization out(token, node.text(key + "_file"), [scheme](const std::string& secret) {
    const bool bad = std::any_of(secret.begin(), secret.end(), [](char c) { return c <= ' ' || c >= 127; });
    return bad ? "" : scheme + secret;
  });
  if (out.empty()) node.error(fmt::format("expected {} of one line, printable ASCII without blanks", key));
  return out;
}

Authorization read_bearer_token(const ConfigNode& node,
                                const std::vector<std::pair<std::string, std::string>>& headers) {
  Authorization out = read_token(node, "bearer_token", "Bearer ");
  if (out.empty()) return out;
  for (const auto& [name, value] : headers) {
    std::string lower = name;
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    if (lower == "authorization") node.child("headers").error("expected no Authorization next to bearer_token");
  }
  return out;
}

std::vector<int> read_also_statuses(const ConfigNode& node) {
  std::vector<int> out;
  for (const ConfigNode& item : node.child("retry_on_failure").child("also").items())
    out.push_back(static_cast<int>(item.as_integer(500, {.min = 400, .max = 599})));
  return out;
}

}  // namespace tailgate
