// SPDX-License-Identifier: Apache-2.0
// The examples of docs/policies.md are policies that load, and every type has one.
#include <catch2/catch.hpp>

#include <fstream>
#include <regex>
#include <set>

#include "decide/registry.h"
#include "support/policies.h"

using namespace tailgate;
using namespace tailgate::test;

namespace {

std::string page() {
  std::ifstream in(std::string(TAILGATE_SOURCE_DIR) + "/docs/policies.md");
  return {std::istreambuf_iterator<char>(in), {}};
}

// The list items of YAML blocks and the `{name: ..., type: ...}` in running text, each as a list of policies.
std::vector<std::string> examples(const std::string& text) {
  std::vector<std::string> found;
  static const std::regex block("```yaml\n([^`]*)```");
  for (std::sregex_iterator it(text.begin(), text.end(), block), end; it != end; ++it) {
    std::string yaml = (*it)[1];
    if (const auto at = yaml.find("policies:\n"); at != std::string::npos) yaml = yaml.substr(at + 10);
    if (yaml.find("type:") != std::string::npos) found.push_back(yaml);
  }
  static const std::regex inline_policy("`(\\{name: [^`]*type: [^`]*\\})`");
  for (std::sregex_iterator it(text.begin(), text.end(), inline_policy), end; it != end; ++it)
    found.push_back("- " + std::string((*it)[1]));
  return found;
}

}  // namespace

TEST_CASE("every example of docs/policies.md loads, and every type has one", "[decide]") {
  const std::vector<std::string> all = examples(page());
  CHECK(all.size() > 15);
  std::set<std::string> types;
  for (const std::string& yaml : all) {
    INFO(yaml);
    const Policies policies(yaml);
    INFO((policies.errors.empty() ? "" : policies.errors[0]));
    CHECK(policies.errors.empty());
    static const std::regex type("type: ([a-z_]+)");
    for (std::sregex_iterator it(yaml.begin(), yaml.end(), type), end; it != end; ++it) types.insert((*it)[1]);
  }
  for (const PolicyType& type : policy_types()) {
    INFO(type.name);
    CHECK(types.contains(std::string(type.name)));
  }
}
