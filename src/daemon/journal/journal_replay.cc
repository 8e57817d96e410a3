// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal/journal_replay.h"

#include <pthread.h>

#include <algorithm>
#include <filesystem>

#include "base/units.h"
#include "journal/id_index.h"
#include "telemetry/log.h"
#include "wire/otlp/scan.h"

namespace tailgate {
namespace {

constexpr Duration kWait = std::chrono::milliseconds(2);
constexpr Duration kReadAgain = std::chrono::milliseconds(100);
constexpr Duration kTellOfWait = std::chrono::seconds(10);

}  // namespace

class JournalReplay::Verdicts final : public Foregone {
 public:
  JournalHistory history;
  std::optional<Known> find(const TraceId& id) const override {
    const auto found = history.find(id);
    if (!found) return std::nullopt;
    return Known{found->verdict, found->order};
  }
};

JournalReplay::JournalReplay(const ReplayParts& parts) : parts_(parts) {}

JournalReplay::~JournalReplay() { stop(); }

void JournalReplay::start(std::function<void()> live) {
  live_ = std::move(live);
  thread_ = std::thread([this] { run(monotonic_now(), wall_now_ns()); });
  pthread_setname_np(thread_.native_handle(), "replay");
}

void JournalReplay::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void JournalReplay::tidy(TimePoint now) {
  if (!done_ || verdicts_ == nullptr || now - live_since_ < parts_.journal.options().hold) return;
  parts_.journal.replayed(UINT64_MAX);
  parts_.store.set_foregone(nullptr);
  verdicts_.reset();
  verdicts_charge_.release();
}

JournalReplay::Stats JournalReplay::stats() const {
  const std::uint64_t bytes = bytes_, read = std::min(read_.load(), bytes);
  return {bytes, done_ ? 0 : bytes - read, requests_, unreplayed_, damaged_, unread_};
}

TimePoint JournalReplay::now() const { return now_ + (monotonic_now() - began_); }

// Never later than now: when the wall clock was put back, what came before seems to come from the future, and the clock
// of the store does not go back.
TimePoint JournalReplay::time_of(std::uint64_t unix_ns) const {
  const auto ago = static_cast<std::int64_t>(wall_ns_ - unix_ns);
  return std::clamp(now_ - Duration(ago), parts_.origin, now());
}

void JournalReplay::run(TimePoint now, std::uint64_t wall_ns) {
  began_ = monotonic_now();
  now_ = now;
  wall_ns_ = wall_ns;
  verdicts_ = std::make_unique<Verdicts>();
  Journal& journal = parts_.journal;
  const std::uint64_t from = journal.replay_from();
  load_verdicts(from);
  log_info("replaying the journal", {{"directory", journal.options().directory}, {"bytes", format_bytes(bytes_)}});
  JournalCursor cursor(journal, from);
  cursor.of_any();
  if (!catch_up(cursor) || !switch_over(cursor)) return;
  live_since_ = monotonic_now();
  done_ = true;
  log_info("the journal is replayed", {{"requests", requests_.load()},
                                       {"not_replayed", unreplayed_.load()},
                                       {"damaged", damaged_.load()},
                                       {"took", format_duration(live_since_ - began_)}});
  if (live_) live_();
}

// Traces of then are known from here on: as decided, or with the verdict that they are to get.
void JournalReplay::load_verdicts(std::uint64_t from) {
  const std::string& directory = parts_.journal.options().directory;
  JournalHistory& history = verdicts_->history;
  const Journal::Extent extent = parts_.journal.extent();
  std::vector<std::uint64_t> replayed, passed;
  for (const std::uint64_t segment : extent.ends) (segment < from ? passed : replayed).push_back(segment);
  for (const std::uint64_t segment : extent.segments) {
    (segment < from ? passed : replayed).push_back(segment);
    std::error_code error;
    const auto size = std::filesystem::file_size(requests_path(directory, segment), error);
    if (segment >= from && segment != extent.segments.back() && !error) bytes_ += size;
  }
  const auto remember = [&](const TraceId& id, const Verdict& verdict) { parts_.store.remember(id, verdict); };
  for (const std::uint64_t segment : passed) history.pass(directory, segment, parts_.link, remember);
  history.load(directory, replayed, parts_.link);
  history.each_ended(remember);
  damaged_ = history.damaged();
  if (parts_.budget != nullptr) {
    verdicts_charge_ = Charge(*parts_.budget, Holder::kTraces);
    verdicts_charge_.grow(std::min(history.bytes(), parts_.budget->cap(Holder::kTraces) / 2));
  }
  parts_.store.set_foregone(verdicts_.get());
}

// New requests are live from here on. Those that were written alone come back when the disk has them. They count as
// having come then, so their segments are settled no sooner than verdicts of then are let go of.
bool JournalReplay::switch_over(JournalCursor& cursor) {
  switches_ = true;
  parts_.link.begin_switch();
  while (!stopping_ && parts_.link.begun_alone() != 0) parts_.pause(kWait);
  const std::uint64_t last = parts_.journal.appended();
  while (!stopping_ && parts_.journal.committed() < last) {
    if (!catch_up(cursor)) return false;
    reached_ = std::max(reached_, now());
    parts_.store.sweep(reached_);
    parts_.pause(kWait);
  }
  if (!catch_up(cursor)) return false;
  parts_.link.set_position(0);
  parts_.link.go_live();
  return true;
}

// Takes all that is committed. False: asked to stop.
bool JournalReplay::catch_up(JournalCursor& cursor) {
  const std::uint64_t damaged = damaged_ - cursor.damaged();
  while (!stopping_) {
    const Result<bool> more =
        cursor.next([&](const JournalRequest& request, std::uint64_t position) { take(request, position); });
    if (!more) {
      if (!unread_.exchange(true)) {
        log_error("a file of the journal cannot be read: the replay waits for it, and nothing is deleted",
                  {{"why", more.error().text}});
      }
      parts_.pause(kReadAgain);
      continue;
    }
    if (unread_.exchange(false)) log_info("the journal can be read again", {{"segment", cursor.segment()}});
    if (stopping_) return false;
    damaged_ = damaged + cursor.damaged();
    read_ = cursor.bytes();
    if (!switches_) parts_.journal.replayed(cursor.segment());
    if (!*more) return true;
  }
  return false;
}

void JournalReplay::take(const JournalRequest& request, std::uint64_t position) {
  if (stopping_) return;
  const bool own = request.number >= parts_.journal.first_order();
  if (is_elsewhere(request, own)) return;
  const SourceId source =
      own ? parts_.link.source_of(request.receiver, request.format).value_or(parts_.source) : parts_.source;
  const TimePoint at = time_of(request.arrival_unix_ns);
  const std::shared_ptr<const ScanPlan> plan = parts_.target.plan();
  thread_local SpanBatch batch;
  batch.clear();
  batch.hash_seed = parts_.target.hash_seed();
  batch.now_unix_ns = request.arrival_unix_ns;
  batch.request = request.number;
  // The store's clock does not go back, so what this opens began at `reached_`, at the latest.
  reached_ = std::max(reached_, at);
  parts_.journal.ends_after(journal_segment(position), reached_);
  if (request.whose == Whose::kKept) {
    take_kept(request, at, position);
    return;
  }
  parts_.link.set_position(position);
  if (at >= swept_ + parts_.sweep_every) {  // as the sweeper would have, before this came
    parts_.store.sweep(at);
    swept_ = at;
  }
  passed_.clear();
  stays_ = false;
  bool good = true;
  const auto deliver = [&](SpanBatch& slice) {
    good = take(slice, source, at, own, request, position);
    return good;
  };
  const ScanResult scan = scan_request(request.otlp, *plan, batch, deliver);
  good = scan.ok && good && deliver(batch);
  if (stopping_) return;
  parts_.link.set_position(position + 1);
  if (good && request.whose != Whose::kOwn && !stays_) {
    const auto note = [&journal = parts_.journal, number = request.number](bool safe) {
      if (safe) journal.note_passed_on(number);
    };
    if (const auto written = Receipt::of_all(passed_)) {
      written->then(note);
    } else {
      note(true);
    }
  }
  if (good) {
    ++requests_;
  } else if (scan.ok) {
    leave_out(request, "it is larger than the memory for traces", requests_left_out_.too_large, position);
  } else {
    leave_out(request, scan.error, requests_left_out_.damaged, position);
  }
}

void JournalReplay::leave_out(const JournalRequest& request, std::string_view why, LogLimiter& log,
                              std::uint64_t position) {
  ++unreplayed_;
  const auto held = log.pass(monotonic_now());
  if (!held) return;
  log_error(request.whose == Whose::kKept ? "a trace that was kept after the fact is not sent again"
                                          : "a request of the journal is not replayed",
            {{"why", why}, {"position", position}, {"held_back", *held}});
}

// Its spans are in memory already, or with another member.
bool JournalReplay::is_elsewhere(const JournalRequest& request, bool own) {
  switch (request.whose) {
    case Whose::kOwn:
      return own && parts_.link.took(request.number);
    case Whose::kOthers:
      return own || verdicts_->history.passed_on(request.number) || !for_others_.insert(request.number).second;
    case Whose::kUnsure:
      return !own && verdicts_->history.passed_on(request.number);
    case Whose::kKept:
      return own;
  }
  return false;
}

// What an earlier process kept after the fact goes to the exporters again, unless they have it.
void JournalReplay::take_kept(const JournalRequest& request, TimePoint at, std::uint64_t position) {
  TraceId id;
  if (!each_id(request.otlp, [&](const TraceId& one) { id = one; }))
    return leave_out(request, "it is no OTLP", copies_left_out_.damaged, position);
  if (verdicts_->history.delivered(id, request.number)) {
    ++requests_;
    return;
  }
  const Verdict verdict = parts_.link.verdict_after();
  const TraceStore::AfterAll what{id, verdict, request.receiver, request.order, request.number};
  const bool too_large = parts_.budget != nullptr && request.otlp.size() >= parts_.budget->cap(Holder::kQueues) / 2;
  const bool taken = wait_for([&] { return !parts_.store.keep_after(what, request.otlp, at).no_room; },
                              [&] { return too_large; }, "in the queues", position);
  if (taken) {
    ++requests_;
  } else if (!stopping_) {
    leave_out(request, "it is larger than half the memory for queues", copies_left_out_.too_large, position);
  }
}

bool JournalReplay::take(SpanBatch& slice, SourceId source, TimePoint at, bool own, const JournalRequest& request,
                         std::uint64_t position) {
  if (!own && request.whose != Whose::kOthers)
    slice.remove_traces([&](const TraceId& id) { return verdicts_->history.ended(id, request, position); });
  if (request.whose != Whose::kOwn && parts_.pass_on && !pass_on(slice, source, request, position)) return false;
  if (slice.traces.empty()) return true;
  stays_ = true;
  // Exporters give back what early verdicts have handed them.
  return wait_for([&] { return parts_.target.take(slice, source, at); },
                  [&] { return !parts_.target.could_take(slice); }, "in memory", position);
}

// All that came before it is known here by now, so it can be told whose its traces are.
bool JournalReplay::pass_on(SpanBatch& slice, SourceId source, const JournalRequest& request, std::uint64_t position) {
  std::shared_ptr<Receipt> written;
  const auto passed = [&] { return parts_.pass_on(slice, source, request.arrival_unix_ns, written); };
  if (!wait_for(
          passed, [] { return false; }, "in the queue to another member", position))
    return false;
  if (written != nullptr) passed_.push_back(std::move(written));
  return true;
}

bool JournalReplay::wait_for(const std::function<bool()>& done, const std::function<bool()>& cannot,
                             std::string_view what, std::uint64_t position) {
  std::optional<TimePoint> tell;
  while (!done()) {
    if (stopping_ || cannot()) return false;
    if (!tell) tell = monotonic_now() + kTellOfWait;
    if (monotonic_now() >= *tell) {
      log_warn("the replay waits for room", {{"where", what}, {"position", position}});
      tell = TimePoint::max();
      verdicts_charge_.release();  // a large request may need that half too
    }
    parts_.pause(kWait);
  }
  return true;
}

}  // namespace tailgate
