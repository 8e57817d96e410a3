// SPDX-License-Identifier: Apache-2.0
#include "store/part_facts.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "codec/protobuf.h"
#include "wire/otlp/schema.h"

using namespace tailgate;

namespace {

std::string field(std::uint32_t number, std::string_view bytes) {
  std::string out;
  pb::append_len(out, number, bytes);
  return out;
}

std::string attribute(std::string_view key, std::uint32_t member, std::string_view value) {
  return field(otlp::span::kAttributes,
               field(otlp::key_value::kKey, key) + field(otlp::key_value::kValue, field(member, value)));
}

std::string text(std::string_view key, std::string_view value) {
  return attribute(key, otlp::any_value::kString, value);
}

std::string array(std::string_view key, std::size_t values) {
  std::string list;
  while (values-- != 0) list += field(otlp::list::kValues, {});
  return attribute(key, otlp::any_value::kArray, list);
}

const std::string kBroken(1, static_cast<char>(pb::len(otlp::span::kTraceId)));  // a field without its length

std::string part_of(const std::vector<std::string>& spans) {
  std::string scope;
  for (const std::string& span : spans) scope += field(otlp::scope_spans::kSpans, span);
  return field(otlp::request::kResourceSpans, field(otlp::resource_spans::kScopeSpans, scope));
}

bool has(const PartFacts& facts, TermHash term) {
  return std::find(facts.terms.begin(), facts.terms.end(), term) != facts.terms.end();
}

std::vector<std::string> listed(const PartFacts& facts) {
  std::vector<std::string> out;
  for (const PartFacts::Name& n : facts.names) out.push_back(n.has_value ? n.name + "=" + n.value : n.name);
  return out;
}

}  // namespace

TEST_CASE("names of a malformed span are not listed, and a good span's are", "[store]") {
  FactReader reader;
  KnownNames known;
  const PartFacts facts = reader.read(
      part_of({text("lost", "x") + text("both", "x") + kBroken, text("kept", "y") + text("both", "x")}), known);
  CHECK(listed(facts) == std::vector<std::string>{"kept", "kept=y", "both", "both=x"});
  CHECK(has(facts, kAnyTerm));
  const PartFacts next = reader.read(part_of({text("lost", "x")}), known);
  CHECK(listed(next) == std::vector<std::string>{"lost", "lost=x"});
  CHECK_FALSE(has(next, kAnyTerm));
}

TEST_CASE("an attribute that the span before had is in the index once, and so is one that differs", "[store]") {
  FactReader reader;
  KnownNames known;
  const PartFacts facts = reader.read(
      part_of({text("a", "1") + text("b", "a long value, nr 1"), text("a", "1") + text("b", "a long value, nr 2"),
               text("b", "1") + text("a", "a long value, nr 2"), text("a", "1")}),
      known);
  for (const char* value : {"1", "a long value, nr 2"}) {
    CHECK(has(facts, value_term(key_term("a"), value)));
    CHECK(has(facts, value_term(key_term("b"), value)));
  }
  CHECK(has(facts, value_term(key_term("b"), "a long value, nr 1")));
  CHECK_FALSE(has(facts, value_term(key_term("a"), "a long value, nr 1")));
  std::vector<TermHash> terms = facts.terms;
  std::sort(terms.begin(), terms.end());
  CHECK(std::adjacent_find(terms.begin(), terms.end()) == terms.end());
}

TEST_CASE("values that the span before had count against a span's limit of values", "[store]") {
  FactReader reader;
  KnownNames known;
  CHECK_FALSE(has(reader.read(part_of({array("a", 40'000), array("a", 40'000)}), known), kAnyTerm));
  CHECK(has(reader.read(part_of({array("a", 40'000), array("a", 40'000) + array("b", 40'000)}), known), kAnyTerm));
}
