// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/journal_link.h"

#include "support/policies.h"
#include "unit/journal/journal_fixture.h"

namespace tailgate {
namespace {

using test::HandJournal;
using test::JournalFolder;

// A journal for which the disk has never enough left.
struct FullJournal {
  JournalFolder folder;
  HandJournal hand;
  test::Policies policies{"[{name: all, type: always_sample}]"};
  std::unique_ptr<JournalLink> link;
  const TimePoint before = monotonic_now() - std::chrono::hours(1);

  explicit FullJournal(JournalAck ack) : hand(folder, {.ack = ack, .disk_free_min = UINT64_MAX / 2}) {
    setup_log({.level = LogLevel::kError, .sink = [](std::string_view) {}});
    REQUIRE(hand.open());
    link = std::make_unique<JournalLink>(*hand.journal, policies.tables, std::vector<std::string>{"queue"}, true);
    link->add_source(0, {"otlp", "otlp_proto"});
  }
  std::shared_ptr<Receipt> write() {
    return link->write(RequestLog::Way::kWrite, link->next_number(), 0, hand.wall(), "a request", {});
  }
  // What is open is whole in the journal, so a shutdown may hand it over.
  bool has_all() const { return !hand.journal->misses_since(before); }
};

}  // namespace

TEST_CASE("a request that is not written, and whose sender hears so, is missed by nobody", "[daemon]") {
  FullJournal j(JournalAck::kJournal);
  std::optional<bool> told;
  j.write()->then([&](bool safe) { told = safe; });
  const auto later = j.write();  // asked for after the commit
  j.hand.commit();
  CHECK(told == false);
  CHECK(j.has_all());
  later->then([&](bool safe) { told = safe; });
  CHECK(told == false);
}

TEST_CASE("a datagram that is not written is missing, and so is what `ack: none` has answered", "[daemon]") {
  const JournalAck ack = GENERATE(JournalAck::kJournal, JournalAck::kAtOnce);
  FullJournal j(ack);
  CHECK((j.write() == nullptr) == (ack == JournalAck::kAtOnce));
  CHECK(j.has_all());
  j.hand.commit();
  CHECK_FALSE(j.has_all());
  CHECK(j.hand.journal->stats().passed == 0);
  CHECK(j.hand.journal->takes() == Journal::Takes::kNothing);
}

TEST_CASE("a datagram with traces of several members is missing when one part of it is not written", "[daemon]") {
  const bool asked = GENERATE(false, true);
  FullJournal j(JournalAck::kJournal);
  const auto part = std::make_shared<KeptTrace>();
  part->otlp = "what is another's";
  const bool unsure = GENERATE(false, true);
  std::shared_ptr<Receipt> all =
      Receipt::of_all(std::vector{j.write(), j.link->write_part(0, j.hand.wall(), part, unsure)});
  std::optional<bool> told;
  if (asked) all->then([&](bool safe) { told = safe; });
  all = nullptr;
  j.hand.commit();
  CHECK(j.has_all() == asked);
  CHECK(told == (asked ? std::optional(false) : std::nullopt));
}

}  // namespace tailgate
