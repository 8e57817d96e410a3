// SPDX-License-Identifier: Apache-2.0
// GET /sampling?service=S and the gRPC method SamplingManager/GetSamplingStrategy: what SDKs ask, as they ask a Jaeger
// collector or agent. Errors are Jaeger's: 400 unless there is one service. GET /sampling/explain says what they are
// told and why. Threads: any.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "web/pages.h"

namespace tailgate {

// Who answers. All of it may be called by several threads at the same time.
struct SamplingAnswers {
  std::function<std::string(std::string_view service)> json;
  std::function<Result<std::string>(ByteView request)> grpc;     // protobuf to protobuf; errors: kBadInput
  std::function<void()> refused;                                 // a GET without a service, or with several
  std::function<std::string(std::string_view service)> explain;  // JSON for people; service "" is all
};

// Their service in a query string; nothing unless there is exactly one.
std::optional<std::string> sampled_service(std::string_view query);

// Also at "/", as Jaeger v2 does.
void add_sampling_pages(Pages& pages, const SamplingAnswers& answers);

}  // namespace tailgate
