// SPDX-License-Identifier: Apache-2.0
#include "head/strategies.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace tailgate {
namespace {

using Kind = Strategy::Kind;

class Reader {
 public:
  explicit Reader(double default_probability) : default_probability_(default_probability) {}

  Strategies read(const ConfigNode& root) const {
    const ConfigNode of_default = root.child("default_strategy");
    Strategy otherwise = of_default.is_null() ? unknown() : read_service(of_default);
    Strategies out(otherwise);
    std::set<std::string> seen;
    for (const ConfigNode& item : root.child("service_strategies").items()) {
      std::string service = item.text("service");
      if (service.empty()) {
        item.error("service", "expected the name of a service");
        continue;
      }
      if (!seen.insert(service).second) item.notice("is here a second time, and this one counts");
      out.set(std::move(service), with_inherited(read_service(item), otherwise));
    }
    ignore_others(root, std::array<std::string_view, 2>{"default_strategy", "service_strategies"});
    return out;
  }

 private:
  Strategy unknown() const { return {.kind = Kind::kProbabilistic, .probability = default_probability_}; }

  // Type and param of a service or an operation.
  Strategy read_one(const ConfigNode& node) const {
    if (!node.is_map()) {
      node.error("expected a map with type and param");
      return unknown();
    }
    const std::string type = node.text("type");
    const double param = node.number("param", 0);
    if (type == "probabilistic") {
      if (!(param >= 0 && param <= 1)) node.error("param", "expected a probability from 0 to 1");
      if (node.child("param").is_null()) node.notice("has no param, so nothing is sampled");
      return {.kind = Kind::kProbabilistic, .probability = param};
    }
    if (type == "ratelimiting") {
      constexpr double kMax = 2'147'483'647;
      if (!(param >= 0 && param <= kMax)) {
        node.error("param", "expected traces per second from 0 to 2147483647");
        return unknown();
      }
      const auto whole = static_cast<std::int32_t>(param);
      if (whole != param) node.notice(fmt::format("{} traces per second are taken as {}", param, whole));
      return {.kind = Kind::kRateLimiting, .traces_per_second = whole};
    }
    node.notice(fmt::format("the type '{}' is neither probabilistic nor ratelimiting; the probability is {}", type,
                            default_probability_));
    return unknown();
  }

  Strategy read_service(const ConfigNode& node) const {
    Strategy out = read_one(node);
    const std::vector<ConfigNode> items = node.child("operation_strategies").items();
    ignore_others(node, std::array<std::string_view, 4>{"service", "type", "param", "operation_strategies"});
    if (items.empty()) return out;
    OperationStrategies operations;
    operations.default_probability = out.kind == Kind::kProbabilistic ? out.probability : default_probability_;
    for (const ConfigNode& item : items) {
      const Strategy one = read_one(item);
      std::string name = item.text("operation");
      if (name.empty()) item.error("operation", "expected the name of an operation");
      ignore_others(item, std::array<std::string_view, 3>{"operation", "type", "param"});
      if (one.kind == Kind::kRateLimiting) {
        item.notice("is ignored: an operation can only be probabilistic");
        continue;
      }
      operations.each.push_back({std::move(name), one.probability});
    }
    out.operations = std::move(operations);
    return out;
  }

  // A service gets the operations of the default that it does not list itself.
  static Strategy with_inherited(Strategy service, const Strategy& otherwise) {
    if (!otherwise.operations || otherwise.operations->each.empty()) return service;
    if (!service.operations) {
      service.operations = otherwise.operations;
      if (service.kind == Kind::kProbabilistic) service.operations->default_probability = service.probability;
      return service;
    }
    std::vector<OperationStrategy>& own = service.operations->each;
    std::set<std::string_view> listed;
    for (const OperationStrategy& one : own) listed.insert(one.operation);
    std::vector<OperationStrategy> more;
    for (const OperationStrategy& one : otherwise.operations->each) {
      if (!listed.contains(one.operation)) more.push_back(one);
    }
    own.insert(own.end(), more.begin(), more.end());
    return service;
  }

  template <class Known>
  static void ignore_others(const ConfigNode& node, const Known& known) {
    for (const auto& [key, value] : node.entries()) {
      if (std::find(known.begin(), known.end(), key) == known.end())
        value.notice("is ignored: Jaeger's format has no such key");
    }
  }

  const double default_probability_;
};

}  // namespace

const Strategy& Strategies::of(std::string_view service) const {
  const auto found = by_service_.find(service);
  return found != by_service_.end() ? found->second : otherwise_;
}

Strategies read_strategies(const ConfigNode& root, double default_probability) {
  if (!root.is_map()) {
    root.error("expected a map with default_strategy, service_strategies or both");
    return Strategies({.probability = default_probability});
  }
  return Reader(default_probability).read(root);
}

}  // namespace tailgate
