// SPDX-License-Identifier: Apache-2.0
// Strategies: what every service is told, as a file in Jaeger's format says it (docs/head-sampling.md). Immutable; any
// thread.
//
//   {"default_strategy": {"type": "probabilistic", "param": 0.5,
//                         "operation_strategies": [{"operation": "op", "type": "probabilistic", "param": 1}]},
//    "service_strategies": [{"service": "s", "type": "ratelimiting", "param": 5}]}
//
// The rules are those of Jaeger's file provider (internal/sampling/samplingstrategy/file of Jaeger v2).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "config/config_node.h"
#include "head/strategy.h"

namespace tailgate {

class Strategies {
 public:
  // `otherwise`: the strategy of services that nobody names.
  explicit Strategies(Strategy otherwise) : otherwise_(std::move(otherwise)) {}

  void set(std::string service, Strategy strategy) { by_service_[std::move(service)] = std::move(strategy); }

  const Strategy& of(std::string_view service) const;
  bool names(std::string_view service) const { return by_service_.contains(service); }
  const std::map<std::string, Strategy, std::less<>>& by_service() const { return by_service_; }
  std::size_t services() const { return by_service_.size(); }

  friend bool operator==(const Strategies&, const Strategies&) = default;

 private:
  Strategy otherwise_;
  std::map<std::string, Strategy, std::less<>> by_service_;
};
using StrategiesPtr = std::shared_ptr<const Strategies>;

// Reads a whole file. What Jaeger would ignore is ignored with a notice; a value of a wrong type or out of its range is
// an error. `default_probability` is for services and operations without a strategy that can be used.
Strategies read_strategies(const ConfigNode& root, double default_probability);

}  // namespace tailgate
