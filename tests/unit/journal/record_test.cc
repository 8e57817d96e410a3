// SPDX-License-Identifier: Apache-2.0
#include "journal/record.h"

#include <catch2/catch.hpp>

#include "support/random_otlp.h"

namespace tailgate {
namespace {

// A record of these bytes, as a block hands it out.
struct Held {
  std::string raw;
  Record record() const {
    return {static_cast<std::uint8_t>(raw[0]), std::string_view(raw).substr(1, kRecordIdBytes),
            std::string_view(raw).substr(kRecordHeaderBytes)};
  }
};

std::string text(test::Random& r, std::size_t most) {
  std::string out(r.below(most), '\0');
  for (char& c : out) c = static_cast<char>(r.below(256));
  return out;
}

TraceId id(test::Random& r) {
  TraceId out;
  for (char& c : out.bytes) c = static_cast<char>(r.below(256));
  return out;
}

Verdict verdict(test::Random& r) {
  Verdict v;
  v.decision = static_cast<Decision>(r.below(kDecisionNames.size()));
  v.reason = static_cast<CloseReason>(r.below(kCloseReasonNames.size()));
  v.complete = r.below(2) != 0;
  v.chance = r.below(2) != 0;
  v.shed = r.below(2) != 0;
  return v;
}

bool same(const Verdict& a, const Verdict& b) {
  return a.decision == b.decision && a.reason == b.reason && a.complete == b.complete && a.chance == b.chance &&
         a.shed == b.shed;
}

// Reads the same bytes one number at a time, without a look ahead: true where the reader must find something.
struct Twin {
  std::string_view in;
  bool good = true;
  std::uint64_t number(int bytes) {
    std::uint64_t out = 0;
    for (int i = 0; i != bytes; ++i) {
      if (in.empty()) good = false;
      if (!good) return 0;
      out |= std::uint64_t{static_cast<unsigned char>(in[0])} << (8 * i);
      in.remove_prefix(1);
    }
    return out;
  }
  std::string bytes(std::uint64_t n) {
    std::string out;
    for (; n != 0 && good; --n) out.push_back(static_cast<char>(number(1)));
    return out;
  }
};

bool twin_takes(const Record& record) {
  Twin t{record.bytes};
  switch (static_cast<JournalRecord>(record.kind)) {
    case JournalRecord::kRequest:
    case JournalRecord::kForOthers:
    case JournalRecord::kUnsure:
    case JournalRecord::kKept:
      t.number(8);
      t.bytes(t.number(1));
      t.bytes(t.number(1));
      return t.good;
    case JournalRecord::kVerdicts: {
      const std::uint64_t words = t.number(2);
      for (std::uint64_t i = 0; i != words && t.good; ++i) t.bytes(t.number(2));
      while (t.good && !t.in.empty()) {
        t.bytes(32);
        const std::uint64_t bits = t.number(1), reason = t.number(1), word = t.number(2);
        if (bits % 4 == 3 || bits > 63 || reason > 5 || word > words) return false;
      }
      return t.good;
    }
    case JournalRecord::kDeliveries:
      while (t.good && !t.in.empty()) t.bytes(40);
      return t.good;
    case JournalRecord::kSettled:
      return record.bytes.empty();
    case JournalRecord::kPassedOn:
      while (t.good && !t.in.empty()) t.bytes(8);
      return t.good;
  }
  return false;
}

bool reader_takes(const Record& record) {
  CHECK((!read_request(record) || read_any_request(record)));
  return read_any_request(record) || read_passed_on(record) || read_verdicts(record) || read_deliveries(record) ||
         read_settled(record);
}

}  // namespace

TEST_CASE("records of a journal come back as they were written", "[journal]") {
  test::Random r(3);
  for (int round = 0; round != 300; ++round) {
    const std::string receiver = text(r, 40), format = text(r, 20), otlp = text(r, 300);
    JournalRequest request{r.next(), r.next(), r.next(), receiver, format, otlp};
    request.whose = static_cast<Whose>(r.below(4));
    Held held;
    REQUIRE(append_request(held.raw, request));
    CHECK(read_request(held.record()).has_value() == (request.whose == Whose::kOwn));
    const auto got = read_any_request(held.record());
    REQUIRE(got);
    CHECK(got->whose == request.whose);
    CHECK(got->number == request.number);
    CHECK(got->order == request.order);
    CHECK(got->arrival_unix_ns == request.arrival_unix_ns);
    CHECK(got->receiver == receiver);
    CHECK(got->format == format);
    CHECK(got->otlp == otlp);

    std::vector<std::string> words(3);
    for (std::string& w : words) w = text(r, 30);
    std::vector<JournalVerdict> verdicts(r.below(50));
    for (JournalVerdict& v : verdicts)
      v = {id(r), r.next(), r.below(2) * r.next(), verdict(r), words[r.below(3)], r.one_in(3)};
    Held second;
    REQUIRE(append_verdicts(second.raw, verdicts));
    const auto found = read_verdicts(second.record());
    REQUIRE(found);
    REQUIRE(found->size() == verdicts.size());
    for (std::size_t i = 0; i != verdicts.size(); ++i) {
      CHECK((*found)[i].id == verdicts[i].id);
      CHECK((*found)[i].order == verdicts[i].order);
      CHECK((*found)[i].upto == verdicts[i].upto);
      CHECK((*found)[i].words == verdicts[i].words);
      CHECK((*found)[i].moved == verdicts[i].moved);
      CHECK(same((*found)[i].verdict, verdicts[i].verdict));
    }

    std::vector<JournalDelivery> deliveries(r.below(50));
    for (JournalDelivery& d : deliveries) d = {id(r), r.next(), r.next(), r.next()};
    Held third;
    REQUIRE(append_deliveries(third.raw, deliveries));
    const auto delivered = read_deliveries(third.record());
    REQUIRE(delivered);
    REQUIRE(delivered->size() == deliveries.size());
    for (std::size_t i = 0; i != deliveries.size(); ++i) {
      CHECK((*delivered)[i].id == deliveries[i].id);
      CHECK((*delivered)[i].order == deliveries[i].order);
      CHECK((*delivered)[i].upto == deliveries[i].upto);
      CHECK((*delivered)[i].request == deliveries[i].request);
    }
    Held fourth;
    REQUIRE(append_settled(fourth.raw, {7, {3, 5}}));
    const auto settled = read_settled(fourth.record());
    REQUIRE(settled);
    CHECK(settled->below == 7);
    CHECK(settled->left == std::vector<std::uint64_t>{3, 5});

    std::vector<std::uint64_t> numbers(r.below(50));
    for (std::uint64_t& n : numbers) n = r.next();
    Held fifth;
    REQUIRE(append_passed_on(fifth.raw, numbers));
    CHECK(read_passed_on(fifth.record()) == numbers);
  }
}

TEST_CASE("changed bytes of a record are refused or read as a slower reader does", "[journal]") {
  test::Random r(5);
  int taken = 0, refused = 0;
  for (int round = 0; round != 20'000; ++round) {
    Held held;
    const std::string words = text(r, 10);
    switch (r.below(4)) {
      case 3:
        append_passed_on(held.raw, {r.next(), r.next()});
        break;
      case 0:
        append_request(held.raw, {1, 2, 3, "otlp", "otlp_proto", text(r, 20)});
        break;
      case 1:
        append_verdicts(held.raw, {{id(r), 1, 0, verdict(r), words}, {id(r), 2, 0, verdict(r), {}}});
        break;
      default:
        append_deliveries(held.raw, {{id(r), 1, 2, 3}});
    }
    for (std::uint64_t n = r.below(4); n != 0; --n)
      held.raw[kRecordHeaderBytes + r.below(held.raw.size() - kRecordHeaderBytes)] = static_cast<char>(r.below(256));
    if (r.below(3) == 0) held.raw.resize(kRecordHeaderBytes + r.below(held.raw.size() - kRecordHeaderBytes + 1));
    const Record record = held.record();
    CHECK(reader_takes(record) == twin_takes(record));
    ++(reader_takes(record) ? taken : refused);
  }
  CHECK(taken > 1000);
  CHECK(refused > 1000);
}

TEST_CASE("positions grow along blocks and segments", "[journal]") {
  CHECK(journal_position(1, 0, 0) > 0);
  CHECK(journal_position(1, 0, 0) < journal_position(1, 0, kBlockRecordsMax - 1));
  CHECK(journal_position(1, 0, kBlockRecordsMax - 1) < journal_position(1, 1, 0));
  CHECK(journal_position(1, 1'000'000, 5) < journal_position(2, 0, 0));
}

TEST_CASE("a long reason is cut between characters", "[journal]") {
  const std::string reason = std::string(254, 'x') + "\xC3\xA4";
  JournalRequest request;
  request.number = 1;
  request.receiver = reason;
  request.whose = Whose::kKept;
  Held held;
  REQUIRE(append_request(held.raw, request));
  const auto read = read_any_request(held.record());
  REQUIRE(read);
  CHECK(read->receiver == std::string(254, 'x'));
}

}  // namespace tailgate
