// SPDX-License-Identifier: Apache-2.0
// JournalLink: what the rooms want of a journal, by the one there is: receivers that requests are written, the buffer
// that verdicts and deliveries are noted, the journal words for a verdict's numbers.
//
// It begins in one of two ways. Live: spans are taken, then their request is written. While an earlier process's
// requests are replayed, new requests are only written, and come out of the journal behind the old ones, so that all of
// them pass in the order of their arrival. open_gate() is the moment between the two.
//
// Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "buffer/decision_log.h"
#include "buffer/trace_buffer.h"
#include "decide/policy_set.h"
#include "decide/verdict_words.h"
#include "journal/journal.h"
#include "receive/ingest.h"

namespace tailgate {

class JournalLink final : public RequestLog, public DecisionLog, public VerdictWords {
 public:
  // `exporters`: their names, by bit.
  JournalLink(Journal& journal, std::shared_ptr<PolicyTables> tables, std::vector<std::string> exporters, bool live)
      : DecisionLog(journal.orders()),
        journal_(journal),
        tables_(std::move(tables)),
        exporters_(std::move(exporters)),
        live_(live) {}

  // Before the source's first request.
  void add_source(SourceId id, const Source& source) { sources_[id] = source; }
  // The number of a receiver and format that this process has; nothing when it has none of that name.
  std::optional<SourceId> source_of(std::string_view receiver, std::string_view format) const;

  bool live() const { return live_.load(std::memory_order_acquire); }
  // Holds new requests back, while whoever calls it takes what is left in the journal.
  void close_gate() {
    const MutexLock turn(turnstile_);
    gate_.lock();
  }
  void open_gate(bool live) {
    if (live) live_.store(true, std::memory_order_release);
    gate_.unlock();
  }

  Way begin() override;
  void end(Way way) override;
  std::uint64_t next_number() override { return journal_.next_order(); }
  std::shared_ptr<Receipt> write(std::uint64_t number, SourceId source, std::uint64_t arrival_unix_ns, ByteView otlp,
                                 std::span<const TraceId> traces) override;
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
  Journal& journal_;
  const std::shared_ptr<PolicyTables> tables_;
  const std::vector<std::string> exporters_;
  std::array<Source, kSourcesMax> sources_;
  std::vector<std::string> trigger_policies_;  // none: off
  std::function<void()> triggered_;
  std::atomic<std::int64_t> trigger_again_{INT64_MIN};  // monotonic
  std::atomic<bool> live_;
  Mutex turnstile_;         // before the gate, so that those who are let in at once do not keep out who waits for all
  std::shared_mutex gate_;  // shared: a request is being written alone
};

}  // namespace tailgate
