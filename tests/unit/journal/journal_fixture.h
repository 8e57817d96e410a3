// SPDX-License-Identifier: Apache-2.0
// A folder for a journal that goes with its test, and a journal that is committed by hand.
#pragma once

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "journal/cursor.h"
#include "journal/history.h"
#include "journal/journal.h"

namespace tailgate::test {

struct JournalFolder {
  std::filesystem::path path;
  JournalFolder() {
    static std::atomic<int> number{0};
    path = std::filesystem::temp_directory_path() /
           ("tailgate-journal-" + std::to_string(::getpid()) + "-" + std::to_string(number++));
    std::filesystem::remove_all(path);
  }
  ~JournalFolder() { std::filesystem::remove_all(path); }
};

// The words of a verdict are its policy's number.
class NumberWords final : public VerdictWords {
 public:
  std::string words_of(const Verdict& verdict) const override { return std::to_string(verdict.policy); }
  Verdict verdict_of(const Verdict& verdict, std::string_view words) const override {
    Verdict out = verdict;
    if (!words.empty()) out.policy = static_cast<std::uint16_t>(std::stoi(std::string(words)));
    return out;
  }
};

inline TraceId trace(std::uint64_t n) {
  TraceId out;
  for (int i = 0; i != 8; ++i) out.bytes[static_cast<std::size_t>(8 + i)] = static_cast<char>(n >> (8 * (7 - i)));
  return out;
}

// Time is a number of milliseconds, of both clocks.
struct HandJournal {
  JournalOptions options;
  std::unique_ptr<Journal> journal;
  NumberWords words;
  std::vector<std::string> notices;
  std::int64_t ms = 1'000'000;
  ByteBudget* budget = nullptr;
  int safe = 0, unsafe = 0;

  explicit HandJournal(const JournalFolder& folder, JournalOptions with = {}) : options(std::move(with)) {
    options.directory = folder.path;
  }
  ~HandJournal() { close(); }
  void close() {
    if (journal) journal->end(now(), wall());
    journal.reset();
  }
  TimePoint now() const { return TimePoint(std::chrono::milliseconds(ms)); }
  std::uint64_t wall() const { return static_cast<std::uint64_t>(ms) * 1'000'000; }

  bool open() {
    close();
    notices.clear();
    auto opened = Journal::open(options, budget, now(), wall(), notices);
    if (!opened) {
      notices.push_back(opened.error().text);
      return false;
    }
    journal = std::move(*opened);
    journal->use(words);
    return true;
  }
  // The number of the request.
  std::uint64_t put(std::string_view otlp, std::span<const TraceId> traces = {}) {
    JournalRequest request;
    request.number = journal->next_order();
    request.order = journal->next_order();
    request.arrival_unix_ns = wall();
    request.receiver = "otlp";
    request.format = "otlp_proto";
    request.otlp = otlp;
    request.traces = traces;
    journal->append(request, now(), [this](bool good) { ++(good ? safe : unsafe); });
    return request.number;
  }
  void commit() { journal->commit(now(), wall()); }

  // All that a cursor finds, from the segment on.
  std::vector<std::string> read(std::uint64_t from = 0) const {
    std::vector<std::string> out;
    JournalCursor cursor(*journal, from);
    std::uint64_t last = 0;
    for (bool more = true; more;) {
      const auto next = cursor.next([&](const JournalRequest& request, std::uint64_t position) {
        CHECK(position > last);
        last = position;
        out.emplace_back(request.otlp);
      });
      REQUIRE(next);
      more = *next;
    }
    return out;
  }
};

// The words of a verdict that was noted, which the journal asks for in the middle of its next commit.
struct InTheMiddle final : VerdictWords {
  HandJournal& of;
  std::function<void()> call;

  explicit InTheMiddle(HandJournal& j) : of(j) {
    Verdict kept;
    kept.decision = Decision::kSampled;
    const DecidedTrace decided{trace(1), kept, j.journal->next_order()};
    j.journal->use(*this);
    j.journal->note({&decided, 1});
  }
  ~InTheMiddle() override { of.journal->use(of.words); }
  std::string words_of(const Verdict&) const override {
    call();
    return "w";
  }
  Verdict verdict_of(const Verdict& verdict, std::string_view) const override { return verdict; }
};

}  // namespace tailgate::test
