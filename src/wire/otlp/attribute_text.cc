// SPDX-License-Identifier: Apache-2.0
#include "wire/otlp/attribute_text.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "codec/json_text.h"
#include "wire/otlp/item_limits.h"

namespace tailgate {
namespace {

using Kind = AttributeValue::Kind;

// As ES6 writes numbers, and Go's JSON: without an exponent from 1e-6 to 1e21.
void append_es6(std::string& out, double value) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value > 0 ? "Infinity" : "-Infinity";
    return;
  }
  const double size = std::fabs(value);
  const bool small = size != 0 && size < 1e-6;
  const auto format = small || size >= 1e21 ? std::chars_format::scientific : std::chars_format::fixed;
  char text[64];
  std::string number(text, std::to_chars(text, text + sizeof text, value, format).ptr);
  const std::size_t zero = number.find("e-0");
  if (zero != std::string::npos) number.erase(zero + 2, 1);
  out += number;
}

void append_json(std::string& out, const AttributeValue& value, int depth);

void append_map(std::string& out, AttributeViews list, int depth) {
  std::stable_sort(list.begin(), list.end(),
                   [](const AttributeView& a, const AttributeView& b) { return a.key < b.key; });
  out += '{';
  bool first = true;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i + 1 < list.size() && list[i + 1].key == list[i].key) continue;
    if (!first) out += ',';
    first = false;
    append_json_string(out, list[i].key);
    out += ':';
    append_json(out, list[i].value, depth);
  }
  out += '}';
}

void append_json(std::string& out, const AttributeValue& value, int depth) {
  if (depth > kValueDepthMax) {
    out += "null";
    return;
  }
  switch (value.kind) {
    case Kind::kUnset:
      out += "null";
      return;
    case Kind::kString:
      append_json_string(out, value.bytes);
      return;
    case Kind::kBool:
      out += value.bits != 0 ? "true" : "false";
      return;
    case Kind::kInt:
      append_number(out, static_cast<std::int64_t>(value.bits));
      return;
    case Kind::kDouble: {
      const double number = std::bit_cast<double>(value.bits);
      const bool text = !std::isfinite(number);
      if (text) out += '"';
      append_es6(out, number);
      if (text) out += '"';
      return;
    }
    case Kind::kBytes:
      append_quoted_base64(out, value.bytes);
      return;
    case Kind::kArray: {
      out += '[';
      bool first = true;
      for (const AttributeValue& item : array_of(value)) {
        if (!first) out += ',';
        first = false;
        append_json(out, item, depth + 1);
      }
      out += ']';
      return;
    }
    case Kind::kMap:
      append_map(out, map_of(value), depth + 1);
      return;
  }
}

}  // namespace

void append_attribute_text(std::string& out, const AttributeValue& value) {
  switch (value.kind) {
    case Kind::kUnset:
      return;
    case Kind::kString:
      out += value.bytes;
      return;
    case Kind::kDouble:
      append_es6(out, std::bit_cast<double>(value.bits));
      return;
    case Kind::kBytes:
      append_base64(out, value.bytes);
      return;
    default:
      append_json(out, value, 0);
  }
}

void append_attribute_json(std::string& out, const AttributeValue& value) { append_json(out, value, 0); }
void append_attributes_json(std::string& out, const AttributeViews& attributes) { append_map(out, attributes, 0); }

}  // namespace tailgate
