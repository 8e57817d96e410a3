// SPDX-License-Identifier: Apache-2.0
// The slow twin of the conversions to Jaeger's documents and Zipkin's spans: the tables under docs/exporters/ written
// over parsed messages and maps, and the JSON read with simdjson. Both give lines of text, which are held against each
// other.
#pragma once

#include <fmt/format.h>
#include <simdjson.h>

#include <map>
#include <set>
#include <string>

#include "otlp_twin.pb.h"
#include "support/twin_text.h"

namespace tailgate::test {

using TwinAttributes = google::protobuf::RepeatedPtrField<twin::KeyValue>;

inline std::string text_of(simdjson::dom::element e) { return std::string(std::string_view(e)); }

// From start to end, in nanoseconds; 0 when the end is before the start, or when either is 0 or after the year 2262.
inline std::uint64_t twin_duration(const twin::Span& span) {
  const std::uint64_t start = span.start_time_unix_nano(), end = span.end_time_unix_nano();
  const auto odd = [](std::uint64_t time) { return time == 0 || time >= 9'223'372'036'854'775'807U; };
  return odd(start) || odd(end) || end < start ? 0 : end - start;
}

inline std::string twin_base64(const std::string& bytes) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bits, out;
  for (const char c : bytes) bits += fmt::format("{:08b}", static_cast<unsigned char>(c));
  while (bits.size() % 6 != 0) bits += '0';
  for (std::size_t i = 0; i < bits.size(); i += 6) out += digits[std::stoul(bits.substr(i, 6), nullptr, 2)];
  while (out.size() % 4 != 0) out += '=';
  return out;
}

// One form for a value, whether it comes from a message or from JSON: numbers by value, maps in order of their keys.
inline std::string shape(const twin::AnyValue& v) {
  switch (v.value_case()) {
    case twin::AnyValue::kStringValue:
      return "s:" + v.string_value();
    case twin::AnyValue::kBoolValue:
      return v.bool_value() ? "true" : "false";
    case twin::AnyValue::kIntValue:
      return fmt::format("i:{}", v.int_value());
    case twin::AnyValue::kDoubleValue:
      return fmt::format("d:{:.17g}", v.double_value());
    case twin::AnyValue::kBytesValue:
      return "s:" + twin_base64(v.bytes_value());
    case twin::AnyValue::kArrayValue: {
      std::string out = "[";
      for (const auto& item : v.array_value().values()) out += shape(item) + ",";
      return out + "]";
    }
    case twin::AnyValue::kKvlistValue: {
      std::map<std::string, std::string> map;
      for (const auto& kv : v.kvlist_value().values()) map[kv.key()] = shape(kv.value());
      std::string out = "{";
      for (const auto& [key, value] : map) out += key + "=" + value + ",";
      return out + "}";
    }
    default:
      return "null";
  }
}

// A whole double is written as one by neither format, so it is told by what is expected.
inline std::string shape(simdjson::dom::element e, const std::string& like) {
  switch (e.type()) {
    case simdjson::dom::element_type::STRING:
      return "s:" + std::string(std::string_view(e));
    case simdjson::dom::element_type::BOOL:
      return bool(e) ? "true" : "false";
    case simdjson::dom::element_type::INT64:
      if (like.starts_with("d:")) return fmt::format("d:{:.17g}", static_cast<double>(std::int64_t(e)));
      return fmt::format("i:{}", std::int64_t(e));
    case simdjson::dom::element_type::UINT64:
      return fmt::format("d:{:.17g}", static_cast<double>(std::uint64_t(e)));
    case simdjson::dom::element_type::DOUBLE:
      return fmt::format("d:{:.17g}", double(e));
    default:
      return "?";
  }
}

// Text of a tag: for doubles by value, for arrays and maps by the JSON in it.
inline bool same_text(const twin::AnyValue& wanted, std::string_view got);

inline bool same_json(const twin::AnyValue& wanted, simdjson::dom::element got) {
  if (wanted.value_case() == twin::AnyValue::kArrayValue) {
    simdjson::dom::array list;
    if (got.get(list) != simdjson::SUCCESS) return false;
    int i = 0;
    for (const simdjson::dom::element item : list) {
      if (i >= wanted.array_value().values_size() || !same_json(wanted.array_value().values(i), item)) return false;
      ++i;
    }
    return i == wanted.array_value().values_size();
  }
  if (wanted.value_case() == twin::AnyValue::kKvlistValue) {
    simdjson::dom::object object;
    if (got.get(object) != simdjson::SUCCESS) return false;
    std::map<std::string, const twin::AnyValue*> map;
    for (const auto& kv : wanted.kvlist_value().values()) map[kv.key()] = &kv.value();
    auto next = map.begin();  // keys come sorted
    for (const auto& [key, value] : object) {
      if (next == map.end() || next->first != key || !same_json(*next->second, value)) return false;
      ++next;
    }
    return next == map.end();
  }
  const std::string like = shape(wanted);
  if (like == "null") return got.is_null();
  return shape(got, like) == like;
}

inline bool same_text(const twin::AnyValue& wanted, std::string_view got) {
  switch (wanted.value_case()) {
    case twin::AnyValue::kStringValue:
      return got == wanted.string_value();
    case twin::AnyValue::kBytesValue:
      return got == twin_base64(wanted.bytes_value());
    case twin::AnyValue::VALUE_NOT_SET:
      return got.empty();
    default: {
      simdjson::dom::parser parser;
      simdjson::dom::element e;
      const simdjson::padded_string text(got);
      return parser.parse(text).get(e) == simdjson::SUCCESS && same_json(wanted, e);
    }
  }
}

inline bool twin_has(const TwinAttributes& list, const std::string& key) {
  for (const auto& kv : list) {
    if (kv.key() == key) return true;
  }
  return false;
}

}  // namespace tailgate::test
