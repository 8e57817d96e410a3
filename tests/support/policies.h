// A PolicySet from YAML, for tests.
#pragma once

#include <memory>
#include <string>

#include "config/config_file.h"
#include "decide/policy_set.h"

namespace tailgate::test {

struct Policies {
  explicit Policies(const std::string& yaml, std::vector<RouteRule> routes = {{}}, std::uint32_t epoch = 1) {
    auto loaded = load_config_text(yaml, "test.yaml");
    if (!loaded) {
      errors.push_back(loaded.error().text);
      return;
    }
    set = PolicySet::build(loaded->root.items(), routes, *names, *table, epoch);
    errors = loaded->issues->errors;
  }
  std::shared_ptr<NamesTable> names = std::make_shared<NamesTable>();
  std::shared_ptr<RouteTable> table = std::make_shared<RouteTable>();
  PolicySetPtr set;
  std::vector<std::string> errors;
};

}  // namespace tailgate::test
