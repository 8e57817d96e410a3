// SPDX-License-Identifier: Apache-2.0
// Strategy: what an SDK is told to sample of a service, and its forms on the wire, those of Jaeger's SamplingManager
// (jaeger-idl, api_v2/sampling.proto). Plain values and pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace tailgate {

struct OperationStrategy {
  std::string operation;  // name of the span that the SDK decides about
  double probability = 0;

  friend bool operator==(const OperationStrategy&, const OperationStrategy&) = default;
};

struct OperationStrategies {
  double default_probability = 0;            // of operations not listed
  double lower_bound_traces_per_second = 0;  // of each operation: so many are sampled besides; Go's SDK obeys it
  std::vector<OperationStrategy> each;

  friend bool operator==(const OperationStrategies&, const OperationStrategies&) = default;
};

struct Strategy {
  enum class Kind : std::uint8_t { kProbabilistic, kRateLimiting };

  Kind kind = Kind::kProbabilistic;
  double probability = 0;              // if probabilistic
  std::int32_t traces_per_second = 0;  // if rate limiting
  std::optional<OperationStrategies> operations = {};

  friend bool operator==(const Strategy&, const Strategy&) = default;
};

// A SamplingStrategyResponse as JSON, byte for byte as Jaeger writes it: members in the order of the proto file,
// numbers as Go prints them, those that are 0 too, and the enum as its name.
std::string strategy_json(const Strategy& strategy);
// The same as protobuf.
std::string strategy_proto(const Strategy& strategy);

// The service of a SamplingStrategyParameters message. Errors: kBadInput.
Result<std::string> read_strategy_request(ByteView message);

}  // namespace tailgate
