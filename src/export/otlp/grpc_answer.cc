// SPDX-License-Identifier: Apache-2.0
#include "export/otlp/grpc_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "export/http/http_answer.h"
#include "export/otlp/response.h"

namespace tailgate {
namespace {

// By number.
constexpr std::string_view kCodeNames[] = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

constexpr GrpcCodes bit(std::string_view name) {
  for (std::size_t i = 0; i < std::size(kCodeNames); ++i) {
    if (kCodeNames[i] == name) return GrpcCodes{1} << i;
  }
  return 0;
}

constexpr GrpcCodes kDeadlineExceeded = bit("DEADLINE_EXCEEDED"), kExhausted = bit("RESOURCE_EXHAUSTED");
constexpr GrpcCodes kRetried =
    kDeadlineExceeded | bit("CANCELLED") | bit("ABORTED") | bit("OUT_OF_RANGE") | bit("UNAVAILABLE") | bit("DATA_LOSS");

// The backend would refuse every request likewise.
constexpr GrpcCodes kOfAll =
    bit("UNAUTHENTICATED") | bit("PERMISSION_DENIED") | bit("UNIMPLEMENTED") | bit("NOT_FOUND");

// What gRPC's core says of a stream that ended without a status.
bool without_answer(std::string_view message) {
  constexpr std::string_view kHttp = "Received http2 header with status: ";
  if (message.starts_with("Received RST_STREAM") || message == "Stream removed") return true;
  if (!message.starts_with(kHttp)) return false;
  int status = 0;
  std::from_chars(message.data() + kHttp.size(), message.data() + message.size(), status);
  return is_transient(status);
}

// The same request would be too large again.
bool too_large(std::string_view message) {
  return message.find("larger than max") != std::string_view::npos ||
         message.find("exceeds maximum size") != std::string_view::npos;
}

}  // namespace

GrpcCodes read_also_codes(const ConfigNode& node) {
  const ConfigNode also = node.child("retry_on_failure").child("also");
  GrpcCodes out = 0;
  for (const ConfigNode& item : also.items()) {
    const GrpcCodes code = bit(item.scalar());
    if (code <= 1) item.error("expected a code of gRPC other than OK, such as RESOURCE_EXHAUSTED or INTERNAL");
    out |= code;
  }
  return out;
}

SendResult grpc_failure(int code, std::string_view message, ByteView details, GrpcCodes also) {
  const bool known = code >= 0 && static_cast<std::size_t>(code) < std::size(kCodeNames);
  const GrpcCodes is = known ? GrpcCodes{1} << code : 0;
  std::string text = fmt::format("gRPC status {}{}{}: {}", code, known ? " " : "",
                                 known ? kCodeNames[static_cast<std::size_t>(code)] : "", message);
  const StatusDetails answer = read_status_details(details);
  const FailReason reason = (is & kDeadlineExceeded) != 0 ? FailReason::kTimeout
                            : (is & kExhausted) != 0      ? FailReason::kRefused
                                                          : FailReason::kUnavailable;
  const bool paced = (is & kExhausted) != 0 && answer.retry_delay.has_value();
  const bool wanted = (is & also) != 0 && !((is & kExhausted) != 0 && too_large(message));
  if ((is & kRetried) != 0 || paced || wanted || !known || without_answer(message))
    return SendResult::retry(reason, std::move(text), answer.retry_delay.value_or(Duration::zero()));
  const bool exhausted = (is & kExhausted) != 0;
  const SendResult::About about = exhausted && too_large(message)   ? SendResult::About::kSize
                                  : exhausted || (is & kOfAll) != 0 ? SendResult::About::kAll
                                                                    : SendResult::About::kContent;
  return SendResult::permanent(exhausted ? reason : FailReason::kPermanent, std::move(text), about);
}

}  // namespace tailgate
