// SPDX-License-Identifier: Apache-2.0
// JournalLink: what the rooms want of a journal, by the one there is: receivers that requests are written, the buffer
// that verdicts and deliveries are noted, the journal words for a verdict's numbers.
//
// Live: spans are taken, then their request is written. While an earlier process's requests are replayed, new requests
// are written alone, and come out of the journal behind the old ones, so that all of them pass in the order of their
// arrival. Between the two it switches: new requests are live already, and what was written alone is on its way to the
// disk and back. Nobody who brings a request ever waits for that.
//
// Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <boost/unordered/unordered_flat_set.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "buffer/decision_log.h"
#include "buffer/trace_buffer.h"
#include "daemon/journal/parts_away.h"
#include "decide/policy_set.h"
#include "decide/verdict_words.h"
#include "journal/journal.h"
#include "receive/ingest.h"

namespace tailgate {

// In whose name traces are kept after the fact.
inline constexpr std::string_view kKeptAfterPolicy = "_kept_after";

class JournalLink final : public RequestLog, public DecisionLog, public VerdictWords {
 public:
  // `exporters`: their names, by bit.
  JournalLink(Journal& journal, std::shared_ptr<PolicyTables> tables, std::vector<std::string> exporters, bool live)
      : DecisionLog(journal.orders()),
        journal_(journal),
        tables_(std::move(tables)),
        exporters_(std::move(exporters)),
        phase_(live ? Phase::kLive : Phase::kReplays) {}

  // Before the source's first request.
  void add_source(SourceId id, const Source& source) { sources_[id] = source; }
  // The number of a receiver and format that this process has; nothing when it has none of that name.
  std::optional<SourceId> source_of(std::string_view receiver, std::string_view format) const;

  bool live() const { return phase_.load(std::memory_order_acquire) == Phase::kLive; }
  // From here on no request is begun that is written alone; so many of those that were are not appended yet.
  void begin_switch() { phase_ = Phase::kSwitches; }
  std::uint32_t begun_alone() const { return alone_; }
  // Whether the spans of a request that comes out of the journal were taken before it was written. While it switches.
  bool took(std::uint64_t number) const;
  // All that was written alone has come back.
  void go_live();

  Way begin() override;
  void end(Way way) override;
  std::uint64_t next_number() override { return journal_.next_order(); }
  std::shared_ptr<Receipt> write(Way way, std::uint64_t number, SourceId source, std::uint64_t arrival_unix_ns,
                                 ByteView otlp, std::span<const TraceId> traces) override;
  std::shared_ptr<Receipt> write_part(SourceId source, std::uint64_t arrival_unix_ns,
                                      const std::shared_ptr<KeptTrace>& part, bool unsure) override;
  // A copy of a trace that is kept after the fact, so that it outlives the process until it is delivered. `number` is 0
  // where it passes the journal by. Nothing: the journal takes none now.
  struct Copy {
    std::uint64_t number = 0, order = 0;
  };
  // How many copies were not written to the disk. Threads: any.
  std::uint64_t copies_unsafe() const { return copies_unsafe_; }
  std::optional<Copy> write_kept(std::string_view reason, ByteView otlp, TimePoint now);
  // The verdict that keeps such traces: for all exporters, with a chance that nobody knows.
  Verdict verdict_after() const;
  // Once in a while.
  void tick(TimePoint now) { away_.tick(now); }
  bool wants_traces() const override { return journal_.options().retain > Duration::zero(); }

  void decided(std::span<const DecidedTrace> traces) override;
  // Before the first verdict: called for traces that one of these policies kept, and not again for a second.
  void on_kept_by(std::vector<std::string> policies, std::function<void()> call);
  void swept(TimePoint now) override {
    if (closing() == 0) journal_.swept(now);
  }
  std::shared_ptr<Delivery> delivery(const Kept& kept) override;

  std::string words_of(const Verdict& verdict) const override;
  Verdict verdict_of(const Verdict& verdict, std::string_view words) const override;

 private:
  std::shared_ptr<Receipt> append(const JournalRequest& request);

  Journal& journal_;
  PartsAway away_{journal_};
  const std::shared_ptr<PolicyTables> tables_;
  const std::vector<std::string> exporters_;
  std::array<Source, kSourcesMax> sources_;
  std::vector<std::string> trigger_policies_;  // none: off
  std::function<void()> triggered_;
  std::atomic<std::int64_t> trigger_again_{INT64_MIN};  // monotonic
  std::atomic<std::uint64_t> copies_unsafe_{0};
  enum class Phase : std::uint8_t { kReplays, kSwitches, kLive };
  std::atomic<Phase> phase_;
  std::atomic<std::uint32_t> alone_{0};  // begun to be written alone, and not ended
  mutable Mutex mutex_;
  boost::unordered_flat_set<std::uint64_t> taken_ TAILGATE_GUARDED_BY(mutex_);  // numbers of took()
};

// For who asks of the verdicts of then only by which policy they were: their numbers are of its own names. One thread.
class PolicyNames final : public VerdictWords {
 public:
  std::string words_of(const Verdict&) const override { return {}; }
  Verdict verdict_of(const Verdict& verdict, std::string_view words) const override;
  const std::string& name_of(std::uint16_t number) const { return names_[number]; }

 private:
  mutable std::vector<std::string> names_;
};

}  // namespace tailgate
