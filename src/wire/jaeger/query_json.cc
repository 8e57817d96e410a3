// SPDX-License-Identifier: Apache-2.0
// Fields follow Jaeger's model/json: ids are hex without leading zeros being sure, times are microseconds, a tag's
// value is a JSON value of its type or, in old versions, a text of it.
#include "wire/jaeger/query_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <boost/json.hpp>
#include <charconv>
#include <deque>
#include <limits>
#include <optional>

#include "codec/base64.h"
#include "codec/hex.h"
#include "wire/jaeger/model.h"
#include "wire/times.h"

namespace tailgate {
namespace {

namespace json = boost::json;

using Kind = AttributeValue::Kind;

ByteView view_of(const json::string& text) { return {text.data(), text.size()}; }

ByteView text_at(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_string() ? view_of(value->get_string()) : ByteView();
}

// A whole number, whatever way it is written; 0 when it is none.
std::int64_t integer_of(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_uint64()) return std::numeric_limits<std::int64_t>::max();
  if (value.is_double() && value.get_double() > -9e18 && value.get_double() < 9e18)
    return static_cast<std::int64_t>(value.get_double());
  std::int64_t number = 0;
  if (value.is_string()) {
    const ByteView text = view_of(value.get_string());
    std::from_chars(text.data(), text.data() + text.size(), number);
  }
  return number;
}

std::int64_t integer_at(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr ? integer_of(*value) : 0;
}

class QueryJsonReader {
 public:
  QueryJsonReader(ByteView document, ByteSink& out) : otlp_(out, document.size()) {}

  Result<void> read(const json::value& root) {
    const bool ok = each(root, "data", "", [&](const json::object& trace, const std::string& where) {
      const json::value* const processes = trace.if_contains("processes");
      static const json::object kNone;
      processes_ = processes != nullptr && processes->is_object() ? &processes->get_object() : &kNone;
      begun_ = false;
      return each(trace, "spans", where, [&](const json::object& span, const std::string&) { return add(span); });
    });
    if (!ok) return fail(ErrorKind::kBadInput, problem_);
    otlp_.end();
    return {};
  }

 private:
  // Calls `take` for each object of a list. A list that is not there is an empty one.
  template <class Take>
  bool each(const json::value& parent, std::string_view key, const std::string& where, Take take) {
    if (!parent.is_object()) return problem(where, "an object");
    return each(parent.get_object(), key, where, take);
  }
  template <class Take>
  bool each(const json::object& parent, std::string_view key, const std::string& where, Take take) {
    const json::value* const list = parent.if_contains(key);
    const std::string path = where.empty() ? std::string(key) : fmt::format("{}.{}", where, key);
    if (list == nullptr || list->is_null()) return true;
    if (!list->is_array()) return problem(path, "a list");
    std::size_t i = 0;
    for (const json::value& item : list->get_array()) {
      const std::string place = fmt::format("{}[{}]", path, i++);
      if (!item.is_object()) return problem(place, "an object");
      if (!take(item.get_object(), place)) return false;
    }
    return true;
  }

  bool problem(const std::string& where, std::string_view wanted) {
    problem_ = fmt::format("{}: expected {}", where.empty() ? "the whole" : where, wanted);
    return false;
  }

  bool add(const json::object& from) {
    begin(from);
    span_.clear();
    span_.trace_id = read_short_hex(text_at(from, "traceID"), span_.trace_id_bytes);
    span_.span_id = read_short_hex(text_at(from, "spanID"), span_.span_id_bytes);
    if (const ByteView parent = text_at(from, "parentSpanID"); !parent.empty()) {
      span_.parent = read_short_hex(parent, span_.parent_bytes);
    }
    span_.name = text_at(from, "operationName");
    span_.flags = static_cast<std::uint32_t>(integer_at(from, "flags"));
    const std::uint64_t start_us = us_of(from, "startTime");
    span_.start_ns = us_to_ns(start_us);
    span_.end_ns = add_ns(span_.start_ns, us_to_ns(us_of(from, "duration")));
    add_tags(from, "tags", span_.tags);
    each(from, "references", "", [&](const json::object& ref, const std::string&) {
      JaegerRef out;
      out.follows_from = text_at(ref, "refType") == "FOLLOWS_FROM";
      if (!read_short_hex(text_at(ref, "traceID"), out.trace_id).empty() &&
          !read_short_hex(text_at(ref, "spanID"), out.span_id).empty()) {
        span_.refs.push_back(out);
      }
      return true;
    });
    each(from, "logs", "", [&](const json::object& log, const std::string&) {
      const std::size_t first = span_.log_fields.size();
      add_tags(log, "fields", span_.log_fields);
      span_.logs.push_back({us_to_ns(us_of(log, "timestamp")), first, span_.log_fields.size() - first});
      return true;
    });
    otlp_.add(span_);
    texts_.clear();
    return true;
  }

  static std::uint64_t us_of(const json::object& object, std::string_view key) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, integer_at(object, key)));
  }

  // The process of a span: among those of its trace by name, or its own as Jaeger stores it.
  void begin(const json::object& span) {
    const json::value* process = processes_->if_contains(text_at(span, "processID"));
    if (const json::value* const own = span.if_contains("process"); own != nullptr && own->is_object()) process = own;
    if (process == last_process_ && begun_) return;
    last_process_ = process;
    begun_ = true;
    process_.clear();
    if (process != nullptr && process->is_object()) {
      process_.service_name = text_at(process->get_object(), "serviceName");
      add_tags(process->get_object(), "tags", process_.tags);
    }
    otlp_.begin(process_);
  }

  void add_tags(const json::object& from, std::string_view key, std::vector<JaegerTag>& out) {
    each(from, key, "", [&](const json::object& tag, const std::string&) {
      const json::value* const value = tag.if_contains("value");
      out.push_back(
          {text_at(tag, "key"), value != nullptr ? value_of(*value, text_at(tag, "type")) : AttributeValue()});
      return true;
    });
  }

  AttributeValue value_of(const json::value& value, ByteView type) {
    if (value.is_bool() || type == "bool") {
      const bool truth = value.is_bool() ? value.get_bool() : value.is_string() && value.get_string() == "true";
      return {Kind::kBool, truth ? 1U : 0U, {}};
    }
    if (type == "int64") return {Kind::kInt, static_cast<std::uint64_t>(integer_of(value)), {}};
    if (value.is_number()) return {Kind::kDouble, std::bit_cast<std::uint64_t>(value.to_number<double>()), {}};
    if (!value.is_string()) return {};
    const ByteView text = view_of(value.get_string());
    if (type == "float64") {
      double number = 0;
      std::from_chars(text.data(), text.data() + text.size(), number);
      return {Kind::kDouble, std::bit_cast<std::uint64_t>(number), {}};
    }
    if (type == "binary") {
      std::string& bytes = texts_.emplace_back();
      if (read_base64(text, kBase64Protobuf, bytes)) return {Kind::kBytes, 0, bytes};
    }
    return {Kind::kString, 0, text};
  }

  JaegerToOtlp otlp_;
  JaegerSpan span_;
  JaegerProcess process_;
  const json::object* processes_ = nullptr;
  const json::value* last_process_ = nullptr;
  bool begun_ = false;
  std::deque<std::string> texts_;  // that tags of the span in hand are views of
  std::string problem_;
};

}  // namespace

Result<void> jaeger_query_json_to_otlp(ByteView document, ByteSink& out) {
  json::error_code ec;
  const json::value root = json::parse(json::string_view(document.data(), document.size()), ec);
  if (ec) return fail(ErrorKind::kBadInput, ec.message());
  return QueryJsonReader(document, out).read(root);
}

}  // namespace tailgate
