// SPDX-License-Identifier: Apache-2.0
#include "export/otlp/response.h"

#include <algorithm>

#include "codec/field_reader.h"
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
  constexpr std::int64_t kMost = 86'400;  // a day; keeps the sum in range
  seconds = std::clamp<std::int64_t>(seconds, 0, kMost);
  nanos = std::clamp<std::int64_t>(nanos, 0, 999'999'999);
  return std::chrono::seconds(seconds) + Duration(nanos);
}

}  // namespace

PartialSuccess read_partial_success(ByteView response) {
  PartialSuccess out;
  for (FieldReader r(response); r.next();) {
    if (!r.is_len(otlp::response::kPartialSuccess)) continue;
    for (FieldReader p(r.bytes); p.next();) {
      if (p.is_varint(otlp::partial_success::kRejectedSpans)) {
        const auto rejected = static_cast<std::int64_t>(p.value);
        out.rejected_spans = static_cast<std::uint64_t>(std::max<std::int64_t>(rejected, 0));
      }
      if (p.is_len(otlp::partial_success::kErrorMessage)) out.message = p.bytes;
    }
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
