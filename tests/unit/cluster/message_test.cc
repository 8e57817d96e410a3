// SPDX-License-Identifier: Apache-2.0
#include "cluster/message.h"

#include <catch2/catch.hpp>
#include <limits>

#include "base/hash.h"
#include "cluster_twin.pb.h"
#include "model/verdict.h"

using namespace tailgate;

namespace {

TraceId id_filled_with(char fill) {
  TraceId id;
  id.bytes.fill(fill);
  return id;
}

ClusterMessage full() {
  ClusterMessage out;
  out.from = "tailgate-0";
  out.names = {"tailgate-0", "10.0.0.1", "::1"};
  out.fresh = {{"::1", std::chrono::milliseconds(1234)}};
  out.leaving = out.away = true;
  out.verdicts = {{id_filled_with('a'), 0, 2, true, false, true, std::string("errors\0c0\0otlp", 14)},
                  {id_filled_with('b'), 2, 0, false, true, false, ""}};
  out.page = {"POST", "/keep?x", R"({"reason":"r"})"};
  out.page_answer = {404, R"({"error":"x"})"};
  out.shares_limits = true;
  out.needs = {{0x0123456789abcdef, 12.5}, {1, 0}};
  return out;
}

}  // namespace

TEST_CASE("a message is read as it was written, and as the protobuf library reads it", "[cluster]") {
  const ClusterMessage message = full();
  const std::string bytes = write_message(message);
  CHECK(read_message(bytes).value() == message);
  CHECK(read_message("").value() == ClusterMessage());
  CHECK(write_message({}).empty());

  cluster_twin::Message slow;
  REQUIRE(slow.ParseFromString(bytes));
  CHECK(slow.from() == message.from);
  CHECK(slow.names_size() == 3);
  REQUIRE(slow.fresh_size() == 1);
  CHECK(slow.fresh(0).name() == "::1");
  CHECK(slow.fresh(0).age_ms() == 1234);
  CHECK(slow.leaving());
  CHECK(slow.away());
  REQUIRE(slow.verdicts_size() == 2);
  CHECK(slow.verdicts(0).id() == std::string(16, 'a'));
  CHECK(slow.verdicts(0).words() == message.verdicts[0].words);
  CHECK(slow.verdicts(1).decision() == 2);
  CHECK(slow.page().target() == "/keep?x");
  CHECK(slow.page_answer().status() == 404);
  CHECK(slow.page_answer().body() == message.page_answer->body);
  CHECK(slow.shares_limits());
  REQUIRE(slow.needs_size() == 2);
  CHECK(slow.needs(0).limit() == 0x0123456789abcdef);
  CHECK(slow.needs(0).per_second() == 12.5);
  CHECK(read_message(slow.SerializeAsString()).value() == message);
}

TEST_CASE("two messages one after the other are one", "[cluster]") {
  ClusterMessage hello, answer;
  hello.from = "a";
  hello.names = {"a", "b"};
  answer.page_answer = {200, "{}"};
  ClusterMessage both = hello;
  both.page_answer = answer.page_answer;
  CHECK(read_message(write_message(hello) + write_message(answer)).value() == both);
}

TEST_CASE("fields of a later version are skipped", "[cluster]") {
  const std::string later = write_message(full()) + "\x7a\x03new" + "\xf8\x07\x01";
  CHECK(read_message(later).value() == full());
}

TEST_CASE("what is no message says why", "[cluster]") {
  const auto why = [](const std::string& bytes) {
    const Result<ClusterMessage> read = read_message(bytes);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().kind == ErrorKind::kBadInput);
    return read.error().text;
  };
  CHECK(why("\xff") == "a message of a member: it is no protobuf");
  CHECK(why(write_message(full()).substr(0, 30)) == "a message of a member: it is no protobuf");
  cluster_twin::Message m;
  for (const auto& [method, target] : {std::pair("PUT", "/x"), {"", "/x"}, {"GET", "x"}, {"GET", ""}}) {
    m.mutable_page()->set_method(method);
    m.mutable_page()->set_target(target);
    CHECK(why(m.SerializeAsString()) == "a message of a member: a question for a page cannot be read");
  }
  m = {};
  for (const std::uint64_t status : {0U, 99U, 600U}) {
    m.mutable_page_answer()->set_status(status);
    CHECK(why(m.SerializeAsString()) == "a message of a member: the answer of a page cannot be read");
  }
  m = {};
  m.add_needs()->set_per_second(-1);
  CHECK(why(m.SerializeAsString()) == "a message of a member: what a limit needs cannot be read");
  m.mutable_needs(0)->set_per_second(std::numeric_limits<double>::infinity());
  CHECK(why(m.SerializeAsString()) == "a message of a member: what a limit needs cannot be read");
  m = {};
  for (std::size_t i = 0; i <= kLimitNeedsMax; ++i) m.add_needs();
  CHECK(why(m.SerializeAsString()) == "a message of a member: needs of more than 1,000 limits");
  m = {};
  m.add_verdicts()->set_decision(1);
  CHECK(why(m.SerializeAsString()) == "a message of a member: a verdict cannot be read");
  m.mutable_verdicts(0)->set_id(std::string(16, 'x'));
  CHECK(read_message(m.SerializeAsString()).has_value());
  m.mutable_verdicts(0)->set_decision(kDecisionNames.size());
  CHECK(why(m.SerializeAsString()) == "a message of a member: a verdict cannot be read");
  m = {};
  m.set_from(std::string(254, 'n'));
  CHECK(why(m.SerializeAsString()) == "a message of a member: the name of the sender is longer than 253 bytes");
  m = {};
  for (std::size_t i = 0; i <= kMembersMax; ++i) m.add_names("n");
  CHECK(why(m.SerializeAsString()) == "a message of a member: more than 256 names");
}

TEST_CASE("bytes at random are read as the protobuf library reads them, or refused", "[cluster]") {
  std::uint64_t random = 1;
  const std::string whole = write_message(full());
  for (int run = 0; run < 20'000; ++run) {
    std::string bytes = whole;
    for (std::uint64_t n = next_random(random) % 4; n != 0; --n)
      bytes[next_random(random) % bytes.size()] = static_cast<char>(next_random(random));
    bytes.resize(next_random(random) % (bytes.size() + 1));
    cluster_twin::Message slow;
    const bool parsed = slow.ParseFromString(bytes);
    const Result<ClusterMessage> fast = read_message(bytes);
    if (!fast) continue;
    REQUIRE(parsed);
    REQUIRE(fast->from == slow.from());
    REQUIRE(fast->names.size() == static_cast<std::size_t>(slow.names_size()));
    REQUIRE(fast->verdicts.size() == static_cast<std::size_t>(slow.verdicts_size()));
    for (int i = 0; i < slow.verdicts_size(); ++i) {
      const ToldVerdict& told = fast->verdicts[static_cast<std::size_t>(i)];
      REQUIRE(told.id.view() == slow.verdicts(i).id());
      REQUIRE(told.decision == slow.verdicts(i).decision());
      REQUIRE(told.words == slow.verdicts(i).words());
    }
    REQUIRE(fast->needs.size() == static_cast<std::size_t>(slow.needs_size()));
    for (int i = 0; i < slow.needs_size(); ++i) {
      REQUIRE(fast->needs[static_cast<std::size_t>(i)].limit == slow.needs(i).limit());
      REQUIRE(fast->needs[static_cast<std::size_t>(i)].per_second == slow.needs(i).per_second());
    }
  }
}
