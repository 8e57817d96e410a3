// SPDX-License-Identifier: Apache-2.0
#include "config/config_issue.h"

#include <catch2/catch.hpp>

using namespace tailgate;

TEST_CASE("issues are told in the order in which a reader of the files meets them", "[config]") {
  const auto issue = [](const std::string& file, int line, int column, const std::string& path) {
    return ConfigIssue{.file = file, .line = line, .column = column, .path = path, .text = "expected a", .got = "b"};
  };
  const std::vector<ConfigIssue> found = {issue("t.yaml", 9, 1, "e"), issue("p.yaml", 2, 1, "f"),
                                          issue("t.yaml", 3, 5, "c"), issue("t.yaml", 3, 2, "b"),
                                          issue("t.yaml", 1, 7, "a"), issue("t.yaml", 3, 5, "d")};
  CHECK(messages(found) ==
        std::vector<std::string>{"t.yaml:1:7: a: expected a, got b", "t.yaml:3:2: b: expected a, got b",
                                 "t.yaml:3:5: c: expected a, got b", "t.yaml:3:5: d: expected a, got b",
                                 "t.yaml:9:1: e: expected a, got b", "p.yaml:2:1: f: expected a, got b"});
}
