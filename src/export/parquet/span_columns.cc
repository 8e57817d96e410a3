// SPDX-License-Identifier: Apache-2.0
#include "export/parquet/span_columns.h"

#include <charconv>

namespace tailgate {
namespace {

constexpr std::array<std::string_view, 6> kKinds = {"UNSPECIFIED", "INTERNAL", "SERVER",
                                                    "CLIENT",      "PRODUCER", "CONSUMER"};
constexpr std::array<std::string_view, 3> kCodes = {"UNSET", "OK", "ERROR"};

}  // namespace

const AttributeValue* find_column(const TextColumn& column, const AttributeViews& attributes) {
  for (const std::string_view key : column.keys) {
    if (key.empty()) break;
    if (const AttributeValue* found = find_attribute(attributes, key)) return found;
  }
  return nullptr;
}

ResourceColumns ResourceColumns::of(ByteView prefix) {
  ResourceColumns out;
  out.view = read_resource_view(prefix);
  out.service = find_attribute(out.view.attributes, "service.name");
  for (std::size_t i = 0; i < kTextColumns.size(); ++i) {
    if (kTextColumns[i].of_resource) out.known[i] = find_column(kTextColumns[i], out.view.attributes);
  }
  return out;
}

std::optional<std::int32_t> http_status(const AttributeViews& attributes) {
  for (const char* key : {"http.response.status_code", "http.status_code"}) {
    const AttributeValue* const found = find_attribute(attributes, key);
    if (found == nullptr) continue;
    if (found->kind == AttributeValue::Kind::kInt) {
      const auto value = static_cast<std::int64_t>(found->bits);
      if (value == static_cast<std::int32_t>(value)) return static_cast<std::int32_t>(value);
    }
    if (found->kind != AttributeValue::Kind::kString) continue;
    std::int32_t value = 0;
    const char* const end = found->bytes.data() + found->bytes.size();
    const auto [read, wrong] = std::from_chars(found->bytes.data(), end, value);
    if (wrong == std::errc() && read == end) return value;
  }
  return std::nullopt;
}

std::string_view span_kind_word(std::uint32_t kind) { return kind < kKinds.size() ? kKinds[kind] : ""; }

std::string_view status_code_word(std::uint32_t code) { return code < kCodes.size() ? kCodes[code] : ""; }

}  // namespace tailgate
