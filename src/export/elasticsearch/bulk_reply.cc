// SPDX-License-Identifier: Apache-2.0
#include "export/elasticsearch/bulk_reply.h"

#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <exception>
#include <string_view>

#include "codec/json_repair.h"
#include "export/http/http_answer.h"

namespace tailgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kReplyDepthMax = 64;

// Counts how deep the parser is and takes note of what stands at the four places that matter.
struct BulkReader {
  constexpr static std::size_t max_object_size = std::size_t(-1);
  constexpr static std::size_t max_array_size = std::size_t(-1);
  constexpr static std::size_t max_key_size = std::size_t(-1);
  constexpr static std::size_t max_string_size = std::size_t(-1);

  explicit BulkReader(std::size_t limit) : items_max(limit) {}

  // Depths of what is open: the document 1, `items` 2, an item 3, its operation 4, its `error` 5.
  enum Depth : std::size_t { kDocument = 1, kItems, kItem, kOperation, kError };

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code& ec) {
    if (depth == 0) is_object = true;
    if (in_items && depth == kItems) {
      if (items.size() >= items_max) return refuse(fmt::format("more than {} items", items_max), ec);
      items.emplace_back();
      in_item = true;
      type.clear();
      reason.clear();
    }
    if (in_item && depth == kOperation) in_error = key == "error";
    ++depth;
    key.clear();
    return true;
  }
  bool on_object_end(std::size_t, json::error_code&) {
    --depth;
    if (depth == kOperation) in_error = false;
    if (!in_item || depth != kItems) return true;
    in_item = false;
    if (!type.empty() || !reason.empty()) {
      items.back().why = reason.empty() ? type : type.empty() ? reason : type + ": " + reason;
      if (items.back().why.size() > kQuotedMax) items.back().why.resize(kQuotedMax);
    }
    return true;
  }
  bool on_array_begin(json::error_code&) {
    if (depth == kDocument && key == "items") {
      in_items = true;
      items.clear();
      has_items = true;
    }
    ++depth;
    key.clear();
    return true;
  }
  bool on_array_end(std::size_t, json::error_code&) {
    --depth;
    if (depth == kDocument) in_items = false;
    return true;
  }

  bool on_key_part(json::string_view s, std::size_t, json::error_code&) { return collect(s); }
  bool on_key(json::string_view s, std::size_t, json::error_code&) {
    collect(s);
    key = std::move(text);
    text.clear();
    return true;
  }
  bool on_string_part(json::string_view s, std::size_t, json::error_code&) { return collect(s); }
  bool on_string(json::string_view s, std::size_t, json::error_code&) {
    collect(s);
    if (in_error && depth == kError && key == "type") type = text;
    if (in_error && depth == kError && key == "reason") reason = text;
    // "error" may be a text alone.
    if (in_item && depth == kOperation && key == "error") reason = text;
    text.clear();
    return true;
  }

  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t v, json::string_view, json::error_code&) {
    if (in_item && depth == kOperation && key == "status" && v > 0 && v < 1000)
      items.back().status = static_cast<int>(v);
    return true;
  }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code&) { return true; }
  bool on_double(double, json::string_view, json::error_code&) { return true; }
  bool on_bool(bool, json::error_code&) { return true; }
  bool on_null(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

  // No more of a text than is ever shown.
  bool collect(json::string_view s) {
    if (text.size() <= kQuotedMax) text.append(s.data(), std::min<std::size_t>(s.size(), kQuotedMax + 1 - text.size()));
    return true;
  }
  bool refuse(std::string why, json::error_code& ec) {
    problem = std::move(why);
    ec = json::error::exception;
    return false;
  }

  const std::size_t items_max;
  std::vector<BulkItem> items;
  std::size_t depth = 0;
  bool is_object = false, has_items = false, in_items = false, in_item = false, in_error = false;
  std::string key, text, type, reason, problem;
};

Result<std::vector<BulkItem>> parse(ByteView text, std::size_t items_max) {
  json::parse_options options;
  options.max_depth = kReplyDepthMax;
  try {
    json::basic_parser<BulkReader> parser(options, items_max);
    BulkReader& reader = parser.handler();
    json::error_code ec;
    const std::size_t n = parser.write_some(false, text.data(), text.size(), ec);
    if (!reader.problem.empty()) return fail(ErrorKind::kBadInput, "the answer to _bulk has " + reader.problem);
    if (!ec && n < text.size()) ec = json::error::extra_data;
    if (ec) return fail(ErrorKind::kBadInput, fmt::format("the answer to _bulk, at byte {}: {}", n, ec.message()));
    if (!reader.is_object || !reader.has_items) return fail(ErrorKind::kBadInput, "the answer to _bulk has no items");
    return std::move(reader.items);
  } catch (const std::exception& e) {
    return fail(ErrorKind::kBadInput, fmt::format("the answer to _bulk: {}", e.what()));
  }
}

}  // namespace

// A cluster may quote a document's text, and cut it inside a character.
Result<std::vector<BulkItem>> read_bulk_reply(ByteView text, std::size_t items_max) {
  Result<std::vector<BulkItem>> read = parse(text, items_max);
  if (const JsonRepair repair = read ? JsonRepair() : json_repair_of(text); repair.texts != 0) {
    read = parse(repaired_json(text, repair.size), items_max);
  }
  return read;
}

}  // namespace tailgate
