// SPDX-License-Identifier: Apache-2.0
// RequestLog: where requests are written before their senders are answered; a journal in the daemon. Receipt: whether
// one of them, or several parts of one, have been written.
//
// Threads: any. Called once or twice for each request, not per span.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "model/kept_trace.h"
#include "model/span_batch.h"

namespace tailgate {

class Receipt {
 public:
  // `untold`: called at its end if it is not safe and nobody has asked, so that nobody hears of it. `hurry`: called
  // when whoever has asked wants to know before a moment.
  explicit Receipt(std::size_t parts = 1, std::function<void()> untold = {}, std::function<void(TimePoint)> hurry = {})
      : untold_(std::move(untold)), hurry_(std::move(hurry)), left_(parts) {}
  Receipt(const Receipt&) = delete;
  Receipt& operator=(const Receipt&) = delete;
  ~Receipt() {
    if (safe_ == false && !asked_ && untold_) untold_();
  }
  // One for all of them: null for none. Who asks for it asks for each.
  static std::shared_ptr<Receipt> of_all(std::span<const std::shared_ptr<Receipt>> parts) {
    if (parts.empty()) return nullptr;
    if (parts.size() == 1) return parts.front();
    auto out = std::make_shared<Receipt>(parts.size(), parts.front()->untold_, parts.front()->hurry_);
    for (const std::shared_ptr<Receipt>& part : parts) part->then([out](bool safe) { out->settle(safe); });
    return out;
  }

  // Calls `call` with the outcome, once: here, if it is known, else on the thread that settles. Nothing is to wait
  // beyond `by` for the sake of other requests.
  void then(std::function<void(bool safe)> call, TimePoint by = TimePoint::max()) {
    std::optional<bool> safe;
    {
      const MutexLock lock(mutex_);
      asked_ = true;
      safe = safe_;
      if (!safe) call_ = std::exchange(call, nullptr);
    }
    if (safe) return call(*safe);
    if (by != TimePoint::max() && hurry_) hurry_(by);
  }
  // Once for each part; they are safe when all are.
  void settle(bool safe) {
    std::function<void(bool)> call;
    {
      const MutexLock lock(mutex_);
      all_safe_ &= safe;
      if (--left_ != 0) return;
      safe_ = safe = all_safe_;
      call = std::move(call_);
    }
    if (call) call(safe);
  }

 private:
  const std::function<void()> untold_;
  const std::function<void(TimePoint)> hurry_;
  Mutex mutex_;
  bool asked_ TAILGATE_GUARDED_BY(mutex_) = false;
  std::size_t left_ TAILGATE_GUARDED_BY(mutex_);
  bool all_safe_ TAILGATE_GUARDED_BY(mutex_) = true;
  std::optional<bool> safe_ TAILGATE_GUARDED_BY(mutex_);
  std::function<void(bool)> call_ TAILGATE_GUARDED_BY(mutex_);
};

class RequestLog {
 public:
  enum class Way : std::uint8_t {
    kWrite,       // the spans are taken, and then the request is written
    kWriteAlone,  // the request is written; its spans are taken out of the log, later
    kPassBy,      // the spans are taken, and the request is not written
    kRefuse,
  };
  virtual ~RequestLog() = default;

  // What to do with a request that has come. Each is followed by an end().
  virtual Way begin() = 0;
  virtual void end(Way way) = 0;
  virtual std::uint64_t next_number() = 0;
  // Whether write() is to be told the request's traces.
  virtual bool wants_traces() const = 0;
  // `way`: as begin() said. Null: nobody has to wait for it.
  virtual std::shared_ptr<Receipt> write(Way way, std::uint64_t number, SourceId source, std::uint64_t arrival_unix_ns,
                                         ByteView otlp, std::span<const TraceId> traces) = 0;

  // Likewise what of a request is another daemon's to decide. It is written until `part` has gone there; what is
  // `unsure` comes out of the log, as what is written alone does.
  virtual std::shared_ptr<Receipt> write_part(SourceId source, std::uint64_t arrival_unix_ns,
                                              const std::shared_ptr<KeptTrace>& part, bool unsure) = 0;

  // One request's turn.
  class Turn {
   public:
    explicit Turn(RequestLog* log) : log_(log) {
      if (log_ != nullptr) way_ = log_->begin();
      if (writes()) number_ = log_->next_number();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
      if (log_ != nullptr) log_->end(way_);
    }

    Way way() const { return way_; }
    bool later() const { return way_ == Way::kWriteAlone; }
    std::uint64_t number() const { return number_; }  // 0: it is not written
    bool writes() const { return way_ == Way::kWrite || way_ == Way::kWriteAlone; }
    bool wants_traces() const { return writes() && log_->wants_traces(); }
    std::shared_ptr<Receipt> write(SourceId source, std::uint64_t arrival_unix_ns, ByteView otlp,
                                   std::span<const TraceId> traces) const {
      return writes() ? log_->write(way_, number_, source, arrival_unix_ns, otlp, traces) : nullptr;
    }

    std::shared_ptr<Receipt> write_part(SourceId source, std::uint64_t arrival_unix_ns,
                                        const std::shared_ptr<KeptTrace>& part, bool unsure) const {
      return writes() ? log_->write_part(source, arrival_unix_ns, part, unsure) : nullptr;
    }

   private:
    RequestLog* const log_;
    Way way_ = Way::kPassBy;
    std::uint64_t number_ = 0;
  };
};

}  // namespace tailgate
