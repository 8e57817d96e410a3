// SPDX-License-Identifier: Apache-2.0
// The configurations that ship: no errors, and nothing in them is without effect.
#include <catch2/catch.hpp>

#include "settings/assembly.h"
#include "tree.h"

using namespace tailgate;
using namespace tailgate::test;

TEST_CASE("the configurations in the tree are good as they are", "[tree]") {
  std::vector<fs::path> files = {kTree / "deploy/container.yaml", kTree / "deploy/compose/tailgate.yaml"};
  for (const auto& entry : fs::directory_iterator(kTree / "config")) files.push_back(entry.path());
  REQUIRE(files.size() >= 8);
  for (const fs::path& file : files) {
    INFO(file);
    const auto config = read_daemon_config({file.string(), {}});
    REQUIRE(config.has_value());
    const Assembly parts = assemble(*config);
    // Nor is there a module for Parquet beside the tests, which `check` says.
    if (file.filename() == "to-s3.yaml") {
      REQUIRE(config->issues->errors.size() == 1);
      CHECK(config->issues->errors[0].message().find("expected a build with Parquet") != std::string::npos);
      config->issues->errors.clear();
    }
    CHECK(messages(config->issues->errors) == std::vector<std::string>{});
    CHECK(messages(config->issues->notices) == std::vector<std::string>{});
    CHECK(config->sampling.policies.size() >= 2);
    CHECK(parts.exporters->size() >= 1);
  }
}
