// SPDX-License-Identifier: Apache-2.0
// What SDKs ask, over gRPC and in a query string, as anybody may send it, and a file of strategies: the same input as
// each of them. The gRPC request is read as the protobuf library reads it, and whatever a file holds, an answer is JSON
// and protobuf that can be read.
#include <simdjson.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "config/config_file.h"
#include "head/head_sampling.h"
#include "sampling_twin.pb.h"
#include "support/demand.h"
#include "web/sampling.h"

using namespace tailgate;
using test::demand;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const Result<std::string> service = read_strategy_request(input);
  sampling_twin::Parameters slow;
  demand(slow.ParseFromArray(data, static_cast<int>(size)) == service.has_value(), "one of both readers is wrong");
  demand(!service || *service == slow.service_name(), "another service");
  sampled_service(input);

  const Result<ConfigDocument> file = load_config_text(input, "strategies.json", {.references = false});
  if (!file) return 0;
  const Strategies strategies = read_strategies(file->root, 0.001);
  if (!file->issues->errors.empty()) return 0;
  for (const std::string_view name : {std::string_view("shop"), input}) {
    const Strategy& strategy = strategies.of(name);
    demand(strategy.probability >= 0 && strategy.probability <= 1, "a probability out of range");
    simdjson::dom::parser parser;
    demand(parser.parse(strategy_json(strategy)).error() == simdjson::SUCCESS, "not JSON");
    sampling_twin::Response answer;
    demand(answer.ParseFromString(strategy_proto(strategy)), "not a message");
    demand(answer.has_operation_sampling() == strategy.operations.has_value(), "operations are lost");
  }
  return 0;
}
