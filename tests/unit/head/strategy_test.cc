// SPDX-License-Identifier: Apache-2.0
// The answers to SDKs, byte for byte as Jaeger's, and against the protobuf library as the twin.
#include "head/strategy.h"

#include <simdjson.h>

#include <catch2/catch.hpp>
#include <random>

#include "sampling_twin.pb.h"

using namespace tailgate;
namespace sampling = tailgate::sampling_twin;
using Kind = Strategy::Kind;

TEST_CASE("JSON is that of Jaeger, to the byte", "[head]") {
  CHECK(strategy_json({.probability = 0.42}) ==
        R"({"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.42}})");
  CHECK(strategy_json({.kind = Kind::kRateLimiting, .traces_per_second = 42}) ==
        R"({"strategyType":"RATE_LIMITING","rateLimitingSampling":{"maxTracesPerSecond":42}})");
  CHECK(strategy_json({.probability = 0.001,
                       .operations = OperationStrategies{.default_probability = 0.001,
                                                         .lower_bound_traces_per_second = 1.0 / 60,
                                                         .each = {{"GET /a", 0.5}}}}) ==
        R"({"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0.001},"operationSampling":{)"
        R"("defaultSamplingProbability":0.001,"defaultLowerBoundTracesPerSecond":0.016666666666666666,)"
        R"("perOperationStrategies":[{"operation":"GET /a","probabilisticSampling":{"samplingRate":0.5}}],)"
        R"("defaultUpperBoundTracesPerSecond":0}})");
  CHECK(strategy_json({.probability = 0, .operations = OperationStrategies{}}) ==
        R"({"strategyType":"PROBABILISTIC","probabilisticSampling":{"samplingRate":0},"operationSampling":{)"
        R"("defaultSamplingProbability":0,"defaultLowerBoundTracesPerSecond":0,"perOperationStrategies":[],)"
        R"("defaultUpperBoundTracesPerSecond":0}})");
}

TEST_CASE("numbers and names are printed as Go prints them", "[head]") {
  const auto rate = [](double value) {
    const std::string json = strategy_json({.probability = value});
    const std::size_t begin = json.find("Rate\":") + 6;
    return json.substr(begin, json.find('}', begin) - begin);
  };
  CHECK(rate(1) == "1");
  CHECK(rate(0.00001) == "0.00001");
  CHECK(rate(0.000001) == "0.000001");
  CHECK(rate(0.0000001) == "1e-7");
  CHECK(rate(1.5e-12) == "1.5e-12");
  CHECK(rate(1.0 / 3) == "0.3333333333333333");
  const std::string json =
      strategy_json({.operations = OperationStrategies{.each = {{"GET <a>&\"\x01", 1}, {"\xff", 1}}}});
  CHECK(json.find(R"("operation":"GET \u003ca\u003e\u0026\"\u0001")") != std::string::npos);
  CHECK(json.find(R"("operation":"\ufffd")") != std::string::npos);
}

TEST_CASE("the protobuf library reads every answer as it was meant", "[head]") {
  std::mt19937_64 random(17);
  const auto chance = [&] { return std::uniform_real_distribution<double>(0, 1)(random); };
  for (int round = 0; round < 2000; ++round) {
    Strategy in{.kind = random() % 2 ? Kind::kProbabilistic : Kind::kRateLimiting};
    if (in.kind == Kind::kProbabilistic) in.probability = random() % 4 ? chance() : 0;
    if (in.kind == Kind::kRateLimiting) in.traces_per_second = static_cast<std::int32_t>(random() % 100'000);
    if (random() % 2) {
      in.operations.emplace();
      in.operations->default_probability = random() % 4 ? chance() : 0;
      in.operations->lower_bound_traces_per_second = random() % 4 ? chance() : 0;
      for (std::uint64_t n = random() % 20; n > 0; --n) {
        in.operations->each.push_back({std::string(random() % 300, 'x'), random() % 4 ? chance() : 0});
      }
    }
    sampling::Response out;
    REQUIRE(out.ParseFromString(strategy_proto(in)));
    CHECK(out.strategy_type() == (in.kind == Kind::kProbabilistic ? sampling::PROBABILISTIC : sampling::RATE_LIMITING));
    CHECK(out.has_probabilistic_sampling() == (in.kind == Kind::kProbabilistic));
    CHECK(out.has_rate_limiting_sampling() == (in.kind == Kind::kRateLimiting));
    CHECK(out.probabilistic_sampling().sampling_rate() == in.probability);
    CHECK(out.rate_limiting_sampling().max_traces_per_second() == in.traces_per_second);
    REQUIRE(out.has_operation_sampling() == in.operations.has_value());
    CHECK(out.SerializeAsString() == strategy_proto(in));  // in the same form, too
    simdjson::dom::parser parser;
    REQUIRE(parser.parse(strategy_json(in)).error() == simdjson::SUCCESS);
    if (!in.operations) continue;
    const sampling::Operations& operations = out.operation_sampling();
    CHECK(operations.default_sampling_probability() == in.operations->default_probability);
    CHECK(operations.default_lower_bound_traces_per_second() == in.operations->lower_bound_traces_per_second);
    REQUIRE(operations.per_operation_strategies_size() == static_cast<int>(in.operations->each.size()));
    for (int i = 0; i < operations.per_operation_strategies_size(); ++i) {
      const sampling::Operation& one = operations.per_operation_strategies(i);
      CHECK(one.operation() == in.operations->each[static_cast<std::size_t>(i)].operation);
      CHECK(one.probabilistic_sampling().sampling_rate() ==
            in.operations->each[static_cast<std::size_t>(i)].probability);
    }
  }
}

TEST_CASE("a request is read as the protobuf library reads it, and refused where it is", "[head]") {
  CHECK(*read_strategy_request("") == "");
  CHECK(*read_strategy_request("\x0a\x04shop") == "shop");
  CHECK(*read_strategy_request("\x0a\x01"
                               "a\x12\x03xyz\x0a\x01"
                               "b") == "b");
  const Result<std::string> cut = read_strategy_request("\x0a\x05shop");
  REQUIRE_FALSE(cut);
  CHECK(cut.error().text == "expected a SamplingStrategyParameters message");
  std::mt19937_64 random(5778);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = "\x0a\x04shop\x0a\x02to\x10\x07";
    for (std::uint64_t n = random() % 3; n > 0; --n) bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 1));
    sampling::Parameters slow;
    const bool good = slow.ParseFromString(bytes);
    const Result<std::string> fast = read_strategy_request(bytes);
    REQUIRE(fast.has_value() == good);
    if (good) CHECK(*fast == slow.service_name());
  }
}
