// SPDX-License-Identifier: Apache-2.0
// The file of strategies, by the rules of Jaeger's file provider.
#include "head/strategies.h"

#include <catch2/catch.hpp>

#include "config/config_file.h"

using namespace tailgate;
using Kind = Strategy::Kind;
using Texts = std::vector<std::string>;

namespace {

struct ReadFile {
  explicit ReadFile(const std::string& json) {
    auto loaded = load_config_text(json, "strategies.json", {.references = false});
    REQUIRE(loaded);
    strategies = std::make_unique<Strategies>(read_strategies(loaded->root, 0.001));
    errors = messages(loaded->issues->errors);
    notices = messages(loaded->issues->notices);
  }
  const Strategy& of(std::string_view service) const { return strategies->of(service); }

  std::unique_ptr<Strategies> strategies;
  Texts errors, notices;
};

}  // namespace

TEST_CASE("a service gets its own strategy, every other one the default", "[head]") {
  const ReadFile file(R"({
	"default_strategy": {"type": "probabilistic", "param": 0.5},
	"service_strategies": [
	  {"service": "shop", "type": "probabilistic", "param": 1e-1},
	  {"service": "mail", "type": "ratelimiting", "param": 5}
	]})");
  CHECK(file.errors == Texts{});
  CHECK(file.notices == Texts{});
  CHECK(file.of("shop") == Strategy{.probability = 0.1});
  CHECK(file.of("mail") == Strategy{.kind = Kind::kRateLimiting, .traces_per_second = 5});
  CHECK(file.of("other") == Strategy{.probability = 0.5});
  CHECK(file.strategies->names("mail"));
  CHECK_FALSE(file.strategies->names("other"));
  CHECK(ReadFile("{}").of("shop") == Strategy{.probability = 0.001});
}

TEST_CASE("operations of a service win over those of the default, which it inherits", "[head]") {
  const ReadFile file(R"({
    "default_strategy": {"type": "probabilistic", "param": 0.5, "operation_strategies": [
      {"operation": "health", "type": "probabilistic", "param": 0},
      {"operation": "pay", "type": "probabilistic", "param": 0.25}]},
    "service_strategies": [
      {"service": "own", "type": "probabilistic", "param": 0.8, "operation_strategies": [
        {"operation": "pay", "type": "probabilistic", "param": 1},
        {"operation": "GET /${id}$$", "type": "probabilistic", "param": 0.1}]},
      {"service": "plain", "type": "probabilistic", "param": 0.3},
      {"service": "limited", "type": "ratelimiting", "param": 7}]})");
  CHECK(file.errors == Texts{});
  CHECK(file.notices == Texts{});
  const std::vector<OperationStrategy> of_default = {{"health", 0}, {"pay", 0.25}};
  CHECK(file.of("own").operations == OperationStrategies{0.8, 0, {{"pay", 1}, {"GET /${id}$$", 0.1}, {"health", 0}}});
  CHECK(file.of("plain") == Strategy{.probability = 0.3, .operations = OperationStrategies{0.3, 0, of_default}});
  CHECK(file.of("limited") == Strategy{.kind = Kind::kRateLimiting,
                                       .traces_per_second = 7,
                                       .operations = OperationStrategies{0.5, 0, of_default}});
  CHECK(file.of("other") == Strategy{.probability = 0.5, .operations = OperationStrategies{0.5, 0, of_default}});
}

TEST_CASE("what Jaeger ignores is ignored, with a notice that says where", "[head]") {
  const ReadFile file(R"({"comment": "ours",
"default_strategy": {"type": "adaptive", "param": 3},
"service_strategies": [
{"service": "a", "type": "probabilistic", "param": 1, "operation_strategies": [{"operation": "x", "type": "ratelimiting", "param": 2}]},
{"service": "a", "type": "ratelimiting", "param": 1.5},
{"service": "b", "type": "probabilistic"}]})");
  CHECK(file.errors == Texts{});
  CHECK(file.of("other") == Strategy{.probability = 0.001});
  CHECK(file.of("a") == Strategy{.kind = Kind::kRateLimiting, .traces_per_second = 1});
  CHECK(file.of("b") == Strategy{.probability = 0});
  CHECK(file.notices ==
        Texts{"strategies.json:1:13: comment: is ignored: Jaeger's format has no such key",
              "strategies.json:2:21: default_strategy: the type 'adaptive' is neither probabilistic nor ratelimiting; "
              "the probability is 0.001",
              "strategies.json:4:80: service_strategies[0].operation_strategies[0]: is ignored: an operation can only "
              "be probabilistic",
              "strategies.json:5:1: service_strategies[1]: is here a second time, and this one counts",
              "strategies.json:5:1: service_strategies[1]: 1.5 traces per second are taken as 1",
              "strategies.json:6:1: service_strategies[2]: has no param, so nothing is sampled"});
}

TEST_CASE("a service whose operations are all ignored still has the list, with its default", "[head]") {
  const ReadFile file(R"({"service_strategies": [{"service": "a", "type": "unknown", "operation_strategies":
    [{"operation": "x", "type": "ratelimiting", "param": 2}]}]})");
  CHECK(file.of("a") == Strategy{.probability = 0.001, .operations = OperationStrategies{0.001, 0, {}}});
}

TEST_CASE("values that cannot be meant are errors that say where and what was wanted", "[head]") {
  const auto error = [](const std::string& json) {
    const ReadFile file(json);
    INFO(json);
    REQUIRE(file.errors.size() == 1);
    return file.errors[0];
  };
  CHECK(error(R"({"default_strategy": {"type": "probabilistic", "param": 50}})") ==
        "strategies.json:1:57: default_strategy.param: expected a probability from 0 to 1, got '50'");
  CHECK(error(R"({"default_strategy": {"type": "ratelimiting", "param": -1}})")
            .find("expected traces per second from 0 to 2147483647, got '-1'") != std::string::npos);
  CHECK(error(R"({"default_strategy": {"type": "probabilistic", "param": "half"}})").find("got 'half'") !=
        std::string::npos);
  CHECK(error(R"({"service_strategies": [{"type": "probabilistic", "param": 1}]})")
            .find("service_strategies[0].service: expected the name of a service") != std::string::npos);
  CHECK(error(R"({"service_strategies": {"a": 1}})").find("service_strategies: expected a list") != std::string::npos);
  CHECK(error(R"({"service_strategies": [{"service": "a", "type": "probabilistic", "param": 1,
        "operation_strategies": [{"type": "probabilistic", "param": 1}]}]})")
            .find("expected the name of an operation") != std::string::npos);
  CHECK(error("[]").find("expected a map with default_strategy") != std::string::npos);
  CHECK(error("").find("expected a map with default_strategy") != std::string::npos);
}
