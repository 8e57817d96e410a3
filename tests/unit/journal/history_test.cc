// SPDX-License-Identifier: Apache-2.0
#include "journal_fixture.h"

namespace tailgate {
namespace {

using test::HandJournal;
using test::JournalFolder;
using test::trace;

Verdict kept(std::uint16_t policy) {
  Verdict v;
  v.decision = Decision::kSampled;
  v.policy = policy;
  return v;
}

// What a journal with these ends says.
struct Told {
  JournalFolder folder;
  HandJournal j{folder};
  JournalHistory history;

  Told(const std::vector<DecidedTrace>& decided, const std::vector<JournalDelivery>& deliveries) {
    REQUIRE(j.open());
    for (const DecidedTrace& d : decided) {  // in files' blocks of their own
      j.journal->note({&d, 1});
      j.commit();
    }
    for (const JournalDelivery& d : deliveries) j.journal->note(d);
    j.commit();
    history.load(folder.path, j.journal->extent().segments, j.words);
    CHECK(history.damaged() == 0);
    CHECK(history.size() == decided.size());
  }
  bool ended(std::uint64_t id, std::uint64_t order, std::uint64_t position = 1, std::uint64_t number = 1) const {
    JournalRequest request;
    request.order = order;
    request.number = number;
    return history.ended(trace(id), request, position);
  }
};

}  // namespace

TEST_CASE("spans of traces that were not kept, or are delivered, have ended", "[journal]") {
  const Told t({{trace(1), Verdict(), 10}, {trace(2), kept(3), 10}, {trace(3), kept(4), 10}}, {{trace(2), 10, 0, 0}});
  CHECK(t.ended(1, 5));
  CHECK(t.ended(1, 15));  // late, and follows
  CHECK(t.ended(2, 5));
  CHECK_FALSE(t.ended(2, 15));  // late spans of a kept trace have a delivery of their own
  CHECK_FALSE(t.ended(3, 5));
  CHECK_FALSE(t.ended(4, 5));  // undecided
  CHECK_FALSE(t.history.find(trace(1)));
  CHECK_FALSE(t.history.find(trace(2)));
  REQUIRE(t.history.find(trace(3)));
  CHECK(t.history.find(trace(3))->verdict.policy == 4);
  CHECK(t.history.find(trace(3))->order == 10);
  int remembered = 0;
  t.history.each_ended([&](const TraceId& id, const Verdict& v) {
    ++remembered;
    CHECK((id == trace(1) || (id == trace(2) && v.policy == 3)));
  });
  CHECK(remembered == 2);
}

TEST_CASE("late spans have ended when they were delivered", "[journal]") {
  const Told t({{trace(1), kept(1), 10}}, {{trace(1), 10, 0, 0}, {trace(1), 0, 0, 77}});
  CHECK(t.ended(1, 15, 1, 77));
  CHECK_FALSE(t.ended(1, 16, 1, 78));
}

TEST_CASE("a trace that was decided twice has two verdicts", "[journal]") {
  const Told t({{trace(1), kept(1), 20}, {trace(1), Verdict(), 10}}, {});
  CHECK(t.ended(1, 5));         // by the first
  CHECK_FALSE(t.ended(1, 15));  // by the second
}

TEST_CASE("a kept trace that is not delivered gets its verdict, whatever another one says later", "[journal]") {
  // It was kept once more after the fact, which counts as delivered; or came anew when nobody remembered it.
  const Told t({{trace(1), kept(1), 10},
                {trace(1), kept(9), 20},
                {trace(2), kept(2), 10},
                {trace(2), Verdict(), 20},
                {trace(3), kept(3), 10},
                {trace(3), kept(9), 20}},
               {{trace(1), 20, 0, 0}, {trace(3), 10, 0, 0}, {trace(3), 20, 0, 0}});
  CHECK_FALSE(t.ended(1, 5));
  CHECK(t.ended(1, 15));  // the copy has it
  CHECK_FALSE(t.ended(2, 5));
  CHECK(t.ended(2, 15));
  REQUIRE(t.history.find(trace(1)));
  CHECK(t.history.find(trace(1))->verdict.policy == 1);
  CHECK(t.history.find(trace(1))->order == 10);
  REQUIRE(t.history.find(trace(2)));
  CHECK(t.history.find(trace(2))->verdict.policy == 2);
  CHECK_FALSE(t.history.find(trace(3)));
  std::vector<TraceId> remembered;
  t.history.each_ended([&](const TraceId& id, const Verdict& v) {
    remembered.push_back(id);
    CHECK(v.policy == 9);
  });
  CHECK(remembered == std::vector{trace(3)});
}

TEST_CASE("what a replay decided covers what it had read until then", "[journal]") {
  // Its order is above that of every request before it, and it has not seen all of them.
  const Told t({{trace(1), Verdict(), 1000, 50}, {trace(2), kept(1), 1000, 50}}, {{trace(2), 1000, 50, 0}});
  CHECK(t.ended(1, 5, 49));
  CHECK(t.ended(2, 5, 49));
  CHECK_FALSE(t.ended(2, 5, 50));
}

TEST_CASE("a trace that a replay put together again is delivered as far as that had read", "[journal]") {
  const Told t({{trace(1), kept(1), 10}}, {{trace(1), 10, 50, 0}});
  CHECK(t.ended(1, 5, 49));
  CHECK_FALSE(t.ended(1, 5, 50));
  CHECK_FALSE(t.history.find(trace(1)));  // what comes is late
}

TEST_CASE("a trace that went to another daemon has ended here, and what comes later has not", "[journal]") {
  const Told t({{trace(1), Verdict(), 10, 0, true}, {trace(2), Verdict(), 10, 0, true}, {trace(2), kept(1), 20}}, {});
  CHECK(t.ended(1, 5));
  CHECK_FALSE(t.ended(1, 15));
  CHECK(t.ended(2, 5));
  CHECK_FALSE(t.ended(2, 15));  // it came back, and was kept here
  REQUIRE(t.history.find(trace(2)));
  t.history.each_ended([](const TraceId&, const Verdict&) { FAIL("nobody here has decided it"); });
}

TEST_CASE("requests that were not this daemon's own are known to be elsewhere by their numbers", "[journal]") {
  JournalFolder folder;
  HandJournal j(folder);
  REQUIRE(j.open());
  j.journal->note_passed_on(7);
  j.commit();
  j.journal->note_passed_on(9);
  j.commit();
  JournalHistory history;
  history.load(folder.path, j.journal->extent().segments, j.words);
  CHECK(history.damaged() == 0);
  CHECK(history.passed_on(7));
  CHECK_FALSE(history.passed_on(8));
  CHECK(history.passed_on(9));
  CHECK(j.journal->stats().passed_on == 2);
}

}  // namespace tailgate
