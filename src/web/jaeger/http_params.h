// SPDX-License-Identifier: Apache-2.0
// What programs ask a Jaeger's HTTP API for, in the spellings of all its versions. Parameters that Jaeger does not know
// are left alone, as Jaeger does. Pure; any thread. Failures are kBadInput and name the parameter.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "web/jaeger/proto.h"
#include "web/params.h"

namespace tailgate {

struct JaegerSearch {
  TraceQuestion question;
  std::vector<TraceId> ids;  // not empty: these traces are asked for, and the question does not count
};

Result<JaegerSearch> read_jaeger_v1_search(std::string_view query, std::uint64_t now_ns);
Result<TraceQuestion> read_jaeger_v3_search(std::string_view query);
Result<JaegerTimes> read_jaeger_v1_times(std::string_view query, std::uint64_t now_ns);  // of dependencies

// "2026-11-29T09:31:03.5Z", with any offset from UTC; a blank may stand for its '+', as who does not escape it sends.
// Nothing for times before 1970.
std::optional<std::uint64_t> rfc3339_ns(std::string_view text);

}  // namespace tailgate
