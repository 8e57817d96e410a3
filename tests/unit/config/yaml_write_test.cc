// SPDX-License-Identifier: Apache-2.0
#include "config/yaml_write.h"

#include <catch2/catch.hpp>

using namespace tailgate;

namespace {

bool same(const YamlValue& a, const YamlValue& b) {
  if (a.kind != b.kind || a.text != b.text || a.entries.size() != b.entries.size() ||
      a.items.size() != b.items.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.entries.size(); ++i) {
    if (a.entries[i].key != b.entries[i].key || !same(*a.entries[i].value, *b.entries[i].value)) return false;
  }
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!same(*a.items[i], *b.items[i])) return false;
  }
  return true;
}

YamlValuePtr parsed(std::string_view text) {
  const Result<YamlValuePtr> value = parse_yaml(text, "t.yaml");
  INFO((value ? "" : value.error().text));
  REQUIRE(value.has_value());
  return *value;
}

// One that fits on a line and one that does not.
const std::string kPolicies = R"(  policies:
    - {name: a, type: status_code, status_code: {status_codes: [ERROR, UNSET]}}
    - name: b
      type: string_attribute
      string_attribute:
        key: http.route
        values: [/a-rather-long-route/to/a/place, /another-rather-long-route/to/b]
)";

}  // namespace

TEST_CASE("outer maps are blocks, short inner ones and items of lists stand on a line", "[config]") {
  const std::string text = R"(receivers:
  otlp:
    protocols:
      grpc: {endpoint: "0.0.0.0:4317"}
      http: {}
sampling:
  decision_wait: 10s
)" + kPolicies;
  CHECK(write_yaml(*parsed(text)) == text);
}

TEST_CASE("scalars come back as they were, whatever is in them", "[config]") {
  const std::vector<std::string> texts = {"",
                                          " ",
                                          "a",
                                          "null",
                                          "~",
                                          "Null",
                                          "true",
                                          "007",
                                          "1e3",
                                          "-",
                                          "-1",
                                          "- a",
                                          "?",
                                          "? a",
                                          ":",
                                          "a:",
                                          "a: b",
                                          "a:b",
                                          "#",
                                          "a #b",
                                          "a#b",
                                          "[",
                                          "]",
                                          "{a}",
                                          "${env:A}",
                                          "${env:A:-b: c}",
                                          "$$x",
                                          "http://${env:H}:4318/x?a=b&c=d",
                                          "*a",
                                          "&a",
                                          "!a",
                                          "|",
                                          ">",
                                          "%a",
                                          "@a",
                                          "`a`",
                                          "'",
                                          "\"",
                                          "\\",
                                          "a\\nb",
                                          "a\nb",
                                          "a\n",
                                          "\n\na",
                                          "\t",
                                          "a\tb",
                                          "  a",
                                          "a  ",
                                          "...",
                                          "---",
                                          "--- a",
                                          "<<",
                                          "=",
                                          "^/v[12]/pay$",
                                          "a, b",
                                          "Bearer ${env:TOKEN}",
                                          "\xc3\xa4\xe2\x82\xac",
                                          "\x01\x7f",
                                          "0x1F",
                                          "1:2:3",
                                          "2026-01-01",
                                          "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
                                          "yes",
                                          "no",
                                          "a'b\"c",
                                          "{",
                                          "}",
                                          ",",
                                          "(?i)x{2,3}"};
  const auto scalar = [](const std::string& text, bool quoted) {
    auto value = std::make_shared<YamlValue>();
    value->kind = YamlValue::Kind::kScalar;
    value->text = text;
    value->quoted = quoted;
    return value;
  };
  for (const bool quoted : {false, true}) {
    YamlValue root;
    root.kind = YamlValue::Kind::kMap;
    auto list = std::make_shared<YamlValue>();
    list->kind = YamlValue::Kind::kList;
    for (const std::string& text : texts) {
      const YamlValuePtr one = scalar(text, quoted);
      list->items.push_back(one);
      root.entries.push_back({"x." + text, {}, one});
      auto inner = std::make_shared<YamlValue>();
      inner->kind = YamlValue::Kind::kMap;
      inner->entries = {{text, {}, one}, {"and" + text, {}, one}};
      list->items.push_back(inner);
      root.entries.push_back({text + ".y", {}, inner});
    }
    root.entries.push_back({"list", {}, list});
    const std::string text = write_yaml(root);
    CHECK(same(*parsed(text), root));
    CHECK(write_yaml(*parsed(text)) == text);
  }
}

TEST_CASE("null, the empty map and the empty list keep their kinds", "[config]") {
  const std::string text = "a: null\nb: {}\nc: []\n";
  CHECK(write_yaml(*parsed(text)) == text);
}

TEST_CASE("comments stand on lines of their own before what they are about", "[config]") {
  const YamlValuePtr root = parsed(R"(receivers:
  otlp:
    protocols:
      grpc: {endpoint: "0.0.0.0:4317"}
sampling:
)" + kPolicies);
  const auto at = [&](std::initializer_list<const char*> path) -> YamlValue& {
    YamlValue* value = root.get();
    for (const char* key : path) value = value->find(key)->value.get();
    return *value;
  };
  root->comments = {"top"};
  at({"receivers"}).comments = {"two\nlines: x\u2028", "and another"};
  at({"receivers", "otlp", "protocols", "grpc", "endpoint"}).comments = {"deep"};
  YamlValue& policies = at({"sampling", "policies"});
  policies.comments = {"list"};
  policies.items[0]->comments = {"item"};
  policies.items[0]->entries[1].value->comments = {"inside"};
  policies.items[1]->comments = {"second"};
  policies.items[1]->entries[0].value->comments = {"name"};
  policies.items[1]->entries[2].value->entries[1].value->items[0]->comments = {"value"};
  const std::string text = write_yaml(*root);
  CHECK(text == R"(# top
# two\x0alines: x\xe2\x80\xa8
# and another
receivers:
  otlp:
    protocols:
      # deep
      grpc: {endpoint: "0.0.0.0:4317"}
sampling:
  # list
  policies:
    # item
    # inside
    - {name: a, type: status_code, status_code: {status_codes: [ERROR, UNSET]}}
    # second
    # name
    - name: b
      type: string_attribute
      string_attribute:
        key: http.route
        # value
        values: [/a-rather-long-route/to/a/place, /another-rather-long-route/to/b]
)");
  CHECK(same(*parsed(text), *root));
}
