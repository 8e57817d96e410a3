// SPDX-License-Identifier: Apache-2.0
#include "config/config_file.h"

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

std::optional<std::string> fake_environment(const std::string& name) {
  if (name == "PORT") return "4317";
  if (name == "HOST") return "tempo";
  if (name == "LIST") return "[a, b]";
  if (name == "OCTAL") return "0123";
  if (name == "QUOTED") return "'7'";
  if (name == "TOKEN") return "a: b: c";
  if (name == "SNEAKY") return "${HOST}";
  if (name == "EMPTY") return "";
  if (name == "_x9") return "ok";
  return std::nullopt;
}

ConfigDocument load(std::string_view yaml, std::vector<std::string> overrides = {}) {
  LoadOptions options;
  options.overrides = std::move(overrides);
  options.environment = fake_environment;
  Result<ConfigDocument> doc = load_config_text(yaml, "t.yaml", options);
  if (!doc) FAIL(doc.error().text);
  return *doc;
}

std::string expand(const std::string& text) { return load("a: '" + text + "'").root.text("a"); }

}  // namespace

TEST_CASE("references are replaced as in the Collector", "[config]") {
  CHECK(expand("${env:HOST}") == "tempo");
  CHECK(expand("${HOST}") == "tempo");
  CHECK(expand("http://${env:HOST}:${PORT}/v1") == "http://tempo:4317/v1");
  CHECK(expand("${env:NOPE:-fall:-back}") == "fall:-back");
  CHECK(expand("${env:NOPE:-}") == "");
  CHECK(expand("${env:NOPE:-${HOST}}") == "tempo");
  CHECK(expand("${env:HOST:-x}") == "tempo");
  CHECK(expand("${_x9}") == "ok");
  CHECK(expand("$$HOST") == "$HOST");
  CHECK(expand("$${HOST}") == "${HOST}");
  CHECK(expand("$HOST") == "$HOST");
  CHECK(expand("end$") == "end$");
  CHECK(expand("${HOST") == "${HOST");
  CHECK(expand("^/a{1,2}$") == "^/a{1,2}$");
  CHECK(expand("${SNEAKY}") == "${HOST}");
}

TEST_CASE("a scalar that is only a reference is read again as YAML, and as it stands for texts", "[config]") {
  const ConfigDocument doc = load(R"(
port: ${env:PORT}
list: ${env:LIST}
octal: ${env:OCTAL}
quoted: ${env:QUOTED}
token: ${env:TOKEN}
empty: ${env:EMPTY}
default: ${env:NOPE:-5}
)");
  CHECK(doc.root.integer("port", 0) == 4317);
  CHECK(doc.root.text("port") == "4317");
  CHECK(doc.root.texts("list") == std::vector<std::string>{"a", "b"});
  CHECK(doc.root.text("list") == "[a, b]");
  CHECK(doc.root.text("octal") == "0123");
  CHECK(doc.root.text("quoted") == "'7'");
  CHECK(doc.root.integer("quoted", 0) == 7);
  CHECK(doc.root.text("token") == "a: b: c");
  CHECK(doc.root.text("empty", "x") == "");
  CHECK(doc.root.integer("empty", 9) == 9);
  CHECK(doc.root.integer("default", 0) == 5);
  CHECK(doc.issues->errors.empty());
}

TEST_CASE("a reference that cannot be resolved is an error with its place", "[config]") {
  const auto errors = [](std::string_view yaml) { return messages(load(yaml).issues->errors); };
  CHECK(errors("a:\n  - x: ${env:NOPE}") ==
        std::vector<std::string>{"t.yaml:2:8: a[0].x: expected the environment variable NOPE or a default as in "
                                 "${env:NOPE:-x}, got nothing"});
  CHECK(errors("a: ${9x}") ==
        std::vector<std::string>{"t.yaml:1:4: a: expected a variable name of letters, digits and _, got '9x'"});
  CHECK(errors("a: ${file:x}") == std::vector<std::string>{"t.yaml:1:4: a: expected ${env:NAME}, got '${file:x}'"});
}

TEST_CASE("errors in a value from the environment have the place of the reference", "[config]") {
  const ConfigDocument doc = load("x: 1\na: ${env:LIST}");
  doc.root.integer("a", 0);
  CHECK(messages(doc.issues->errors) == std::vector<std::string>{"t.yaml:2:4: a: expected an integer, got a list"});
}

TEST_CASE("--set overrides by path, by index, makes maps, and the last wins", "[config]") {
  const std::string yaml = "a: {b: 1}\nlist: [{n: x}, {n: y}]\nnull_map:\n";
  const ConfigDocument doc = load(yaml, {"a.b=2", "a.b=3", "a.c.d=[1, 2]", "list.1.n=z", "list.2={n: w}", "new.x=true",
                                         "null_map.k=v", "env=${PORT}", "eq=a=b"});
  const ConfigNode& n = doc.root;
  CHECK(doc.issues->errors.empty());
  CHECK(n.child("a").integer("b", 0) == 3);
  CHECK(n.child("a").child("c").texts("d") == std::vector<std::string>{"1", "2"});
  CHECK(n.child("list").items()[0].text("n") == "x");
  CHECK(n.child("list").items()[1].text("n") == "z");
  CHECK(n.child("list").items()[2].text("n") == "w");
  CHECK(n.child("new").boolean("x", false));
  CHECK(n.child("null_map").text("k") == "v");
  CHECK(n.integer("env", 0) == 4317);
  CHECK(n.text("eq") == "a=b");
}

TEST_CASE("--set changes one place of a value that aliases share", "[config]") {
  const ConfigDocument doc = load("x: &x {k: 1}\ny: *x", {"y.k=2"});
  CHECK(doc.root.child("x").integer("k", 0) == 1);
  CHECK(doc.root.child("y").integer("k", 0) == 2);
}

TEST_CASE("a bad --set is an error", "[config]") {
  const auto errors = [](const char* set) { return messages(load("a: 1\nl: [x]", {set}).issues->errors); };
  CHECK(errors("a") == std::vector<std::string>{"--set:1:1: document: expected a.b.c=VALUE, got 'a'"});
  CHECK(errors("=1") == std::vector<std::string>{"--set:1:1: document: expected a.b.c=VALUE, got '=1'"});
  CHECK(errors("a.b=1") == std::vector<std::string>{"--set:1:1: a.b: expected a map or a list at a, got '1'"});
  CHECK(errors("a..b=1").size() == 1);
  CHECK(errors("l.7=1") ==
        std::vector<std::string>{"--set:1:1: l.7: expected an index from 0 to 1 in the list l, got '7'"});
  CHECK(errors("l.k=1").size() == 1);
  REQUIRE(errors("a=[").size() == 1);
  CHECK(errors("a=[")[0].starts_with("--set:1:"));
}

TEST_CASE("a bad value that came by --set says so", "[config]") {
  const ConfigDocument doc = load("a: {b: 1}", {"a.b=x"});
  doc.root.child("a").integer("b", 0);
  CHECK(messages(doc.issues->errors) == std::vector<std::string>{"--set:1:5: a.b: expected an integer, got 'x'"});
}

TEST_CASE("documents of one configuration share their issues", "[config]") {
  LoadOptions options;
  options.issues = std::make_shared<ConfigIssues>();
  load_config_text("a: x", "one.yaml", options)->root.integer("a", 0);
  load_config_text("a: y", "two.yaml", options)->root.integer("a", 0);
  CHECK(options.issues->errors.size() == 2);
}

TEST_CASE("a file that is not there is an error that names it", "[config]") {
  const auto doc = load_config_file("/nonexistent/tailgate.yaml");
  REQUIRE_FALSE(doc);
  CHECK(doc.error().kind == ErrorKind::kIo);
  CHECK(doc.error().text == "cannot open /nonexistent/tailgate.yaml: No such file or directory");
}

TEST_CASE("an error is one line whatever is in the names of keys and in references", "[config]") {
  const ConfigDocument doc =
      load("\"a\\nt.yaml:1:1: b\": [\"${env:x\\ny}\", \"${file:a\\nb}\"]\n\"u\\u2028v\\x85\": 1\n");
  doc.root.finish();
  const std::vector<std::string> errors = messages(doc.issues->errors);
  CHECK(errors.size() >= 3);
  for (const std::string& error : errors) {
    INFO(error);
    CHECK(error.find('\n') == std::string::npos);
    CHECK(error.find("\xE2\x80\xA8") == std::string::npos);
    CHECK(error.find("\xC2\x85") == std::string::npos);
  }
}
