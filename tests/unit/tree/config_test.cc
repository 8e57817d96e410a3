// The configurations that ship: no errors, and nothing in them is without effect.
#include <catch2/catch.hpp>

#include "daemon/config.h"
#include "tree.h"

using namespace tailgate;
using namespace tailgate::test;

TEST_CASE("the configurations in the tree are good as they are", "[tree]") {
  for (const char* file : {"config/tailgate.yaml", "config/sidecar.yaml", "config/to-kafka.yaml", "config/to-elasticsearch.yaml", "deploy/container.yaml"}) {
    INFO(file);
    const auto config = load_daemon_config({(kTree / file).string(), {}});
    REQUIRE(config.has_value());
    CHECK(config->issues->errors == std::vector<std::string>{});
    CHECK(config->issues->notices == std::vector<std::string>{});
    CHECK(config->sampling.policies.size() >= 2);
    CHECK(config->exporters->size() >= 1);
  }
}
