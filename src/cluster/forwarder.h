// SPDX-License-Identifier: Apache-2.0
// Forwarder: splits requests by the homes of their traces, and owns the queues to the other members.
//
// A member has three exporters, since a request says for all of its spans how often they were forwarded. Their queues
// never drop anything: room is made before a request is taken, and without it the request is refused.
//
// Threads: the SpanForwarder by any. use(), misplaced(), take_back() and the end by one. Requests hold the gate shared,
// so that one request is routed by one Routing, and no request by an older one when use() returns.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/byte_budget.h"
#include "base/mutex.h"
#include "cluster/routing.h"
#include "export/export_runner.h"
#include "receive/forward.h"

namespace tailgate {

// The exporter to a member; null when it cannot be made. `hop`: for the header.
using MakeMemberExporter =
    std::function<std::unique_ptr<ExportRunner>(const std::string& name, const std::string& endpoint, Hop hop)>;

struct ForwarderOptions {
  // Of each member, KeptTrace::bytes(). 0: half of what the budget has for queues, divided by the members; the rest is
  // for kept traces.
  std::size_t queue_bytes_max = 0;
};

class Forwarder final : public SpanForwarder {
 public:
  // Whether a trace is open or remembered here.
  using Knows = std::function<bool(const TraceId&)>;
  // Makes room for queues where there is none; false: there is none to make.
  using MakeRoom = std::function<bool(std::size_t bytes)>;

  Forwarder(ForwarderOptions options, ByteBudget& budget, MakeMemberExporter make, Knows knows, MakeRoom make_room)
      : options_(options),
        budget_(budget),
        make_(std::move(make)),
        knows_(std::move(knows)),
        make_room_(std::move(make_room)) {}
  ~Forwarder() override;

  // From now on requests go by these views. Starts the exporters of members that are new; those of members that are no
  // longer named keep what they have for take_back().
  Result<void> use(const Views& views, const std::vector<Member>& peers, const std::string& self, bool leaving);

  // What waits for members that are no longer named: requests of OTLP, to be routed again. An exporter that has nothing
  // left ends here.
  std::vector<KeptTracePtr> take_back();

  // Open traces that belong elsewhere, by the Routing of now.
  bool misplaced(const TraceId& id) const { return routing_.misplaced(id); }

  void begin() override {
    // Those who take the gate shared would keep out who wants it alone.
    if (closing_.load(std::memory_order_relaxed)) const MutexLock turn(turnstile_);
    gate_.lock_shared();
  }
  void end() override { gate_.unlock_shared(); }
  Split split(SpanBatch& slice, Hop hop, Known known) override;
  std::uint64_t send(TimePoint now, const WritePart& write) override;
  void cancel() override;

  // Sends what is queued until `deadline`; the end waits for that.
  void begin_drain(TimePoint deadline, TimePoint now);
  void end_drain();

  // By member and hop; the exporters' names are cluster/NAME/HOP.
  template <class F>
  void each(F&& f) const {
    const MutexLock lock(links_mutex_);
    for (const auto& link : links_) {
      for (const auto& runner : link->runners) f(link->member.name, *runner);
    }
  }
  std::size_t queue_bytes(const std::string& name) const;

 private:
  struct Link {
    Member member;
    std::array<std::unique_ptr<ExportRunner>, kHops> runners;  // for Hop::kFirst to kLast
    std::atomic<std::size_t> reserved{0};                      // by requests that are being taken
    std::size_t queued() const;
  };
  using LinkPtr = std::shared_ptr<Link>;
  struct Scratch;

  static Scratch& scratch();
  Result<LinkPtr> link_to(const Member& member);
  bool reserve(Link& link, KeptTrace& part);

  const ForwarderOptions options_;
  ByteBudget& budget_;
  const MakeMemberExporter make_;
  const Knows knows_;
  const MakeRoom make_room_;

  Mutex turnstile_;
  std::atomic<bool> closing_{false};
  std::shared_mutex gate_;  // the next three change under it alone
  Routing routing_;
  std::vector<LinkPtr> to_;  // by index in routing_.names(); null: it could not be opened
  std::size_t queue_max_ = 0;

  mutable Mutex links_mutex_;
  std::vector<LinkPtr> links_ TAILGATE_GUARDED_BY(links_mutex_);  // all, also of members that are no longer named
};

}  // namespace tailgate
