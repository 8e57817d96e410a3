// SPDX-License-Identifier: Apache-2.0
// What an OTLP backend answers: partial success, and how long to wait. Unknown parts are skipped. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace tailgate {

struct PartialSuccess {
  std::uint64_t rejected_spans = 0;  // 0 with a message is a warning
  std::string message;
};

// ExportTraceServiceResponse, as protobuf or JSON (both spellings of names; numbers also as texts). kBadInput when the
// bytes are neither: then it was not an OTLP backend that answered.
Result<PartialSuccess> read_partial_success(ByteView response);
Result<PartialSuccess> read_partial_success_json(ByteView response);

// google.rpc.Status with a google.rpc.RetryInfo among its details (grpc-status-details-bin, or the body of an HTTP
// error). What cannot be read is left out.
struct StatusDetails {
  std::string message;
  std::optional<Duration> retry_delay;
};
StatusDetails read_status_details(ByteView status);
StatusDetails read_status_details_json(ByteView status);

}  // namespace tailgate
