// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/journal_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "model/threshold.h"

namespace tailgate {
namespace {

class DeliveryNote final : public Delivery {
 public:
  DeliveryNote(Journal& journal, const JournalDelivery& what, TimePoint first)
      : journal_(journal), what_(what), segment_(journal.pin(first)) {}
  // What a shutdown drops is not delivered: its segment stays for the next process.
  ~DeliveryNote() override {
    if (delivered_ || !journal_.ending()) journal_.unpin(segment_);
  }

 private:
  void delivered() override {
    delivered_ = true;  // by the last part to go, before the note itself goes
    journal_.note(what_);
  }

  Journal& journal_;
  const JournalDelivery what_;
  const std::uint64_t segment_;
  std::atomic<bool> delivered_{false};
};

}  // namespace

std::optional<SourceId> JournalLink::source_of(std::string_view receiver, std::string_view format) const {
  for (std::size_t i = 0; i != sources_.size(); ++i) {
    if (!sources_[i].receiver.empty() && sources_[i].receiver == receiver && sources_[i].format == format)
      return static_cast<SourceId>(i);
  }
  return std::nullopt;
}

RequestLog::Way JournalLink::begin() {
  const Journal::Takes takes = journal_.takes();
  if (takes == Journal::Takes::kNothing) return Way::kRefuse;
  if (phase_.load(std::memory_order_acquire) == Phase::kReplays) {
    ++alone_;  // before it looks again: who switches sees the one or the other
    if (phase_ == Phase::kReplays && takes == Journal::Takes::kRequests) return Way::kWriteAlone;
    --alone_;
  }
  if (takes == Journal::Takes::kRequests) return Way::kWrite;
  if (!live()) return Way::kRefuse;  // it cannot pass by: what is in the journal comes first
  journal_.count_passed(monotonic_now());
  return Way::kPassBy;
}

void JournalLink::end(Way way) {
  if (way == Way::kWriteAlone) --alone_;
}

bool JournalLink::took(std::uint64_t number) const {
  const MutexLock lock(mutex_);
  return taken_.contains(number);
}

void JournalLink::go_live() {
  phase_ = Phase::kLive;
  const MutexLock lock(mutex_);
  taken_ = {};
}

std::shared_ptr<Receipt> JournalLink::write(Way way, std::uint64_t number, SourceId source,
                                            std::uint64_t arrival_unix_ns, ByteView otlp,
                                            std::span<const TraceId> traces) {
  JournalRequest request;
  request.number = number;
  request.order = journal_.next_order();
  request.arrival_unix_ns = arrival_unix_ns;
  request.receiver = sources_[source].receiver;
  request.format = sources_[source].format;
  request.otlp = otlp;
  request.traces = traces;
  request.alone = way == Way::kWriteAlone;
  if (!request.alone && !live()) {
    const MutexLock lock(mutex_);
    taken_.insert(number);
  }
  return append(request);
}

std::shared_ptr<Receipt> JournalLink::write_part(SourceId source, std::uint64_t arrival_unix_ns,
                                                 const std::shared_ptr<KeptTrace>& part, bool unsure) {
  JournalRequest request;
  request.number = journal_.next_order();
  request.order = journal_.next_order();
  request.arrival_unix_ns = arrival_unix_ns;
  request.receiver = sources_[source].receiver;
  request.format = sources_[source].format;
  request.otlp = part->otlp;
  request.alone = unsure;
  request.whose = unsure ? Whose::kUnsure : Whose::kOthers;
  if (!unsure) away_.add(request, part, monotonic_now());
  return append(request);
}

std::optional<JournalLink::Copy> JournalLink::write_kept(std::string_view reason, ByteView otlp, TimePoint now) {
  const Journal::Takes takes = journal_.takes();
  if (takes == Journal::Takes::kNothing) return std::nullopt;
  JournalRequest request;
  request.order = journal_.next_order();
  if (takes == Journal::Takes::kPassBy) {
    ++copies_unsafe_;
    return Copy{0, request.order};
  }
  request.number = journal_.next_order();
  request.receiver = reason;
  request.otlp = otlp;
  request.alone = true;
  request.whose = Whose::kKept;
  journal_.append(request, now, [this](bool safe) { copies_unsafe_ += safe ? 0 : 1; });
  return Copy{request.number, request.order};
}

Verdict JournalLink::verdict_after() const {
  Verdict out;
  out.decision = Decision::kSampled;
  out.reason = CloseReason::kTimeout;
  out.policy = tables_->names.number_of(kKeptAfterPolicy);
  out.route =
      tables_->routes.number_of(exporters_.size() >= 64 ? UINT64_MAX : (std::uint64_t{1} << exporters_.size()) - 1);
  out.threshold = tables_->thresholds.code_of(kUnknownChance);  // a `th` that came would be wrong
  return out;
}

// Null: nobody waits for it.
std::shared_ptr<Receipt> JournalLink::append(const JournalRequest& request) {
  const auto untold = [&journal = journal_] { journal.note_missing(monotonic_now()); };
  const auto hurry = [&journal = journal_](TimePoint by) { journal.hurry(by); };
  auto receipt = std::make_shared<Receipt>(1, untold, hurry);  // a datagram's is let go of at once
  journal_.append(request, monotonic_now(), [receipt](bool safe) { receipt->settle(safe); });
  if (journal_.options().ack == JournalAck::kAtOnce && !request.alone) return nullptr;
  return receipt;
}

void JournalLink::decided(std::span<const DecidedTrace> traces) {
  journal_.note(traces);
  if (trigger_policies_.empty() || !live()) return;
  const std::int64_t now = monotonic_now().time_since_epoch().count();
  if (now < trigger_again_.load(std::memory_order_relaxed)) return;
  for (const DecidedTrace& d : traces) {
    if (d.verdict.decision != Decision::kSampled) continue;
    const std::string name = tables_->names.name_of(d.verdict.policy);
    if (std::find(trigger_policies_.begin(), trigger_policies_.end(), name) == trigger_policies_.end()) continue;
    trigger_again_ = now + Duration(std::chrono::seconds(1)).count();
    return triggered_();
  }
}

void JournalLink::on_kept_by(std::vector<std::string> policies, std::function<void()> call) {
  triggered_ = std::move(call);
  trigger_policies_ = std::move(policies);
}

std::shared_ptr<Delivery> JournalLink::delivery(const Kept& kept) {
  const JournalDelivery what{kept.id, kept.order, kept.request == 0 ? kept.upto : 0, kept.request};
  return std::make_shared<DeliveryNote>(journal_, what, kept.first);
}

std::string JournalLink::words_of(const Verdict& verdict) const { return verdict_words(verdict, *tables_, exporters_); }

Verdict JournalLink::verdict_of(const Verdict& verdict, std::string_view words) const {
  return verdict_from_words(verdict, words, *tables_, exporters_);
}

Verdict PolicyNames::verdict_of(const Verdict& verdict, std::string_view words) const {
  Verdict out = verdict;
  const std::string_view name = policy_in_words(words);
  const auto at = std::find(names_.begin(), names_.end(), name);
  out.policy = static_cast<std::uint16_t>(at - names_.begin());
  if (at == names_.end()) names_.emplace_back(name);
  return out;
}

}  // namespace tailgate
