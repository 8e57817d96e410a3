// SPDX-License-Identifier: Apache-2.0
// A large part costs memory while it is read for the index, and not for as long as the process runs.
#include <catch2/catch.hpp>

#include "store/part_facts.h"
#include "support/counted_memory.h"
#include "support/otlp_builder.h"

namespace tailgate {
namespace {

constexpr std::int64_t kKiB = 1024;

// What one part leaves, of a reader that has read a small one before.
test::CountedMemory memory_of_reading(const std::string& otlp) {
  FactReader reader;
  const auto read = [&reader](const std::string& part) {
    KnownNames known;
    reader.read(part, known);
  };
  read(test::request({{}}));
  return test::memory_of([&] { read(otlp); });
}

}  // namespace

TEST_CASE("the memory of a part of many spans is given back", "[store]") {
  std::string otlp;
  {
    std::vector<test::SpanSpec> spans(100'000);
    for (std::size_t i = 0; i != spans.size(); ++i) spans[i].id = i + 1;
    otlp = test::request(spans);
  }
  const test::CountedMemory used = memory_of_reading(otlp);
  CHECK(used.most > 100'000 * 24);
  CHECK(used.held < 64 * kKiB);
}

TEST_CASE("the memory of a part of many services is given back", "[store]") {
  std::string otlp;
  for (int i = 0; i != 50'000; ++i) otlp += test::request({{}}, "service-" + std::to_string(i));
  const test::CountedMemory used = memory_of_reading(otlp);
  CHECK(used.most > 50'000 * 64);
  CHECK(used.held < 512 * kKiB);  // the index's terms, of which there are 50,000, and their table keep theirs
}

TEST_CASE("the memory of a long value that is no string is given back", "[store]") {
  auto data = test::traces({{}});
  auto* attribute = data.mutable_resource_spans(0)->mutable_scope_spans(0)->mutable_spans(0)->add_attributes();
  attribute->set_key("blob");
  attribute->mutable_value()->set_bytes_value(std::string(8 << 20, 'x'));
  const test::CountedMemory used = memory_of_reading(data.SerializeAsString());
  CHECK(used.most > 8 << 20);
  CHECK(used.held < 128 * kKiB);
}

}  // namespace tailgate
