// SPDX-License-Identifier: Apache-2.0
#include "daemon/reread_link.h"

#include <algorithm>
#include <optional>
#include <tuple>

#include "decide/verdict_words.h"

namespace tailgate {
namespace {

constexpr std::size_t kOriginsMax = UINT16_MAX;
// Who can wait waits when this part of the memory for open traces, or for kept ones, is left.
constexpr std::size_t kShortParts = 8;
constexpr std::size_t kHalf = 2;  // free before what was pushed out is read again

}  // namespace

// Ends with the last queue that lets go of its trace. What a shutdown drops is not delivered, and counts for ever.
class RereadLink::Note final : public Delivery {
 public:
  explicit Note(RereadLink& link) : link_(link) {}
  ~Note() override {
    if (!delivered_.load(std::memory_order_relaxed) && !is_lost()) end();
  }

  void begin(std::int64_t second) { second_ = second; }  // before anybody else has it

  void pushed_out() override {
    lost();
    if (second_ && !out_.exchange(true, std::memory_order_relaxed)) link_.pushed_out(*second_);
  }

 private:
  void delivered() override {
    delivered_.store(true, std::memory_order_relaxed);
    end();
  }
  void end() {
    if (!second_) return;
    const MutexLock lock(link_.mutex_);
    link_.undelivered_.end(*second_);
  }

  RereadLink& link_;
  std::optional<std::int64_t> second_;
  std::atomic<bool> delivered_{false}, out_{false};
};

class RereadLink::Port final : public Reread {
 public:
  Port(RereadLink& link, IngestPipeline& ingest, bool verdicts) : link_(link), ingest_(ingest), verdicts_(verdicts) {
    const MutexLock lock(link_.mutex_);
    link_.ports_.push_back(this);
  }
  ~Port() override {
    const MutexLock lock(link_.mutex_);
    std::erase(link_.ports_, this);
    std::replace(link_.of_origin_.begin(), link_.of_origin_.end(), this, static_cast<Port*>(nullptr));
  }

  SpanOrigin new_origin() override {
    const MutexLock lock(link_.mutex_);
    if (link_.of_origin_.size() == kOriginsMax) return 0;
    link_.of_origin_.push_back(this);
    return static_cast<SpanOrigin>(link_.of_origin_.size());
  }

  IngestResult ingest(SourceId source, ByteView otlp, SpanOrigin origin) override {
    return ingest_.accept(source, otlp, nullptr, {}, origin);
  }

  bool memory_is_short() const override {
    if (link_.is_short(Holder::kTraces, kShortParts) || link_.is_short(Holder::kQueues, kShortParts)) return true;
    return must_read_again() || link_.short_queues_(kShortParts);
  }
  bool should_read_again() const override {
    return must_read_again() && !link_.is_short(Holder::kQueues, kHalf) && !link_.short_queues_(kHalf);
  }
  void reads_again() override {
    const MutexLock lock(link_.mutex_);
    again_ = true;
    if (!std::all_of(link_.ports_.begin(), link_.ports_.end(), [](const Port* port) { return port->again_; })) return;
    for (const std::int64_t second : link_.pushed_out_) link_.undelivered_.end(second);
    link_.pushed_out_.clear();
    for (Port* const port : link_.ports_) port->again_ = false;
  }

  // A verdict has its number before its trace counts as decided.
  Decided decided(TimePoint now) override {
    const TimePoint before = link_.store_.decided_before(now);
    return {before, link_.orders_->next.load(std::memory_order_acquire)};
  }

  TimePoint delivered_before(TimePoint now) override {
    const MutexLock lock(link_.mutex_);
    return link_.undelivered_.oldest(now);
  }

  void forget(SpanOrigin origin) override { link_.store_.forget(origin); }

  std::uint64_t take_verdicts(const std::function<void(const Told&)>& take) override {
    std::uint64_t told = 0;
    {
      const MutexLock lock(link_.mutex_);
      told = link_.told_.count();
      taken_.swap(waiting_);
    }
    for (const DecidedTrace& one : taken_) take({one.id, one.origin, one.verdict, words_of(one.verdict)});
    taken_.clear();
    return told;
  }

  void remember(const TraceId& id, const Verdict& verdict, std::string_view words) override {
    link_.store_.remember(id, verdict_from_words(verdict, words, *link_.tables_, link_.exporters_));
  }

  bool wants_verdicts() const { return verdicts_; }
  std::vector<DecidedTrace>& waiting() { return waiting_; }  // under the link's lock
  void forget_again() { again_ = false; }                    // likewise

 private:
  // Most verdicts have the words of the one before.
  std::string_view words_of(const Verdict& verdict) {
    const auto numbers = std::tuple(verdict.policy, verdict.route, verdict.threshold);
    if (numbers != worded_) {
      worded_ = numbers;
      words_ = verdict_words(verdict, *link_.tables_, link_.exporters_);
    }
    return words_;
  }
  bool must_read_again() const {
    const MutexLock lock(link_.mutex_);
    return !again_ && !link_.pushed_out_.empty();
  }

  RereadLink& link_;
  IngestPipeline& ingest_;
  const bool verdicts_;
  bool again_ = false;  // it read again after the last trace was pushed out; under the link's lock
  std::vector<DecidedTrace> waiting_, taken_;
  std::optional<std::tuple<std::uint16_t, std::uint16_t, std::uint16_t>> worded_;  // the numbers that words_ are of
  std::string words_;
};

RereadLink::RereadLink(ByteBudget& budget, std::shared_ptr<PolicyTables> tables, std::vector<std::string> exporters,
                       TraceStore& store, ShortQueues short_queues)
    : RereadLink(std::make_unique<Orders>(), budget, std::move(tables), std::move(exporters), store,
                 std::move(short_queues)) {}

RereadLink::RereadLink(std::unique_ptr<Orders> orders, ByteBudget& budget, std::shared_ptr<PolicyTables> tables,
                       std::vector<std::string> exporters, TraceStore& store, ShortQueues short_queues)
    : DecisionLog(orders->next),
      orders_(std::move(orders)),
      budget_(budget),
      tables_(std::move(tables)),
      exporters_(std::move(exporters)),
      store_(store),
      short_queues_(std::move(short_queues)) {}

RereadLink::~RereadLink() = default;

bool RereadLink::is_short(Holder holder, std::size_t parts) const {
  const std::size_t cap = budget_.cap(holder);
  return budget_.used(holder) > cap - cap / parts;
}

// By whoever holds the lock of a queue, under which nobody asks for this one's the other way round.
void RereadLink::pushed_out(std::int64_t second) {
  const MutexLock lock(mutex_);
  pushed_out_.push_back(second);
  for (Port* const port : ports_) port->forget_again();
}

std::unique_ptr<Reread> RereadLink::open(IngestPipeline& ingest, bool verdicts) {
  return std::make_unique<Port>(*this, ingest, verdicts);
}

void RereadLink::decided(std::span<const DecidedTrace> traces) {
  const MutexLock lock(mutex_);
  for (const DecidedTrace& one : traces) {
    told_.add(one.order);
    if (one.origin == 0 || one.origin > of_origin_.size()) continue;
    Port* const port = of_origin_[one.origin - 1U];
    if (port != nullptr && port->wants_verdicts()) port->waiting().push_back(one);
  }
}

std::shared_ptr<Delivery> RereadLink::delivery(const Kept& kept) {
  auto note = std::make_shared<Note>(*this);
  const MutexLock lock(mutex_);
  note->begin(undelivered_.begin(kept.first));
  return note;
}

}  // namespace tailgate
