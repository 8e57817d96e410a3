// SPDX-License-Identifier: Apache-2.0
// A PolicySet from YAML, for tests.
#pragma once

#include <memory>
#include <string>

#include "config/config_file.h"
#include "decide/policy_set.h"

namespace tailgate::test {

struct Policies {
  explicit Policies(const std::string& yaml, std::vector<RouteRule> routes = {{}}, std::uint32_t epoch = 1,
                    PolicySetOptions with = {}, std::shared_ptr<PolicyTables> shared = std::make_shared<PolicyTables>())
      : tables(std::move(shared)) {
    auto loaded = load_config_text(yaml, "test.yaml");
    if (!loaded) {
      errors.push_back(loaded.error().text);
      return;
    }
    PolicySetOptions options = with;
    options.epoch = epoch;
    set = PolicySet::build(loaded->root.items(), {}, routes, *tables, options);
    errors = messages(loaded->issues->errors);
    notices = messages(loaded->issues->notices);
  }
  std::shared_ptr<PolicyTables> tables;
  PolicySetPtr set;
  std::vector<std::string> errors, notices;
};

}  // namespace tailgate::test
