// SPDX-License-Identifier: Apache-2.0
#include "wire/tempo/json.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

#include "codec/base64.h"
#include "codec/hex.h"

namespace tailgate {
namespace {

namespace json = boost::json;

struct Renamed {
  std::string_view from, to;
};
// Names that OTLP had before, and Tempo's own for its list of resources.
constexpr std::array kRenamed = {Renamed{"batches", "resourceSpans"},
                                 Renamed{"instrumentationLibrarySpans", "scopeSpans"},
                                 Renamed{"instrumentationLibrary", "scope"}};

constexpr std::array<std::string_view, 6> kSpanKindNames = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL",
                                                            "SPAN_KIND_SERVER",      "SPAN_KIND_CLIENT",
                                                            "SPAN_KIND_PRODUCER",    "SPAN_KIND_CONSUMER"};
constexpr std::array<std::string_view, 3> kStatusCodeNames = {"STATUS_CODE_UNSET", "STATUS_CODE_OK",
                                                              "STATUS_CODE_ERROR"};

// The number of an enum's name; the value itself when it is none of them.
template <std::size_t N>
void number_enum(json::value& value, const std::array<std::string_view, N>& names) {
  const auto it = std::find(names.begin(), names.end(), std::string_view(value.get_string()));
  if (it != names.end()) value = it - names.begin();
}

// 16 or 8 bytes in base64 to hex. They cannot be mistaken: hex has 32 or 16 digits, base64 has 24 or 12.
void hex_id(json::value& value) {
  const json::string& text = value.get_string();
  std::string bytes;
  if (text.size() != 24 && text.size() != 12) return;
  if (read_base64(ByteView(text.data(), text.size()), kBase64Protobuf, bytes)) value = to_hex(bytes);
}

void translate_text(std::string_view key, json::value& value) {
  if (key == "traceId" || key == "spanId" || key == "parentSpanId") hex_id(value);
  if (key == "kind") number_enum(value, kSpanKindNames);
  if (key == "code") number_enum(value, kStatusCodeNames);
}

// Attributes have their names in values, not in keys, so that a key is always one of the schema's. Depth: the parser's.
void translate(json::value& value) {
  if (value.is_array()) {
    for (json::value& item : value.get_array()) translate(item);
  }
  if (!value.is_object()) return;
  json::object out;
  for (auto& [key, member] : value.get_object()) {
    const auto renamed = std::find_if(kRenamed.begin(), kRenamed.end(),
                                      [&, k = std::string_view(key)](const Renamed& r) { return r.from == k; });
    if (member.is_string()) {
      translate_text(key, member);
    } else {
      translate(member);
    }
    out[renamed != kRenamed.end() ? renamed->to : std::string_view(key)] = std::move(member);
  }
  value = std::move(out);
}

}  // namespace

Result<std::string> tempo_json_to_otlp_json(ByteView text) {
  json::error_code ec;
  json::parse_options options;
  options.max_depth = 256;  // AnyValues nest 64 deep, at three levels each
  json::value root = json::parse(json::string_view(text.data(), text.size()), ec, {}, options);
  if (ec) return fail(ErrorKind::kBadInput, ec.message());
  if (root.is_object()) {
    json::object& whole = root.get_object();
    if (const json::value* const trace = whole.if_contains("trace"); trace != nullptr && trace->is_object()) {
      json::value inner = *trace;
      root = std::move(inner);
    }
  }
  translate(root);
  return json::serialize(root);
}

}  // namespace tailgate
