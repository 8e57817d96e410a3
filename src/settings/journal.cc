// SPDX-License-Identifier: Apache-2.0
#include "settings/journal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"
#include "codec/json_text.h"
#include "config/config_file.h"
#include "decide/limiter.h"

namespace tailgate {
namespace {

constexpr std::uint64_t kBytesMin = 64 * kMiB;
constexpr std::uint64_t kSegmentsMin = 16;                      // of max_bytes: the unit in which it is given back
constexpr Duration kHoldMore = std::chrono::milliseconds(500);  // wheel, sweeps

}  // namespace

JournalOptions read_journal(const ConfigNode& node, Duration decision_wait) {
  JournalOptions out;
  if (node.is_null()) return out;
  out.directory = node.text("directory");
  if (out.directory.empty()) node.error("directory", "expected the path of a directory");
  const std::string ack = node.choice("ack", "journal", {"none", "journal", "disk"});
  out.ack = ack == "disk" ? JournalAck::kDisk : ack == "none" ? JournalAck::kAtOnce : JournalAck::kJournal;
  out.on_failure = node.choice("on_failure", "refuse", {"refuse", "memory"}) == "memory" ? JournalFailure::kMemory
                                                                                         : JournalFailure::kRefuse;
  const std::string codec = node.choice("compression", "lz4", {"none", "lz4", "zstd"});
  out.codec = codec == "zstd" ? BlockCodec::kZstd : codec == "none" ? BlockCodec::kPlain : BlockCodec::kLz4;
  out.bytes_max = node.bytes("max_bytes", out.bytes_max);
  if (out.bytes_max < kBytesMin) node.error("max_bytes", "at least 64MiB");
  out.disk_free_min = node.bytes("disk_free_min", 512 * kMiB);
  out.write_timeout = node.duration("write_timeout", out.write_timeout);
  out.retain = node.duration("retain", out.retain);
  out.segment_bytes = std::clamp(out.bytes_max / kSegmentsMin, 4 * kMiB, out.segment_bytes);
  out.keep_spans_per_minute =
      static_cast<std::uint64_t>(node.integer("keep_spans_per_minute", 600'000, {.min = 1, .max = 1'000'000'000}));
  // A trace may wait for the end of an interval of its rate limit too.
  out.hold = decision_wait + kLimitInterval + kHoldMore;
  node.finish();
  return out;
}

bool read_hand_over(const ConfigNode& node, bool has_journal) {
  const std::string undecided = node.choice("undecided", has_journal ? "hand_over" : "decide", {"hand_over", "decide"});
  node.finish();
  if (undecided == "hand_over" && !has_journal)
    node.error("undecided", "'decide', or a section `journal` that holds what is handed over");
  return undecided == "hand_over";
}

std::string quoted_condition(const std::string& condition) {
  std::string quoted;
  for (const char c : json_quoted(condition)) quoted.append(c == '$' ? 2 : 1, c);
  return quoted;
}

Result<PolicySetPtr> policies_of_condition(const std::string& condition, PolicyTables& tables) {
  const auto document = load_config_text(
      fmt::format("[{{name: kept, type: trace, trace: {{condition: {}}}}}]", quoted_condition(condition)),
      "the condition");
  if (!document) return fail(ErrorKind::kBadInput, document.error().text);
  PolicySetPtr set = PolicySet::build(document->root.items(), {}, {{}}, tables, {.epoch = 1});
  if (!document->issues->errors.empty()) return fail(ErrorKind::kBadInput, messages(document->issues->errors).front());
  return set;
}

std::optional<std::string> with_labels(const std::string& condition, const std::map<std::string, std::string>& labels,
                                       std::string& missing) {
  std::string out;
  for (std::size_t at = 0; at < condition.size();) {
    const std::size_t open = std::min(condition.find('{', at), condition.size());
    out.append(condition, at, open - at);
    if (open == condition.size()) break;
    const std::size_t close = condition.find('}', open);
    if (close == std::string::npos) {
      out.append(condition, open);
      break;
    }
    const std::string label = condition.substr(open + 1, close - open - 1);
    const auto value = labels.find(label);
    if (value == labels.end()) {
      missing = label;
      return std::nullopt;
    }
    for (const char c : value->second) {  // it stands in double quotes, and must not end them
      if (c == '"' || c == '\\') out.push_back('\\');
      if (static_cast<unsigned char>(c) >= 0x20) out.push_back(c);
    }
    at = close + 1;
  }
  return out;
}

namespace {

// With some text for each label, as it may come.
std::string tried(const std::string& condition) {
  std::map<std::string, std::string> labels;
  for (std::string missing;;) {
    if (const auto whole = with_labels(condition, labels, missing)) return *whole;
    labels[missing] = "a";
  }
}

void check_condition(const ConfigNode& node, const std::string& condition) {
  PolicyTables tables;
  const auto policies = policies_of_condition(tried(condition), tables);
  if (!policies) node.error("condition", "a condition of the policy type trace: " + policies.error().text);
}

}  // namespace

KeepConfig read_keep(const ConfigNode& keep, const ConfigNode& around, const JournalOptions& journal,
                     const std::function<bool(const std::string&)>& is_policy) {
  KeepConfig out;
  for (const ConfigNode* section : {&keep, &around}) {
    if (!section->is_null() && (journal.directory.empty() || journal.retain <= Duration::zero()))
      section->error("expected a section `journal` with `retain`, from which traces can be kept after the fact");
  }
  for (const ConfigNode& node : keep.child("alerts").items()) {
    AlertMapping& mapping = out.alerts.emplace_back();
    mapping.alert = node.text("alert");
    if (mapping.alert.empty()) node.error("alert", "the name of an alert");
    mapping.condition = node.text("condition");
    check_condition(node, mapping.condition);
    mapping.before = node.duration("before", std::chrono::minutes(10));
    mapping.limit = static_cast<std::uint64_t>(node.integer("limit", 500, {.min = 1, .max = 1'000'000}));
    node.finish();
  }
  out.search_memory = keep.bytes("search_memory", out.search_memory);
  if (out.search_memory < kMiB) keep.error("search_memory", "at least 1MiB");
  out.search_bytes = keep.bytes("search_bytes", out.search_bytes);
  if (out.search_bytes < kMiB) keep.error("search_bytes", "at least 1MiB");
  out.search_time = keep.duration("search_time", out.search_time, std::chrono::milliseconds(1));
  keep.finish();
  if (around.is_null()) return out;
  for (const ConfigNode& wanted : around.child("policies").items()) {
    if (!is_policy(wanted.scalar())) wanted.error("expected the name of a policy");
    out.around.policies.push_back(wanted.scalar());
  }
  if (out.around.policies.empty()) around.error("policies", "expected names of policies");
  out.around.condition = around.text("condition", "span_count >= 1");
  check_condition(around, out.around.condition);
  out.around.before = around.duration("before", std::chrono::minutes(2));
  out.around.after = around.duration("after", std::chrono::minutes(2));
  out.around.limit = static_cast<std::uint64_t>(around.integer("limit", 1000, {.min = 1, .max = 1'000'000}));
  around.finish();
  return out;
}

}  // namespace tailgate
