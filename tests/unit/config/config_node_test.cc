// SPDX-License-Identifier: Apache-2.0
#include "config/config_node.h"

#include <catch2/catch.hpp>

#include "config/config_file.h"

using namespace tailgate;
using namespace std::chrono_literals;

namespace {

ConfigDocument document_of(std::string_view yaml, LoadOptions options = {}) {
  Result<ConfigDocument> doc = load_config_text(yaml, "t.yaml", options);
  if (!doc) FAIL(doc.error().text);
  return *doc;
}

std::vector<std::string> errors_of(std::string_view yaml, void (*read)(const ConfigNode&)) {
  const ConfigDocument doc = document_of(yaml);
  read(doc.root);
  return messages(doc.issues->errors);
}

}  // namespace

TEST_CASE("typed readers return what was written", "[config]") {
  const ConfigDocument doc = document_of(R"(
i: -5
hex: 0x1F
f: 1.5e3
b: true
d: 1h30m
z: 0
size: 512MiB
plain_size: 4096
t: 'quoted # text'
list: [a, "b", 3]
nothing: null
empty:
)");
  const ConfigNode& n = doc.root;
  CHECK(n.integer("i", 1) == -5);
  CHECK(n.integer("hex", 1) == 31);
  CHECK(n.number("f", 0) == 1500);
  CHECK(n.number("i", 0) == -5);
  CHECK(n.boolean("b", false));
  CHECK(n.duration("d", 1s) == 90min);
  CHECK(n.duration("z", 1s) == 0s);
  CHECK(n.bytes("size", 0) == 512u << 20);
  CHECK(n.bytes("plain_size", 0) == 4096);
  CHECK(n.text("t") == "quoted # text");
  CHECK(n.text("i") == "-5");
  CHECK(n.texts("list") == std::vector<std::string>{"a", "b", "3"});
  CHECK(n.integer("nothing", 7) == 7);
  CHECK(n.text("empty", "x") == "x");
  CHECK(n.has("nothing"));
  CHECK_FALSE(n.has("missing"));
  CHECK(n.child("missing").child("deeper").integer("k", 3) == 3);
  n.finish();
  CHECK(doc.issues->errors.empty());
}

TEST_CASE("every bad value is an error with file, line, column, path, what was wanted and what came", "[config]") {
  struct Row {
    const char* yaml;
    void (*read)(const ConfigNode&);
    const char* error;
  };
  const Row rows[] = {
      {"policies:\n- {}\n- {latency: {threshold_ms: -5}}",
       [](const ConfigNode& n) {
         n.child("policies").items()[1].child("latency").integer("threshold_ms", 0, {.min = 0});
       },
       "t.yaml:3:28: policies[1].latency.threshold_ms: expected 0 or more, got '-5'"},
      {"a: {b: x}", [](const ConfigNode& n) { n.child("a").integer("b", 0); },
       "t.yaml:1:8: a.b: expected an integer, got 'x'"},
      {"a: 9223372036854775808", [](const ConfigNode& n) { n.integer("a", 0); },
       "t.yaml:1:4: a: expected an integer, got '9223372036854775808'"},
      {"a: 1.5", [](const ConfigNode& n) { n.integer("a", 0); }, "t.yaml:1:4: a: expected an integer, got '1.5'"},
      {"a: 101", [](const ConfigNode& n) { n.integer("a", 0, {.min = 0, .max = 100}); },
       "t.yaml:1:4: a: expected 0 to 100, got '101'"},
      {"a: [1]", [](const ConfigNode& n) { n.integer("a", 0); }, "t.yaml:1:4: a: expected an integer, got a list"},
      {"a: nan", [](const ConfigNode& n) { n.number("a", 0); }, "t.yaml:1:4: a: expected a number, got 'nan'"},
      {"a: 1x", [](const ConfigNode& n) { n.number("a", 0); }, "t.yaml:1:4: a: expected a number, got '1x'"},
      {"a: yes", [](const ConfigNode& n) { n.boolean("a", false); },
       "t.yaml:1:4: a: expected true or false, got 'yes'"},
      {"a: 5", [](const ConfigNode& n) { n.duration("a", 0s); },
       "t.yaml:1:4: a: expected a duration such as 5s or 200ms, got '5'"},
      {"a: -1s", [](const ConfigNode& n) { n.duration("a", 0s); }, "t.yaml:1:4: a: expected 0s or more, got '-1s'"},
      {"a: 5 lightyears", [](const ConfigNode& n) { n.bytes("a", 0); },
       "t.yaml:1:4: a: expected a size such as 512MiB, got '5 lightyears'"},
      {"a: {x: 1}", [](const ConfigNode& n) { n.text("a"); }, "t.yaml:1:4: a: expected text, got a map"},
      {"a: word", [](const ConfigNode& n) { n.texts("a"); }, "t.yaml:1:4: a: expected a list, got 'word'"},
      {"a: [x, [y]]", [](const ConfigNode& n) { n.texts("a"); }, "t.yaml:1:8: a[1]: expected text, got a list"},
      {"a: zstd",
       [](const ConfigNode& n) {
         n.choice("a", "none", {"none", "gzip"});
       },
       "t.yaml:1:4: a: expected one of none, gzip, got 'zstd'"},
      {"a: 7",
       [](const ConfigNode& n) {
         n.child("a").text("b");
         n.child("a").text("c");
       },
       "t.yaml:1:4: a: expected a map, got '7'"},
      {"a: {}", [](const ConfigNode& n) { n.child("a").error("name", "expected a name"); },
       "t.yaml:1:4: a.name: expected a name, got nothing"},
      {"- 1", [](const ConfigNode& n) { n.text("a"); }, "t.yaml:1:1: document: expected a map, got a list"},
      {"endpoint: x\nenpoint: y",
       [](const ConfigNode& n) {
         n.text("endpoint");
         n.finish();
       },
       "t.yaml:2:1: enpoint: expected a known key, got 'enpoint'; did you mean 'endpoint'?"},
      {"x: {zzzzzz: 1}",
       [](const ConfigNode& n) {
         n.child("x").text("endpoint");
         n.child("x").finish();
         n.finish();
       },
       "t.yaml:1:5: x.zzzzzz: expected a known key, got 'zzzzzz'"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    CHECK(errors_of(row.yaml, row.read) == std::vector<std::string>{row.error});
  }
}

TEST_CASE("one reading reports all errors", "[config]") {
  const auto errors = errors_of("a: x\nb: y\nc: 1\n", [](const ConfigNode& n) {
    n.integer("a", 0);
    n.boolean("b", false);
    n.finish();
  });
  CHECK(errors.size() == 3);
}

TEST_CASE("a syntax error names its place", "[config]") {
  const auto error = [](std::string_view yaml) {
    const auto doc = load_config_text(yaml, "t.yaml");
    return doc ? std::string("none") : doc.error().text;
  };
  CHECK(error("a: [1, 2").starts_with("t.yaml:1:"));
  CHECK(error("a: 1\n  b: 2").starts_with("t.yaml:2:"));
  CHECK(error("a: 1\nb: 2\na: 3") == "t.yaml:3:1: document: expected each key once, got 'a' again (first at line 1)");
  CHECK(error("? [a]\n: 1") == "t.yaml:1:3: document: expected a key that is a scalar, got a list");
  CHECK(error("a: 1\n---\nb: 2") == "t.yaml:3:1: document: expected one YAML document, got a second one");
  CHECK(error("a: *nothing").starts_with("t.yaml:1:"));
  CHECK(error("a: &x [*x]") == "t.yaml:1:8: document: expected an alias of a finished value, got one inside itself");
  CHECK(error("---\na: 1\n") == "none");
  CHECK(error("") == "none");
  CHECK(error("# only a comment") == "none");
}

TEST_CASE("deep nesting is an error and not a stack overflow", "[config]") {
  std::string deep(100'000, '[');
  CHECK_FALSE(load_config_text(deep, "t.yaml"));
  deep += std::string(100'000, ']');
  CHECK_FALSE(load_config_text(deep, "t.yaml"));
  std::string maps;
  for (int i = 0; i < 20'000; ++i) maps += "{a: ";
  CHECK_FALSE(load_config_text(maps, "t.yaml"));
}

TEST_CASE("aliases share a value, merges fill in what is missing, and neither can grow without end", "[config]") {
  const ConfigDocument doc = document_of(R"(
base: &base {x: 1, y: 2}
a: *base
b:
  <<: *base
  y: 3
c: {y: 4, <<: [*base, {z: 5}]}
)");
  CHECK(doc.root.child("a").integer("y", 0) == 2);
  CHECK(doc.root.child("b").integer("x", 0) == 1);
  CHECK(doc.root.child("b").integer("y", 0) == 3);
  CHECK(doc.root.child("c").integer("y", 0) == 4);
  CHECK(doc.root.child("c").integer("z", 0) == 5);

  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) laughs += (k ? ", *a" : "*a") + std::to_string(i - 1);
    laughs += "]\n";
  }
  const auto bomb = load_config_text(laughs, "t.yaml");
  REQUIRE_FALSE(bomb);
  CHECK(bomb.error().text.find("aliases written out") != std::string::npos);
}

TEST_CASE("keys without effect give one notice and no error", "[config]") {
  const ConfigDocument doc = document_of("a: {balancer_name: x}");
  const ConfigNode a = doc.root.child("a");
  a.without_effect({"balancer_name", "keepalive"});
  a.finish();
  CHECK(doc.issues->errors.empty());
  CHECK(messages(doc.issues->notices) ==
        std::vector<std::string>{"t.yaml:1:20: a.balancer_name: accepted, but without effect here"});
}

TEST_CASE("a long or binary value is shortened in messages", "[config]") {
  const auto errors =
      errors_of("a: \"x\\x01" + std::string(200, 'y') + "\"", [](const ConfigNode& n) { n.integer("a", 0); });
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].size() < 150);
  CHECK(errors[0].find("x\\x01yy") != std::string::npos);
}

TEST_CASE("a node of no document answers everything with the default", "[config]") {
  const ConfigNode none;
  CHECK(none.integer("a", 4) == 4);
  CHECK(none.text("a", "t") == "t");
  CHECK(none.items().empty());
  CHECK(none.entries().empty());
  CHECK(none.child("a").is_null());
  none.error("expected nothing");
  none.finish();
}
