// SPDX-License-Identifier: Apache-2.0
#include "export/otlp/response.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>

#include "codec/field_reader.h"
#include "codec/json_repair.h"
#include "export/http/retry_after.h"
#include "wire/otlp/schema.h"

namespace tailgate {
namespace {

// google.protobuf.Duration: seconds = 1, nanos = 2.
Duration read_duration(ByteView message) {
  std::int64_t seconds = 0;
  std::int64_t nanos = 0;
  for (FieldReader r(message); r.next();) {
    if (r.type != pb::kVarint) continue;
    if (r.number == 1) seconds = static_cast<std::int64_t>(r.value);
    if (r.number == 2) nanos = static_cast<std::int32_t>(r.value);
  }
  seconds = std::clamp<std::int64_t>(seconds, 0, kRetrySecondsMax);
  nanos = std::clamp<std::int64_t>(nanos, 0, 999'999'999);
  return std::chrono::seconds(seconds) + Duration(nanos);
}

namespace json = boost::json;

// A backend may quote a span's text, and cut it inside a character.
json::value parse(ByteView text, json::error_code& error) {
  json::value parsed = json::parse(json::string_view(text.data(), text.size()), error);
  if (const JsonRepair repair = error ? json_repair_of(text) : JsonRepair(); repair.texts != 0) {
    parsed = json::parse(repaired_json(text, repair.size), error);
  }
  return parsed;
}

// The member under its name in JSON or in protobuf; null when it is not there.
const json::value* member(const json::value* object, std::string_view name, std::string_view proto_name) {
  const json::object* const members = object != nullptr ? object->if_object() : nullptr;
  if (members == nullptr) return nullptr;
  const json::value* const found = members->if_contains(name);
  return found != nullptr ? found : members->if_contains(proto_name);
}

std::string text(const json::value* value) {
  const json::string* const found = value != nullptr ? value->if_string() : nullptr;
  return found != nullptr ? std::string(*found) : "";
}

// JSON has an int64 as text; some write it as a number. Nothing below zero.
std::uint64_t count(const json::value* value) {
  if (value == nullptr) return 0;
  if (const json::string* const digits = value->if_string()) {
    std::int64_t out = 0;
    std::from_chars(digits->data(), digits->data() + digits->size(), out);
    return static_cast<std::uint64_t>(std::max<std::int64_t>(out, 0));
  }
  json::error_code error;
  const auto out = value->to_number<std::int64_t>(error);
  return error ? 0 : static_cast<std::uint64_t>(std::max<std::int64_t>(out, 0));
}

// "3.5s".
std::optional<Duration> json_duration(const std::string& text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || std::string_view(end, text.data() + text.size()) != "s") return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::clamp(seconds, 0.0, 86'400.0)));
}

}  // namespace

Result<PartialSuccess> read_partial_success(ByteView response) {
  PartialSuccess out;
  const auto bad = [] { return fail(ErrorKind::kBadInput, "the answer is not an ExportTraceServiceResponse"); };
  FieldReader r(response);
  while (r.next()) {
    if (!r.is_len(otlp::response::kPartialSuccess)) continue;
    FieldReader p(r.bytes);
    while (p.next()) {
      if (p.is_varint(otlp::partial_success::kRejectedSpans)) {
        const auto rejected = static_cast<std::int64_t>(p.value);
        out.rejected_spans = static_cast<std::uint64_t>(std::max<std::int64_t>(rejected, 0));
      }
      if (p.is_len(otlp::partial_success::kErrorMessage)) out.message = p.bytes;
    }
    if (!p.ok()) return bad();
  }
  if (!r.ok()) return bad();
  return out;
}

Result<PartialSuccess> read_partial_success_json(ByteView response) {
  json::error_code error;
  const json::value parsed = parse(response, error);
  if (error) return fail(ErrorKind::kBadInput, fmt::format("the answer is not JSON: {}", error.message()));
  const json::value* const partial = member(&parsed, "partialSuccess", "partial_success");
  return PartialSuccess{count(member(partial, "rejectedSpans", "rejected_spans")),
                        text(member(partial, "errorMessage", "error_message"))};
}

StatusDetails read_status_details_json(ByteView status) {
  StatusDetails out;
  json::error_code error;
  const json::value parsed = parse(status, error);
  if (error) return out;
  out.message = text(member(&parsed, "message", "message"));
  const json::value* const details = member(&parsed, "details", "details");
  const json::array* const list = details != nullptr ? details->if_array() : nullptr;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const json::value* const any = &(*list)[i];
    if (!text(member(any, "@type", "@type")).ends_with("/google.rpc.RetryInfo")) continue;
    out.retry_delay = json_duration(text(member(any, "retryDelay", "retry_delay"))).value_or(Duration::zero());
  }
  return out;
}

StatusDetails read_status_details(ByteView status) {
  StatusDetails out;
  for (FieldReader r(status); r.next();) {
    if (r.type != pb::kLen) continue;
    if (r.number == 2) out.message = r.bytes;
    if (r.number != 3) continue;
    ByteView type_url;
    ByteView value;
    for (FieldReader any(r.bytes); any.next();) {
      if (any.type != pb::kLen) continue;
      if (any.number == 1) type_url = any.bytes;
      if (any.number == 2) value = any.bytes;
    }
    if (!type_url.ends_with("/google.rpc.RetryInfo")) continue;
    out.retry_delay = Duration::zero();
    for (FieldReader info(value); info.next();) {
      if (info.number == 1 && info.type == pb::kLen) out.retry_delay = read_duration(info.bytes);
    }
  }
  return out;
}

}  // namespace tailgate
